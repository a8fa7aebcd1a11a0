"""Over loopback TCP and TLS: everything from `dial` down is the real thing, the listener too."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID
from quietwire.core.later import Ticket
from quietwire.core.stanza import Message, Stanza
from quietwire.net import dial as dial_module
from quietwire.net import resolver as resolver_module
from quietwire.net.dial import Dialler
from quietwire.net.resolver import NotFound, Override, Resolver, Srv, Unresolved
from quietwire.net.shell import Shell
from quietwire.net.stream import Accept, Connection
from quietwire.net.tls import server_dial_context, server_listen_context
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.server.federation import Federation
from quietwire.server.links import Link, Stream
from quietwire.server.s2s import Common, Failure
from quietwire.server.s2s_in import Incoming
from quietwire.server.settings import Settings
from quietwire.testing.nameserver import Nameserver

WAIT = 60.0


class Pki:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trusted = self.authority("trusted")
        self.strange = self.authority("strange")
        self.pairs = {
            "a": self.issue(self.trusted, "a", "a.example"),
            "b": self.issue(self.trusted, "b", "b.example"),
            "stranger": self.issue(self.strange, "stranger", "b.example"),
            "expired": self.issue(self.authority("old", ago=3 * 86_400), "expired", "b.example"),
        }
        self.root = folder / "trusted.pem"

    def authority(self, name: str, ago: float = 0.0) -> Authority:
        authority = Authority(name, now=time.time() - ago, days=1, new_key=new_p256_key, random=os.urandom)
        (self.folder / f"{name}.pem").write_bytes(authority.certificate)
        return authority

    def issue(self, authority: Authority, name: str, domain: str) -> tuple[Path, Path]:
        issued = authority.issue([domain])
        paths = self.folder / f"{name}-certificate.pem", self.folder / f"{name}-key.pem"
        paths[0].write_bytes(issued.certificate)
        paths[1].write_bytes(issued.key)
        return paths


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def run(scene: Callable[[], Coroutine[Any, Any, None]], loop: str) -> None:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(scene(), 3 * WAIT))


async def until(condition: Callable[[], bool]) -> None:
    """Lets the kernel work until it is so."""
    async with asyncio.timeout(WAIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class FixedLookup:
    def __init__(self, srv: dict[str, Sequence[Srv] | QuietwireError] | None = None, at: Sequence[str] = ()) -> None:
        self.records = srv or {}
        self.at = at

    async def srv(self, name: str) -> Sequence[Srv]:
        found = self.records.get(name, NotFound("no such record"))
        if isinstance(found, QuietwireError):
            raise found
        return found

    async def addresses(self, host: str) -> Sequence[str]:
        return self.at


def nowhere(
    ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
) -> Callable[[], None]:
    """Implements `s2s.Dial` for a server that reaches nobody."""
    failed(Failure("remote-server-not-found", "no-such-domain", permanent=True))
    return lambda: None


class House:
    """b.example with a listener, and what it got; a.example's federation, and what it got back."""

    def __init__(self, pki: Pki, *, direct: bool, listener: str = "b") -> None:
        self.pki = pki
        self.direct = direct
        self.shell = Shell(asyncio.get_running_loop())
        self.context = server_listen_context(*pki.pairs[listener], pki.root)
        self.got: asyncio.Queue[Stanza] = asyncio.Queue()
        self.returned: asyncio.Queue[Stanza] = asyncio.Queue()
        self.notes: list[str] = []
        ours = self.common("b.example")
        self.incoming = Incoming(ours, Federation(ours, nowhere, self.returned.put_nowait))

    def common(self, domain: str) -> Common:
        return Common(
            Settings(domain=JID.parse(domain)),
            self.shell.timers,
            self,
            lambda name: name == domain,
            randomness=os.urandom,
            note=self.note,
            fault=self.fault,
        )

    def from_remote(self, stanza: Stanza, finished: Callable[[], None] | None = None) -> bool:
        self.got.put_nowait(stanza)
        return True

    def caused(self) -> tuple[Ticket | None, Ticket | None]:
        return None, None

    def note(self, event: str, **facts: str) -> None:
        self.notes.append(facts.get("state", facts.get("condition", event)))

    @staticmethod
    def fault(error: BaseException) -> None:
        raise error

    async def listen(self) -> int:
        server = await self.shell.loop.create_server(
            lambda: Connection(self.shell, self.incoming.accept, context=None if self.direct else self.context),
            "127.0.0.1",
            0,
            ssl=self.context if self.direct else None,
        )
        self.server = server
        return int(server.sockets[0].getsockname()[1])

    def dialler(self, resolver: Resolver, pair: str = "a", kinds: list[str] | None = None) -> Dialler:
        def wrap(kind: str, accept: Accept) -> Accept:
            if kinds is not None:
                kinds.append(kind)
            return accept

        return Dialler(self.shell, resolver, server_dial_context(*self.pki.pairs[pair], self.pki.root), wrap)

    def federation(self, dialler: Dialler) -> Federation:
        return Federation(self.common("a.example"), dialler.dial, self.returned.put_nowait)

    async def close(self, federation: Federation) -> None:
        federation.close()
        self.incoming.shut_down()
        self.server.close()
        await until(lambda: not federation.streams and not self.incoming.streams)
        self.shell.close()


