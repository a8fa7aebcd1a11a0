"""Two ends of a tunnel in memory, and over real TLS: what goes in comes out, who waits, and how it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from fake_loop import FakeLoop, Outside, shell_on

from quietwire.net.daemon import Daemon, Listener
from quietwire.net.doors import Doors, Limits
from quietwire.net.shell import Shell
from quietwire.net.shield import QUEUE, READY_SECONDS
from quietwire.net.shield_trust import Trust, pin_of
from quietwire.net.shield_tunnel import Outer, Pair, Plain, ToTunnel, Tunnel, TunnelConnection
from quietwire.net.shield_ways import Local
from quietwire.net.tls import client_context, own_certificate
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.server.links import Link, Stream
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.tunnel import END, Opener, cell, greeting
from quietwire.testing.links import FakeLink

SIZE = 64
STEADY = Policy(Profile.STEADY, cell=SIZE, tick=0.05, fast_tick=0.05, window=0, bulk_every=0)
PADDED = Policy(Profile.PADDED, cell=SIZE)


class SlowLink(FakeLink):
    waiting = 0
    asked = 0

    def backlog(self) -> int:
        self.asked += 1
        return self.waiting

    def raw(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data


class World:
    """One end; the other side of it is reached when the test says so."""

    def __init__(self, *, plain: bool) -> None:
        self.loop = FakeLoop()
        self.said: list[str] = []
        self.accept: Callable[[Link], Stream] | None = None
        self.failed: Callable[[str], None] | None = None
        self.given_up = False
        self.tunnel = Tunnel(self.loop, self._reach, 1000, self.said.append)  # type: ignore[arg-type]
        self.came, self.other = SlowLink(secure=True), SlowLink(secure=True)
        self.came.stream = self.tunnel.plain(self.came) if plain else self.tunnel.outer(self.came)
        self.loop.sleep(0)

    def _reach(self, accept: Callable[[Link], Stream], failed: Callable[[str], None]) -> Callable[[], None]:
        self.accept, self.failed = accept, failed

        def give_up() -> None:
            self.given_up = True

        return give_up

    def reached(self) -> World:
        assert self.accept is not None
        self.other.stream = self.accept(self.other)
        return self

    def hears(self, link: SlowLink, data: bytes) -> None:
        assert link.stream is not None
        link.stream.received(data)


def test_what_comes_early_is_held() -> None:
    world = World(plain=True)
    world.hears(world.came, b"early ")
    world.reached()
    world.hears(world.came, b"late")
    assert world.other.raw() == b"early late", "into the outer link's outbox, which makes cells of it"
    other = World(plain=False)
    other.hears(other.came, greeting(SIZE) + cell(0, b"early", SIZE))
    other.reached()
    assert other.other.raw() == b"early"
    assert isinstance(other.came.stream, Outer)
    assert not other.came.stream.known, "it goes on to count for its network"


def test_too_much_that_comes_early_ends_it() -> None:
    world = World(plain=True)
    world.hears(world.came, b"x" * (QUEUE + 1))
    assert world.came.closed
    assert world.given_up
    world.came.breaks()
    assert not world.tunnel.open()


def test_a_full_queue_pushes_back() -> None:
    world = World(plain=True).reached()
    world.other.waiting = 1001
    world.hears(world.came, b"x")
    assert world.came.paused
    world.other.waiting = 501
    world.loop.sleep(1)
    assert world.came.paused
    world.other.waiting = 500
    world.loop.sleep(1)
    assert not world.came.paused


def test_who_pushes_back_stops_looking_when_the_other_side_has_gone() -> None:
    world = World(plain=True).reached()
    world.other.waiting = 1001
    world.hears(world.came, b"x")
    world.other.breaks()
    world.loop.sleep(1)
    asked = world.other.asked
    world.loop.sleep(10)
    assert world.other.asked == asked
    assert world.came.closed


@pytest.mark.parametrize("draining", [False, True], ids=["while both were there", "while the last of it left"])
def test_a_broken_link_owes_nothing(draining: bool) -> None:
    """Nobody waits for what cannot leave any more: neither the other side nor who would close the link after it."""
    world, loop = World(plain=True), FakeLoop()
    shell = shell_on(loop)
    assert world.accept is not None
    connection = TunnelConnection(shell, world.accept, STEADY, server_side=False)
    connection.connection_made(Outside(stalled=1))
    loop.sleep(0)
    world.hears(world.came, b"x" * 300_000)
    loop.sleep(0)
    assert world.came.paused
    assert connection.backlog() > 300_000
    if draining:
        world.came.breaks()
        loop.sleep(0)
        assert connection.backlog() > 300_000
    connection.connection_lost(None)
    assert connection.backlog() == 0
    if not draining:
        world.loop.sleep(1)
        assert world.came.closed
        world.came.breaks()
    assert not world.tunnel.open()
    shell.close()


def test_no_tunnel_at_the_other_end() -> None:
    world = World(plain=True).reached()
    world.hears(world.other, b"<stream:stream>")
    assert "no tunnel at the other end" in world.said[0]
    assert world.came.closed
    assert world.other.aborted


def test_one_that_says_nothing_is_given_up() -> None:
    world = World(plain=True).reached()
    world.loop.sleep(READY_SECONDS + 1)
    assert "does not answer" in world.said[0]
    assert world.came.closed


def test_one_that_greets_is_waited_for() -> None:
    world = World(plain=True).reached()
    world.hears(world.other, greeting(SIZE))
    world.loop.sleep(READY_SECONDS + 1)
    assert not world.came.closed


def test_the_server_cannot_be_reached() -> None:
    world = World(plain=False)
    assert world.failed is not None
    world.failed("it is not running")
    assert world.said == ["it is not running"]
    assert world.came.closed


def test_an_end_of_the_other_side_ends_this_one_when_all_has_left() -> None:
    world = World(plain=True).reached()
    world.hears(world.other, greeting(SIZE) + cell(0, b"last words", SIZE))
    world.came.waiting = 5
    world.hears(world.other, cell(END, b"", SIZE))
    assert world.came.raw() == b"last words"
    assert not world.came.closed
    world.came.waiting = 0
    world.loop.sleep(1)
    assert world.came.closed


def test_a_lost_connection_ends_the_pair_once() -> None:
    world = World(plain=True).reached()
    world.came.breaks()
    world.loop.sleep(1)
    assert world.other.closed
    assert world.tunnel.open() == 1, "its last words may not have left"
    world.other.breaks()
    assert not world.tunnel.open()
    assert isinstance(world.came.stream, Plain)
    assert not world.came.stream.there


def test_the_helper_stops() -> None:
    world = World(plain=True).reached()
    world.tunnel.shut_down()
    world.loop.sleep(1)
    assert world.came.closed
    assert world.other.closed


@pytest.mark.parametrize("policy", [STEADY, PADDED], ids=["steady", "padded"])
@pytest.mark.parametrize("right", [True, False], ids=["the pinned key", "another key"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_over_tls(policy: Policy, right: bool, loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    """A server that answers in capitals, two helpers, and a client: 100,000 bytes there and back, and the end."""
    authority = Authority("tunnel", now=time.time(), days=2, new_key=new_p256_key, random=os.urandom)
    pair = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued = authority.issue(["far"])
    pair[0].write_bytes(issued.certificate)
    pair[1].write_bytes(issued.key)
    leaf = x509.load_der_x509_certificate(own_certificate(pair[0]))
    pin = pin_of(leaf) if right else "sha256/" + "A" * 43 + "="
    size = 3_000 if policy is STEADY else 100_000

    async def scene() -> None:
        met, ended = 0, asyncio.Event()

        async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal met
            met += 1
            while data := await reader.read(65_536):
                writer.write(data.upper())
            ended.set()
            writer.close()

        behind = await asyncio.start_server(server, "127.0.0.1", 0)
        shell, said = Shell(asyncio.get_running_loop()), list[str]()
        far, near = Daemon(shell), Daemon(shell)
        out = Tunnel(
            shell.loop, Local(shell, "127.0.0.1", behind.sockets[0].getsockname()[1]).dial, 10_000, said.append
        )
        context = client_context(*pair)
        acceptor = far.open(
            lambda visitor: TunnelConnection(shell, out.outer, policy, visitor=visitor),
            "127.0.0.1", 0, lambda: context, "test",
        )  # fmt: skip
        trust = Trust("far", "far", None, pin, tmp_path / "tunnel.pin", said.append)
        into = Tunnel(shell.loop, ToTunnel(shell, "127.0.0.1", acceptor.port, trust, policy), 10_000, said.append)
        port = await near.listen(Listener("127.0.0.1", 0, into.plain, context, b"", False, "test", local=True))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(60):
            writer.write(b"abc" * (size // 3))
            if right:
                assert await reader.readexactly(size // 3 * 3) == b"ABC" * (size // 3)
                writer.close()
                await ended.wait()
                assert (met, said) == (1, [])
            else:
                assert await reader.read() == b""
                assert met == 0 or not ended.is_set()
                assert "another key" in said[0]
            while into.open() or out.open():  # noqa: ASYNC110 - neither end tells
                await asyncio.sleep(0.01)
        behind.close()
        await near.stop()
        await far.stop()
        shell.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"], ids=["nobody there", "no name"])
def test_an_unreachable_tunnel_is_one_line(host: str) -> None:
    async def scene() -> None:
        shell = Shell(asyncio.get_running_loop())
        trust = Trust("far", "far", None, "sha256/" + "A" * 43 + "=", Path("none"), print)
        said = asyncio.get_running_loop().create_future()

        def never(link: Link) -> Stream:
            raise AssertionError("nobody is there")

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            ToTunnel(shell, host, taken.getsockname()[1], trust, PADDED)(never, said.set_result)
            async with asyncio.timeout(10):
                assert "cannot be reached" in await said
        shell.close()

    asyncio.run(scene())


def test_a_tunnel_counts_for_its_network_until_it_is_gone() -> None:
    world, loop, doors = World(plain=False).reached(), FakeLoop(), Doors(Limits(strangers=10, per_network=1), 10)
    shell = shell_on(loop)
    connection = TunnelConnection(
        shell, world.tunnel.outer, PADDED, server_side=False, visitor=doors.enter("192.0.2.1")
    )  # fmt: skip
    connection.connection_made(Outside(stalled=1))
    world.loop.sleep(0)
    world.reached()
    connection.data_received(greeting(SIZE) + cell(0, b"hello", SIZE))
    connection.data_received(cell(0, b"hello", SIZE))
    assert world.other.raw() == b"hellohello"
    assert doors.enter("192.0.2.1") is None
    assert doors.enter("192.0.2.2") is not None
    connection.connection_lost(None)
    assert doors.enter("192.0.2.1") is not None
    shell.close()


def test_a_pair_without_either_side_ends() -> None:
    world = World(plain=True)
    pair = Pair(world.tunnel)
    pair.end()
    pair.end()
    assert not Opener().greeted
