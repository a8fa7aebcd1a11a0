"""The only file that knows slixmpp. It takes from it: SRV, TCP, TLS, XML, SASL and resource binding.

Stanzas go around its send queue, through our own `Outbox`, since slixmpp's stream management loses and reorders (see
there); iq, presence and messages are elements here. Every other trap has its reason where it is dealt with.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import secrets
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol
from xml.etree.ElementTree import Element

from slixmpp import ClientXMPP
from slixmpp.features.feature_mechanisms.stanza import Challenge
from slixmpp.plugins.xep_0198.stanza import StreamManagement
from slixmpp.stanza import Iq, Message, Presence, StreamFeatures
from slixmpp.util.sasl import sasl_mech
from slixmpp.util.sasl.mechanisms import SCRAM
from slixmpp.xmlstream import register_stanza_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from quietwire.client.errors import ClientError, LinkError, LoginError, RequestError
from quietwire.client.link import Link, uplink
from quietwire.client.outbox import BadAck, Entry, Inbound, Outbox
from quietwire.client.quiet import silence
from quietwire.client.stanzas import stanza_error
from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.xml import build, serialise
from quietwire.shaping.frames import Unpacker
from quietwire.shaping.policy import Policy, Profile

MECHANISMS: Final = tuple(f"SCRAM-SHA-{size}{plus}" for size in ("512", "256", "1") for plus in ("-PLUS", ""))
"""No PLAIN: the server would learn the password. On TLS 1.3 Python 3.11 offers slixmpp no channel binding, so the
-PLUS ones are left out there by slixmpp itself."""

MAX_ITERATIONS: Final = 10_000_000
"""Of SCRAM, some ten seconds of a thread. Ours lets nobody configure more, others have ten thousand."""

IQ_SECONDS: Final = 20.0
ACK_SECONDS: Final = 30.0
"""An <r/> unanswered for so long means a dead link."""
RESUMED_SECONDS: Final = 10.0
"""As ACK_SECONDS, until a resumed session has answered once. One that does not is given up: Prosody 0.12.3 reads on
with the parser of the connection that broke, so after a cut in the middle of a stanza it hears nothing any more."""
ASK_SECONDS: Final = 300.0
"""`steady`: between two <r/> without a reason, which nobody sees there. They find a dead link sooner than TCP does,
which keeps taking cells for a quarter of an hour."""

MAX_DELAY: Final = 60.0
"""Seconds between two attempts to reconnect."""

silence("slixmpp")


class Listener(Protocol):
    """Who is told. Plain calls from the event loop; none may raise."""

    def session_began(self, resent: int) -> None: ...
    def session_resumed(self, resent: int) -> None: ...
    def link_lost(self) -> None: ...
    def ended(self, error: ClientError) -> None:
        """There will be no further attempt."""

    def confirmed(self, ids: list[str]) -> None:
        """The server has taken over these messages, or, if there are none, something else."""

    def stanza_came(self, stanza: Element, done: Callable[[], None]) -> None:
        """A message or presence. `done` when it is on disk: until then the server is not told."""

    def request_came(self, iq: Element) -> Element:
        """Returns the answer to an iq get or set."""


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """For clients: certificate and name are checked. Raises LinkError if `ca_file` cannot be read."""
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError):
        raise LinkError("the file of certificate authorities cannot be read") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@sasl_mech(60)
class _Scram(SCRAM):
    """slixmpp's salts the password in Python: a second of the loop at each login, with 100,000 iterations, and a cell
    would be late by it."""

    salted: tuple[bytes, int, bytes] | None = None

    def prepare(self, challenge: bytes) -> None:
        """For a thread: what `challenge` will need. Raises ValueError if it asks for too much, or is malformed."""
        parts = dict(part.split(b"=", 1) for part in challenge.split(b","))
        if b"s" not in parts or b"i" not in parts:
            return  # not the one that names them
        salt, iterations = base64.b64decode(parts[b"s"]), int(parts[b"i"])
        if not 0 < iterations <= MAX_ITERATIONS:
            raise ValueError("iterations out of bounds")
        self.salted = salt, iterations, self._salt(self.credentials["password"], salt, iterations)

    def Hi(self, text: Any, salt: bytes, iterations: int) -> bytes:
        if self.salted is not None and self.salted[:2] == (salt, iterations):
            return self.salted[2]
        return self._salt(text, salt, iterations)

    def _salt(self, password: bytes, salt: bytes, iterations: int) -> bytes:
        return hashlib.pbkdf2_hmac(self.hash_name.replace("-", "").lower(), password, salt, iterations)


class _Stream(ClientXMPP):
    """slixmpp's, with a shaper between it and TLS."""

    secured: Callable[[asyncio.Transport], asyncio.Transport]
    heard: Callable[[], None]
    unpacker: Unpacker | None = None
    """Of a connection on which frames may come."""

    def connection_made(self, transport: Any, send_event: bool = True) -> None:
        if transport.get_extra_info("ssl_object") is not None:
            transport = self.secured(transport)
        super().connection_made(transport, send_event)

    def data_received(self, data: bytes | str) -> None:
        self.heard()
        if self.unpacker is None or isinstance(data, str):
            super().data_received(data)
            return
        try:
            for piece, packed in self.unpacker.feed(data):
                between = self.xml_depth == 1
                super().data_received(piece)
                if packed and not (between and self.xml_depth == 1):
                    raise StreamError("not-well-formed", "a frame that is no stanza")
        except StreamError:
            self.abort()  # as after any other bytes that are no stream: what was not acknowledged comes again


