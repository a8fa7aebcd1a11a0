"""The stream that another server opens to us: TLS, SASL EXTERNAL, then its stanzas (RFC 6120, XEP-0178 §3).

A peer is who its certificate says: EXTERNAL is offered when the certificate, valid under our authorities, stands for
the `from` of the header (§13.7.1.2); afterwards every stanza must come from that domain and be for ours (§8.1).
"""

from __future__ import annotations

from collections.abc import Callable

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, StreamClose, StreamOpen, StreamParser
from quietwire.core.jid import JID, JIDError
from quietwire.core.sasl import SaslFailure, decode_payload, parse_external
from quietwire.core.stanza import Child, Stanza
from quietwire.server.links import Link
from quietwire.server.s2s import CLOSING, SASL, TLS, header, stands_for, stream_error, version_known
from quietwire.server.settings import Settings
from quietwire.server.timers import Timer, Timers

IDLE_SECONDS = 3600.0
"""Without a byte: a peer whose machine is gone must not hold memory for ever, one that is quiet opens a new stream."""
_STREAMS_ERROR = f"{{{ns.STREAMS}}}error"


class Incoming:
    """The streams that other servers have open. `accept` takes a new connection.

    `router_in` gets every stanza with `from_` (of the authenticated domain) and `to` (ours) parsed, and the error
    answers to those that have no valid address of ours. `note` is the log; its facts are never personal. `fault` gets
    what is our own mistake.
    """

    def __init__(
        self,
        settings: Settings,
        timers: Timers,
        router_in: Callable[[Stanza], None],
        *,
        randomness: Callable[[int], bytes],
        note: Callable[..., None],
        fault: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.timers = timers
        self.router_in = router_in
        self.randomness = randomness
        self.note = note
        self.fault = fault
        self._open: set[IncomingServerStream] = set()

    @property
    def streams(self) -> int:
        """Connections that are not yet gone."""
        return len(self._open)

    def accept(self, link: Link) -> IncomingServerStream:
        stream = IncomingServerStream(link, self)
        self._open.add(stream)
        return stream

    def gone(self, stream: IncomingServerStream) -> None:
        """The connection of `stream` is lost."""
        self._open.discard(stream)

    def shut_down(self) -> None:
        for stream in list(self._open):
            stream.shut_down()


class IncomingServerStream:
    """Implements `links.Stream`. Made by `Incoming.accept`."""

    __slots__ = (
        "_attempts", "_claimed", "_closing", "_domain", "_heard", "_host", "_link", "_open", "_parser", "_received",
        "_responding", "_securing", "_settings", "_timer",
    )  # fmt: skip

    def __init__(self, link: Link, host: Incoming) -> None:
        self._link = link
        self._host = host
        self._settings = settings = host.settings
        self._parser = StreamParser(settings.limits)
        self._claimed: JID | None = None
        """`from` of the last header."""
        self._domain: JID | None = None
        """The authenticated domain."""
        self._open = False
        self._closing = False
        self._securing = False
        """Between <proceed/> and the end of the handshake: what comes in clear is not believed, nothing is said."""
        self._responding = False
        self._attempts = 0
        self._received = 0
        self._heard = 0.0
        self._timer: Timer | None = host.timers.after(settings.unauthenticated_seconds, self._too_slow)

    # -- links.Stream -------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._closing or self._securing:
            return
        if self._domain is None:
            self._received += len(data)
            if self._received > self._settings.unauthenticated_bytes:
                self.fail(StreamError("policy-violation", "too much before authentication"))
                return
        else:
            self._heard = self._host.timers.clock()
        try:
            for event in self._parser.feed(data):
                if isinstance(event, Child):
                    self._child(event)
                elif isinstance(event, StreamOpen):
                    self._header(event)
                elif isinstance(event, StreamClose):
                    self.close()
                elif isinstance(event, Broken):
                    raise event.error
                if self._closing or self._securing:
                    return
        except StreamError as error:
            self.fail(error)
        except Exception as error:
            self._host.fault(error)
            self.fail(StreamError("internal-server-error"))

    def secured(self) -> None:
        self._securing = False
        self._parser.reset()
        self._open = False
        self._claimed = None

    def written(self) -> None:
        pass

    def lost(self) -> None:
        self._closing = True
        self._cancel_timer()
        self._host.gone(self)

    # -- ending -------------------------------------------------------------------------------------------------------

    def fail(self, error: StreamError) -> None:
        """Sends the stream error and closes."""
        if self._closing:
            return
        if self._securing:
            self._finish()
            self._link.abort()
            return
        self._host.note("server-stream-error", condition=error.condition)
        if not self._open:
            self._send_header()  # RFC 6120 §4.9.1.2: an error stands inside a stream
        self._link.put(stream_error(error))
        self._finish()

    def close(self) -> None:
        """Closes in order, or answers the peer's closing tag."""
        if self._closing:
            return
        if self._open and not self._securing:
            self._link.put(CLOSING)
        self._finish()

    def shut_down(self) -> None:
        """The server stops."""
        if self._open:
            self.fail(StreamError("system-shutdown"))
        else:
            self.close()

    def _finish(self) -> None:
        self._closing = True
        self._cancel_timer()
        self._link.close()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self.fail(StreamError("connection-timeout"))

    def _watch(self) -> None:
        """Closes a stream on which nothing came for long."""
        left = self._heard + IDLE_SECONDS - self._host.timers.clock()
        if left <= 0:
            self._too_slow()
        else:
            self._timer = self._host.timers.after(left, self._watch)

    # -- negotiation --------------------------------------------------------------------------------------------------

    def _header(self, opened: StreamOpen) -> None:
        if self._open:
            raise StreamError("bad-format")
        attributes = opened.attributes
        claimed = attributes.get("from")
        if claimed is not None:
            self._claimed = _domain(claimed)
        if opened.content != ns.SERVER:
            raise StreamError("invalid-namespace")
        to = attributes.get("to", "")
        if not to:
            raise StreamError("improper-addressing")
        if _domain(to) != self._settings.domain:
            raise StreamError("host-unknown")
        if not version_known(attributes.get("version", "")):
            raise StreamError("unsupported-version")
        if claimed is not None and (self._claimed is None or self._claimed == self._settings.domain):
            raise StreamError("invalid-from")
        if claimed is None and self._link.secure:
            raise StreamError("improper-addressing")  # before TLS nobody need say who they are (RFC 6120 §4.7.1)
        if self._domain is not None and self._claimed != self._domain:
            raise StreamError("invalid-from")
        self._send_header()
        self._link.put(self._features())

    def _send_header(self) -> None:
        self._open = True
        to = self._claimed.text if self._claimed is not None else ""
        self._link.put(header(from_=self._settings.domain.text, to=to, id=self._host.randomness(12).hex()))

    def _features(self) -> bytes:
        if not self._link.secure:
            offered = f"<starttls xmlns='{ns.TLS}'><required/></starttls>"
        elif self._domain is not None:
            offered = ""
        elif self._certified():
            offered = f"<mechanisms xmlns='{ns.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
        else:
            # Nothing could follow: there is no other way to authenticate, and the peer's administrator should know.
            raise StreamError("not-authorized", "no valid certificate of that domain was shown")
        return f"<stream:features>{offered}</stream:features>".encode()

    def _certified(self) -> bool:
        return self._claimed is not None and stands_for(self._link.peer_domains, self._claimed.domain)

    def _child(self, child: Child) -> None:
        if not self._open:  # sent along with what ended the last stream: it belongs to none
            raise StreamError("bad-format")
        if self._domain is not None:
            if isinstance(child, Stanza):
                self._stanza(child, self._domain)
            elif child.kind == _STREAMS_ERROR:
                self.close()
            else:
                raise StreamError("unsupported-stanza-type")
        elif child.kind == _STREAMS_ERROR:
            self.close()
        elif isinstance(child, Stanza):
            raise StreamError("not-authorized")
        elif not self._link.secure:
            if child.kind != f"{TLS}starttls":
                raise StreamError("policy-violation", "TLS first")
            self._link.put(f"<proceed xmlns='{ns.TLS}'/>".encode())
            self._securing = True
            self._link.start_tls()
        elif child.kind.startswith(SASL):
            self._authenticate(child)
        else:
            raise StreamError("unsupported-stanza-type")

    def _authenticate(self, child: Child) -> None:
        text = (child.tree.text or "").strip()
        responding, self._responding = self._responding, False
        try:
            if child.kind == f"{SASL}abort":
                raise SaslFailure("aborted")
            if child.kind == f"{SASL}auth" and not responding:
                if child.attributes.get("mechanism") != "EXTERNAL":
                    raise SaslFailure("invalid-mechanism")
                if not text:  # no initial response: it comes as answer to an empty challenge (RFC 6120 §6.4.2)
                    self._responding = True
                    self._link.put(f"<challenge xmlns='{ns.SASL}'/>".encode())
                    return
            elif child.kind != f"{SASL}response" or not responding:
                raise SaslFailure("malformed-request")
            self._external(parse_external(decode_payload(text)))
        except SaslFailure as failure:
            self._attempts += 1
            self._link.put(f"<failure xmlns='{ns.SASL}'><{failure.condition}/></failure>".encode())
            if self._attempts >= self._settings.login_attempts:
                raise StreamError("policy-violation", "too many attempts") from None

    def _external(self, authzid: str) -> None:
        if not self._certified():
            raise SaslFailure("not-authorized")
        if authzid and _domain(authzid) != self._claimed:
            raise SaslFailure("invalid-authzid")
        self._domain = self._claimed
        self._link.put(f"<success xmlns='{ns.SASL}'/>".encode())
        self._parser.reset()
        self._open = False
        self._cancel_timer()
        self._heard = self._host.timers.clock()
        self._watch()

    # -- stanzas ------------------------------------------------------------------------------------------------------

    def _stanza(self, stanza: Stanza, domain: JID) -> None:
        attributes = stanza.attributes
        sender, addressee = attributes.get("from"), attributes.get("to")
        if not sender or not addressee:
            raise StreamError("improper-addressing")  # RFC 6120 §8.1.1.2, §8.1.2.2
        try:
            stanza.from_ = JID.parse(sender)
        except JIDError:
            raise StreamError("invalid-from") from None
        if stanza.from_.domain != domain.domain:
            raise StreamError("invalid-from")
        try:
            stanza.to = JID.parse(addressee)
        except JIDError:
            self._malformed(stanza)
            return
        if stanza.to.domain != self._settings.domain.domain:
            raise StreamError("improper-addressing")
        self._host.router_in(stanza)

    def _malformed(self, stanza: Stanza) -> None:
        """`to` is no address: the sender is told, by the server itself, on our own stream to it."""
        if stanza.type not in ("error", "result"):
            stanza.to = self._settings.domain
            self._host.router_in(stanza.error("jid-malformed"))


def _domain(text: str) -> JID | None:
    try:
        jid = JID.parse(text)
    except JIDError:
        return None
    return jid if jid.is_domain else None
