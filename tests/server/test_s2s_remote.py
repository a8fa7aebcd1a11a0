"""What is on its way to one other server."""

from __future__ import annotations

from itertools import pairwise

from federated import CLOSING, EXTERNAL, HEADER, NO_DOMAIN, REFUSED, SUCCESS, World, message

from quietwire.core.jid import JID
from quietwire.core.stanza import Message
from quietwire.server import s2s_remote as module


def test_stanzas_wait_for_the_stream_then_go_in_order() -> None:
    world = World()
    tickets = [world.send(str(number)) for number in range(3)]
    (dialled,) = world.dials
    assert dialled.domain == "b.example"
    link = dialled.answers()
    assert link.take() == message("0") + message("1") + message("2")
    tickets.append(world.send("3"))
    assert link.take() == message("3")
    assert not any(ticket.settled for ticket in tickets)
    link.flushes()
    assert all(ticket.settled for ticket in tickets)
    assert world.states() == ["ready"]
    assert len(world.dials) == 1


def test_stanzas_of_one_turn_share_a_ticket() -> None:
    world = World()
    world.send()
    link = world.dials[0].answers()
    link.flushes()
    first, second = world.send(), world.send()
    assert first is second
    link.flushes()
    assert world.send() is not first


def test_a_refused_dial_is_repeated_with_growing_pauses() -> None:
    world = World()
    ticket = world.send()
    times = []
    for _ in range(4):
        times.append(world.now)
        world.dials[-1].failed(REFUSED)
        before = len(world.dials)
        while len(world.dials) == before:
            world.passes(0.25)
    assert [round(later - earlier) for earlier, later in pairwise(times)] == [1, 2, 4]
    assert not ticket.settled
    link = world.dials[-1].answers()
    assert link.take() == message("1")
    assert world.back == []


def test_pauses_have_an_end() -> None:
    world = World()
    times: list[float] = []
    for _ in range(600):
        world.send()
        if len(world.dials) > len(times):
            times.append(world.now)
            world.dials[-1].failed(REFUSED)
        world.passes(1)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert len(pauses) > 10
    assert set(pauses[6:]) == {module.LONGEST_PAUSE}


