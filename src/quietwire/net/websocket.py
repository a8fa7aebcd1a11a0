"""XMPP over WebSocket (RFC 7395): a web client's connection as a `Link`, so that its stream is one like any other.

No compression: it tells lengths, and with them content (CRIME). The plain port is bound to loopback and trusted:
whoever is there does TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from aiohttp import WSMsgType, web

from quietwire.core.errors import StreamError
from quietwire.core.websocket import from_frame, to_frames
from quietwire.net.channel import bindings_of, version_of
from quietwire.net.http import plain, release
from quietwire.net.shell import Shell
from quietwire.net.stream import CLOSE_SECONDS, EMPTY, OUTBOX_BYTES, PAUSE_SECONDS
from quietwire.server.links import Link, Stream
from quietwire.shaping.bucket import Meter, Rates
from quietwire.shaping.policy import Policy

SUBPROTOCOL = "xmpp"
SPARE_BYTES = 16_384
"""A frame that is longer than a stanza by less is answered by the stream, a longer one by close code 1009."""
PING_SECONDS = 50.0
"""Reverse proxies close what is silent for a minute; the TCP keep-alive of other links does not pass them."""


class ClientStream(Stream, Protocol):
    """A stream that can be told that its peer broke the framing."""

    def fail(self, error: StreamError) -> None: ...


Accept = Callable[[Link], ClientStream]


class Sockets:
    """Serves WebSockets. Certificate and rates may be replaced: connections that come later get the new ones."""

    def __init__(
        self,
        shell: Shell,
        accept: Accept,
        *,
        stanza_bytes: int,
        origins: Collection[str] = ("*",),
        certificate: bytes = b"",
        rates: Rates = Rates(),  # noqa: B008 - frozen
    ) -> None:
        """`origins`: of the pages that may connect, "*" for all; programs that are no browser name none. `certificate`:
        our own, DER, for channel bindings."""
        self._shell = shell
        self._accept = accept
        self._frame_bytes = stanza_bytes + SPARE_BYTES
        self._origins = frozenset(origins)
        self.certificate = certificate
        self.rates = rates

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One connection, to its end (`http.Mount`)."""
        if request.method != "GET":
            return plain(405, {"Allow": "GET"})
        if request.headers.get("Upgrade", "").strip().lower() != "websocket":
            return plain(426, {"Upgrade": "websocket"})
        origin = request.headers.get("Origin")
        if origin is not None and "*" not in self._origins and origin not in self._origins:
            return plain(403)
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            max_msg_size=self._frame_bytes,
            heartbeat=PING_SECONDS,
            timeout=CLOSE_SECONDS,
        )
        if socket.can_prepare(request).protocol != SUBPROTOCOL:
            return plain(400)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        connection = request.get_extra_info("ssl_object")
        bindings = bindings_of(connection, self.certificate) if connection is not None else EMPTY
        link = SocketLink(self._shell, socket, transport, bindings, self.rates, lambda: release(request))
        link.tls = version_of(connection) if connection is not None else ""
        await link.run(self._accept)
        return socket


