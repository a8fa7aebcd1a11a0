"""A listening port on both event loops: room, exhaustion, handshakes that never end."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quietwire.core.errors import ConfigError
from quietwire.net import accept
from quietwire.net.accept import Acceptor, listen_on
from quietwire.net.doors import Doors, Limits, Visitor
from quietwire.net.shell import Shell
from quietwire.net.stream import CLOSE_SECONDS, Connection
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.server.links import Link

PATIENCE = 60.0


class Echo(asyncio.Protocol):
    def __init__(self, visitor: Visitor, made: list[Echo]) -> None:
        self.visitor = visitor
        self.transport: Any = None
        self.lost = False
        made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == b"known":
            self.visitor.known()
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.visitor.gone()


class Port:
    """An acceptor of echoes and what it wrote into the log."""

    def __init__(self, limits: Limits | None = None, context: ssl.SSLContext | None = None) -> None:
        self.notes: list[str] = []
        self.made: list[Echo] = []
        self.doors = Doors(limits or Limits(), 100)
        self.acceptor = Acceptor(
            asyncio.get_running_loop(),
            listen_on("127.0.0.1", 0, "c2s"),
            lambda visitor: Echo(visitor, self.made),
            lambda: context,
            self.doors,
            lambda event, **facts: self.notes.append(f"{event} {facts['condition']}"),
        )
        self.doors.opened = self.acceptor.resume

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.acceptor.port)

    async def close(self) -> None:
        self.acceptor.close()
        for echo in self.made:
            if echo.transport is not None:
                echo.transport.abort()
        while not all(echo.lost for echo in self.made if echo.transport is not None):  # noqa: ASYNC110
            await asyncio.sleep(0)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    def run(dialogue: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            await asyncio.wait_for(dialogue(), PATIENCE)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(whole())

    return run


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes = b"hello") -> bytes:
    writer.write(data)
    return await reader.readexactly(len(data))


def test_what_connects_is_served_without_delay(play: Any) -> None:
    async def dialogue() -> None:
        port = Port()
        assert await answered(*await port.dial()) == b"hello"
        accepted = port.made[0].transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        await port.close()
        assert (port.doors.open, port.doors.strangers, port.notes) == (0, 0, [])

    play(dialogue)


def test_strangers_wait_in_the_kernel_until_others_have_logged_in(play: Any) -> None:
    async def dialogue() -> None:
        port = Port(Limits(strangers=4))
        inside = [await port.dial() for _ in range(4)]
        for one in inside:
            await answered(*one)
        reader, writer = await port.dial()
        writer.write(b"late")
        await answered(*inside[0])
        assert len(port.made) == 4
        await answered(*inside[0], b"known")
        assert await reader.readexactly(4) == b"late"
        assert port.notes == ["accept-paused strangers"]
        await port.close()

    play(dialogue)


def test_a_port_that_is_full_costs_nothing(play: Any) -> None:
    async def dialogue() -> None:
        port = Port(Limits(strangers=1))
        await answered(*await port.dial())
        for _ in range(5):
            await port.dial()
        begun = time.process_time()
        await asyncio.sleep(0.3)
        assert time.process_time() - begun < 0.1
        await port.close()

    play(dialogue)


def test_no_descriptors_are_a_pause_not_the_end(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []
    monkeypatch.setattr(accept, "RETRY_SECONDS", 0.2)

    class Exhausted:
        """A listening socket of a process that has no descriptor left."""

        def __init__(self, real: socket.socket) -> None:
            self.real = real
            self.left = 3

        def accept(self) -> Any:
            if self.left:
                self.left -= 1
                tries.append(time.monotonic())
                raise OSError(errno.EMFILE, "Too many open files")
            return self.real.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    async def dialogue() -> None:
        port = Port()
        port.acceptor.close()
        opened = listen_on("127.0.0.1", 0, "c2s")
        port.acceptor = Acceptor(
            asyncio.get_running_loop(),
            [Exhausted(opened[0])],  # type: ignore[list-item]
            lambda visitor: Echo(visitor, port.made),
            lambda: None,
            port.doors,
            lambda event, **facts: port.notes.append(f"{event} {facts['condition']}"),
        )
        assert await answered(*await port.dial()) == b"hello"
        assert port.notes == ["accept-paused descriptors"]
        assert all(after - before >= 0.15 for before, after in pairwise(tries))
        assert len(tries) == 3
        await port.close()

    play(dialogue)


def test_one_network_too_many_is_closed_and_others_are_served(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dialogue() -> None:
        port = Port(Limits(per_network=1))
        enter = port.doors.enter
        addresses = iter(["192.0.2.1", "192.0.2.1", "192.0.2.2"])
        monkeypatch.setattr(port.doors, "enter", lambda address: enter(next(addresses)))
        assert await answered(*await port.dial()) == b"hello"
        reader, _ = await port.dial()
        assert await reader.read() == b""
        assert await answered(*await port.dial()) == b"hello"
        await port.close()

    play(dialogue)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = Authority("t", now=time.time(), days=1, new_key=new_p256_key, random=lambda n: b"\1" * n)
    issued = authority.issue(["a.example"])
    (folder / "c.pem").write_bytes(issued.certificate)
    (folder / "k.pem").write_bytes(issued.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "c.pem", folder / "k.pem")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return server, client


def test_a_handshake_that_never_ends_gives_its_place_back(
    play: Any, monkeypatch: pytest.MonkeyPatch, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    monkeypatch.setattr(accept, "HANDSHAKE_SECONDS", 0.3)

    async def dialogue() -> None:
        port = Port(Limits(strangers=1), context=tls[0])
        reader, _ = await port.dial()  # says nothing
        assert await reader.read() == b""
        reader, writer = await port.dial()
        writer.write(b"GET / HTTP/1.0\r\n\r\n")  # no TLS
        with _closes():
            await reader.read()
        assert port.made == [] or all(echo.transport is None for echo in port.made)
        reader, writer = await asyncio.open_connection("127.0.0.1", port.acceptor.port, ssl=tls[1])
        assert await answered(reader, writer) == b"hello"
        assert port.doors.strangers == 1
        await port.close()
        assert port.doors.open == 0

    play(dialogue)


class _closes:
    """The peer may end the connection with or without a reset."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        return kind is not None and issubclass(kind, ConnectionError)


