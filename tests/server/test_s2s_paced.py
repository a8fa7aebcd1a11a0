"""What is on its way to another server on a link that is paced (`server/s2s_remote.py`, `server/s2s_traffic.py`)."""

from __future__ import annotations

import re

from federated import EXTERNAL, HEADER, SUCCESS, Dialled, World

from quietwire.core.later import Ticket
from quietwire.server import s2s_remote as module
from quietwire.shaping.policy import Policy, Profile
from quietwire.testing.links import FakeLink

SM = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>"
POLICY = Policy(Profile.STEADY, tick=2.0, fast_tick=0.2)
"""Times that floating point adds up to what they are: the clock of these tests stops at a deadline, not after it."""


def connects(dialled: Dialled, *, managed: bool = False, room: int = 1) -> FakeLink:
    """A paced link, negotiated, with room for so many bytes."""
    link = dialled.connects()
    link.paced, link.policy = True, POLICY
    link.says(HEADER + EXTERNAL)
    link.says(SUCCESS)
    link.take()
    link.room = room
    link.says(HEADER + (SM if managed else "<stream:features/>"))
    if managed:
        link.take()
        link.room = room
        link.says("<enabled xmlns='urn:xmpp:sm:3'/>")
    return link


def ids(link: FakeLink) -> list[str]:
    return re.findall(r" id='([^']*)'", link.take())


def test_it_goes_as_there_is_room_in_turns_by_sender() -> None:
    world = World()
    tickets = [world.send(str(number)) for number in range(3)]
    tickets.append(world.send("other", from_="carol@a.example/x"))
    link = connects(world.dials[0])
    assert link.welcomes == 1
    assert ids(link) == ["0"]
    tickets.append(world.send("3"))
    assert ids(link) == []
    link.has_room(1)
    assert ids(link) == ["other"]
    link.flushes()
    assert [ticket.settled for ticket in tickets] == [True, False, False, True, False]
    link.has_room(1_000)
    assert ids(link) == ["1", "2", "3"]
    link.flushes()
    assert all(ticket.settled for ticket in tickets)


def test_acknowledgements_count_what_was_put() -> None:
    world = World()
    tickets = [world.send(str(number)) for number in range(3)]
    link = connects(world.dials[0], managed=True)
    link.has_room(1)
    link.says("<a xmlns='urn:xmpp:sm:3' h='2'/>")
    assert [ticket.settled for ticket in tickets] == [True, True, False]


def test_the_queue_is_bounded_and_tells_the_sender() -> None:
    world = World()
    world.send("0")
    link = connects(world.dials[0])
    tickets = [world.send(str(number)) for number in range(module.QUEUE_STANZAS)]
    assert not any(ticket.settled for ticket in tickets[:-1])
    assert tickets[-1].settled
    assert world.conditions() == ["resource-constraint"]
    link.has_room(1)
    link.flushes()
    assert not world.send("more").settled


def test_a_lost_connection_loses_nothing_and_keeps_the_order() -> None:
    world = World()
    world.send("0")
    link = connects(world.dials[0], room=0)
    tickets = [world.send(str(number), from_=f"{'ab'[number % 2]}@a.example/x") for number in range(1, 5)]
    link.has_room(1)
    link.breaks()
    assert not any(ticket.settled for ticket in tickets)
    again = world.dials[1].answers()
    assert sorted(ids(again)) == ["0", "1", "2", "3", "4"]
    again.flushes()
    assert all(ticket.settled for ticket in tickets)


def test_stanzas_that_shared_a_ticket_elsewhere_settle_it_together() -> None:
    world = World()
    world.send("0")
    first = world.dials[0].answers()
    first.flushes()
    first.take()
    shared: list[Ticket] = [world.send("1"), world.send("2", from_="carol@a.example/x"), world.send("3")]
    assert shared[0] is shared[2]
    first.breaks()
    link = connects(world.dials[1])
    link.flushes()
    assert not shared[0].settled
    link.has_room(1_000)
    link.flushes()
    assert shared[0].settled


def test_a_long_stanza_in_many_cells_is_no_stall() -> None:
    world = World()
    world.send("0")
    link = connects(world.dials[0], room=1)
    link._pending = 100_000
    for _ in range(5):
        world.passes(module.STALL_SECONDS + 2 * POLICY.tick)
        link._pending -= 10_000
        assert not link.aborted
    world.passes(2 * (module.STALL_SECONDS + 2 * POLICY.tick))
    assert link.aborted
    assert world.states()[-1] == "stalled"


def test_nobody_having_anything_to_say_does_not_show() -> None:
    world = World()
    world.send("0")
    link = connects(world.dials[0])
    link.flushes()
    world.passes(10 * module.IDLE_SECONDS)
    assert not link.closed
    world.send("1")
    link.has_room(1)
    assert len(world.dials) == 1
