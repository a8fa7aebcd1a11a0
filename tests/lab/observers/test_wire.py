from __future__ import annotations

from quietwire.lab.observers.wire import ACK_REQUEST, HINT, Seen, app_records, just_before, messages, opens, together
from quietwire.lab.trace import LinkTrace, Open, Record

BASE = 1576


def records(*sizes: int) -> list[Record]:
    return [Record(n, float(n), "L1", "up", "app", size) for n, size in enumerate(sizes)]


def test_sizes_tell_class_and_hint() -> None:
    hinted = [BASE + HINT, BASE + HINT + ACK_REQUEST, BASE + HINT]
    row = [BASE] * 3 + [BASE + ACK_REQUEST] * 5 + [*hinted, BASE + 684, 50, 12_847]
    seen = messages(records(*row))
    assert [(one.level, one.passing) for one in seen] == [(0, False)] * 8 + [(0, True)] * 3 + [(1, False)]


def test_hints_that_are_all_alike_tell_nothing() -> None:
    seen = messages(records(*[BASE] * 3, *[BASE + ACK_REQUEST] * 5, BASE + 684))
    assert [(one.level, one.passing) for one in seen] == [(0, None)] * 8 + [(1, None)]


def test_padding_hides_the_hint() -> None:
    seen = messages(records(2064, 2064, 2064, 2576, 528, 14_864))
    assert [(one.level, one.passing) for one in seen] == [(0, None)] * 3 + [(1, None)]


def test_two_in_one_record_count_twice() -> None:
    seen = messages(records(*[BASE] * 4, 2 * BASE + 5))
    assert len(seen) == 6


def test_small_records_are_no_messages() -> None:
    assert messages(records(50, 50, 400)) == []


def test_joining_in_time() -> None:
    early, near, late = (Seen(time, "L", 0, None, 1) for time in (1.0, 1.95, 2.5))
    assert just_before(Seen(2.0, "S", 0, None, 9), [early, near, late]) is near
    assert just_before(Seen(1.5, "S", 0, None, 9), [early]) is None
    assert together([early, near], [early]) == 1.0
    assert together([early], [late]) == together([], [late]) == 0.0


def test_reading_a_trace() -> None:
    opened = Open(1, 0.0, "L1", "x", "y")
    down = Record(2, 1.0, "L1", "down", "app", 9)
    hello = Record(3, 1.0, "L1", "up", "handshake", 9)
    trace = LinkTrace("p", (opened, down, hello))
    assert opens(trace) == {"L1": opened}
    assert app_records(trace.events, ["L1"], "down") == [down]
    assert app_records(trace.events, ["L1"], "up") == []