def test_every_address_has_one_port() -> None:
    opened = listen_on("", 0, "c2s")
    try:
        assert len({listening.getsockname()[1] for listening in opened}) == 1
    finally:
        for listening in opened:
            listening.close()


@pytest.mark.parametrize("address", ["203.0.113.77", "no such name"])
def test_an_address_that_is_not_ours_is_a_mistake_in_the_configuration(address: str) -> None:
    with pytest.raises(ConfigError, match=r"listen\.s2s: .*cannot listen there"):
        listen_on(address, 0, "s2s")


def test_why_a_handshake_failed_in_a_word() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(
        told := ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True
    )
    told.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError) as failure:
        server.do_handshake()
    assert accept.reason(failure.value) == "http_request"
    assert accept.reason(TimeoutError()) == "timeout"
    assert accept.reason(ConnectionResetError("what the peer said")) == "closed"


def test_a_connection_that_is_not_read_from_ends_as_soon_as_its_peer_agrees(
    play: Any, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    class Quiet:
        """A stream that its server has told to take in nothing more."""

        def __init__(self, link: Link) -> None:
            self.link = link
            self.gone = asyncio.get_running_loop().create_future()
            link.put(b"hello")

        def received(self, data: bytes) -> None: ...
        def secured(self) -> None: ...
        def written(self) -> None: ...

        def lost(self) -> None:
            self.gone.set_result(None)

    async def dialogue() -> None:
        loop = asyncio.get_running_loop()
        shell, streams = Shell(loop), []

        def accepted(link: Link) -> Any:
            streams.append(Quiet(link))
            return streams[0]

        doors = Doors(Limits(), 10)
        port = Acceptor(
            loop, listen_on("127.0.0.1", 0, "c2s"),
            lambda visitor: Connection(shell, accepted, visitor=visitor), lambda: tls[0], doors, lambda *_, **__: None,
        )  # fmt: skip
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port, ssl=tls[1])
        assert await reader.readexactly(5) == b"hello"
        streams[0].link.pause()
        writer.write(b"more")
        begun = loop.time()
        streams[0].link.put(b"bye")
        streams[0].link.close()
        assert await reader.read() == b"bye"
        await streams[0].gone
        assert loop.time() - begun < CLOSE_SECONDS - 1
        writer.close()
        port.close()
        shell.close()

    play(dialogue)
