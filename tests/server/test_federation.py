from __future__ import annotations

from collections.abc import Callable

import pytest
from federated import CLOSING, HEADER, NO_DOMAIN, REFUSED, World, message

from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Message, Presence, Stanza
from quietwire.server import federation as module
from quietwire.server.s2s import Failure
from quietwire.server.s2s_policy import Policy
from quietwire.server.s2s_remote import RETURN_SECONDS, STALL_SECONDS
from quietwire.server.s2s_traffic import Traffic
from quietwire.testing.links import FakeLink


def test_each_domain_has_its_stream() -> None:
    world = World()
    world.send(to="bob@b.example")
    world.send(to="c.example")
    world.send(to="carol@b.example/y")
    assert [dialled.domain for dialled in world.dials] == ["b.example", "c.example"]
    assert world.federation.routes == 2


def test_no_stanza_to_whom_the_certificate_does_not_name() -> None:
    world = World()
    ticket = world.send()
    link = world.dials[0].connects("c.example")
    assert link.take() == ""
    assert link.closed
    assert world.conditions() == ["remote-server-timeout"]
    assert ticket.settled


@pytest.mark.parametrize(
    ("kind", "type", "told"),
    [
        (Message, "chat", True),
        (Message, "error", False),
        (Iq, "get", True),
        (Iq, "set", True),
        (Iq, "result", False),
        (Iq, "error", False),
        (Presence, "", False),
        (Presence, "subscribe", False),
        (Presence, "error", False),
    ],
)
def test_whom_an_error_is_told(kind: type[Stanza], type: str, told: bool) -> None:
    world = World()
    ticket = world.send(kind=kind, type=type)
    world.dials[0].failed(NO_DOMAIN)
    assert ticket.settled
    assert bool(world.back) is told


def test_the_number_of_routes_is_bounded() -> None:
    world = World()
    for number in range(module.ROUTES):
        world.send(to=f"d{number}.example", from_=f"u{number}@a.example")
    assert world.send(to="one-more.example").settled
    assert world.conditions() == ["resource-constraint"]
    assert len(world.dials) == module.ROUTES


def test_who_invents_domains_leaves_routes_to_others() -> None:
    world = World()
    for number in range(module.SHARE):
        world.send(to=f"d{number}.example")
    assert world.send(to="one-more.example").settled
    assert world.conditions() == ["resource-constraint"]
    assert not world.send(to="one-more.example", from_="carol@a.example").settled
    world.dials[0].answers()
    assert not world.send(to="and-more.example").settled, "one that answered does not count any more"


def test_close_says_good_bye_and_acknowledges_nothing_that_was_not_written() -> None:
    world = World()
    world.send()
    link = world.dials[0].answers()
    link.flushes()
    link.take()
    waiting = world.send("w", to="bob@c.example")
    retrying = world.send("r", to="bob@d.example")
    world.dials[2].failed(REFUSED)
    world.federation.close()
    assert (link.take(), link.closed) == (CLOSING, True)
    assert world.dials[1].cancelled
    late = world.send("late")
    link.breaks()
    world.passes(1000)
    assert not any(ticket.settled for ticket in (waiting, retrying, late))
    assert (world.back, world.federation.streams, len(world.dials)) == ([], 0, 3)


def test_nothing_personal_is_noted() -> None:
    world = World(Policy())
    world.send()
    world.dials[0].failed(REFUSED)
    world.passes(2)
    world.dials[1].answers().breaks()
    assert set(world.states()) == {"refused", "ready", "connection-lost"}
    assert {facts["peer"] for _, facts in world.notes} == {world.common.peers.tag("b.example")} != {"b.example"}


def test_a_refused_domain_is_not_dialled() -> None:
    world = World(Policy(refuse=("*.evil.example",)))
    assert world.send(to="bob@x.evil.example").settled
    assert world.conditions() == ["not-allowed"]
    assert world.dials == []


def test_each_pair_of_domains_is_a_route_of_its_own() -> None:
    world = World()
    world.send()
    room = Message.make(to=JID.parse("bob@b.example"), from_=JID.parse("room@conference.a.example/x"))
    world.federation.send(room)
    assert [(dialled.ours, dialled.domain) for dialled in world.dials] == [
        ("a.example", "b.example"),
        ("conference.a.example", "b.example"),
    ]
    assert "from='conference.a.example'" in world.dials[1].connects().take()


