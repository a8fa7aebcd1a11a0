from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quietwire.core.later import Ticket
from quietwire.server.queueing import Waiting, whose
from quietwire.store.ports import Entry


def entry() -> Entry:
    return Entry(b"owner", b"key", b"value", Ticket())


def message(sender: str, text: str = "") -> bytes:
    return f"<message type='chat' from='{sender}' to='me@a.example'><body>{text}</body></message>".encode()


def presence(sender: str, inner: str = "", kind: str = "") -> bytes:
    return f"<presence from='{sender}'{kind}>{inner}</presence>".encode()


def all_of(waiting: Waiting) -> list[bytes]:
    return [waiting.pop()[0] for _ in range(len(waiting))]


def test_whose() -> None:
    assert whose(message("bob@b.example/phone")) == ("bob@b.example", b"")
    assert whose(b'<iq type="get" from="bob&apos;s@b.example/x" id="1"/>') == ("bob's@b.example", b"")
    assert whose(b"<iq type='result' id='from=1'/>") == ("", b"")
    assert whose(b"<a xmlns='urn:xmpp:sm:3' h='1'/>") == ("", b"")
    assert whose(b"<message to='x'><body from='bob@b.example'/></message>") == ("", b"")
    assert whose(presence("bob@b.example/phone")) == ("bob@b.example", b"bob@b.example/phone")
    assert whose(presence("bob@b.example/phone", kind=" type='unavailable'"))[1] == b"bob@b.example/phone"
    assert whose(presence("bob@b.example", kind=" type='subscribe'"))[1] == b""
    assert whose(presence("room@c.example/me", "<status code='110'/>"))[1] == b""


def test_in_turns_by_sender() -> None:
    waiting = Waiting(10_000)
    for number in range(3):
        waiting.push(message("flood@b.example", str(number)), entry())
    waiting.push(message("carol@b.example", "x"), None)
    assert all_of(waiting) == [
        message("flood@b.example", "0"),
        message("carol@b.example", "x"),
        message("flood@b.example", "1"),
        message("flood@b.example", "2"),
    ]
    assert waiting.size == 0


def test_the_spool_keeps_what_is_too_much_and_all_after_it() -> None:
    waiting = Waiting(300)
    assert waiting.push(message("bob@b.example", "x" * 100), entry())
    assert not waiting.push(message("bob@b.example", "x" * 200), entry())
    assert waiting.spilled
    assert not waiting.push(message("bob@b.example"), entry())  # would overtake
    assert waiting.push(message("bob@b.example"), None)
    assert len(waiting) == 2
    assert not waiting.crowded


def test_presence_waits_once_for_each_sender() -> None:
    waiting = Waiting(10_000)
    for show in ("away", "xa", "dnd"):
        waiting.push(presence("bob@b.example/phone", f"<show>{show}</show>"), None)
        waiting.push(presence("carol@b.example/x", f"<show>{show}</show>"), None)
    size = waiting.counted
    assert all_of(waiting) == [
        presence("bob@b.example/phone", "<show>dnd</show>"),
        presence("carol@b.example/x", "<show>dnd</show>"),
    ]
    assert size == 2 * len(presence("bob@b.example/phone", "<show>dnd</show>")) - len("bob/phone") + len("carol/x")
    waiting.push(presence("bob@b.example/phone"), None)  # none waits any more
    assert len(waiting) == 1
    assert waiting.counted == len(presence("bob@b.example/phone"))


def test_crowded_by_what_nobody_keeps() -> None:
    waiting = Waiting(200)
    waiting.push(message("bob@b.example", "x" * 150), entry())
    assert not waiting.crowded
    waiting.push(b"<iq type='result' id='1'>" + b"x" * 200 + b"</iq>", None)
    assert waiting.crowded


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 200)), max_size=30), st.integers(0, 30))
def test_nothing_is_lost(life: list[tuple[str, bool, int]], popped: int) -> None:
    waiting, taken = Waiting(1_000), []
    for number, (sender, kept, size) in enumerate(life):
        data = message(f"{sender}@b.example", f"{number} " + "x" * size)
        if waiting.push(data, entry() if kept else None):
            taken.append(data)
        else:
            assert kept
    assert waiting.size == sum(map(len, taken))
    got = [waiting.pop()[0] for _ in range(min(popped, len(taken)))]
    rest = [data for data, _ in waiting.drain()]
    assert sorted(got + rest) == sorted(taken)
    assert rest == [data for data in taken if data not in got]
    assert waiting.size == 0
    assert not waiting
