"""Listeners and the life of the process: start, serve, stop within ten seconds."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from quietwire.core.errors import ConfigError
from quietwire.net.shell import Shell
from quietwire.net.stream import Accept, Connection

BACKLOG = 1_024
"""Connections that the kernel holds for us: a login storm after a restart comes at once."""
KEEPALIVE = {"TCP_KEEPIDLE": 300, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
"""Seconds of silence, seconds between probes, probes: rarely enough for a phone's battery."""
STOP_SECONDS = 8.0
"""For streams to say good-bye; the storage gets what is left of the ten seconds (DESIGN §4)."""


def _reason(error: OSError) -> str:
    """Event loops put the whole address into `strerror`; the number is what counts."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"


async def open_port(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.Protocol],
    address: str,
    port: int,
    context: ssl.SSLContext | None,
    key: str,
) -> asyncio.Server:
    """Listens, with TLS from the first byte where there is a context; '' means all addresses. Raises ConfigError."""
    try:
        server = await loop.create_server(
            factory,
            address or None,
            port,
            ssl=context,
            ssl_handshake_timeout=20.0 if context is not None else None,
            backlog=BACKLOG,
        )
    except OSError as error:
        raise ConfigError(
            f"listen.{key}", f"{address or '*'}:{port}", f"cannot listen there: {_reason(error)}"
        ) from None
    for opened in server.sockets:
        _keep_alive(opened)
    return server


@dataclass(slots=True)
class Listener:
    """One port. `direct`: TLS from the first byte."""

    address: str
    port: int
    accept: Accept
    context: ssl.SSLContext
    certificate: bytes
    direct: bool
    key: str = ""
    """The configuration's name for it, for error messages."""


Stage = tuple[Callable[[], None], Callable[[], int]]
"""(closes some streams, counts those of them that are still open)."""


@dataclass(slots=True)
class Daemon:
    """Keeps listeners and stops them."""

    shell: Shell
    _servers: list[asyncio.Server] = field(default_factory=list)

    async def listen(self, listener: Listener) -> int:
        """Opens the port and returns its number (0 asks the kernel for one). Raises ConfigError."""

        def connected() -> Connection:
            return Connection(
                self.shell,
                listener.accept,
                context=None if listener.direct else listener.context,
                certificate=listener.certificate,
            )

        context = listener.context if listener.direct else None
        server = await open_port(self.shell.loop, connected, listener.address, listener.port, context, listener.key)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def stop(self, *stages: Stage) -> None:
        """Closes the listeners, then the streams, stage by stage: what the end of one has to say, the next carries."""
        for server in self._servers:
            server.close()
        deadline = self.shell.loop.time() + STOP_SECONDS
        for shut_down, streams in stages:
            shut_down()
            while streams() and self.shell.loop.time() < deadline:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.02)


def _keep_alive(listening: socket.socket) -> None:
    """What is accepted inherits it: a client that vanished without a word is noticed after seven minutes."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in KEEPALIVE.items():
        if hasattr(socket, name):  # Linux has them all
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