# -- asking about dialback keys ---------------------------------------------------------------------------------------


def asks(world: World, told: list[str]) -> Callable[[], None]:
    return world.federation.verify("a.example", "b.example", "7", "key", told.append)


def test_their_own_server_is_asked_about_a_key() -> None:
    world, told = World(), list[str]()
    asks(world, told)
    (dialled,) = world.dials
    assert (dialled.ours, dialled.domain) == ("a.example", "b.example")
    link = dialled.connects()
    link.says(HEADER + "<stream:features/>")
    assert "<db:verify from='a.example' to='b.example' id='7'>key</db:verify>" in link.take()
    assert world.federation.streams == 1
    link.says("<db:verify xmlns:db='jabber:server:dialback' from='b.example' to='a.example' id='7' type='valid'/>")
    link.breaks()
    assert (told, world.federation.streams, world.federation.routes) == (["valid"], 0, 0)


def test_a_server_that_cannot_be_asked() -> None:
    world, told = World(), list[str]()
    for failure in (REFUSED, Failure("remote-server-timeout", "certificate-expired", permanent=True)):
        asks(world, told)
        world.dials[-1].failed(failure)
    assert told == ["remote-server-not-found", "not-authorized"]


def test_who_does_not_wait_for_the_answer_is_not_told() -> None:
    world, told = World(), list[str]()
    asks(world, told)()
    world.dials[-1].failed(REFUSED)
    assert told == []


def test_questions_are_bounded() -> None:
    world, told = World(), list[str]()
    for _ in range(module.VERIFICATIONS):
        asks(world, told)
    asks(world, told)
    assert told == ["resource-constraint"]
    world.dials[0].failed(REFUSED)
    asks(world, told)
    assert len(world.dials) == module.VERIFICATIONS + 1
    world.federation.close()
    asks(world, told)
    assert told[-1] == "resource-constraint"


# -- their streams, both directions -----------------------------------------------------------------------------------


def theirs(world: World) -> tuple[FakeLink, Traffic]:
    link = FakeLink(secure=True)
    return link, Traffic(world.common, link, lambda error: None, link.abort)


def test_a_stream_of_theirs_saves_the_dial() -> None:
    world = World()
    link, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    ticket = world.send("1")
    assert (link.take(), world.dials) == (message("1"), [])
    traffic.written()
    assert ticket.settled


def test_a_stream_of_theirs_takes_what_waits_for_a_dial() -> None:
    world = World()
    world.send("1")
    link, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    assert link.take() == message("1")
    assert world.dials[0].cancelled
    traffic.written()
    world.federation.adopt(traffic, "b.example", "a.example")  # told twice
    assert link.take() == ""


def test_ours_goes_on_where_it_is_there_first() -> None:
    world = World()
    world.send("1")
    ours = world.dials[0].answers()
    link, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    assert (ours.take(), link.take()) == (message("1"), "")
    world.federation.parted(traffic, resumable=False)
    world.send("2")
    assert ours.take() == message("2")


def test_when_theirs_is_lost_we_wait_a_little_and_dial() -> None:
    world = World()
    _, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    ticket = world.send("1")
    traffic.detach()
    world.federation.parted(traffic, resumable=True)
    world.passes(RETURN_SECONDS - 1)
    assert (world.dials, ticket.settled) == ([], False)
    world.passes(1)
    assert traffic.resume_id == ""
    assert world.dials[0].answers().take() == message("1")


def test_theirs_comes_back() -> None:
    world = World()
    _, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    world.send("1")
    traffic.detach()
    world.federation.parted(traffic, resumable=True)
    world.send("2")
    link = FakeLink(secure=True)
    traffic.attach(link, lambda error: None, lambda: None)
    world.federation.returned(traffic)
    assert link.take() == message("1") + message("2")
    world.passes(2 * RETURN_SECONDS)
    assert world.dials == []


def test_theirs_does_not_read() -> None:
    world = World()
    link, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    world.send("1")
    world.passes(STALL_SECONDS)
    assert link.aborted


def test_a_stream_of_theirs_that_ends_leaves_nothing() -> None:
    world = World()
    _, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    assert world.federation.routes == 1
    traffic.close()
    world.federation.parted(traffic, resumable=False)
    assert world.federation.routes == 0
    world.federation.close()
    world.federation.adopt(traffic, "b.example", "a.example")
    assert world.federation.routes == 0