class SocketLink:
    """Implements `links.Link` on a WebSocket."""

    __slots__ = (
        "_bindings", "_closing", "_deadline", "_flushing", "_frames", "_gone", "_heard", "_known", "_may_read",
        "_meter", "_shell", "_socket", "_stream", "_transport", "_waiting", "_wake", "tls",
    )  # fmt: skip

    secure = True
    paced = False
    packs = False
    policy = Policy()
    """Declared: frames have no filling that browsers' programs would not see (RFC 7395 §3.3.3), so a WebSocket is only
    padded, by TLS, where the whole process is."""
    peer_domains: frozenset[str] = frozenset()
    peer_fault: str = "missing"

    def __init__(
        self,
        shell: Shell,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        bindings: Mapping[str, bytes],
        rates: Rates,
        known: Callable[[], None],
    ) -> None:
        """`known` is called once somebody has logged in."""
        self._shell = shell
        self._socket = socket
        self._transport = transport
        self._known = known
        self._bindings = bindings
        self.tls = ""
        self._meter = None if rates.unlimited else Meter(rates, shell.loop.time)
        self._heard = 0
        self._stream: ClientStream | None = None
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        """Bytes in `_frames`."""
        self._wake = asyncio.Event()
        """There is something to write, or nothing more will come."""
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._closing = False
        self._gone = False
        self._flushing = False
        self._deadline: asyncio.TimerHandle | None = None

    async def run(self, accept: Accept) -> None:
        """Until the connection is gone."""
        stream = self._stream = accept(self)
        writing = self._shell.loop.create_task(self._write(stream))
        try:
            await self._read(stream)
            if self._closing:
                await writing
        finally:
            writing.cancel()
            if self._deadline is not None:
                self._deadline.cancel()
            self._gone = True
            self._frames.clear()
            stream.lost()

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, stream: ClientStream) -> None:
        counted = True
        while not self._closing:
            await self._may_read.wait()
            message = await self._socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            await self._may_read.wait()  # who paused while nothing came wants nothing to come
            if self._closing:
                return
            data = message.data.encode() if message.type is WSMsgType.TEXT else b""
            try:
                if message.type is WSMsgType.BINARY:
                    raise StreamError("bad-format", "text frames only")
                stream.received(from_frame(data))
            except StreamError as error:
                stream.fail(error)
            if counted and getattr(stream, "known", True):
                counted = False
                self._known()
            await self._be_patient(stream, len(data))

    async def _be_patient(self, stream: ClientStream, size: int) -> None:
        if self._meter is None or not getattr(stream, "known", True):
            return  # what strangers may send is counted by the stream
        heard = getattr(stream, "heard", 0)
        wait = self._meter.spend(size, heard - self._heard)
        self._heard = heard
        if wait > PAUSE_SECONDS:
            await asyncio.sleep(wait)

    # -- writing ------------------------------------------------------------------------------------------------------

    async def _write(self, stream: ClientStream) -> None:
        frames, send = self._frames, self._socket.send_frame
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while frames:
                    await send(frames[0], WSMsgType.TEXT)  # suspends while the kernel takes nothing
                    if frames:
                        self._waiting -= len(frames.popleft())
                if self._closing:
                    await self._socket.close()
                    return
                await self._until_written(stream)

    async def _until_written(self, stream: ClientStream) -> None:
        """Tells the stream when the kernel has everything, unless there is more to write before."""
        pause = 0.05
        await asyncio.sleep(0)  # uvloop writes at the end of the turn
        while not self._wake.is_set():
            if self._transport.get_write_buffer_size() == 0:
                stream.written()
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            pause = min(pause * 2, 1.0)

    def flush(self) -> None:
        """Called by the shell at the end of the turn."""
        self._flushing = False
        if self._gone:
            return
        if self.backlog() > OUTBOX_BYTES:
            overflow = getattr(self._stream, "overflow", None)
            if overflow is not None:
                overflow()
            self.abort()
        self._wake.set()

    # -- links.Link ---------------------------------------------------------------------------------------------------

    @property
    def bindings(self) -> Mapping[str, bytes]:
        return self._bindings

    def put(self, data: bytes) -> None:
        if self._gone:
            return
        if not self._flushing:
            self._flushing = True
            self._shell.flush_soon(self)
        for frame in to_frames(data):
            self._frames.append(frame)
            self._waiting += len(frame)

    def start_tls(self) -> None:
        raise AssertionError("a WebSocket is secured before it begins")

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._may_read.set()
        self._wake.set()
        self._deadline = self._shell.loop.call_later(CLOSE_SECONDS, self.abort)

    def abort(self) -> None:
        self._transport.abort()

    def pause(self) -> None:
        if not self._closing:
            self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    def backlog(self) -> int:
        return self._waiting + self._transport.get_write_buffer_size()

    def space(self) -> int:
        return 1 << 30

    def welcome(self) -> None: ...

    def shape(self, policy: Policy) -> bool:
        return False

    def pack(self) -> bool:
        return False

    def unpacked(self, size: int) -> None: ...
