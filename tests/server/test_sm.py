from __future__ import annotations

from itertools import count

from quietwire.core.later import Ticket
from quietwire.server.sm import ANSWER_SECONDS, MODULO, QUEUE_BYTES, QUEUE_STANZAS, REQUEST, Incoming, Outgoing
from quietwire.server.timers import Timers
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import Entry
from quietwire.testing.links import FakeLink

ASK = REQUEST.decode()


class Counting:
    """An `Incoming` with what it answered and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers = Timers(lambda: self.now)
        self.answers: list[int] = []
        self.incoming = Incoming(self.timers, self.answers.append)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.timers.fire(self.now)


def test_answers_at_once_when_all_is_durable() -> None:
    it = Counting()
    it.incoming.requested()
    ticket = Ticket()
    ticket.settle()
    it.incoming.count(None)
    it.incoming.count(ticket)
    it.incoming.requested()
    assert it.answers == [0, 2]


def test_waits_for_what_is_not_durable() -> None:
    it, ticket = Counting(), Ticket()
    it.incoming.count(None)
    it.incoming.count(ticket)
    it.incoming.count(ticket)
    it.incoming.requested()
    assert it.answers == []
    assert it.incoming.safe() == 1
    ticket.settle()
    assert it.answers == [3]
    it.pass_time(1)
    assert it.answers == [3]


def test_answers_in_time_with_what_is_durable_then_with_the_rest() -> None:
    it, ticket = Counting(), Ticket()
    it.incoming.count(None)
    it.incoming.count(ticket)
    it.incoming.requested()
    it.pass_time(ANSWER_SECONDS)
    assert it.answers == [1]
    ticket.settle()
    assert it.answers == [1, 2]


def test_two_tickets_of_one_stanza() -> None:
    it, disk, peer = Counting(), Ticket(), Ticket()
    it.incoming.count(disk, peer)
    it.incoming.count(disk)
    it.incoming.requested()
    disk.settle()
    assert it.answers == []
    peer.settle()
    assert it.answers == [2]


def test_tickets_that_settle_out_of_order() -> None:
    it, first, second = Counting(), Ticket(), Ticket()
    it.incoming.count(first)
    it.incoming.count(second)
    it.incoming.requested()
    second.settle()
    assert (it.answers, it.incoming.safe()) == ([], 0)
    first.settle()
    assert it.answers == [2]


def test_safe_means_all_of_them_in_whatever_order_they_settle() -> None:
    it = Counting()
    first, second, done = Ticket(), Ticket(), []
    it.incoming.count(first)
    it.incoming.count(second)
    second.settle()
    it.incoming.when_safe(lambda: done.append("safe"))
    assert done == []
    first.settle()
    assert done == ["safe"]


def test_counting_begins_where_it_is_switched_on() -> None:
    it, ticket = Counting(), Ticket()
    it.incoming.count(ticket)
    it.incoming.start()
    it.incoming.count(None)
    it.incoming.requested()
    ticket.settle()
    assert it.answers == [1]


def test_the_count_wraps() -> None:
    it = Counting()
    it.incoming.handled = MODULO - 1
    it.incoming.count(None)
    it.incoming.requested()
    assert it.answers == [0]


class Sending:
    def __init__(self, *, enabled: bool = True) -> None:
        numbers = count(1)
        self.link = FakeLink(secure=True)
        self.spool = MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))
        self.done: list[Entry] = []
        self.overruns = 0
        self.outgoing = Outgoing(self.link, self.done.append, self.overrun)
        self.outgoing.enabled = enabled

    def overrun(self) -> None:
        self.overruns += 1

    def put(self, text: str, *, kept: bool = False) -> Entry | None:
        entry = self.spool.keep(b"owner", text.encode()) if kept else None
        self.outgoing.put(text.encode(), entry)
        return entry


def test_confirms_what_the_peer_acknowledges() -> None:
    it = Sending()
    first, second = it.put("<a/>", kept=True), it.put("<b/>", kept=True)
    assert it.link.take() == f"<a/>{ASK}<b/>"
    assert it.outgoing.acknowledged_by_peer(1)
    assert it.done == [first]
    assert it.link.take() == ASK
    assert it.outgoing.acknowledged_by_peer(2)
    assert it.done == [first, second]
    assert it.link.take() == ""
    assert it.outgoing.acknowledged_by_peer(2)


def test_refuses_more_than_was_sent() -> None:
    it = Sending()
    it.put("<a/>")
    assert not it.outgoing.confirm(2)
    assert it.outgoing.confirm(1)
    assert not it.outgoing.confirm(0)
    assert it.outgoing.sent == 1


def test_acknowledgements_wrap() -> None:
    it = Sending()
    it.outgoing.acknowledged = MODULO - 1
    it.put("<a/>")
    it.put("<b/>")
    assert it.outgoing.sent == 1
    assert it.outgoing.confirm(0)
    assert it.outgoing.confirm(1)


def test_a_resumed_session_sends_again() -> None:
    it = Sending()
    it.put("<a/>")
    it.outgoing.detach()
    it.put("<b/>")
    again = FakeLink(secure=True)
    it.outgoing.confirm(0)
    it.outgoing.resume(again)
    assert again.take() == f"<a/><b/>{ASK}"
    it.put("<c/>")
    assert again.take() == "<c/>"
    assert it.link.take() == f"<a/>{ASK}"


def test_a_session_begins_with_what_came_while_it_was_bound() -> None:
    for enabled, then in ((True, ASK), (False, "")):
        it = Sending()
        it.outgoing.detach()
        it.outgoing.enabled = enabled
        entry = it.put("<a/>", kept=True)
        again = FakeLink(secure=True)
        it.outgoing.begin(again)
        assert again.take() == f"<a/>{then}"
        it.outgoing.written()
        assert it.done == ([] if enabled else [entry])
        if enabled:
            assert it.outgoing.confirm(1)
            assert it.done == [entry]


def test_what_nobody_confirmed_is_left_over() -> None:
    it = Sending()
    entry = it.put("<a/>", kept=True)
    it.put("<b/>")
    assert entry is not None
    assert entry.holders == 1
    assert it.outgoing.leftovers() == [(b"<a/>", entry), (b"<b/>", None)]
    assert (entry.holders, it.outgoing.leftovers()) == (0, [])


def test_without_0198_written_is_delivered() -> None:
    it = Sending(enabled=False)
    entry = it.put("<a/>", kept=True)
    assert it.link.take() == "<a/>"
    assert it.done == []
    it.outgoing.written()
    assert it.done == [entry]
    lost = it.put("<b/>", kept=True)
    assert it.outgoing.leftovers() == [(b"", lost)]


def test_the_queue_is_bounded() -> None:
    it = Sending()
    for _ in range(QUEUE_STANZAS):
        it.put("<a/>")
    assert it.overruns == 0
    it.put("<a/>")
    assert it.overruns == 1
    it = Sending()
    it.put("x" * QUEUE_BYTES)
    assert it.overruns == 0
    it.put("x")
    assert it.overruns == 1


def test_a_session_that_overran_is_ended_once_and_keeps_nothing_but_names() -> None:
    it = Sending()
    it.put("x" * (QUEUE_BYTES + 1))
    late = it.put("late", kept=True)
    it.put("presence")
    assert it.overruns == 1
    assert it.outgoing.leftovers()[1:] == [(b"", late)]


def test_what_is_kept_and_not_confirmed_is_owed() -> None:
    link = FakeLink()
    plain, queued = (Outgoing(link, lambda entry: None, lambda: None) for _ in range(2))
    queued.enabled = True
    for outgoing in (plain, queued):
        assert not outgoing.owes()
        outgoing.put(b"<presence/>", None)
        assert not outgoing.owes()
        entry = Entry(b"o", b"k", b"v", Ticket())
        outgoing.put(b"<message/>", entry)
        assert outgoing.owes()
        entry.confirmed = True
        assert not outgoing.owes()


def test_what_is_not_safe_is_forgotten_when_it_will_come_again() -> None:
    it, ticket = Counting(), Ticket()
    it.incoming.count(None)
    it.incoming.count(ticket)
    it.incoming.requested()
    assert it.incoming.forget() == 1
    ticket.settle()
    it.pass_time(1)
    assert it.answers == []
    it.incoming.count(None)
    it.incoming.requested()
    assert it.answers == [2]
