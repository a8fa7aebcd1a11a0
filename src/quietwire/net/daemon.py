"""Listeners and the life of the process: start, serve, stop within ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from quietwire.net.accept import Acceptor, Make, listen_on
from quietwire.net.doors import RESERVED, Doors, Limits, Visitor
from quietwire.net.shell import Shell
from quietwire.net.stream import Accept, Connection
from quietwire.shaping.bucket import Rates
from quietwire.shaping.policy import Policy

STOP_SECONDS = 8.0
"""For streams to say good-bye; the storage gets what is left of the ten seconds (DESIGN §4)."""


@dataclass(slots=True)
class Listener:
    """One port. `direct`: TLS from the first byte. Context, certificate, rates and policy may be replaced: connections
    that come later get the new ones."""

    address: str
    port: int
    accept: Accept
    context: ssl.SSLContext
    certificate: bytes
    direct: bool
    key: str = ""
    """The configuration's name for it, for error messages."""
    rates: Rates = Rates()  # noqa: RUF009 - frozen
    local: bool = False
    """Of this machine alone: secure without TLS."""
    policy: Policy = Policy()  # noqa: RUF009 - frozen


Stage = tuple[Callable[[], None], Callable[[], int]]
"""(closes some streams, counts those of them that are still open)."""


class Daemon:
    """Keeps listeners and stops them. `note` is the log."""

    def __init__(
        self,
        shell: Shell,
        doors: Doors | None = None,
        note: Callable[..., None] = lambda event, **facts: None,
    ) -> None:
        self.shell = shell
        self.doors = doors or Doors(Limits(), capacity())
        self.doors.opened = self._opened
        self.listeners: list[Listener] = []
        self._note = note
        self._acceptors: list[Acceptor] = []

    async def listen(self, listener: Listener) -> int:
        """Opens the port and returns its number (0 asks the kernel for one). Raises ConfigError."""

        def connected(visitor: Visitor) -> Connection:
            return Connection(
                self.shell,
                listener.accept,
                context=None if listener.direct or listener.local else listener.context,
                certificate=listener.certificate,
                rates=listener.rates,
                visitor=visitor,
                secure=listener.local,
                policy=listener.policy,
            )

        acceptor = self.open(
            connected,
            listener.address,
            listener.port,
            (lambda: listener.context) if listener.direct else (lambda: None),
            listener.key,
        )
        self.listeners.append(listener)
        return acceptor.port

    def open(
        self, make: Make, address: str, port: int, context: Callable[[], ssl.SSLContext | None], key: str
    ) -> Acceptor:
        """Opens a port for protocols of any kind, behind the same doors. Raises ConfigError, which names `key`."""
        acceptor = Acceptor(self.shell.loop, listen_on(address, port, key), make, context, self.doors, self._note)
        self._acceptors.append(acceptor)
        return acceptor

    def _opened(self) -> None:
        for acceptor in self._acceptors:
            acceptor.resume()

    async def stop(self, *stages: Stage) -> None:
        """Closes the listeners, then the streams, stage by stage: what the end of one has to say, the next carries."""
        for acceptor in self._acceptors:
            acceptor.close()
        deadline = self.shell.loop.time() + STOP_SECONDS
        for shut_down, streams in stages:
            shut_down()
            while streams() and self.shell.loop.time() < deadline:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.02)


def descriptors() -> int:
    """How many file descriptors this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def capacity() -> int:
    """How many connections there may be, so that enough descriptors are left for the rest."""
    return max(descriptors() - RESERVED, descriptors() // 2)


def raise_descriptors() -> int:
    """As many as the system lets us have. -> how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS says "infinity" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft
