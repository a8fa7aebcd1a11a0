"""A tap on a link: a TCP proxy on loopback that writes down sizes and times of TLS records, and nothing else.

Only record headers are looked at (RFC 8446 §5.1: type, version, length). What a watcher of a network sees of
addresses is given to the tap as two labels, since on loopback every address is the same. Half-close, back-pressure
and resets pass through: neither end behaves otherwise than without the tap, unless it is told to make the road worse.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from quietwire.lab.road import Road
from quietwire.lab.trace import Direction, LinkWriter, RecordType

ON_THE_ROAD = 1 << 20
"""Bytes of one direction that may be under way on a bad road, before nothing more is read."""

_TYPES: dict[int, RecordType] = {20: "ccs", 21: "alert", 22: "handshake", 23: "app"}
_HEADER = 5
_HANDSHAKE = 0x16
"""First byte of a TLS handshake record. In XML this character is not allowed, so it marks the end of the prelude."""


class Framing:
    """Finds TLS records in one direction of a connection that may begin with plain bytes (STARTTLS).

    Holds at most four bytes back. Bytes that are no TLS after TLS has begun are reported as ``other``, once a
    call, and nothing is looked for any more.
    """

    def __init__(self) -> None:
        self._tls = False
        self._lost = False
        self._left = 0
        self._head = b""

    def feed(self, data: bytes) -> list[tuple[RecordType, int]]:
        """The records (type, size) whose headers are complete with `data`, and the plain bytes in it."""
        found: list[tuple[RecordType, int]] = []
        position = 0
        if not self._tls and not self._lost:
            begin = data.find(_HANDSHAKE)
            plain = len(data) if begin < 0 else begin
            if plain:
                found.append(("plain", plain))
            if begin < 0:
                return found
            self._tls = True
            position = begin
        while position < len(data) and not self._lost:
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
                continue
            need = _HEADER - len(self._head)
            self._head += data[position : position + need]
            position += need
            if len(self._head) < _HEADER:
                break
            type = _TYPES.get(self._head[0])
            if type is None or self._head[1] != 3:
                self._lost = True
                position -= _HEADER
                break
            self._left = int.from_bytes(self._head[3:5], "big")
            found.append((type, self._left))
            self._head = b""
        if self._lost and position < len(data):
            found.append(("other", len(data) - max(position, 0)))
        return found


class Tap:
    """Listens on a free port of loopback and passes every connection on to `target`.

    `initiator` and `responder` are the labels of the two ends; each of `writers` is a watcher that sees this link.
    `names` yields link names unique within a run. `clock` gives epoch seconds. `road` makes what lies between
    `writers`, who stand at the initiator's end, and `far`, who stand at the responder's: one for each direction of a
    connection; without it both see all at once. `opened` is told of each connection: its name, the initiator's port.
    """

    def __init__(
        self,
        *,
        initiator: str,
        responder: str,
        target: tuple[str, int],
        writers: Sequence[LinkWriter],
        names: Iterator[str],
        clock: Callable[[], float],
        far: Sequence[LinkWriter] = (),
        road: Callable[[], Road] | None = None,
        opened: Callable[[str, int], None] | None = None,
    ) -> None:
        self.initiator = initiator
        self.responder = responder
        self.target = target
        self._ends: dict[Direction, tuple[Sequence[LinkWriter], Sequence[LinkWriter]]] = {
            "up": (writers, far),
            "down": (far, writers),
        }
        """Who sees what goes in a direction when it sets out, and when it arrives."""
        self._writers = [*writers, *far]
        self.road = road
        self._opened = opened
        self._names = names
        self._clock = clock
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._closed = False

    async def start(self) -> int:
        """Listens; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        return cast(int, self._server.sockets[0].getsockname()[1])

    def cut(self) -> int:
        """Tears down every connection, as a network that fails does. Returns how many there were."""
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    async def close(self) -> None:
        self._closed = True
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _accept(self) -> _End:
        link = _Link(self, next(self._names))
        self._links.add(link)
        return link.near

    # What the links report.

    def opened(self, link: _Link, port: int) -> None:
        if self._opened is not None:
            self._opened(link.name, port)
        for writer in self._writers:
            writer.open(self._clock(), link.name, self.initiator, self.responder)

    def seen(self, link: _Link, direction: Direction, records: list[tuple[RecordType, int]], *, arrived: bool) -> None:
        if self._closed:
            return
        now = self._clock()
        for type, size in records:
            for writer in self._ends[direction][arrived]:
                writer.record(now, link.name, direction, type, size)

    def ended(self, link: _Link, *, reset: bool) -> None:
        if link in self._links:
            self._links.discard(link)
            if not self._closed:  # the watchers have gone home: the end of the run is not the end of the link
                for writer in self._writers:
                    writer.end(self._clock(), link.name, reset=reset)


class _Link:
    """One connection through the tap: the near end was accepted, the far end is dialled."""

    def __init__(self, tap: Tap, name: str) -> None:
        self.tap = tap
        self.name = name
        self.near = _End(self, "up")
        self.far = _End(self, "down")
        self.near.other, self.far.other = self.far, self.near
        self._dialling: asyncio.Task[None] | None = None

    def accepted(self) -> None:
        self.tap.opened(self, self.near.port)
        self.near.pause()  # nothing is read before there is somewhere to put it
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.far, *self.tap.target)
        except OSError:
            self.reset()
        else:
            if self.near.gone:
                self.reset()
            else:
                self.near.unpause()

    def reset(self) -> None:
        self.near.abort()
        self.far.abort()
        self.tap.ended(self, reset=True)

    def half_closed(self) -> None:
        if self.near.finished and self.far.finished:
            self.near.close()
            self.far.close()
            self.tap.ended(self, reset=False)


class _End(asyncio.Protocol):
    """One of the two sockets of a link. `direction` is that of the bytes it receives."""

    other: _End

    def __init__(self, link: _Link, direction: Direction) -> None:
        self._link = link
        self._direction: Direction = direction
        self._framing = Framing()
        self._transport: asyncio.Transport | None = None
        self._road = link.tap.road() if link.tap.road is not None else None
        self._under_way = 0
        self._blocked = False
        """The other end takes nothing now."""
        self.finished = False
        """Has sent all it will send."""
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._direction == "up":
            self._link.accepted()

    @property
    def port(self) -> int:
        """Of the peer."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return int(name[1]) if name else 0

    def data_received(self, data: bytes) -> None:
        records = self._framing.feed(data)
        self._link.tap.seen(self._link, self._direction, records, arrived=False)
        if self._road is None:
            self._arrived(data, records)
            return
        self._under_way += len(data)
        if self._under_way > ON_THE_ROAD:
            self.pause()
        loop = asyncio.get_running_loop()
        loop.call_at(self._road.release(loop.time(), len(data)), self._off_the_road, data, records)

    def _off_the_road(self, data: bytes, records: list[tuple[RecordType, int]]) -> None:
        self._under_way -= len(data)
        if self._under_way <= ON_THE_ROAD and not self._blocked:
            self.unpause()
        if not self.gone and not self.other.gone:  # what was under way when the link was torn down is lost
            self._arrived(data, records)

    def _arrived(self, data: bytes, records: list[tuple[RecordType, int]]) -> None:
        self._link.tap.seen(self._link, self._direction, records, arrived=True)
        if self.other._transport is not None:
            self.other._transport.write(data)

    def eof_received(self) -> bool:
        if self._road is None:
            self._finish()
        else:
            loop = asyncio.get_running_loop()
            loop.call_at(self._road.release(loop.time(), 0), self._finish)
        return True  # stays open for the other direction

    def _finish(self) -> None:
        self.finished = True
        other = self.other._transport
        if other is not None and not other.is_closing():
            other.write_eof()
        self._link.half_closed()

    def pause_writing(self) -> None:
        self.other._blocked = True
        self.other.pause()

    def resume_writing(self) -> None:
        self.other._blocked = False
        if self.other._under_way <= ON_THE_ROAD:
            self.other.unpause()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if exc is not None:
            self._link.reset()

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def unpause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is None or self.gone:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            # A reset, not an orderly end: the other side must notice that the network failed.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
