from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from s2s_world import Surroundings

from quietwire.core.jid import JID
from quietwire.core.later import Ticket
from quietwire.core.stanza import Iq, Message, Presence, Stanza
from quietwire.server import federation as module
from quietwire.server.federation import Federation
from quietwire.server.links import Link, Stream
from quietwire.server.s2s import Failure
from quietwire.server.s2s_policy import Policy
from quietwire.server.s2s_traffic import Traffic
from quietwire.testing.links import FakeLink

HEADER = (
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'"
    " from='b.example' to='a.example' id='x'>"
)
EXTERNAL = (
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    "</mechanisms></stream:features>"
)
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
CLOSING = "</stream:stream>"
REFUSED = Failure("remote-server-not-found", "refused")
NO_DOMAIN = Failure("remote-server-not-found", "no-such-domain", permanent=True)


class Dialled:
    """One call of the port."""

    def __init__(
        self, ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> None:
        self.ours = ours
        self.domain = domain
        self.failed = failed
        self.cancelled = False
        self._accept = accept

    def connects(self, *names: str) -> FakeLink:
        """The connection is there, TLS up; the peer has said nothing."""
        link = FakeLink(secure=True, peer_domains=names or (self.domain,))
        link.stream = self._accept(link)
        return link

    def answers(self) -> FakeLink:
        """The connection is there and negotiated."""
        link = self.connects()
        link.says(HEADER + EXTERNAL)
        link.says(SUCCESS)
        link.take()
        link.says(HEADER + "<stream:features/>")
        return link


class World(Surroundings):
    """a.example's federation; its dials, and what it returned to local senders."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__("a.example", policy)
        self.common.randomness = lambda size: b"\xff" * size
        self.dials: list[Dialled] = []
        self.back: list[str] = []
        self.federation = Federation(
            self.common, self._dial, lambda stanza: self.back.append(stanza.to_bytes().decode())
        )

    def _dial(
        self, ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> Callable[[], None]:
        dialled = Dialled(ours, domain, accept, failed)
        self.dials.append(dialled)

        def cancel() -> None:
            dialled.cancelled = True

        return cancel

    def send(self, id: str = "1", to: str = "bob@b.example", kind: type[Stanza] = Message, type: str = "") -> Ticket:
        stanza = kind.make(to=JID.parse(to), from_=JID.parse("alice@a.example/x"), id=id, type=type)
        return self.federation.send(stanza)

    def conditions(self) -> list[str]:
        """The conditions of all errors that were returned since the last call."""
        taken, self.back = self.back, []
        return [answer.partition("type='error'")[2].split("<")[2].split(" ")[0] for answer in taken]


def message(id: str) -> str:
    return f"<message from='alice@a.example/x' to='bob@b.example' id='{id}'/>"


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


def test_the_number_of_routes_is_bounded() -> None:
    world = World()
    for number in range(module.ROUTES):
        world.send(to=f"d{number}.example")
    assert world.send(to="one-more.example").settled
    assert world.conditions() == ["resource-constraint"]
    assert len(world.dials) == module.ROUTES


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
    world.passes(module.RETURN_SECONDS - 1)
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
    world.passes(2 * module.RETURN_SECONDS)
    assert world.dials == []


def test_theirs_does_not_read() -> None:
    world = World()
    link, traffic = theirs(world)
    world.federation.adopt(traffic, "b.example", "a.example")
    world.send("1")
    world.passes(module.STALL_SECONDS)
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
