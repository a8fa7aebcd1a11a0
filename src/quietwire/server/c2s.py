"""A client's stream, from its first byte to its last (RFC 6120): header, TLS, login, binding, then stanzas."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from quietwire.core import ns
from quietwire.core.errors import QuietwireError, StanzaError, StreamError
from quietwire.core.framing import Broken, StreamClose, StreamOpen, StreamParser
from quietwire.core.jid import JID, JIDError
from quietwire.core.later import drive
from quietwire.core.sasl import SaslFailure, decode_payload, encode_payload
from quietwire.core.stanza import Child, Iq, Nonza, Stanza
from quietwire.core.xml import Element, build, escape, serialise
from quietwire.server.account import Session
from quietwire.server.links import Link
from quietwire.server.login import Accepted, Challenge, Exchange, Gate
from quietwire.server.settings import Settings
from quietwire.server.sm import Incoming, Outgoing
from quietwire.server.timers import Timer, Timers

_TLS = f"{{{ns.TLS}}}"
_SASL = f"{{{ns.SASL}}}"
_SM = f"{{{ns.SM}}}"
_ERROR = f"{{{ns.STREAMS}}}error"
_BIND = f"{{{ns.BIND}}}bind"
_PLAIN_BINDINGS = "urn:xmpp:sasl-cb:0"
_CLOSING = b"</stream:stream>"


@dataclass(slots=True)
class Bound:
    """What outlives a connection: a session and its two counters."""

    session: Session
    outgoing: Outgoing
    incoming: Incoming
    resume_id: str = ""
    """Empty once the session must not be resumed any more."""
    registered: str = ""
    """The id under which the server has it, until it is over."""
    doomed: bool = False
    """Its queue has overflowed: it ends with this turn."""
    waiting: Timer | None = None


class Host(Protocol):
    """What a client's stream needs of the server (`server/server.py`)."""

    settings: Settings
    gate: Gate
    timers: Timers
    randomness: Callable[[int], bytes]

    def features(self) -> bytes:
        """Stream features that modules add after login, serialised."""
        ...

    async def bind(self, account: JID, resource: str, stream: ClientStream, link: Link) -> Bound:
        """Raises StanzaError."""
        ...

    def resumable(self, resume_id: str, account: JID) -> Bound | None:
        """The session of that account which may be resumed under that id."""
        ...

    def adopt(self, bound: Bound, stream: ClientStream) -> None:
        """The stream now carries that session; whatever carried it before is closed."""
        ...

    def park(self, bound: Bound) -> None:
        """The connection is lost; the session waits for resumption, or ends."""
        ...

    def end(self, bound: Bound) -> None:
        """The session is over."""
        ...

    def make_resumable(self, bound: Bound) -> tuple[str, int]:
        """-> (id, seconds)."""
        ...

    def stanza(self, bound: Bound, stanza: Stanza, finished: Callable[[], None]) -> bool:
        """False if suspended: `finished` is called later."""
        ...

    def nonza(self, bound: Bound, nonza: Nonza) -> bool:
        """False if no module knows it."""
        ...

    def count(self, bound: Bound) -> None:
        """One stanza of that session is done with."""
        ...

    def closed(self, stream: ClientStream) -> None:
        """The connection is gone; the last call."""
        ...

    def fault(self, error: BaseException) -> None:
        """A bug, for the log."""
        ...

    def note(self, event: str, **facts: str) -> None:
        """One line for the log; facts are never personal."""
        ...