class Adapter:
    """One stream at a time to one server, opened again after each cut until `close`."""

    def __init__(
        self,
        listener: Listener,
        *,
        jid: str,
        password: str,
        resource: str | None,
        address: tuple[str, int] | None,
        direct_tls: bool,
        ca_file: Path | None,
        outbox: Outbox,
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        """`policy`: how the client's direction of the link is shaped. Raises LinkError if no server would take it."""
        self._listener = listener
        self._policy = uplink(policy)
        self._link: Link | None = None
        self._heard_at = 0.0
        self._address = address
        self._outbox = outbox
        self._inbound = Inbound()
        self._sm_id: str | None = None
        self._sm_reply: asyncio.Future[Element] | None = None
        self._counting_in = False
        self._ack_wanted = False
        self._asked = False
        """An <r/> is under way or unanswered."""
        self._doubtful = False
        """Resumed, and nothing acknowledged since: see RESUMED_SECONDS."""
        self._paced = False
        """The server of this session paces its direction, or has: it is ours."""
        self._ack_timer: asyncio.TimerHandle | None = None
        self._ask_timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._attempts = 0
        self._closing = False
        self._error: ClientError | None = None
        self._last_failure = "nobody answers there"
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._replies: dict[str, asyncio.Future[Element]] = {}
        self._stream = self._make_stream(jid, resource, password, direct_tls, tls_context(ca_file))

    @property
    def resumable(self) -> bool:
        return self._sm_id is not None

    async def connect(self, seconds: float) -> None:
        """Returns when the first session is there. Raises LoginError, LinkError."""
        self._dial()
        try:
            async with asyncio.timeout(seconds):
                await self._first
        except TimeoutError:
            await self.close()
            raise LinkError(f"no connection: {self._last_failure}") from None

    async def close(self) -> None:
        """Ends stream and session."""
        self._closing = True
        for timer in (self._retry, self._ack_timer, self._ask_timer):
            if timer is not None:
                timer.cancel()
        if self._stream.transport is not None:
            self._gone.clear()
            seconds = self.patience(2.0)
            self._stream.disconnect(wait=seconds, ignore_send_queue=True)
            try:
                async with asyncio.timeout(seconds + 1.0):
                    await self._gone.wait()
            except TimeoutError:
                self._stream.abort()
        self._stream.cancel_connection_attempt()
        if self._stream._run_out_filters is not None:
            self._stream._run_out_filters.cancel()
        self._fail_requests()

    def drop_link(self) -> None:
        """Cuts the TCP connection as a broken network does: no </stream:stream>, no close_notify."""
        if self._stream.transport is not None:
            self._stream.transport.abort()

    def give_up_session(self) -> None:
        """Cuts the connection and does not resume: what was not acknowledged, either way, goes into a new session."""
        self._lose_session(None)
        self.drop_link()

    def put(self, entry: Entry) -> None:
        """Writes `entry`, or keeps it for the time when that is possible. Raises OutboxFull."""
        self._write(self._outbox.put(entry))

    async def request(self, type: str, payload: Element, to: str | None = None) -> Element:
        """Sends an iq and returns its answer. Raises RequestError."""
        id = secrets.token_hex(8)
        attributes = {"type": type, "id": id} | ({"to": to} if to is not None else {})
        iq = build(f"{{{ns.CLIENT}}}iq", attributes, payload)
        future: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._replies[id] = future
        try:
            self.put(Entry(serialise(iq, ns.CLIENT), "session"))
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the answer.
            async with asyncio.timeout(self.patience(IQ_SECONDS)):
                answer = await future
        except TimeoutError:
            raise RequestError("remote-server-timeout") from None
        finally:
            self._replies.pop(id, None)
        if answer.get("type") == "error":
            raise RequestError(stanza_error(answer))
        return answer

    # Shaping

    @property
    def steady(self) -> bool:
        return self._policy.profile is Profile.STEADY

    def patience(self, seconds: float) -> float:
        """`seconds`, and what shaping may add to a question and its answer."""
        return seconds if self._link is None else seconds + self._link.delay()

    async def room(self, taken: int = 0) -> None:
        """Returns when the link's queue has room; `taken`: bytes on their way into it. At once while the link is down:
        there is a limit of its own for that."""
        if self._link is not None:
            await self._link.room(taken)

    async def window(self) -> None:
        """Returns when a window is open: for what is large and can wait."""
        if self._link is not None:
            await self._link.window()

    async def calm(self) -> None:
        """Returns when there is time for work of some 50 ms: see `link.CALM`."""
        if self._link is not None:
            await self._link.calm()

    def follow(self) -> None:
        """The server paces its direction like us from now on."""
        self._paced = True
        if self._link is not None:
            self._link.follow()

    def unpack(self) -> None:
        """From now on frames may come on this connection (`shaping/frames.py`)."""
        self._stream.unpacker = Unpacker()

    def pack(self) -> None:
        """The server reads frames."""
        if self._link is not None:
            self._link.pack()

    def _secured(self, transport: asyncio.Transport) -> asyncio.Transport:
        if self._policy.profile is Profile.OFF:
            return transport
        self._link = Link(transport, self._policy, asyncio.get_running_loop())
        return self._link

    def _heard(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if self._link is not None:
            self._link.heard()

    def _when_written(self, call: Callable[[], None]) -> None:
        transport = self._stream.transport
        if self._link is not None:
            self._link.when_written(call)
        elif transport is not None and not transport.is_closing():
            call()

    # Connection

    def _make_stream(
        self, jid: str, resource: str | None, password: str, direct_tls: bool, context: ssl.SSLContext
    ) -> _Stream:
        full = jid if resource is None else f"{jid}/{resource}"
        mechanisms = {"feature_mechanisms": {"use_mechs": set(MECHANISMS)}}
        stream = _Stream(full, password, plugin_config=mechanisms, ssl_context=context)
        stream.secured, stream.heard = self._secured, self._heard
        if self._address is not None:
            # With an explicit address slixmpp tries direct TLS first, on a STARTTLS port too.
            stream.enable_direct_tls, stream.enable_starttls = direct_tls, not direct_tls
        # The switch whitespace_keepalive is not looked at; an <r/> that stays unanswered finds a dead link.
        stream.del_event_handler("session_start", stream._start_keepalive)
        # Its own handlers accept every subscription request, and see messages only with a body.
        for name in ("IM", "IMError", "Presence", "Roster Update"):
            stream.remove_handler(name)
        for name in ("message", "presence"):
            stream.register_handler(Callback(f"our {name}", MatchXPath(f"{{{ns.CLIENT}}}{name}"), self._on_stanza))
        stream.register_handler(Callback("our iq", MatchXPath(f"{{{ns.CLIENT}}}iq"), self._on_iq))
        for name in ("enabled", "resumed", "failed"):
            stream.register_handler(Callback(f"our sm {name}", MatchXPath(f"{{{ns.SM}}}{name}"), self._on_sm_reply))
        stream.register_handler(Callback("our sm a", MatchXPath(f"{{{ns.SM}}}a"), self._on_ack))
        stream.register_handler(Callback("our sm r", MatchXPath(f"{{{ns.SM}}}r"), self._on_ack_request))
        stream.remove_handler("SASL Challenge")
        challenge = MatchXPath(Challenge.tag_name())
        stream.register_handler(
            Callback("SASL Challenge", challenge, lambda came: asyncio.ensure_future(self._challenged(came)))
        )
        register_stanza_plugin(StreamFeatures, StreamManagement)
        stream.register_feature("sm", self._on_sm_feature, restart=True, order=9000)
        stream.register_feature("sm", self._on_sm_feature, restart=True, order=10100)
        stream.add_filter("out_sync", self._capture)
        checked = stream._handle_stream_features

        async def features_came(features: Any) -> Any:
            if self._refuses_plaintext(features):
                return None
            return await checked(features)

        stream.remove_handler("Stream Features")
        stream.register_handler(
            Callback(
                "Stream Features",
                MatchXPath(f"{{{ns.STREAMS}}}features"),
                lambda features: asyncio.ensure_future(features_came(features)),
            )
        )
        for event, handler in (
            ("stream_negotiated", self._on_negotiated),
            ("disconnected", self._on_disconnected),
            ("failed_all_auth", self._on_refused),
            ("connection_failed", self._on_connection_failed),
            ("reconnect_delay", self._on_retry),
            ("ssl_invalid_chain", self._on_bad_certificate),
        ):
            stream.add_event_handler(event, handler)
        return stream

    async def _challenged(self, challenge: Any) -> None:
        """slixmpp's handler, after what takes long in it was done in a thread."""
        login: Any = self._stream.plugin["feature_mechanisms"]
        mechanism = login.mech
        try:
            if isinstance(mechanism, _Scram):
                await asyncio.to_thread(mechanism.prepare, challenge["value"])
            if login.mech is mechanism:
                login._handle_challenge(challenge)
        except (ValueError, KeyError):
            self._give_up(LoginError("the server asks for a login that is none, or costs too much"))

    def _refuses_plaintext(self, features: Any) -> bool:
        # Whoever strips <starttls/> from the features would otherwise get SCRAM in the clear.
        encrypted = isinstance(self._stream.socket, ssl.SSLObject | ssl.SSLSocket) or (
            self._stream.transport is not None and self._stream.transport.get_extra_info("ssl_object") is not None
        )
        if encrypted or "starttls" in features["features"]:
            return False
        self._give_up(LinkError("the server offers no TLS"))
        return True

    def _dial(self) -> None:
        self._retry = None
        host, port = self._address or (None, None)
        self._stream.connect(host, port)

    def _on_connection_failed(self, reason: object) -> None:
        if isinstance(reason, ssl.SSLCertVerificationError):
            self._on_bad_certificate(reason)
        elif isinstance(reason, ssl.SSLError):
            self._last_failure = "the server does not speak TLS there"
        elif isinstance(reason, OSError):
            self._last_failure = "nobody answers there"
        else:
            self._last_failure = "the server's name is not known"

    def _on_bad_certificate(self, reason: object) -> None:
        self._give_up(LinkError("the server's certificate is not valid for this address and these authorities"))

    def _on_retry(self, delay: object) -> None:
        if not self._first.done():
            self._give_up(LinkError(f"no connection: {self._last_failure}"))

    def _on_refused(self, _: object) -> None:
        self._give_up(LoginError("the server does not accept the address and password, or offers no SCRAM"))

    def _give_up(self, error: ClientError) -> None:
        if self._error is not None:
            return
        self._error = error
        self._closing = True
        self._stream.cancel_connection_attempt()
        self._stream.abort()
        if not self._first.done():
            self._first.set_exception(error)
        else:
            self._listener.ended(error)

    def _on_disconnected(self, _: object) -> None:
        self._gone.set()
        if self._link is not None:
            self._link.over()
            self._link = None
        self._stream.unpacker = None
        self._outbox.cut()
        self._counting_in = self._doubtful = False
        self._ack_wanted = False
        self._stop_asking()
        if self._ask_timer is not None:
            self._ask_timer.cancel()
        if self._sm_reply is not None and not self._sm_reply.done():
            self._sm_reply.cancel()
        if self._sm_id is None:
            self._lose_session(None)
        if self._closing:
            if not self._first.done():
                self._first.set_exception(self._error or LinkError("the connection was closed"))
            return
        if self._first.done():
            self._listener.link_lost()
        # The first attempt is made at once; a server that hangs up each time is not asked more often than a dead one.
        delay = 0.0 if self._attempts == 0 else min(MAX_DELAY, 2.0**self._attempts) * random.uniform(0.5, 1)  # noqa: S311
        self._attempts += 1
        self._retry = asyncio.get_running_loop().call_later(delay, self._dial)

    # Session and stream management

    async def _on_sm_feature(self, _: object) -> bool:
        if "bind" not in self._stream.features:
            return self._sm_id is not None and await self._resume(self._sm_id)
        self._outbox.enable()
        answer = await self._ask_sm(build(f"{{{ns.SM}}}enable", {"resume": "true"}))
        if answer.tag == f"{{{ns.SM}}}enabled":
            resumable = answer.get("resume") in ("true", "1")
            self._sm_id = answer.get("id") if resumable else None
            self._stream.end_session_on_disconnect = not resumable
        else:
            self._outbox.disable()
        return False

    async def _resume(self, session: str) -> bool:
        h = str(self._inbound.received % 2**32)
        answer = await self._ask_sm(build(f"{{{ns.SM}}}resume", {"h": h, "previd": session}))
        handled = answer.get("h", "")
        if answer.tag != f"{{{ns.SM}}}resumed" or not handled.isdecimal():
            self._lose_session(int(handled) if handled.isdecimal() else None)
            self._stream.event("session_end")
            return False
        unacked = self._outbox.unacked
        try:
            confirmed, again = self._outbox.resume(int(handled))
        except BadAck:
            self.give_up_session()
            return True
        self._counting_in = self._doubtful = True
        self._attempts = 0
        self._stream.event("session_resumed", answer)
        self._confirm(confirmed)
        self._write(again)
        self._ask_later()
        self._listener.session_resumed(unacked - len(confirmed))
        return True

    async def _ask_sm(self, element: Element) -> Element:
        self._sm_reply = asyncio.get_running_loop().create_future()
        self._stream.send_raw(serialise(element, ns.CLIENT))
        return await self._sm_reply

    def _on_sm_reply(self, stanza: Any) -> None:
        if self._sm_reply is not None and not self._sm_reply.done():
            # What follows in the same read must be counted already, before the waiting task runs.
            if stanza.xml.tag == f"{{{ns.SM}}}enabled":
                self._inbound = Inbound()
                self._counting_in = True
            elif stanza.xml.tag == f"{{{ns.SM}}}resumed":
                self._counting_in = True
            self._sm_reply.set_result(stanza.xml)

    def _lose_session(self, h: int | None) -> None:
        self._sm_id = None
        self._paced = False
        self._stream.end_session_on_disconnect = True
        self._confirm(self._outbox.lose(h))
        self._fail_requests()

    def _on_negotiated(self, _: object) -> None:
        if not self._stream.bound:
            self._give_up(LinkError("the server offers no session"))
            return
        self._attempts = 0
        waiting = self._outbox.start()
        self._write(waiting)
        self._ask_later()
        self._listener.session_began(sum(1 for entry in waiting if entry.id))
        if not self._first.done():
            self._first.set_result(None)

    def _write(self, entries: list[Entry]) -> None:
        if not entries:
            return
        asks = self._outbox.counting and not self._asked
        request = (serialise(build(f"{{{ns.SM}}}r"), ns.CLIENT),) if asks else ()
        self._send(*(entry.data for entry in entries), *request)
        if asks:
            self._asking()
        if not self._outbox.counting:
            self._when_written(partial(self._wrote, len(entries)))

    def _wrote(self, count: int) -> None:
        self._confirm(self._outbox.wrote(count))

    def _send(self, *parts: bytes) -> None:
        # After an abort the transport is still there until the loop has told us: what is written then is not sent.
        transport = self._stream.transport
        if transport is not None and not transport.is_closing():
            # A shaped link writes once a turn or cell, and packs each part alone.
            for data in parts if self._link is not None else (b"".join(parts),):
                self._stream.send_raw(data)

    def _on_ack(self, stanza: Any) -> None:
        self._doubtful = False
        self._stop_asking()
        h = stanza.xml.get("h", "")
        try:
            self._confirm(self._outbox.ack(int(h) if h.isdecimal() else -1))
        except BadAck:
            self.give_up_session()
            return
        if self._outbox.unacked:
            self._ask()

    def _ask(self) -> None:
        if self._stream.transport is not None:
            self._send(serialise(build(f"{{{ns.SM}}}r"), ns.CLIENT))
            self._asking()

    def _asking(self) -> None:
        """An <r/> was put. The time for its answer begins when it has left."""
        self._asked = True
        deadline = asyncio.get_running_loop().time() + self.patience(ACK_SECONDS)
        if self.steady:  # the server may have as much waiting for its ticks as we may
            deadline += self._policy.queue / self._policy.cell * self._policy.tick
        self._when_written(partial(self._await_ack, deadline))

    def _await_ack(self, deadline: float) -> None:
        if self._asked:
            self._ack_timer = asyncio.get_running_loop().call_later(self._silence, self._overdue, deadline)

    @property
    def _silence(self) -> float:
        seconds = RESUMED_SECONDS if self._doubtful else ACK_SECONDS
        return seconds + (2 * self._policy.tick if self.steady else 0.0)

    def _overdue(self, deadline: float) -> None:
        """No answer. Where the server writes at ticks only it may wait behind much else; its cells prove the link. What
        comes proves no resumed session of other servers: a deaf one goes on talking."""
        now = asyncio.get_running_loop().time()
        deaf = self._doubtful and not self._paced
        if self.steady and not deaf and now < deadline and now - self._heard_at < self._silence:
            self._await_ack(deadline)
        elif self._doubtful:
            self.give_up_session()
        else:
            self.drop_link()

    def _ask_later(self) -> None:
        """`steady`: see ASK_SECONDS."""
        if self.steady:
            self._ask_timer = asyncio.get_running_loop().call_later(ASK_SECONDS, self._ask_again)

    def _ask_again(self) -> None:
        if self._outbox.counting and not self._asked:
            self._ask()
        self._ask_later()

    def _stop_asking(self) -> None:
        self._asked = False
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None

    def _on_ack_request(self, _: object) -> None:
        self._ack_wanted = True
        self._answer_ack_request()

    def _answer_ack_request(self) -> None:
        if self._ack_wanted and self._inbound.idle and self._stream.transport is not None:
            self._ack_wanted = False
            self._send(serialise(build(f"{{{ns.SM}}}a", {"h": str(self._inbound.handled)}), ns.CLIENT))

    def _confirm(self, entries: list[Entry]) -> None:
        if entries:
            self._listener.confirmed([entry.id for entry in entries if entry.id])

    # Stanzas

    def _capture(self, stanza: Any) -> Any:
        """What slixmpp itself sends goes the same way as ours, so that it is counted; all but the binding."""
        if not isinstance(stanza, Iq | Message | Presence) or not self._stream.bound:
            return stanza
        self.put(Entry(serialise(stanza.xml, ns.CLIENT), "session"))
        return None

    def _on_stanza(self, stanza: Any) -> None:
        inbound = self._inbound
        number = inbound.arrive() if self._counting_in else None

        def done() -> None:
            if number is not None:
                inbound.done(number)
                self._answer_ack_request()

        self._listener.stanza_came(stanza.xml, done)

    def _on_iq(self, stanza: Any) -> None:
        if self._counting_in:
            self._inbound.done(self._inbound.arrive())
        iq: Element = stanza.xml
        if iq.get("type") in ("result", "error"):
            future = self._replies.get(iq.get("id", ""))
            if future is not None and not future.done():
                future.set_result(iq)
            return
        self.put(Entry(serialise(self._listener.request_came(iq), ns.CLIENT), "session"))

    def _fail_requests(self) -> None:
        for future in self._replies.values():
            if not future.done():
                future.set_exception(RequestError("remote-server-timeout"))
