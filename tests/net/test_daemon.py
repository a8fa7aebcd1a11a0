"""Listeners over loopback: which errors they give, what connections inherit, and the order of the end."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from quietwire.core.errors import ConfigError
from quietwire.net.accept import KEEPALIVE
from quietwire.net.daemon import RESERVED, Daemon, Listener, capacity, descriptors, raise_descriptors
from quietwire.net.shell import Shell
from quietwire.server.links import Link, Stream

PATIENCE = 60.0


class Greeter:
    """A stream that says hello and counts."""

    def __init__(self, link: Link) -> None:
        self.open = True
        self.link = link
        link.put(b"hello")

    def received(self, data: bytes) -> None: ...
    def secured(self) -> None: ...
    def written(self) -> None: ...

    def lost(self) -> None:
        self.open = False


def run(test: Callable[[Shell], Awaitable[None]]) -> None:
    async def body() -> None:
        shell = Shell(asyncio.get_running_loop())
        try:
            await asyncio.wait_for(test(shell), PATIENCE)
        finally:
            shell.close()

    asyncio.run(body())


def listener(accept: Callable[[Link], Stream], port: int = 0) -> Listener:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return Listener("127.0.0.1", port, accept, context, b"", direct=False, key="c2s")


def test_what_connects_gets_a_stream_and_keep_alive() -> None:
    async def test(shell: Shell) -> None:
        daemon = Daemon(shell)
        port = await daemon.listen(listener(lambda link: cast(Stream, Greeter(link))))
        listening = daemon._acceptors[0].sockets[0]
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_KEEPIDLE"):
            idle = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert idle == KEEPALIVE["TCP_KEEPIDLE"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await daemon.stop()

    run(test)


def test_a_port_in_use_is_a_mistake_in_the_configuration() -> None:
    async def test(shell: Shell) -> None:
        daemon = Daemon(shell)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(ConfigError) as refused:
                await daemon.listen(listener(lambda link: cast(Stream, Greeter(link)), taken.getsockname()[1]))
        assert refused.value.where == "listen.c2s"
        assert "in use" in str(refused.value)

    run(test)


def test_stages_end_one_after_the_other() -> None:
    async def test(shell: Shell) -> None:
        daemon = Daemon(shell)
        streams: list[Greeter] = []

        def accept(link: Link) -> Stream:
            streams.append(Greeter(link))
            return cast(Stream, streams[-1])

        port = await daemon.listen(listener(accept))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(5) == b"hello"
        order: list[str] = []

        def close_streams() -> None:
            order.append("streams")
            for stream in streams:
                stream.link.close()

        def second() -> None:
            order.append(f"second, {sum(stream.open for stream in streams)} open")

        await daemon.stop((close_streams, lambda: sum(s.open for s in streams)), (second, lambda: 0))
        assert order == ["streams", "second, 0 open"]
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    run(test)


def test_as_many_descriptors_as_the_system_lets_us_have() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert raise_descriptors() == descriptors() == before[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (1_000, before[1]))
        assert capacity() == 1_000 - RESERVED
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        assert capacity() == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