class ClientStream:
    """Implements `links.Stream`."""

    __slots__ = (
        "_account", "_attempts", "_bound", "_busy", "_closing", "_exchange", "_gone", "_host", "_inbox", "_link",
        "_open", "_parser", "_received", "_securing", "_timer",
    )  # fmt: skip

    def __init__(self, host: Host, link: Link) -> None:
        self._host = host
        self._link = link
        self._parser = StreamParser(host.settings.limits)
        self._open = False
        self._closing = False
        self._gone = False
        self._busy = False
        self._inbox: deque[Child] = deque()
        self._received = 0
        self._securing = False
        """TLS is being negotiated: nothing may be written, and nothing read, until it is up."""
        self._attempts = 0
        self._account: JID | None = None
        self._exchange: Exchange | None = None
        self._bound: Bound | None = None
        self._timer: Timer | None = host.timers.after(host.settings.unauthenticated_seconds, self._too_slow)

    # -- what the connection tells --------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if (self._closing and self._gone) or self._securing:
            return
        if self._account is None:
            self._received += len(data)
            if self._received > self._host.settings.unauthenticated_bytes:
                self.fail(StreamError("policy-violation", "too much before login"))
                return
        try:
            for event in self._parser.feed(data):
                if isinstance(event, Child):
                    if self._closing:
                        continue
                    if self._busy:
                        self._wait(event)
                    else:
                        self._child(event)
                elif isinstance(event, StreamOpen):
                    self._header(event)
                elif isinstance(event, StreamClose):
                    self.close()
                elif isinstance(event, Broken):
                    raise event.error
        except StreamError as error:
            self.fail(error)
        except Exception as error:
            self._host.fault(error)
            self.fail(StreamError("internal-server-error"))

    def secured(self) -> None:
        self._securing = False
        self._parser.reset()
        self._open = False

    def written(self) -> None:
        if self._bound is not None:
            self._bound.outgoing.written()

    def lost(self) -> None:
        self._gone = True
        self._parser.close()
        self._cancel_timer()
        bound, self._bound = self._bound, None
        try:
            if bound is not None:
                bound.outgoing.detach()
                self._settle_up(bound)
                if self._closing and not bound.resume_id:
                    self._host.end(bound)
                else:
                    self._host.park(bound)
        except Exception as error:
            self._host.fault(error)
        self._host.closed(self)

    def _settle_up(self, bound: Bound) -> None:
        """A request that is under way will be carried out: it counts now, since whoever resumes is told the count."""
        if self._busy:
            self._busy = False
            self._host.count(bound)

    def overflow(self) -> None:
        """The peer does not read: its outbox is full (DESIGN §4)."""
        if not self._closing:
            self._host.note("stream-outbox-full")
        self.fail(StreamError("policy-violation", "outbox full"))
        self._link.abort()

    # -- ending -----------------------------------------------------------------------------------------------------

    def fail(self, error: StreamError) -> None:
        """Sends the stream error and closes. The session of a broken stream can be resumed, except after conflict."""
        if self._closing:
            return
        self._host.note("stream-error", condition=error.condition)
        if self._securing:
            self._closing = True
            self._cancel_timer()
            self._link.abort()
            return
        if not self._open:
            self._send_header()
        text = f"<text xmlns='{ns.STREAM_ERRORS}' xml:lang='en'>{escape(error.text)}</text>" if error.text else ""
        condition = f"<{error.condition} xmlns='{ns.STREAM_ERRORS}'/>"
        self._link.put(f"<stream:error>{condition}{text}{error.specific}</stream:error>".encode() + _CLOSING)
        self._finish()

    def close(self) -> None:
        """The peer closes its stream, or we do: a session that is closed in order is over."""
        if self._closing:
            self._link.close()
            return
        bound = self._bound
        if bound is not None:
            bound.resume_id = ""
        if self._open:
            self._link.put(_CLOSING)
        self._finish()

    def hush(self) -> None:
        """Takes in nothing more: the server is about to stop."""
        self._link.pause()

    def shut_down(self) -> None:
        """The server stops. What is durable is acknowledged, so that nobody sends it again."""
        if self._closing:
            return
        if not self._open:
            self._link.close()
            return
        bound = self._bound
        if bound is not None:
            bound.resume_id = ""
            if bound.outgoing.enabled:
                bound.incoming.say()
        self.fail(StreamError("system-shutdown"))

    def evict(self) -> None:
        """Another stream took the resource or resumed the session."""
        bound, self._bound = self._bound, None
        if bound is not None:
            self._settle_up(bound)
        self.fail(StreamError("conflict"))

    def _finish(self) -> None:
        self._closing = True
        self._inbox.clear()
        self._cancel_timer()
        self._link.close()
        if self._bound is not None:
            # From now on nothing reaches the peer, so nothing may be taken for delivered.
            self._bound.outgoing.detach()

    def _too_slow(self) -> None:
        self._timer = None
        self.fail(StreamError("connection-timeout"))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- negotiation ------------------------------------------------------------------------------------------------

    def _header(self, header: StreamOpen) -> None:
        domain = self._host.settings.domain.domain
        if header.content != ns.CLIENT:
            raise StreamError("invalid-namespace")
        to = header.attributes.get("to", "")
        if to:
            try:
                ours = JID.parse(to).text == domain
            except JIDError:
                ours = False
            if not ours:
                raise StreamError("host-unknown")
        if not _version_known(header.attributes.get("version", "")):
            raise StreamError("unsupported-version")
        self._send_header()
        if not to:
            raise StreamError("host-unknown")
        self._link.put(self._features())

    def _send_header(self) -> None:
        self._open = True
        stream_id = self._host.randomness(12).hex()
        self._link.put(
            f"<?xml version='1.0'?><stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' id='{stream_id}'"
            f" from='{escape(self._host.settings.domain.text)}' version='1.0' xml:lang='en'>".encode()
        )

    def _features(self) -> bytes:
        link = self._link
        if not link.secure:
            return f"<stream:features><starttls xmlns='{ns.TLS}'><required/></starttls></stream:features>".encode()
        if self._account is None:
            mechanisms = self._host.gate.mechanisms(True, link.bindings)
            listed = "".join(f"<mechanism>{name}</mechanism>" for name in mechanisms)
            bindings = "".join(f"<channel-binding type='{name}'/>" for name in link.bindings)
            if bindings:
                bindings = f"<sasl-channel-binding xmlns='{_PLAIN_BINDINGS}'>{bindings}</sasl-channel-binding>"
            offered = f"<mechanisms xmlns='{ns.SASL}'>{listed}</mechanisms>{bindings}"
            return f"<stream:features>{offered}</stream:features>".encode()
        own = f"<bind xmlns='{ns.BIND}'/><sm xmlns='{ns.SM}'/>".encode()
        return b"<stream:features>" + own + self._host.features() + b"</stream:features>"

    def _wait(self, child: Child) -> None:
        if len(self._inbox) >= self._host.settings.inbox_stanzas:
            raise StreamError("policy-violation", "too much at once")
        self._inbox.append(child)

    def _suspend(self) -> None:
        self._busy = True
        self._link.pause()

    def _go_on(self) -> None:
        self._busy = False
        if self._gone:
            return
        try:
            while self._inbox and not self._busy and not self._closing:
                self._child(self._inbox.popleft())
        except StreamError as error:
            self.fail(error)
        except Exception as error:
            self._host.fault(error)
            self.fail(StreamError("internal-server-error"))
        if not self._busy:
            self._link.resume()

    def _child(self, child: Child) -> None:
        bound = self._bound
        if bound is not None:
            if isinstance(child, Stanza):
                self._stanza(bound, child)
            else:
                self._nonza(bound, child)
        elif child.kind == _ERROR:
            self.close()
        elif not self._link.secure:
            if not self._open:
                return  # plaintext sent along with the request for TLS is thrown away (RFC 6120 §5.3.3)
            if child.kind != f"{_TLS}starttls":
                raise StreamError("policy-violation", "TLS first")
            self._link.put(f"<proceed xmlns='{ns.TLS}'/>".encode())
            self._open = False
            self._parser.reset()
            self._securing = True
            self._link.start_tls()
        elif not self._open:
            # Sent along with what ended the last stream: it belongs to none.
            raise StreamError("bad-format", "a stream header first")
        elif self._account is None:
            self._authenticate(child)
        else:
            self._bind_or_resume(child)

    def _authenticate(self, child: Child) -> None:
        if child.kind == f"{_SASL}auth" and self._exchange is None:
            mechanism = child.attributes.get("mechanism", "")
            try:
                exchange = self._exchange = Exchange(self._host.gate, mechanism, self._link.bindings)
                text = _text(child)
                message = decode_payload(text)
            except SaslFailure as failure:
                self._refuse(failure)
                return
            if text:
                self._run(exchange.first(message))
            else:
                # No initial response, not even an empty one ('='): asked for (RFC 6120 §6.4.2).
                self._link.put(f"<challenge xmlns='{ns.SASL}'/>".encode())
        elif child.kind == f"{_SASL}response" and self._exchange is not None:
            try:
                if not self._exchange.begun:
                    self._run(self._exchange.first(decode_payload(_text(child))))
                    return
                accepted = self._exchange.second(decode_payload(_text(child)))
            except SaslFailure as failure:
                self._refuse(failure)
                return
            self._proceed(accepted)
        elif child.kind == f"{_SASL}abort" and self._exchange is not None:
            self._refuse(SaslFailure("aborted"))
        elif child.kind.startswith(_SASL):
            self._refuse(SaslFailure("malformed-request"))
        else:
            raise StreamError("not-authorized")

    def _run(self, step: Coroutine[Any, Any, Challenge | Accepted]) -> None:
        """Drives a step of the login; the stream waits while it is suspended."""
        suspended = False

        def done(outcome: Challenge | Accepted | None, error: BaseException | None) -> None:
            if self._closing:
                return
            if isinstance(error, SaslFailure):
                self._refuse(error)
            elif error is not None:
                if not isinstance(error, QuietwireError):
                    self._host.fault(error)
                self._refuse(SaslFailure("temporary-auth-failure"))
            elif outcome is not None:
                self._proceed(outcome)
            if suspended:
                self._go_on()

        if not drive(step, done):
            suspended = True
            self._suspend()

    def _proceed(self, outcome: Challenge | Accepted) -> None:
        if isinstance(outcome, Accepted):
            self._exchange = None
            self._account = outcome.account
            payload = encode_payload(outcome.data) if outcome.data else ""
            self._link.put(f"<success xmlns='{ns.SASL}'>{payload}</success>".encode())
            self._parser.reset()
            self._open = False
        else:
            payload = encode_payload(outcome.data)
            self._link.put(f"<challenge xmlns='{ns.SASL}'>{payload}</challenge>".encode())

    def _refuse(self, failure: SaslFailure) -> None:
        self._exchange = None
        self._attempts += 1
        self._host.note("login-refused", condition=failure.condition)
        self._link.put(f"<failure xmlns='{ns.SASL}'><{failure.condition}/></failure>".encode())
        if self._attempts >= self._host.settings.login_attempts:
            self.fail(StreamError("policy-violation", "too many attempts"))

    # -- binding ----------------------------------------------------------------------------------------------------

    def _bind_or_resume(self, child: Child) -> None:
        if child.kind == f"{_SM}resume":
            self._resume(child)
        elif child.kind == f"{_SM}enable":
            self._link.put(_failed("unexpected-request"))
        elif isinstance(child, Iq) and child.type == "set" and child.names == (_BIND,):
            self._bind(child)
        elif isinstance(child, Stanza):
            raise StreamError("not-authorized")  # RFC 6120 §7.1: no stanzas before binding
        else:
            raise StreamError("unsupported-stanza-type")

    def _bind(self, iq: Iq) -> None:
        assert self._account is not None
        host = self._host
        resource = iq.payload.findtext(f"{{{ns.BIND}}}resource") or ""

        def done(bound: Bound | None, error: BaseException | None) -> None:
            if isinstance(error, StanzaError):
                self._link.put(iq.error(error).to_bytes())
            elif error is not None:
                if not isinstance(error, QuietwireError):
                    host.fault(error)
                self._link.put(iq.error("internal-server-error").to_bytes())
            elif bound is not None and (self._gone or self._closing):
                host.end(bound)
            elif bound is not None:
                self._bound = bound
                self._cancel_timer()
                jid = build(f"{{{ns.BIND}}}jid", text=bound.session.jid.text)
                self._link.put(iq.result(build(_BIND, None, jid)).to_bytes())
            if self._busy:
                self._go_on()

        if not drive(host.bind(self._account, resource, self, self._link), done):
            self._suspend()

    def _resume(self, child: Child) -> None:
        assert self._account is not None
        previd = child.attributes.get("previd", "")
        h = child.attributes.get("h", "")
        bound = self._host.resumable(previd, self._account)
        if bound is None or not h.isdecimal() or len(h) > 10:
            self._link.put(_failed("item-not-found"))
            return
        if not bound.outgoing.confirm(int(h)):
            raise _overclaimed(int(h), bound)
        self._host.adopt(bound, self)
        self._bound = bound
        bound.incoming.answer = self._acknowledge
        self._cancel_timer()
        handled = bound.incoming.safe()
        self._link.put(f"<resumed xmlns='{ns.SM}' previd='{escape(previd)}' h='{handled % (1 << 32)}'/>".encode())
        bound.outgoing.resume(self._link)

    # -- a bound stream ---------------------------------------------------------------------------------------------

    def _stanza(self, bound: Bound, stanza: Stanza) -> None:
        session = bound.session
        attributes = stanza.attributes
        claimed = attributes.get("from")
        if claimed is not None and claimed not in (session.jid.text, session.account.jid.text):
            _check_from(claimed, session)
        stanza.from_ = session.jid
        to = attributes.get("to")
        if to is not None:
            try:
                stanza.to = JID.parse(to)
            except JIDError:
                stanza.attributes = {key: value for key, value in attributes.items() if key != "to"}
                if stanza.type not in ("error", "result"):
                    session.send(stanza.error("jid-malformed"))
                self._host.count(bound)
                return
        if not self._host.stanza(bound, stanza, self._handled):
            self._suspend()

    def _handled(self) -> None:
        if self._bound is not None and self._busy:
            self._host.count(self._bound)
        self._go_on()

    def _nonza(self, bound: Bound, child: Child) -> None:
        kind = child.kind
        if kind == f"{_SM}r":
            if bound.outgoing.enabled:
                bound.incoming.requested()
            else:
                self._link.put(_failed("unexpected-request"))
        elif kind == f"{_SM}a":
            h = child.attributes.get("h", "")
            if not h.isdecimal() or len(h) > 10:
                raise StreamError("policy-violation", "h is a number")
            if not bound.outgoing.acknowledged_by_peer(int(h)):
                raise _overclaimed(int(h), bound)
        elif kind == _ERROR:
            self.close()  # the peer has given up this stream and expects no answer (RFC 6120 §4.9.1.1)
        elif kind == f"{_SM}enable":
            self._enable(bound, child)
        elif kind == f"{_SM}resume":
            self._link.put(_failed("unexpected-request"))
        elif not isinstance(child, Nonza) or not self._host.nonza(bound, child):
            raise StreamError("unsupported-stanza-type")

    def _enable(self, bound: Bound, child: Child) -> None:
        if bound.outgoing.enabled:
            self._link.put(_failed("unexpected-request"))
            return
        bound.outgoing.enabled = True
        bound.incoming.start()
        bound.incoming.answer = self._acknowledge
        extra = ""
        if child.attributes.get("resume") in ("true", "1"):
            resume_id, seconds = self._host.make_resumable(bound)
            extra = f" id='{resume_id}' resume='true' max='{seconds}'"
        self._link.put(f"<enabled xmlns='{ns.SM}'{extra}/>".encode())

    def _acknowledge(self, h: int) -> None:
        bound = self._bound
        if bound is not None and bound.outgoing.link is not None:
            bound.outgoing.link.put(f"<a xmlns='{ns.SM}' h='{h}'/>".encode())


def _text(child: Child) -> str:
    return (child.tree.text or "").strip()


def _version_known(version: str) -> bool:
    major, _, minor = version.partition(".")
    return major.isdecimal() and minor.isdecimal() and int(major[:9]) >= 1


def _failed(condition: str) -> bytes:
    return f"<failed xmlns='{ns.SM}'><{condition} xmlns='{ns.STANZAS}'/></failed>".encode()


def _overclaimed(h: int, bound: Bound) -> StreamError:
    # XEP-0198 §4 names the element; the condition around it is undefined-condition.
    element = f"<handled-count-too-high xmlns='{ns.SM}' h='{h}' send-count='{bound.outgoing.sent}'/>"
    return StreamError("undefined-condition", specific=element)


def _check_from(claimed: str, session: Session) -> None:
    try:
        jid = JID.parse(claimed)
    except JIDError:
        raise StreamError("invalid-from") from None
    if jid not in (session.jid, session.account.jid):
        raise StreamError("invalid-from")


def feature(element: Element) -> bytes:
    """A stream feature as it stands inside ``<stream:features/>``."""
    return serialise(element, ns.CLIENT)
