"""One client of the load generator: a uvloop protocol that logs in over direct TLS and then only scans.

Every session binds, enables stream management (XEP-0198) with resumption and carbons (XEP-0280), and sends presence, as
clients people use do. It answers each `<r/>` with the right `<a/>` and asks for an acknowledgement after every tenth
stanza of its own.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
import time
from collections import deque
from collections.abc import Callable

from wire import SASL, SM, Arrivals, Keys, Letter, RoomArrivals, Scanner, header, scram_final, scram_first

PATIENCE = 60.0
"""Seconds for one answer during login: 2,000 logins queue up behind each other on one core."""

_FEATURES = (b"</stream:features>", b"<stream:features/>")
_BIND = b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%b</resource></bind></iq>"
_REFUSED = re.compile(rb"""<iq(?=[^>]*id=['"]carbons['"])[^>]*type=['"]error""")
_READY = (
    b"<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>"
    b"<iq type='get' id='ready' to='%b'><ping xmlns='urn:xmpp:ping'/></iq>"
)
READY_STANZAS = 3


class LoadError(Exception):
    """The server refused, hung up or lost something: the run is void. The text says what it did."""


def unverified_tls() -> ssl.SSLContext:
    """TLS that believes any certificate: what is weighed here is the server, over loopback, not its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Session(asyncio.Protocol):
    """A client `user@host/resource`. `on_messages(now_ns, [sent_ns])` hears of its pair's messages as they come in."""

    transport: asyncio.Transport

    def __init__(self, user: str, host: str, keys: Keys, *, resource: str = "r0", ack_every: int = 10) -> None:
        self.user, self.host, self.keys, self.resource = user, host.encode(), keys, resource.encode()
        self.ack_every = ack_every
        self.jid = b""
        self.closed = False
        self.closing = False
        self.arrivals: Arrivals | RoomArrivals = Arrivals()
        self.sent = 0
        """Messages sent with `send`."""
        self.stanzas = 0
        """Stanzas sent since stream management began: what `h` counts."""
        self.acknowledged = 0
        self.asked: deque[tuple[int, int]] = deque()
        self.on_messages: Callable[[int, list[int]], None] | None = None
        self.on_numbers: Callable[[list[int]], None] | None = None
        """Told the numbers of each batch of messages, in a room."""
        self.on_acknowledged: Callable[[int], None] | None = None
        """Told how many ns each acknowledgement took."""
        self.on_lost: Callable[[LoadError], None] | None = None
        self.letter: Letter | None = None
        self._scanner: Scanner | None = None
        self._buffer = b""
        self._waiting: tuple[asyncio.Future[bytes], tuple[bytes, ...]] | None = None
        self._gone: asyncio.Future[None] | None = None

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's are not registered as asyncio.Transport
        self._gone = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if self.closing:
            return
        lost = LoadError(f"{self.user}: connection lost ({error or 'closed by the server'}) {self._buffer[-300:]!r}")
        if self._waiting is not None and not self._waiting[0].done():
            self._waiting[0].set_exception(lost)
        elif self.on_lost is not None:
            self.on_lost(lost)

    def data_received(self, data: bytes) -> None:
        if self._scanner is None or self._waiting is not None:
            self._buffer += data
            if self._scanner is not None:
                self._scan(data)
            self._look()
            return
        self._buffer = data  # the last words, should the stream end now
        self._scan(data)

    def _scan(self, data: bytes) -> None:
        assert self._scanner is not None
        messages, given, owed = self._scanner.feed(data)
        if owed:
            self.transport.write(b"".join(b"<a xmlns='%b' h='%d'/>" % (SM, h) for h in owed))
        if given:
            self._credit(given[-1])
        if messages:
            now = time.perf_counter_ns()
            note = self.arrivals.note
            for _, number in messages:
                note(number)
            if self.on_numbers is not None:
                self.on_numbers([number for _, number in messages])
            if self.on_messages is not None:
                self.on_messages(now, [sent for sent, _ in messages])

    def _credit(self, h: int) -> None:
        self.acknowledged = h
        now = time.perf_counter_ns()
        while self.asked and self.asked[0][0] <= h:
            _, at = self.asked.popleft()
            if self.on_acknowledged is not None:
                self.on_acknowledged(now - at)

    def _look(self) -> None:
        if self._waiting is None:
            return
        future, patterns = self._waiting
        if any(pattern in self._buffer for pattern in patterns):
            self._waiting = None
            taken, self._buffer = self._buffer, b""
            if not future.done():
                future.set_result(taken)

    async def _expect(self, *patterns: bytes) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting = future, patterns
        if self.closed:
            raise LoadError(f"{self.user}: connection closed {self._buffer[-300:]!r}")
        self._look()
        try:
            return await asyncio.wait_for(future, PATIENCE)
        except TimeoutError:
            raise LoadError(
                f"{self.user}: no {patterns[0]!r} within {PATIENCE:.0f} s; got {self._buffer[-300:]!r}"
            ) from None

    # what a run calls

    async def login(self, port: int, tls: ssl.SSLContext) -> None:
        """Connects and negotiates, up to answered presence. Raises LoadError, or OSError where nobody listens."""
        loop = asyncio.get_running_loop()
        name = self.host.decode()
        await loop.create_connection(lambda: self, "127.0.0.1", port, ssl=tls, server_hostname=name)
        write = self.transport.write
        write(header(self.host))
        await self._expect(*_FEATURES)
        first = scram_first(self.user, base64.b64encode(os.urandom(12)).decode())
        write(b"<auth xmlns='%b' mechanism='SCRAM-SHA-1'>%b</auth>" % (SASL, base64.b64encode(b"n,," + first)))
        challenge = self._inside(await self._expect(b"</challenge>", b"</failure>"), b"challenge")
        final, signature = scram_final(self.keys, first, challenge)
        write(b"<response xmlns='%b'>%b</response>" % (SASL, base64.b64encode(final)))
        success = self._inside(await self._expect(b"</success>", b"</failure>", b"<success"), b"success")
        if success != b"v=" + signature:
            raise LoadError(f"{self.user}: the server's SCRAM signature is wrong")
        write(header(self.host))
        await self._expect(*_FEATURES)
        write(_BIND % self.resource)
        bound = re.search(rb"<jid>([^<]+)</jid>", answer := await self._expect(b"</iq>"))
        if bound is None:
            raise LoadError(f"{self.user}: not bound: {answer!r}")
        self.jid = bound.group(1)
        write(b"<enable xmlns='%b' resume='true'/>" % SM)
        answer = await self._expect(b"<enabled", b"<failed")
        begun = re.search(rb"<enabled[^>]*/>|<enabled[^>]*></enabled>", answer)
        if begun is None:
            raise LoadError(f"{self.user}: stream management refused: {answer!r}")
        self._scanner = Scanner()
        self._scan(answer[begun.end() :])
        write(_READY % self.host)
        self.stanzas = READY_STANZAS
        answer = await self._expect(b"'ready'", b'"ready"')
        if _REFUSED.search(answer):
            raise LoadError(f"{self.user}: carbons refused: {answer!r}")

    async def join(self, room: bytes, *, first: bool) -> None:
        """Enters the room under its own name; the first one makes it, open to all. Raises LoadError."""
        write = self.transport.write
        write(
            b"<presence to='%b/%b'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
            % (room, self.user.encode())
        )
        self.stanzas += 1
        answer = await self._expect(b"'110'", b'"110"', b"type='error'", b'type="error"')
        if b"110" not in answer:
            raise LoadError(f"{self.user}: cannot join: {answer[-300:]!r}")
        if first:
            write(
                b"<iq type='set' id='room' to='%b'><query xmlns='http://jabber.org/protocol/muc#owner'>"
                b"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/"
                b"muc#roomconfig</value></field><field var='muc#roomconfig_membersonly'><value>0</value></field></x>"
                b"</query></iq>" % room
            )
            self.stanzas += 1
            answer = await self._expect(b"'room'", b'"room"')
            if b"type='error'" in answer or b'type="error"' in answer:
                raise LoadError(f"{self.user}: cannot configure the room: {answer[-300:]!r}")

    def _inside(self, answer: bytes, tag: bytes) -> bytes:
        found = re.search(rb"<%b[^>]*>([^<]*)</%b>" % (tag, tag), answer)
        if found is None:
            raise LoadError(f"{self.user}: login refused: {answer!r}")
        return base64.b64decode(found.group(1))

    def send(self, count: int = 1) -> None:
        """Writes `count` messages of `letter` at once, with a request for acknowledgement where one is due."""
        assert self.letter is not None
        now = time.perf_counter_ns()
        written = self.letter.written
        parts = []
        for _ in range(count):
            parts.append(written(now, self.sent))
            self.sent += 1
            self.stanzas += 1
            if self.stanzas % self.ack_every == 0:
                parts.append(b"<r xmlns='%b'/>" % SM)
                self.asked.append((self.stanzas, now))
        self.transport.write(b"".join(parts))

    def ask(self) -> None:
        """Asks for an acknowledgement of everything sent so far."""
        self.asked.append((self.stanzas, time.perf_counter_ns()))
        self.transport.write(b"<r xmlns='%b'/>" % SM)

    async def gone(self) -> None:
        """Until the connection is closed, by whomever."""
        if self._gone is not None:
            await asyncio.shield(self._gone)

    async def close(self) -> None:
        """Ends the stream properly, so that the server keeps nothing to resume; a second for its answer."""
        if self.closed or self._gone is None:
            return
        self.closing = True
        self.transport.write(b"</stream:stream>")
        try:
            await asyncio.wait_for(self.gone(), 1)
        except TimeoutError:
            self.transport.abort()