def message(number: int) -> Message:
    return Message.make(to=JID.parse("bob@b.example"), from_=JID.parse("alice@a.example/x"), id=str(number))


def at(port: int, *, direct: bool) -> Resolver:
    return Resolver({"b.example": Override("127.0.0.1", port, direct)}, os.urandom, lookup=FixedLookup())


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("direct", [False, True])
def test_stanzas_arrive_in_order_and_both_sides_close(pki: Pki, direct: bool, loop: str) -> None:
    async def scene() -> None:
        house = House(pki, direct=direct)
        kinds: list[str] = []
        federation = house.federation(house.dialler(at(await house.listen(), direct=direct), kinds=kinds))
        tickets = [federation.send(message(number)) for number in range(3)]
        async with asyncio.timeout(WAIT):
            got = [await house.got.get() for _ in range(3)]
            assert [stanza.id for stanza in got] == ["0", "1", "2"]
            tickets.append(federation.send(message(3)))
            assert (await house.got.get()).id == "3"
        await until(lambda: all(ticket.settled for ticket in tickets))  # acknowledged
        assert (federation.streams, house.incoming.streams) == (1, 1)
        assert kinds == ["s2s-out"]
        assert house.notes == ["accepted", "ready"]
        await house.close(federation)

    run(scene, loop)


async def bounced(house: House, federation: Federation) -> tuple[str, bytes]:
    """Sends a message that cannot arrive: (what was noted, the answer)."""
    ticket = federation.send(message(1))
    async with asyncio.timeout(WAIT):
        answer = await house.returned.get()
    assert ticket.settled
    federation.close()
    house.shell.close()
    return house.notes[0], answer.to_bytes()


@pytest.mark.parametrize("direct", [False, True])
def test_a_listener_that_is_not_b_gets_no_stanza(pki: Pki, direct: bool) -> None:
    async def scene() -> None:
        house = House(pki, direct=direct, listener="a")
        note, answer = await bounced(house, house.federation(house.dialler(at(await house.listen(), direct=direct))))
        assert note == "certificate-of-another"
        assert b"<remote-server-timeout " in answer

    run(scene, "uvloop")


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(("listener", "state"), [("stranger", "not-trusted"), ("expired", "expired")])
def test_a_listener_with_a_certificate_that_is_not_valid(pki: Pki, direct: bool, listener: str, state: str) -> None:
    async def scene() -> None:
        house = House(pki, direct=direct, listener=listener)
        note, answer = await bounced(house, house.federation(house.dialler(at(await house.listen(), direct=direct))))
        assert note == f"certificate-{state}"
        assert b"<remote-server-timeout " in answer

    run(scene, "uvloop")


@pytest.mark.parametrize("direct", [False, True])
def test_a_dialling_server_without_the_certificate_of_its_domain(pki: Pki, direct: bool) -> None:
    async def scene() -> None:
        house = House(pki, direct=direct)
        resolver = at(await house.listen(), direct=direct)
        _, answer = await bounced(house, house.federation(house.dialler(resolver, pair="b")))
        assert "dialback-remote-server-not-found" in house.notes
        assert "dialback-refused" in house.notes
        assert b"<remote-server-timeout " in answer
        assert house.got.empty()

    run(scene, "uvloop")


class Outcome:
    """What one dial came to."""

    def __init__(self) -> None:
        self.link: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self.failure: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    def accept(self, link: Link) -> Stream:
        self.link.set_result(link)
        return Silent()


class Silent:
    def received(self, data: bytes) -> None: ...

    def secured(self) -> None: ...

    def written(self) -> None: ...

    def lost(self) -> None: ...


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("records", "addresses", "failure"),
    [
        ([Srv(0, 0, 0, ".")], [], Failure("remote-server-not-found", "service-refused", permanent=True)),
        ([Srv(0, 0, 0, "b.example")], [], Failure("remote-server-not-found", "dns-nonsense", permanent=True)),
        (NotFound("x"), [], Failure("remote-server-not-found", "no-such-domain", permanent=True)),
        ("closed", ["127.0.0.1"], Failure("remote-server-not-found", "refused")),
    ],
)
def test_failures(pki: Pki, records: Any, addresses: list[str], failure: Failure) -> None:
    async def scene() -> None:
        house = House(pki, direct=False)
        found = [Srv(0, 0, closed_port(), "x.b.example")] if records == "closed" else records
        lookup = FixedLookup({"_xmpp-server._tcp.b.example": found}, addresses)
        outcome = Outcome()
        resolver = Resolver({}, os.urandom, lookup=lookup)
        house.dialler(resolver).dial("a.example", "b.example", outcome.accept, outcome.failure.set_result)
        assert await asyncio.wait_for(outcome.failure, WAIT) == failure
        assert not outcome.link.done()
        house.shell.close()

    run(scene, "uvloop")


def test_dns_that_does_not_answer_may_answer_later(pki: Pki) -> None:
    class Mute(FixedLookup):
        async def addresses(self, host: str) -> Sequence[str]:
            raise Unresolved("x")

    async def scene() -> None:
        house = House(pki, direct=False)
        outcome = Outcome()
        house.dialler(Resolver({}, os.urandom, lookup=Mute())).dial(
            "a.example", "b.example", outcome.accept, outcome.failure.set_result
        )
        assert await asyncio.wait_for(outcome.failure, WAIT) == Failure("remote-server-not-found", "no-dns")
        house.shell.close()

    run(scene, "uvloop")


def test_an_address_is_no_domain(pki: Pki) -> None:
    async def scene() -> None:
        house = House(pki, direct=False)
        outcome = Outcome()
        house.dialler(Resolver({}, os.urandom, lookup=FixedLookup())).dial(
            "a.example", "127.0.0.1", outcome.accept, outcome.failure.set_result
        )
        assert (await asyncio.wait_for(outcome.failure, WAIT)).permanent
        house.shell.close()

    run(scene, "uvloop")


def test_the_next_target_is_tried(pki: Pki) -> None:
    async def scene() -> None:
        house = House(pki, direct=True)
        port = await house.listen()
        lookup = FixedLookup(
            {
                "_xmpp-server._tcp.b.example": [Srv(1, 0, closed_port(), "x.b.example")],
                "_xmpps-server._tcp.b.example": [Srv(2, 0, port, "x.b.example")],
            },
            ["127.0.0.1"],
        )
        outcome = Outcome()
        house.dialler(Resolver({}, os.urandom, lookup=lookup)).dial(
            "a.example", "b.example", outcome.accept, outcome.failure.set_result
        )
        link = await asyncio.wait_for(outcome.link, WAIT)
        assert link.secure
        assert link.peer_domains == {"b.example"}
        link.abort()
        house.incoming.shut_down()
        house.server.close()
        house.shell.close()

    run(scene, "uvloop")


