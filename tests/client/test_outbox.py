"""Each stanza is confirmed, written again, or stale; none is in two places."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quietwire.client.outbox import MAX_WAITING, BadAck, Entry, Inbound, Outbox, OutboxFull


def message(name: str) -> Entry:
    return Entry(name.encode(), "message", name)


def names(entries: list[Entry]) -> list[str]:
    return [entry.id or entry.data.decode() for entry in entries]


def live() -> Outbox:
    outbox = Outbox()
    outbox.enable()
    outbox.start()
    return outbox


def test_it_waits_until_the_session_is_there() -> None:
    outbox = Outbox()
    assert outbox.put(message("a")) == []
    assert outbox.put(message("b")) == []
    outbox.enable()
    assert names(outbox.start()) == ["a", "b"]
    assert names(outbox.put(message("c"))) == ["c"]
    assert names(outbox.ack(2)) == ["a", "b"]
    assert names(outbox.ack(3)) == ["c"]
    assert outbox.idle


def test_after_a_resumption_the_order_is_that_of_writing() -> None:
    # slixmpp writes what was queued during the cut before what it sends again, and counts it wrongly then.
    outbox = live()
    for name in "abc":
        outbox.put(message(name))
    outbox.cut()
    outbox.put(message("d"))
    confirmed, again = outbox.resume(1)
    assert (names(confirmed), names(again)) == (["a"], ["b", "c", "d"])
    assert names(outbox.ack(4)) == ["b", "c", "d"]


def test_a_lost_session_keeps_messages_and_drops_what_belonged_to_it() -> None:
    # slixmpp drops all of it on <failed/>.
    outbox = live()
    outbox.put(message("a"))
    outbox.put(Entry(b"iq", "session"))
    outbox.put(Entry(b"typing", "passing", "t"))
    outbox.put(message("b"))
    outbox.cut()
    outbox.put(message("c"))
    assert names(outbox.lose()) == []
    outbox.enable()
    assert names(outbox.start()) == ["a", "b", "c"]


def test_failed_may_say_what_was_handled() -> None:
    outbox = live()
    outbox.put(message("a"))
    outbox.put(message("b"))
    assert names(outbox.lose(1)) == ["a"]
    assert names(outbox.start()) == ["b"]


def test_a_wrong_h_in_failed_loses_nothing() -> None:
    outbox = live()
    outbox.put(message("a"))
    assert outbox.lose(17) == []
    assert names(outbox.start()) == ["a"]


def test_without_stream_management_an_entry_is_kept_until_it_is_written() -> None:
    outbox = Outbox()
    outbox.disable()
    outbox.start()
    assert names(outbox.put(message("a"))) == ["a"]
    outbox.put(message("b"))
    assert not outbox.idle
    assert names(outbox.wrote(1)) == ["a"]
    outbox.lose()
    assert names(outbox.start()) == ["b"]
    assert names(outbox.wrote(2)) == ["b"]
    assert outbox.idle


@pytest.mark.parametrize("h", [2, -1, 2**31])
def test_an_acknowledgement_of_what_was_never_sent_is_refused(h: int) -> None:
    outbox = live()
    outbox.put(message("a"))
    with pytest.raises(BadAck):
        outbox.ack(h)


def test_counting_goes_round() -> None:
    outbox = live()
    outbox._h = 2**32 - 1
    outbox.put(message("a"))
    outbox.put(message("b"))
    assert names(outbox.ack(1)) == ["a", "b"]


def test_what_waits_is_bounded() -> None:
    outbox = Outbox()
    for _ in range(MAX_WAITING):
        outbox.put(message("x"))
    with pytest.raises(OutboxFull):
        outbox.put(message("x"))


class Cuts(RuleBasedStateMachine):
    """Against a server that handles a prefix of what is written: at the end every message arrived, in order.

    `received` is what the server handled of this and earlier sessions; a message handled but not acknowledged when the
    session was lost comes again, as the same stanza.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox()
        self.sent: list[str] = []
        self.wire: list[str] = []
        self.handled = 0
        self.received: list[str] = []
        self.connected = self.session = False

    def _write(self, entries: list[Entry]) -> None:
        self.wire += names(entries)

    @rule()
    def say(self) -> None:
        self.sent.append(str(len(self.sent)))
        self._write(self.outbox.put(message(self.sent[-1])))

    @precondition(lambda self: self.connected)
    @rule(share=st.floats(0, 1))
    def server_handles(self, share: float) -> None:
        until = self.handled + round(share * (len(self.wire) - self.handled))
        self.received += self.wire[self.handled : until]
        self.handled = until

    @precondition(lambda self: self.connected)
    @rule()
    def server_acknowledges(self) -> None:
        self.outbox.ack(self.handled)

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self) -> None:
        self.outbox.cut()
        self.connected = False

    @precondition(lambda self: not self.connected and self.session)
    @rule()
    def resume(self) -> None:
        self.wire = self.wire[: self.handled]
        _, again = self.outbox.resume(self.handled)
        self._write(again)
        self.connected = True

    @precondition(lambda self: not self.connected)
    @rule()
    def begin(self) -> None:
        self.outbox.lose()
        self.wire, self.handled = [], 0
        self.outbox.enable()
        self._write(self.outbox.start())
        self.connected = self.session = True

    @invariant()
    def nothing_is_lost_or_reordered(self) -> None:
        first = list(dict.fromkeys(self.received))
        assert first == self.sent[: len(first)]

    def teardown(self) -> None:
        if not self.connected:
            self.begin()
        self.server_handles(1.0)
        assert list(dict.fromkeys(self.received)) == self.sent


TestCuts = Cuts.TestCase


def test_handled_is_what_is_safe_not_what_came() -> None:
    inbound = Inbound()
    first, second, third = (inbound.arrive() for _ in range(3))
    inbound.done(third)
    inbound.done(second)
    assert (inbound.received, inbound.handled, inbound.idle) == (3, 0, False)
    inbound.done(first)
    assert (inbound.handled, inbound.idle) == (3, True)
