"""Two of our servers and the wires between them, which break: nothing acknowledged is lost, nothing arrives twice."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from s2s_world import Surroundings

from quietwire.core.jid import JID
from quietwire.core.later import Ticket
from quietwire.core.stanza import Message
from quietwire.server.federation import Federation
from quietwire.server.links import Link, Stream
from quietwire.server.s2s import Failure
from quietwire.server.s2s_in import Incoming
from quietwire.server.s2s_in_stream import RESUME_SECONDS
from quietwire.server.s2s_policy import Policy
from quietwire.server.s2s_remote import IDLE_SECONDS
from quietwire.testing.links import FakeLink


class House(Surroundings):
    """One of the two servers, under the clock of `net`."""

    def __init__(self, net: Net, domain: str, policy: Policy) -> None:
        super().__init__(domain, policy)
        self.net = net
        self.domain = domain
        self.common.randomness = net.random.randbytes
        self.back: list[str] = []
        self.federation = Federation(self.common, self._dial, lambda stanza: self.back.append(stanza.id))
        self.incoming = Incoming(self.common, self.federation)
        self.ids: list[str] = []
        """Of what came, in its order."""

    def _dial(
        self, ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> Callable[[], None]:
        wish = Wish(self, ours, domain, accept, failed)
        self.net.wishes.append(wish)

        def cancel() -> None:
            if wish in self.net.wishes:
                self.net.wishes.remove(wish)

        return cancel

    def send(self, id: str, to: str, from_: str = "") -> Ticket:
        return self.federation.send(
            Message.make(to=JID.parse(f"bob@{to}"), from_=JID.parse(f"alice@{from_ or self.domain}"), id=id)
        )


class Wish:
    def __init__(
        self,
        house: House,
        ours: str,
        domain: str,
        accept: Callable[[Link], Stream],
        failed: Callable[[Failure], None],
    ) -> None:
        self.house, self.ours, self.domain, self.accept, self.failed = house, ours, domain, accept, failed


class Wire:
    """A connection: two links, and bytes on their way."""

    def __init__(self, net: Net, wish: Wish, called: House) -> None:
        names = net.names
        self.near = FakeLink(secure=True, peer_domains=names[called.domain], peer_fault="")
        self.far = FakeLink(secure=True, peer_domains=names[wish.house.domain])
        self.near.stream = wish.accept(self.near)
        self.far.stream = called.incoming.accept(self.far)
        self.ends = (self.near, self.far)

    @property
    def gone(self) -> bool:
        return all(end.gone for end in self.ends)

    def carry(self) -> bool:
        """What was written arrives, closing is noticed; whether anything happened."""
        moved = False
        for end, other in (self.ends, self.ends[::-1]):
            if end.gone:
                continue
            if end.backlog():
                end.flushes()
            data = end.take()
            if data:
                moved = True
                if not other.gone:
                    other.says(data)
            if end.closed:
                moved = True
                end.breaks()
                if not other.gone:
                    other.breaks()
        return moved

    def breaks(self, random: Random) -> None:
        """Without a word; each end has heard what it has heard, and the called one may not notice at all."""
        for end in random.sample(self.ends, 2) if random.random() < 0.6 else self.ends[:1]:
            if not end.gone:
                end.breaks()


class Net:
    def __init__(self, seed: int = 1, *, certificates: bool = True, policy: Policy | None = None) -> None:
        self.random = Random(seed)
        self.wishes: list[Wish] = []
        self.wires: list[Wire] = []
        self.names: dict[str, tuple[str, ...]] = {
            domain: (domain, f"*.{domain}") if certificates else () for domain in ("a.example", "b.example")
        }
        self.policy = policy or Policy(name_domains=True)
        self.a = House(self, "a.example", self.policy)
        self.b = House(self, "b.example", self.policy)
        self.houses = (self.a, self.b)

    def connect(self) -> bool:
        """The next wish comes true."""
        if not self.wishes:
            return False
        wish = self.wishes.pop(0)
        called = next(house for house in self.houses if wish.domain.endswith(house.domain))
        self.wires.append(Wire(self, wish, called))
        return True

    def step(self) -> bool:
        moved = [wire.carry() for wire in self.wires]  # each of them gets its turn
        return self.connect() or any(moved)

    def settle(self) -> None:
        while self.step():
            pass
        self.wires = [wire for wire in self.wires if not wire.gone]
        for house in self.houses:
            house.ids += house.inward.ids()
            assert house.faults == []

    def passes(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            for house in self.houses:
                house.passes(1)
            self.settle()


def test_one_stream_carries_both_directions_with_acknowledgements() -> None:
    net = Net()
    out = net.a.send("1", "b.example")
    net.settle()
    back = net.b.send("2", "a.example")
    net.settle()
    assert (net.b.ids, net.a.ids, len(net.wires)) == (["1"], ["2"], 1)
    assert out.settled
    assert back.settled
    assert net.a.states() == ["ready"]


def test_domains_below_ours_have_streams_of_their_own() -> None:
    net = Net()
    net.a.send("1", "conference.b.example")
    net.b.send("2", "a.example", from_="conference.b.example")
    net.b.send("3", "a.example")
    net.settle()
    assert (net.b.ids, sorted(net.a.ids)) == (["1"], ["2", "3"])


def test_an_idle_stream_is_closed_and_opened_again() -> None:
    net = Net()
    net.a.send("1", "b.example")
    net.settle()
    net.b.send("2", "a.example")
    net.passes(IDLE_SECONDS + 2)
    assert net.wires == []
    net.b.send("3", "a.example")
    net.settle()
    assert net.a.ids == ["2", "3"]
    assert net.b.federation.routes == 1


def test_what_the_peer_has_not_made_durable_is_not_confirmed() -> None:
    net = Net()
    net.b.inward.durable = Ticket()
    ticket = net.a.send("1", "b.example")
    net.passes(1)
    assert net.b.ids == ["1"]
    assert not ticket.settled
    net.b.inward.durable.settle()
    net.settle()
    assert ticket.settled


def test_two_servers_that_answer_each_other_do_not_wait_for_each_other() -> None:
    """What a stanza makes leave for another server is not waited for: that server may be waiting for us."""
    net = Net()
    net.a.inward.leaving = net.b.inward.leaving = Ticket()
    there, back = net.a.send("1", "b.example"), net.b.send("2", "a.example")
    net.passes(1)
    assert there.settled
    assert back.settled
    net.wires[0].breaks(net.random)
    net.a.send("3", "b.example")
    net.passes(5)
    assert net.b.ids == ["1", "3"]


def test_a_lost_connection_is_resumed() -> None:
    net = Net()
    net.b.inward.durable = Ticket()
    tickets = [net.a.send("1", "b.example")]
    net.settle()
    net.wires[0].breaks(net.random)
    tickets.append(net.a.send("2", "b.example"))
    tickets.append(net.b.send("3", "a.example"))
    net.settle()
    assert not any(ticket.settled for ticket in tickets)  # nothing goes on before it is durable
    net.b.inward.durable.settle()
    net.settle()
    assert (net.a.ids, net.b.ids) == (["3"], ["1", "2"])
    assert all(ticket.settled for ticket in tickets)
    assert "resumed" in net.a.states()


def test_a_stream_that_nobody_resumes_is_forgotten() -> None:
    net = Net()
    net.a.send("1", "b.example")
    net.settle()
    net.wires[0].breaks(net.random)
    net.wishes.clear()
    waits = net.b.send("2", "a.example")
    net.passes(RESUME_SECONDS + 5)
    assert waits.settled
    assert net.a.ids == ["2"]
    assert len(net.wires) == 1


def test_dialback_where_certificates_say_nothing() -> None:
    net = Net(certificates=False, policy=Policy(authentication="dialback", name_domains=True))
    tickets = [net.a.send("1", "b.example"), net.b.send("2", "a.example")]
    net.settle()
    assert (net.b.ids, net.a.ids) == (["1"], ["2"])
    assert all(ticket.settled for ticket in tickets)
    assert len(net.wires) == 2  # the two that asked about keys are gone


def test_dialback_by_the_answering_servers_certificate() -> None:
    net = Net()
    for wire in ("1", "2"):
        net.a.send(wire, "b.example")
        assert net.connect()
        net.wires[-1].far._domains = frozenset()  # a dials without a certificate, and answers with one
        net.settle()
        net.wires[-1].breaks(net.random)
        net.passes(2)
    assert net.b.ids == ["1", "2"]


def test_dialback_is_not_enough_where_nobody_shows_a_certificate() -> None:
    net = Net()
    net.names["a.example"] = ()
    net.a.send("1", "b.example")
    net.settle()
    assert net.b.ids == []
    assert net.a.back == ["1"]
    assert "dialback-not-authorized" in net.b.states()


def test_a_stranger_with_another_ones_name_gets_nowhere() -> None:
    net = Net(certificates=False, policy=Policy(authentication="dialback", name_domains=True))
    net.a.common.keys = type(net.a.common.keys)(b"another secret")
    stranger = House(net, "a.example", net.policy)  # it says a.example, and b asks the one that DNS knows
    stranger.send("1", "b.example")
    net.settle()
    assert net.b.ids == []
    assert "dialback-invalid" in net.b.states()


@pytest.mark.parametrize("seed", range(60))
def test_connections_that_break_anywhere(seed: int) -> None:
    net = Net(seed)
    random = net.random
    tickets: dict[str, Ticket] = {}
    told: dict[str, list[str]] = {"a": [], "b": []}
    for number in range(120):
        if random.random() < 0.7:
            sender, to = random.choice([("a", "b.example"), ("b", "a.example")])
            house = net.a if sender == "a" else net.b
            tickets[f"{sender}{number}"] = house.send(f"{sender}{number}", to)
            told[sender].append(f"{sender}{number}")
        for _ in range(random.randrange(4)):
            net.step()
        if random.random() < 0.08 and net.wires:
            random.choice(net.wires).breaks(random)
        if random.random() < 0.2:
            for house in net.houses:
                house.passes(random.random())
        for house in net.houses:
            house.ids += house.inward.ids()
    net.passes(150)
    assert net.b.ids == told["a"]
    assert net.a.ids == told["b"]
    assert all(ticket.settled for ticket in tickets.values())
    assert net.a.back == net.b.back == []
