"""The outlet of a session on a link that is paced (`server/sm.py`)."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from quietwire.server.sm import QUEUE_BYTES, REQUEST, Outgoing
from quietwire.shaping.policy import Policy, Profile
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import Entry
from quietwire.testing.links import FakeLink

ASK = REQUEST.decode()
POLICY = Policy(Profile.STEADY, queue=1_000)


class Slow:
    """A session, whose link takes what `has_room` says. As a stream does, it passes `room` and `written` on."""

    def __init__(self, *, enabled: bool = True, queue: int = 1_000) -> None:
        numbers = count(1)
        self.spool = MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))
        self.done: list[Entry] = []
        self.overruns = self.drained = 0
        self.outgoing = Outgoing(None, self.done.append, self._overrun, self._drained)
        self.outgoing.enabled = enabled
        self.link = self.connect(queue)
        self.outgoing.link = self.link

    def connect(self, queue: int = 1_000, *, paced: bool = True) -> FakeLink:
        link = FakeLink(secure=True)
        link.paced = paced
        link.policy = replace(POLICY, queue=queue)
        link.stream = self  # type: ignore[assignment]
        return link

    def room(self) -> None:
        self.outgoing.room()

    def written(self) -> None:
        self.outgoing.written()

    def _overrun(self) -> None:
        self.overruns += 1

    def _drained(self) -> None:
        self.drained += 1

    def put(self, text: str, *, kept: bool = True, sender: str = "bob@b.example") -> Entry | None:
        data = stanza(text, sender).encode()
        entry = self.spool.keep(b"owner", data) if kept else None
        self.outgoing.put(data, entry)
        return entry


def stanza(text: str, sender: str = "bob@b.example") -> str:
    return f"<message from='{sender}'><body>{text}</body></message>"


def test_what_there_is_room_for_goes_at_once_the_rest_in_turns() -> None:
    it = Slow()
    it.link.room = 1
    for number in range(3):
        it.put(str(number))
    it.put("hello", sender="carol@c.example")
    assert it.link.take() == stanza("0") + ASK
    assert it.outgoing.paced
    assert it.outgoing.waits
    it.link.has_room(1)
    assert it.link.take() == stanza("1")
    it.link.has_room(1)
    assert it.link.take() == stanza("hello", "carol@c.example")
    it.link.has_room(100)
    assert it.link.take() == stanza("2")
    assert it.outgoing.waits == 0
    assert it.outgoing.confirm(4)
    assert len(it.done) == 4
    assert it.drained == 0


def test_only_what_was_put_can_be_acknowledged() -> None:
    it = Slow()
    it.link.room = 1
    it.put("0")
    it.put("1")
    assert it.outgoing.sent == 1
    assert not it.outgoing.confirm(2)
    assert it.outgoing.confirm(1)
    assert it.outgoing.acknowledged_by_peer(1)


def test_what_is_too_much_stays_in_the_spool_and_is_fetched() -> None:
    it = Slow(queue=350)
    entries = [it.put("x" * 100) for _ in range(5)]
    held = [entry.holders for entry in entries if entry is not None]
    assert held == [1, 1, 0, 0, 0]
    assert it.outgoing.behind
    it.link.has_room(1)
    assert it.drained == 0
    it.link.has_room(1)
    assert it.drained == 1
    assert not it.outgoing.behind
    it.link.has_room(1)
    assert it.drained == 1


def test_ones_own_answers_are_counted() -> None:
    it = Slow()
    for _ in range(10):
        it.outgoing.put(b"<iq type='result' id='1'>" + b"x" * 100 + b"</iq>", None)
    assert it.outgoing.crowded
    assert not it.outgoing.eased
    while not it.outgoing.eased:
        it.link.has_room(1)
    assert not it.outgoing.crowded
    assert it.overruns == 0


def test_there_is_an_end() -> None:
    it = Slow()
    piece = "x" * 100_000
    for _ in range(QUEUE_BYTES // 100_000 + 2):
        it.put(piece, kept=False)
    assert it.overruns >= 1
    it.link.has_room(1_000)
    assert it.link.take() == ""


def test_without_0198_it_is_delivered_when_it_is_written() -> None:
    it = Slow(enabled=False)
    it.link.room = 1
    first, second = it.put("0"), it.put("1")
    it.link.flushes()
    assert it.done == [first]
    it.link.has_room(1)
    it.link.flushes()
    assert it.done == [first, second]
    assert it.link.take() == stanza("0") + stanza("1")


@pytest.mark.parametrize("paced", [True, False])
def test_a_lost_connection_loses_nothing(paced: bool) -> None:
    it = Slow()
    it.link.room = 1
    for number in range(3):
        it.put(str(number))
    it.outgoing.detach()
    it.put("3")
    assert it.outgoing.waits == 0
    link = it.connect(paced=paced)
    link.room = 1_000
    it.outgoing.resume(link)
    assert link.take().replace(ASK, "") == "".join(stanza(str(number)) for number in range(4))
    assert it.outgoing.confirm(4)
    assert len(it.done) == 4


def test_what_was_left_in_the_spool_is_fetched_by_the_next_connection() -> None:
    for paced in (True, False):
        it = Slow(queue=200)
        for _ in range(4):
            it.put("x" * 100)
        it.outgoing.detach()
        link = it.connect(paced=paced)
        link.room = 1_000
        it.outgoing.resume(link)
        assert it.drained == 1
        assert not it.outgoing.behind


def test_a_session_that_was_away_may_come_back_to_more_than_waits() -> None:
    it = Slow(queue=400)
    it.outgoing.detach()
    entries = [it.put("x" * 100) for _ in range(6)]
    it.outgoing.resume(it.link)
    assert [entry.holders for entry in entries if entry is not None] == [1, 1, 0, 0, 0, 0]
    it.link.has_room(1)
    it.link.has_room(1)
    assert it.drained == 1


def test_a_session_begins_on_a_paced_link() -> None:
    it = Slow(enabled=False)
    it.outgoing.detach()
    it.put("0")
    it.link.room = 1
    it.outgoing.begin(it.link)
    assert it.link.take() == stanza("0")


def test_what_nobody_confirmed_is_left_over() -> None:
    it = Slow()
    it.link.room = 1
    it.put("0")
    it.put("1")
    it.put("2", kept=False)
    it.outgoing.detach()
    assert it.outgoing.owes()
    assert [data.decode() for data, _ in it.outgoing.leftovers()] == [stanza("0"), stanza("1"), stanza("2")]


def test_a_link_that_is_no_longer_paced_takes_all() -> None:
    it = Slow(queue=350)
    for _ in range(5):
        it.put("x" * 100)
    it.link.paced = False
    it.outgoing.room()
    assert it.link.take().count("<message") == 2
    assert it.drained == 1