def test_a_wish_taken_back_is_not_granted(pki: Pki) -> None:
    async def scene() -> None:
        house = House(pki, direct=False)
        outcome = Outcome()
        cancel = house.dialler(at(await house.listen(), direct=False)).dial(
            "a.example", "b.example", outcome.accept, outcome.failure.set_result
        )
        cancel()
        await asyncio.sleep(0.05)
        assert not outcome.link.done()
        assert not outcome.failure.done()
        house.server.close()
        house.shell.close()

    run(scene, "uvloop")


SRV = ("_xmpp-server._tcp.b.example", "SRV")
HERE = ("im.b.example", "A")
TELLS = [
    # A service that is refused (RFC 2782), and records that cannot be meant.
    ({SRV: ["0 0 0 ."]}, "service-refused", True),
    ({SRV: ["0 0 0 im.b.example."], HERE: ["127.0.0.1"]}, "dns-nonsense", True),
    ({SRV: ["0 0 5269 127.0.0.1."]}, "dns-nonsense", True),
    # Names that lead nowhere, or in a circle.
    ({SRV: ["0 0 5269 b.example."]}, "no-such-domain", True),
    ({SRV: ["0 0 5269 _xmpp-server._tcp.b.example."]}, "no-such-domain", True),
    (
        {SRV: ["0 0 5269 x.example."], ("x.example", "CNAME"): ["y.example."], ("y.example", "CNAME"): ["x.example."]},
        "no-dns",
        False,
    ),
    ({("b.example", "A"): ["127.0.0.1"], SRV: [f"{n} 0 0 d{n}.example." for n in range(400)]}, "dns-nonsense", True),
    # Five hundred addresses: a few are tried.
    (
        {SRV: ["0 0 PORT im.b.example."], HERE: [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(500)]},
        "refused",
        False,
    ),
]


@pytest.mark.parametrize(("records", "state", "permanent"), TELLS)
def test_what_a_lying_dns_comes_to(
    pki: Pki, records: dict[tuple[str, str], list[str]], state: str, permanent: bool
) -> None:
    async def scene() -> None:
        house = House(pki, direct=False)
        port = str(closed_port())
        dns = Nameserver({key: [value.replace("PORT", port) for value in values] for key, values in records.items()})
        resolver = Resolver({}, os.urandom, server=f"127.0.0.1:{await dns.open()}")
        federation = house.federation(house.dialler(resolver))
        federation.send(message(1))
        await until(lambda: bool(house.notes))
        assert house.notes == [state]
        assert house.returned.empty() is not permanent
        assert len(dns.asked) < 40
        federation.close()
        dns.close()
        house.shell.close()

    run(scene, "uvloop")


def test_dns_that_is_gone(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "DNS_SECONDS", 0.2)

    async def scene() -> None:
        house = House(pki, direct=False)
        resolver = Resolver({}, os.urandom, server=f"127.0.0.1:{closed_port()}")
        federation = house.federation(house.dialler(resolver))
        ticket = federation.send(message(1))
        await until(lambda: bool(house.notes))
        assert house.notes == ["no-dns"]
        assert not ticket.settled  # it may come back while the stanza waits
        federation.close()
        house.shell.close()

    run(scene, "uvloop")


def test_addresses_are_tried_without_waiting_for_the_one_before(pki: Pki) -> None:
    async def scene() -> None:
        house = House(pki, direct=False)
        port = await house.listen()
        mute = socket.create_server(("127.0.0.2", port), backlog=0)
        taken = [socket.socket() for _ in range(4)]  # its queue is full: the kernel answers nobody any more
        for one in taken:
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", port))
        lookup = FixedLookup({SRV[0]: [Srv(0, 0, port, "im.b.example")]}, ["127.0.0.2", "127.0.0.1"])
        outcome = Outcome()
        started = asyncio.get_running_loop().time()
        house.dialler(Resolver({}, os.urandom, lookup=lookup)).dial(
            "a.example", "b.example", outcome.accept, outcome.failure.set_result
        )
        link = await asyncio.wait_for(outcome.link, WAIT)
        assert asyncio.get_running_loop().time() - started < dial_module.CONNECT_SECONDS / 2
        link.abort()
        for one in (*taken, mute):
            one.close()
        house.incoming.shut_down()
        house.server.close()
        house.shell.close()

    run(scene, "uvloop")
