"""One TCP connection as a `Link`: the outbox is emptied once per loop turn, the reader pauses on request."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from typing import cast

from quietwire.net.channel import bindings_of, version_of
from quietwire.net.doors import Visitor
from quietwire.net.pacer import Line, line_for
from quietwire.net.shell import Shell
from quietwire.net.tls import NOTHING, Shown, shown_by
from quietwire.server.links import Link, Stream
from quietwire.shaping.bucket import Meter, Rates
from quietwire.shaping.frames import pack
from quietwire.shaping.outbox import Outbox
from quietwire.shaping.policy import Policy
from quietwire.shaping.steady import Steady

OUTBOX_BYTES = 8 << 20
"""Not yet in the kernel's hands. A phone that wakes to a thousand messages has 2 MB waiting; a peer that lets more
pile up is not reading (DESIGN §4). A stream that passes on larger pieces has `outbox_bytes` of its own."""
CLOSE_SECONDS = 5.0
"""For the last bytes to leave; then the connection is cut."""
SLICE = 64 << 10
"""Bytes between two looks at the clock, where the rates are not tighter than that."""
PAUSE_SECONDS = 0.002
"""Shorter waits are no waits: the timer costs more."""
EMPTY: Mapping[str, bytes] = {}
HELD_BYTES = 64 << 10
"""Of a paced peer, until its turn comes. In a window it says a few kilobytes between two turns; one that says more is
not read until then."""
_BY_STREAM, _BY_RATE, _BY_TURN = 1, 2, 4
"""Why nothing is read."""

Accept = Callable[[Link], Stream]


class Connection(asyncio.Protocol):
    """Implements `links.Link` on a transport; `accept` makes the stream that it belongs to."""

    __slots__ = (
        "_accept", "_allowance", "_bindings", "_certificate", "_closing", "_context", "_deadline", "_gated", "_heard",
        "_held", "_inbox", "_line", "_meter", "_most", "_out", "_outbox", "_rates", "_server_name", "_server_side",
        "_shell", "_shown", "_slice", "_stream", "_tls_pending", "_transport", "_turn", "_unwritten", "_visitor",
        "paced", "packs", "policy", "secure", "tls",
    )  # fmt: skip

    def __init__(
        self,
        shell: Shell,
        accept: Accept,
        *,
        context: ssl.SSLContext | None = None,
        certificate: bytes = b"",
        server_side: bool = True,
        server_name: str | None = None,
        rates: Rates = Rates(),  # noqa: B008 - frozen
        visitor: Visitor | None = None,
        secure: bool = False,
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        """`context`: for STARTTLS, None where TLS is up from the first byte. `certificate`: our own, DER, for
        tls-server-end-point. `server_name`: for SNI where we are the client. `rates`: what the peer may send, by
        traffic shaping: it is not read from while it is over them. `visitor`: its place at the doors. `secure`: it
        never leaves this machine, so that TLS is not asked for. `policy`: what goes on the wire when, once there is
        TLS."""
        self._shell = shell
        self._accept = accept
        self._context = context
        self._certificate = certificate
        self._server_side = server_side
        self._server_name = server_name
        self._transport: asyncio.Transport | None = None
        self._stream: Stream | None = None
        self._outbox = Outbox()
        self._out = self._outbox.parts
        """The outbox's parts, which the hot path appends to."""
        self._most = OUTBOX_BYTES
        self._line: Line | None = None
        """Where the profile knows of time; then the outbox is the line's."""
        self.policy = policy
        self.paced = False
        self.packs = False
        self._closing = False
        self._held = 0
        self._rates = rates
        self._meter: Meter | None = None
        self._visitor = visitor
        self._slice = self._allowance = 0
        """Bytes until the next look at visitor and rates; 0, each time, until the peer is known."""
        self._heard = 0
        self._tls_pending = False
        self._gated = False
        """What comes is not for the stream: it belongs to nobody while TLS begins, or waits for its turn."""
        self._inbox = b""
        self._turn: asyncio.TimerHandle | None = None
        """The next one, where something waits for it."""
        self._unwritten = False
        self._deadline: asyncio.TimerHandle | None = None
        self._bindings: Mapping[str, bytes] = EMPTY
        self._shown: Shown | None = None
        self.secure = secure
        self.tls = ""

    # -- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if transport.get_extra_info("ssl_object") is not None:
            self._secured()
        if self._stream is None:
            self._stream = self._accept(self)
        self._most = getattr(self._stream, "outbox_bytes", OUTBOX_BYTES)

    def _secured(self) -> None:
        self.secure = True
        assert self._transport is not None
        connection = self._transport.get_extra_info("ssl_object")
        self._shape(connection.version())
        self.tls = version_of(connection)
        if self._server_side:
            self._bindings = bindings_of(connection, self._certificate)

    def data_received(self, data: bytes) -> None:
        if self._gated:
            self._wait(data)
        elif self._stream is not None:
            self._stream.received(data)
            self._allowance -= len(data)
            if self._allowance < 0:
                self._measure(data)

    def _wait(self, data: bytes) -> None:
        """For a paced peer's turn: when it arrives tells how far away the peer is, and what others get from it must not
        (docs/protocols/links.md)."""
        if self._tls_pending:
            return
        self._inbox += data
        if self._closing:  # nothing is held back from reading any more, so nothing may pile up
            self._take()
            return
        if len(self._inbox) > HELD_BYTES:
            self._hold(_BY_TURN)
        if self._turn is None:
            wait = self._line.turn() if self._line is not None else 0.0
            self._turn = self._shell.loop.call_later(wait, self._take)

    def _take(self) -> None:
        """The turn has come, or there are none any more."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        data, self._inbox = self._inbox, b""
        self._gated = False
        if data:
            self.data_received(data)
        self._gated = self.packs or self._tls_pending
        self._let_go(_BY_TURN)

    def _measure(self, data: bytes) -> None:
        """Has the peer logged in meanwhile, and is it too fast? `data` came last: passwords may stand in it."""
        stream, visitor = self._stream, self._visitor
        if not self._slice and (forget := getattr(stream, "forget", None)) is not None:
            forget(data)
        size, self._slice, self._allowance = self._slice - self._allowance, 0, 0
        if stream is None:
            return
        if visitor is not None:
            if not getattr(stream, "known", True):
                return  # what strangers may send is counted by the stream
            visitor.known()
        rates = self._rates
        if rates.unlimited:
            self._slice = self._allowance = 1 << 62
            return
        if self._meter is None:
            self._meter = Meter(rates, self._shell.loop.time)
        heard = getattr(stream, "heard", 0)
        wait = self._meter.spend(size, heard - self._heard)
        self._heard = heard
        self._slice = self._allowance = portion(rates)
        if wait > PAUSE_SECONDS and not self._held & _BY_RATE:
            self._hold(_BY_RATE)
            self._shell.loop.call_later(wait, self._let_go, _BY_RATE)

    def eof_received(self) -> bool:
        self._take()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._take()
        if self._deadline is not None:
            self._deadline.cancel()
        self._transport = None
        self._out.clear()
        if self._line is not None:
            self._line.stop()
        if self._visitor is not None:
            self._visitor.gone()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.lost()

    # -- links.Link ---------------------------------------------------------------------------------------------------

    @property
    def bindings(self) -> Mapping[str, bytes]:
        return self._bindings

    @property
    def peer_domains(self) -> frozenset[str]:
        return self._peer().domains

    @property
    def peer_fault(self) -> str:
        return self._peer().fault

    def _peer(self) -> Shown:
        """What the peer's certificate is worth; judged once, when somebody asks."""
        if self._shown is None:
            ssl_object = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
            if ssl_object is None:
                return NOTHING
            self._shown = shown_by(ssl_object)
        return self._shown

    def put(self, data: bytes) -> None:
        if not self._out:
            self._shell.flush_soon(self)
        self._out.append(data)

    def flush(self) -> None:
        """Called by the shell at the end of the turn."""
        transport = self._transport
        if transport is None or self._stream is None:
            return
        if self._line is not None:
            self._unwritten = True
            self._line.admit()
            if self._line.waiting() + transport.get_write_buffer_size() > self._most:
                self._overflow()
            return
        if self._out:
            transport.write(self._outbox.take())
        waiting = transport.get_write_buffer_size()
        if waiting == 0:
            self._stream.written()
        elif waiting > self._most:
            self._overflow()
        elif not self._unwritten:
            # uvloop writes at the end of the turn: look again in the next one, then every second.
            self._unwritten = True
            self._shell.loop.call_soon(self._look_again, 0.05)

    def _look_again(self, pause: float) -> None:
        self._unwritten = False
        if self._transport is None or self._stream is None:
            return
        if self._line is not None and self._line.waiting():
            self._unwritten = True  # the line tells when it is `drained`
        elif self._transport.get_write_buffer_size() == 0:
            self._stream.written()
        else:
            self._unwritten = True
            self._shell.loop.call_later(pause, self._look_again, min(pause * 2, 1.0))

    def _overflow(self) -> None:
        overflow = getattr(self._stream, "overflow", None)
        if overflow is not None:
            overflow()
        self.abort()

    def start_tls(self) -> None:
        if self._tls_pending:
            return  # asked for twice in one packet
        assert self._context is not None
        assert self._transport is not None
        self._tls_pending = self._gated = True
        self.flush()
        self._transport.pause_reading()
        task = self._shell.loop.create_task(self._start_tls())
        task.add_done_callback(_consume)

    async def _start_tls(self) -> None:
        assert self._transport is not None
        assert self._context is not None
        try:
            transport = await self._shell.loop.start_tls(
                self._transport,
                self,
                self._context,
                server_side=self._server_side,
                server_hostname=self._server_name,
                ssl_handshake_timeout=20.0,
            )
        except (OSError, ssl.SSLError):
            self.abort()
            return
        if transport is None or self._stream is None:
            return
        self._transport = transport
        self._tls_pending = self._gated = False
        self._secured()
        self._stream.secured()

    def close(self) -> None:
        if self._closing or self._transport is None:
            return
        self._closing = True
        self.flush()
        if self._held:  # else the peer's own good-bye is not seen, and it takes CLOSE_SECONDS to the end
            self._held = 0
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()
        patience = CLOSE_SECONDS
        if self._line is not None:
            self._line.finish()
            patience += self._line.patience()
        else:
            self._transport.close()
        self._deadline = self._shell.loop.call_later(patience, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        self._hold(_BY_STREAM)

    def resume(self) -> None:
        self._let_go(_BY_STREAM)

    def _hold(self, why: int) -> None:
        if self._transport is None or self._closing:
            return
        if not self._held:
            self._transport.pause_reading()
        self._held |= why

    def _let_go(self, why: int) -> None:
        if not self._held & why:
            return
        self._held &= ~why
        if not self._held and self._transport is not None and not self._closing:
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()

    def backlog(self) -> int:
        buffered = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return buffered + (self._line.waiting() if self._line is not None else sum(map(len, self._out)))

    # -- shaping by time, `pacer.Host` --------------------------------------------------------------------------------

    def _shape(self, tls: str | None) -> None:
        """The outbox, which is the shaper, of a connection that is secured by `tls`."""
        self._line = line_for(self._shell.pacer, self.policy, self)
        self._outbox = self._line.outbox if self._line is not None else self._shell.outbox(self.policy, tls)
        self._out = self._outbox.parts
        self.paced = self._line is not None and self._line.paced
        outbox, self.packs = self._outbox, self.packs and self.paced
        if self.packs and isinstance(outbox, Steady):
            outbox.packer = pack
        elif self._inbox:
            self._shell.loop.call_soon(self._take)  # not while the stream is busy with what came before

    def shape(self, policy: Policy) -> bool:
        transport = self._transport
        if transport is None or self._closing or self._tls_pending:
            return False
        left = self._line.stop() if self._line is not None else b""
        parts = [*self._out]
        self._out.clear()
        self.policy = policy
        connection = transport.get_extra_info("ssl_object")
        self._shape(connection.version() if connection is not None else None)
        if isinstance(self._outbox, Steady):
            self._outbox.queue += left  # it may begin in the middle of a stanza, or of a frame
        elif left:
            self._out.append(left)
        self._out += parts
        self._shell.flush_soon(self)
        if not self.paced:
            self._shell.loop.call_soon(self.roomy)  # what waited for cells need not any more
        return True

    def pack(self) -> bool:
        unpack = getattr(self._stream, "unpack", None)
        if unpack is None or not isinstance(self._outbox, Steady) or self._closing:
            return False
        unpack()
        self.packs = self._gated = True
        self._outbox.packer = pack
        return True

    def unpacked(self, size: int) -> None:
        self._allowance -= size

    def space(self) -> int:
        return self._line.space() if self._line is not None else 1 << 30

    def welcome(self) -> None:
        if self._line is not None:
            self._line.welcome()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def clear(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def drained(self) -> None:
        if self._unwritten:
            self._look_again(0.05)

    def roomy(self) -> None:
        room = getattr(self._stream, "room", None)
        if room is not None:
            room()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()


def portion(rates: Rates) -> int:
    """Bytes that may be read before the next look: an eighth of a burst at most, and no more stanzas than a burst even
    if each is as short as a stanza can be."""
    seconds = rates.burst_seconds
    sizes = [SLICE]
    if rates.bytes:
        sizes.append(int(rates.bytes * seconds / 8))
    if rates.stanzas:
        sizes.append(int(rates.stanzas * seconds * 10))
    return min(sizes)


def _consume(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
