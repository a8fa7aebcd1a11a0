"""A listening port that knows when to stop: it accepts while there is room, and leaves the rest to the kernel.

The event loops' own servers accept without end, and uvloop's closes the port for good when file descriptors run out.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable

from quietwire.core.errors import ConfigError
from quietwire.net.doors import Doors, Visitor

BACKLOG = 4_096
"""Connections that the kernel holds for us, where it lets us: a login storm after a restart comes at once."""
AT_ONCE = 16
"""Accepted in one turn of the loop: whoever is logged in has its turn between them, however many come."""
HANDSHAKE_SECONDS = 15.0
"""For TLS: a phone on a bad network needs three."""
RETRY_SECONDS = 1.0
"""Until the next try after the kernel had no descriptor or memory for us; some may be free by then."""
NOTE_SECONDS = 60.0
"""Ports that fill and empty in turn are one line of log a minute."""
KEEPALIVE = {"TCP_KEEPIDLE": 300, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
"""Seconds of silence, seconds between probes, probes: rarely enough for a phone's battery."""
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

Note = Callable[..., None]
Make = Callable[[Visitor], asyncio.Protocol]
"""Makes a connection's protocol, which calls `visitor.known()` when its peer has logged in and `gone()` at its end."""


class Acceptor:
    """Accepts on `sockets`, which listen. `context()` is asked anew for each connection, since certificates are
    replaced while it runs; None for no TLS. `note(event, **facts)` is the log."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: list[socket.socket],
        make: Make,
        context: Callable[[], ssl.SSLContext | None],
        doors: Doors,
        note: Note,
    ) -> None:
        self.sockets = sockets
        self._loop = loop
        self._make = make
        self._context = context
        self._doors = doors
        self._note = note
        self._open = True
        self._watching = False
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.resume()

    @property
    def port(self) -> int:
        return int(self.sockets[0].getsockname()[1])

    def resume(self) -> None:
        """There may be room again."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._open and not self._watching:
            self._watching = True
            for listening in self.sockets:
                self._loop.add_reader(listening.fileno(), self._ready, listening)

    def pause(self, why: str) -> None:
        """Accepts nothing until `resume`. `why`: a word for the log."""
        if self._watching:
            self._unwatch()
            now = self._loop.time()
            if now - self._doors.noted_at >= NOTE_SECONDS:
                self._doors.noted_at = now
                self._note("accept-paused", condition=why)

    def close(self) -> None:
        """Listens no more; connections that are there stay."""
        if not self._open:
            return
        self._open = False
        self._unwatch()
        if self._retry is not None:
            self._retry.cancel()
        for listening in self.sockets:
            listening.close()

    def _unwatch(self) -> None:
        self._watching = False
        for listening in self.sockets:
            self._loop.remove_reader(listening.fileno())

    def _ready(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            full = self._doors.room()
            if full:
                self.pause(full)
                return
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # the peer has gone again
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self.pause("descriptors" if error.errno in (errno.EMFILE, errno.ENFILE) else "memory")
                    self._retry = self._loop.call_later(RETRY_SECONDS, self.resume)
                return
            visitor = self._doors.enter(address[0])
            if visitor is None:
                accepted.close()
                continue
            accepted.setblocking(False)
            task = self._loop.create_task(self._take(accepted, visitor))
            self._tasks.add(task)  # the loop itself keeps only a weak reference
            task.add_done_callback(self._tasks.discard)

    async def _take(self, accepted: socket.socket, visitor: Visitor) -> None:
        context = self._context()
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(visitor),
                accepted,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
            )
        except (OSError, EOFError) as error:  # no handshake: a scanner, a bad network, a peer that wants other ciphers
            accepted.close()
            visitor.gone()
            if context is not None:
                self._note("tls-failed", condition=reason(error))


def reason(error: Exception) -> str:
    """OpenSSL's word for what is wrong with a handshake, for instance ``no_shared_cipher``; nothing of the peer's."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower()
    return "timeout" if isinstance(error, TimeoutError) else "closed"


def listen_on(address: str, port: int, key: str) -> list[socket.socket]:
    """Sockets that listen; '' is every address, of IPv4 and of IPv6. Port 0 lets the kernel choose one for all of them.
    Raises ConfigError, which names `key`."""
    opened: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
        for family, kind, protocol, _, found_at in dict.fromkeys(found):
            try:
                listening = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a kernel without IPv6
            opened.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind((found_at[0], port, *found_at[2:]))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or address:
                    raise
                opened.pop().close()  # IPv6 is compiled in and switched off
                continue
            port = port or int(listening.getsockname()[1])
            listening.listen(BACKLOG)
            _keep_alive(listening)
        if not opened:
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
    except OSError as error:
        for listening in opened:
            listening.close()
        where = f"{address or '*'}:{port}"
        raise ConfigError(f"listen.{key}", where, f"cannot listen there: {_reason(error)}") from None
    return opened


def _reason(error: OSError) -> str:
    """`strerror` may hold the whole address; the number is what counts. Those of names are negative."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"


def _keep_alive(listening: socket.socket) -> None:
    """What is accepted inherits it: a client that vanished without a word is noticed after seven minutes."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in KEEPALIVE.items():
        if hasattr(socket, name):  # Linux has them all
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