def test_what_waits_too_long_is_returned() -> None:
    world = World()
    first = world.send("1")
    world.dials[0].failed(REFUSED)
    world.passes(10)
    second = world.send("2")
    world.passes(module.WAIT_SECONDS - 10 - 0.5)
    assert (first.settled, world.back) == (False, [])
    world.passes(1)
    assert (first.settled, second.settled) == (True, False)
    assert world.back == [
        "<message from='bob@b.example' to='alice@a.example/x' type='error' id='1'><error type='cancel'>"
        "<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    ]
    world.passes(10)
    assert second.settled


def test_a_peer_that_does_not_answer_is_a_timeout() -> None:
    world = World()
    world.send()
    world.dials[0].connects()
    world.passes(module.WAIT_SECONDS + 1)
    assert world.conditions() == ["remote-server-timeout"]


def test_a_failure_that_will_not_pass_is_told_at_once_and_for_a_while() -> None:
    world = World()
    ticket = world.send()
    world.dials[0].failed(NO_DOMAIN)
    assert ticket.settled
    assert world.conditions() == ["remote-server-not-found"]
    assert world.send().settled
    assert world.conditions() == ["remote-server-not-found"]
    assert len(world.dials) == 1
    world.passes(2)
    assert world.federation.routes == 0
    assert not world.send().settled
    assert len(world.dials) == 2


def test_the_queue_is_bounded_in_stanzas() -> None:
    world = World()
    tickets = [world.send() for _ in range(module.QUEUE_STANZAS + 1)]
    assert [ticket.settled for ticket in tickets[-2:]] == [False, True]
    assert world.conditions() == ["resource-constraint"]
    world.dials[0].answers().flushes()
    assert all(ticket.settled for ticket in tickets)
    assert not world.send().settled


def test_the_queue_is_bounded_in_bytes() -> None:
    world = World()
    big = Message.make(to=JID.parse("bob@b.example"), from_=JID.parse("alice@a.example"), id="x" * 200_000)
    fit = module.QUEUE_BYTES // len(big.to_bytes())
    tickets = [world.federation.send(big) for _ in range(fit + 1)]
    assert [ticket.settled for ticket in tickets[-2:]] == [False, True]
    assert world.conditions() == ["resource-constraint"]


def test_what_a_lost_connection_did_not_write_goes_first_on_the_next() -> None:
    world = World()
    world.send("0")
    link = world.dials[0].answers()
    link.flushes()
    ticket = world.send("1")
    link.breaks()
    assert len(world.dials) == 2
    world.send("2")
    again = world.dials[1].answers()
    assert again.take() == message("1") + message("2")
    again.flushes()
    assert ticket.settled
    assert world.back == []


def test_a_quiet_stream_that_is_lost_is_dialled_on_demand() -> None:
    world = World()
    world.send()
    link = world.dials[0].answers()
    link.flushes()
    link.says(CLOSING)
    link.breaks()
    assert (len(world.dials), world.federation.routes, world.federation.streams) == (1, 0, 0)
    world.send("2")
    assert world.dials[1].answers().take() == message("2")


def test_a_peer_that_closes_each_time_is_not_dialled_in_a_circle() -> None:
    world = World()
    world.send()
    world.dials[0].answers().breaks()
    world.dials[1].answers().breaks()
    assert len(world.dials) == 2
    world.passes(2)
    assert len(world.dials) == 3
    world.passes(module.WAIT_SECONDS)
    assert world.conditions() == ["remote-server-timeout"]


def test_a_peer_that_does_not_read_is_given_up() -> None:
    world = World()
    world.send("0")
    link = world.dials[0].answers()
    link.flushes()
    world.passes(30)
    ticket = world.send("1")
    world.passes(module.STALL_SECONDS - 1)
    assert not link.aborted
    world.passes(1)
    assert link.aborted
    assert world.states()[-1] == "stalled"
    assert not ticket.settled
    assert world.dials[1].answers().take() == message("1")


def test_an_idle_stream_is_closed_in_order() -> None:
    world = World()
    world.send()
    link = world.dials[0].answers()
    link.flushes()
    link.take()
    world.passes(module.IDLE_SECONDS - 1)
    world.send("2")
    link.flushes()
    link.take()
    world.passes(module.IDLE_SECONDS - 1)
    assert not link.closed
    world.passes(1)
    assert (link.take(), link.closed, link.aborted) == (CLOSING, True, False)
    assert world.federation.streams == 1
    link.breaks()
    assert (world.federation.streams, world.federation.routes) == (0, 0)
    assert world.timers.next_at() is None
    world.send("3")
    assert len(world.dials) == 2


LIMITED = (
    "<stream:features><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits></stream:features>"
)


def long(id: str = "long") -> Message:
    return Message.make(to=JID.parse("bob@b.example"), from_=JID.parse("alice@a.example"), id=id + "x" * 10_000)


def test_what_is_longer_than_the_peer_takes_comes_back() -> None:
    world = World()
    early = world.federation.send(long())
    behind = world.send("1")
    link = world.dials[0].connects()
    link.says(HEADER + EXTERNAL)
    link.says(SUCCESS)
    link.take()
    link.says(HEADER + LIMITED)
    assert link.take() == message("1")
    assert early.settled
    assert world.conditions() == ["policy-violation"]
    assert world.federation.send(long()).settled
    assert world.conditions() == ["policy-violation"]
    link.flushes()
    assert behind.settled


def test_stanzas_that_share_a_ticket_are_confirmed_together() -> None:
    world = World()
    world.send("0")
    link = world.dials[0].connects()
    link.says(HEADER + EXTERNAL)
    link.says(SUCCESS)
    link.says(HEADER + "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>")
    link.says("<enabled xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>")
    tickets = [world.send(str(number)) for number in range(1, 4)]
    link.says("<a xmlns='urn:xmpp:sm:3' h='3'/>")
    assert not tickets[2].settled
    assert world.send("4") is not tickets[2]
    link.says("<a xmlns='urn:xmpp:sm:3' h='4'/>")
    assert tickets[2].settled


def test_a_peer_that_acknowledges_nothing_is_given_up() -> None:
    world = World()
    world.send("0")
    link = world.dials[0].connects()
    link.says(HEADER + EXTERNAL)
    link.says(SUCCESS)
    link.says(HEADER + "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>")
    link.says("<enabled xmlns='urn:xmpp:sm:3'/>")
    link.flushes()
    world.passes(module.STALL_SECONDS)
    assert link.aborted
    link = world.dials[1].answers()
    assert link.take() == message("0")


def test_what_shares_its_ticket_with_what_is_returned_is_not_acknowledged_with_it() -> None:
    world = World()
    world.send("0")
    first = world.dials[0].answers()
    first.take()
    short = world.send("1")
    stanza = Message.make(to=JID.parse("bob@b.example"), from_=JID.parse("alice@a.example/x"), id="2" * 20_000)
    assert world.federation.send(stanza) is short
    first.breaks()
    again = world.dials[1].connects()
    limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>"
    again.says(HEADER + EXTERNAL)
    again.says(SUCCESS)
    again.says(HEADER + f"<stream:features>{limits}</stream:features>")
    assert world.conditions() == ["policy-violation"]
    assert not short.settled
    again.flushes()
    assert short.settled
