"""The ways of a helper to its server: judged TLS over the network, plain on this machine; each failure is one line."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quietwire.net.resolver import Override, Resolver
from quietwire.net.shell import Shell
from quietwire.net.shield_trust import Trust
from quietwire.net.shield_ways import Local, Remote
from quietwire.net.tls import client_context
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.server.links import Link
from quietwire.shaping.policy import Policy, Profile

POLICY = Policy(Profile.PADDED, block=512)


class Guest:
    """The stream of a connection; what came stands in `got`."""

    def __init__(self, link: Link, there: asyncio.Future[Guest]) -> None:
        self.link = link
        self.got = b""
        self._there = there

    def received(self, data: bytes) -> None:
        self.got += data

    def secured(self) -> None: ...

    def written(self) -> None: ...

    def lost(self) -> None: ...


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    authority = Authority("ways", now=time.time(), days=2, new_key=new_p256_key, random=os.urandom)
    issued = authority.issue(["a.example"])
    (tmp_path / "root.pem").write_bytes(authority.certificate)
    (tmp_path / "chain.pem").write_bytes(issued.certificate)
    (tmp_path / "key.pem").write_bytes(issued.key)
    return tmp_path / "chain.pem", tmp_path / "key.pem"


def play(scene: Callable[[Shell], Awaitable[None]]) -> None:
    async def whole() -> None:
        shell = Shell(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(60):
                await scene(shell)
        finally:
            shell.close()

    asyncio.run(whole())


async def outcome(way: Local | Remote) -> Guest | str:
    """The stream of a connection, or why there is none."""
    future: asyncio.Future[Guest | str] = asyncio.get_running_loop().create_future()

    def accept(link: Link) -> Guest:
        guest = Guest(link, future)  # type: ignore[arg-type]
        future.set_result(guest)
        return guest

    way.dial(accept, future.set_result)
    return await future


async def listening(context: ssl.SSLContext | None, heard: asyncio.Queue[bytes]) -> tuple[asyncio.Server, int]:
    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read(10_000))
        writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", 0, ssl=context)
    return server, int(server.sockets[0].getsockname()[1])


def remote(shell: Shell, folder: Path, port: int, *, direct: bool = True) -> Remote:
    trust = Trust("a.example", "a.example", folder / "root.pem", "", folder / "server.pin", lambda line: None)
    resolver = Resolver({"a.example": Override("127.0.0.1", port, direct)}, os.urandom, service="client", port=5222)
    return Remote(shell, resolver, "a.example", trust, POLICY)


def test_a_server_over_the_network_is_judged_bound_and_padded(pair: tuple[Path, Path], tmp_path: Path) -> None:
    async def scene(shell: Shell) -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        server, port = await listening(client_context(*pair), heard)
        way = remote(shell, tmp_path, port)
        guest = await outcome(way)
        assert isinstance(guest, Guest)
        await asyncio.sleep(0)
        assert way.verdict(guest.link) == ""
        assert (tmp_path / "server.pin").exists()
        assert set(way.bindings()) == {"tls-server-end-point"}
        guest.link.put(b"<presence/>")
        guest.link.close()
        assert await heard.get() == b"<presence/>".ljust(512)
        server.close()

    play(scene)


@pytest.mark.parametrize(("direct", "line"), [(True, "--direct-tls"), (False, "nobody listens")])
def test_what_fails_is_one_line(pair: tuple[Path, Path], tmp_path: Path, direct: bool, line: str) -> None:
    async def scene(shell: Shell) -> None:
        server, port = await listening(None, asyncio.Queue())
        if not direct:
            server.close()
            await server.wait_closed()
        said = await outcome(remote(shell, tmp_path, port, direct=direct))
        assert isinstance(said, str)
        assert said.startswith("a.example cannot be reached: ")
        assert line in said
        server.close()

    play(scene)


def test_a_server_of_this_machine_needs_no_tls() -> None:
    async def scene(shell: Shell) -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        server, port = await listening(None, heard)
        way = Local(shell, "127.0.0.1", port)
        guest = await outcome(way)
        assert isinstance(guest, Guest)
        assert guest.link.secure
        assert way.verdict(guest.link) == ""
        assert not way.bindings()
        await asyncio.sleep(0)
        guest.link.put(b"<presence/>")
        guest.link.close()
        assert await heard.get() == b"<presence/>"
        server.close()
        await server.wait_closed()
        said = await outcome(way)
        assert said == f"the server at port {port} of this machine does not answer: is it running?"

    play(scene)
