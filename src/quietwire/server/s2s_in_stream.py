"""One stream that another server has opened to us: TLS, then EXTERNAL or dialback (`s2s_judge.py`), then its stanzas
(RFC 6120, XEP-0178, XEP-0220, XEP-0288).

A pair of domains, theirs and ours, is authenticated by SASL EXTERNAL for the addresses of the header, or by dialback
for any pair and as many as wanted. A certificate that is valid under our authorities and stands for their domain is
proof enough for either. Without one there is dialback: the key is shown to that domain's own server, and unless
dialback alone is allowed, that one must show such a certificate.
"""

from __future__ import annotations

from typing import Protocol

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, StreamClose, StreamOpen, StreamParser
from quietwire.core.sasl import SaslFailure, decode_payload, parse_external
from quietwire.core.stanza import Child, Stanza
from quietwire.core.xml import escape
from quietwire.server.links import Link
from quietwire.server.s2s import (
    BIDI,
    CLOSING,
    IDLE_SECONDS,
    SASL,
    SM,
    TLS,
    Common,
    domain_of,
    header,
    limit_of,
    limits,
    stands_for,
    stream_error,
    version_known,
)
from quietwire.server.s2s_judge import Judge, Verify
from quietwire.server.s2s_traffic import Traffic, number
from quietwire.server.sm import MODULO
from quietwire.server.timers import Timer

RESUME_SECONDS = 180.0
"""How long a stream waits for its peer's next connection: longer than a peer needs to notice and to dial."""
FIRST_WORD_SECONDS = 2.0
"""For a peer that agreed to both directions to say whether it resumes a stream; then this one is used as it is."""
_STREAMS_ERROR = f"{{{ns.STREAMS}}}error"


class Outward(Verify, Protocol):
    """The other direction (`federation.Federation`)."""

    def adopt(self, traffic: Traffic, theirs: str, ours: str) -> None:
        """The peer agreed to get our stanzas on that stream."""
        ...

    def parted(self, traffic: Traffic, *, resumable: bool) -> None:
        """The connection under it is gone."""
        ...

    def returned(self, traffic: Traffic) -> None:
        """It has a connection again."""
        ...


class Host(Protocol):
    """All streams of other servers together (`s2s_in.Incoming`)."""

    common: Common
    outward: Outward

    def gone(self, stream: IncomingServerStream) -> None:
        """Its connection is lost."""
        ...

    def park(self, traffic: Traffic) -> None:
        """Keeps what a lost connection carried until its peer comes back."""
        ...

    def drop(self, traffic: Traffic) -> None:
        """Nobody will come back for it."""
        ...

    def unpark(self, resume_id: str, theirs: str, ours: str) -> Traffic | None:
        """The traffic that waits under that id, if it is that pair's."""
        ...


class IncomingServerStream:
    """Implements `links.Stream`. Made by `s2s_in.Incoming.accept`."""

    __slots__ = (
        "_attempts", "_bidi", "_claimed", "_common", "_first", "_host", "_judge", "_left", "_open", "_ours", "_parser",
        "_received", "_responding", "_restarted", "_securing", "_settings", "_timer", "closing", "heard", "link",
        "stream_id", "traffic",
    )  # fmt: skip

    def __init__(self, link: Link, host: Host) -> None:
        self.link = link
        self._host = host
        self._common = common = host.common
        self._settings = settings = common.settings
        self._parser = StreamParser(settings.limits)
        self._claimed = ""
        """`from` of the last header."""
        self._ours = settings.domain.domain
        """`to` of it."""
        self.stream_id = ""
        self._open = False
        self.closing = False
        self._left = False
        """The traffic is somebody else's now, or over."""
        self._securing = False
        """Between <proceed/> and the end of the handshake: what comes in clear is not believed, nothing is said."""
        self._responding = False
        self._restarted = False
        """EXTERNAL succeeded: the pair of the header is authenticated."""
        self._bidi = False
        self._judge = Judge(common, host.outward, self)
        self._attempts = 0
        self._received = 0
        self.heard = 0
        """First-level children so far: what the rate of a stream is measured by."""
        self._first: Timer | None = None
        self.traffic = Traffic(common, link, self.fail, self._silent)
        self._timer: Timer | None = common.timers.after(settings.unauthenticated_seconds, self._too_slow)

    # -- links.Stream -------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self.closing or self._securing:
            return
        known = bool(self.traffic.pairs)
        if not known:
            self._received += len(data)
            if self._received > self._settings.unauthenticated_bytes:
                self.fail(StreamError("policy-violation", "too much before authentication"))
                return
        before = self.heard
        try:
            for event in self._parser.feed(data):
                if isinstance(event, Child):
                    self.heard += 1
                    self._child(event)
                elif isinstance(event, StreamOpen):
                    self._header(event)
                elif isinstance(event, StreamClose):
                    self.close()
                elif isinstance(event, Broken):
                    raise event.error
                if self.closing or self._securing:
                    return
            if known:
                self.traffic.weigh(len(data), self.heard - before)
        except StreamError as error:
            self.fail(error)
        except Exception as error:
            self._common.fault(error)
            self.fail(StreamError("internal-server-error"))

    def secured(self) -> None:
        self._securing = False
        self._parser.reset()
        self._open = False
        self._claimed = ""

    def written(self) -> None:
        self.traffic.written()

    def room(self) -> None:
        """A paced link has room in its next cell."""
        self.traffic.room()

    def lost(self) -> None:
        orderly, self.closing = self.closing, True
        self._leave(orderly=orderly)
        self._parser.close()
        self._host.gone(self)

    def _leave(self, *, orderly: bool) -> None:
        if self._left:
            return
        self._left = True
        self._cancel_timer()
        self._judge.cancel()
        traffic = self.traffic
        traffic.detach()
        if traffic.resume_id and not orderly:
            self._host.park(traffic)
        else:
            self._host.drop(traffic)

    # -- ending -------------------------------------------------------------------------------------------------------

    def fail(self, error: StreamError) -> None:
        """Sends the stream error and closes."""
        if self.closing:
            return
        if self._securing:
            self._finish()
            self.link.abort()
            return
        self._tell("server-stream-error", condition=error.condition)
        if not self._open:
            self._send_header()  # RFC 6120 §4.9.1.2: an error stands inside a stream
        self.link.put(stream_error(error))
        self._finish()

    def close(self) -> None:
        """Closes in order, or answers the peer's closing tag."""
        if self.closing:
            return
        if self._open and not self._securing:
            self.traffic.say()
            self.link.put(CLOSING)
        self._finish()

    def shut_down(self) -> None:
        """The server stops."""
        if self._open:
            self.traffic.say()
            self.fail(StreamError("system-shutdown"))
        else:
            self.close()

    def displace(self) -> None:
        """The peer has resumed this stream on a connection that it knows to be alive."""
        self.closing = True
        self._leave(orderly=False)
        self.link.abort()

    def _finish(self) -> None:
        self.closing = True
        self.link.close()
        self._leave(orderly=True)

    def _cancel_timer(self) -> None:
        for timer in (self._timer, self._first):
            if timer is not None:
                timer.cancel()
        self._timer = self._first = None

    def _too_slow(self) -> None:
        self._timer = None
        self.fail(StreamError("connection-timeout"))

    def _silent(self) -> None:
        """A peer that takes our stanzas on this stream gives no sign of life."""
        if not self.closing:
            self.closing = True
            self._leave(orderly=False)
            self.link.abort()

    def _watch(self) -> None:
        """Closes a stream on which nothing came for long."""
        left = self.traffic.heard + IDLE_SECONDS - self._common.timers.clock()
        if left <= 0:
            self._too_slow()
        else:
            self._timer = self._common.timers.after(left, self._watch)

    def _tell(self, event: str, **facts: str) -> None:
        if self._claimed:
            self._common.tell(event, self._claimed, **facts)
        else:
            self._common.note(event, **facts)

    # -- negotiation --------------------------------------------------------------------------------------------------

    def _header(self, opened: StreamOpen) -> None:
        if self._open:
            raise StreamError("bad-format")
        attributes = opened.attributes
        claimed = domain_of(attributes.get("from", ""))
        ours = domain_of(attributes.get("to", ""))
        served = bool(ours) and self._common.ours(ours)
        before = self._claimed, self._ours
        if claimed and not self._restarted:
            self._claimed = claimed
        if served and not self._restarted:
            self._ours = ours
        if opened.content != ns.SERVER:
            raise StreamError("invalid-namespace")
        if not attributes.get("to"):
            raise StreamError("improper-addressing")
        if not served:
            raise StreamError("host-unknown")
        if not version_known(attributes.get("version", "")):
            raise StreamError("unsupported-version")
        if "from" in attributes and (not claimed or self._common.ours(claimed)):
            raise StreamError("invalid-from")
        if not claimed and self.link.secure:
            raise StreamError("improper-addressing")  # before TLS nobody need say who they are (RFC 6120 §4.7.1)
        if self._restarted and (claimed, ours) != before:
            raise StreamError("invalid-from")
        if claimed and not self._common.policy.admits(claimed):
            raise StreamError("policy-violation")
        self._send_header()
        self.link.put(f"<stream:features>{self._features()}</stream:features>".encode())

    def _send_header(self) -> None:
        self._open = True
        self.stream_id = self._common.randomness(12).hex()
        self.link.put(header(from_=self._ours, to=self._claimed, id=self.stream_id))

    def _features(self) -> str:
        if not self.link.secure:
            return f"<starttls xmlns='{ns.TLS}'><required/></starttls>"
        common = f"<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>{limits(self._settings)}"
        if self._restarted:
            return f"<sm xmlns='{ns.SM}'/>{common}"
        offered = ""
        if self.certified(self._claimed):
            offered = f"<mechanisms xmlns='{ns.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
        elif self.link.peer_fault not in ("", "missing"):
            # Dialback may still succeed, and the administrators of both would want to know.
            self._tell("server-stream", state=f"certificate-{self.link.peer_fault}")
        bidi = "<bidi xmlns='urn:xmpp:features:bidi'/>" if self._may_hear_us(self._claimed) else ""
        return f"{offered}{bidi}{common}"

    @property
    def known(self) -> bool:
        """The peer has proved a domain."""
        return bool(self.traffic.pairs)

    def certified(self, domain: str) -> bool:
        return bool(domain) and stands_for(self.link.peer_domains, domain)

    def _may_hear_us(self, theirs: str) -> bool:
        """What we say may go out on this stream by the same rule as on one of ours: a key that was asked about proves
        where stanzas come from, not who reads along (docs/adr/0010)."""
        return self._common.policy.authentication == "dialback" or self.certified(theirs)

    def _child(self, child: Child) -> None:
        if not self._open:  # sent along with what ended the last stream: it belongs to none
            raise StreamError("bad-format")
        kind = child.kind
        if kind == _STREAMS_ERROR:
            self.close()
        elif not self.link.secure:
            if isinstance(child, Stanza):
                raise StreamError("not-authorized")
            if kind != f"{TLS}starttls":
                raise StreamError("policy-violation", "TLS first")
            self.link.put(f"<proceed xmlns='{ns.TLS}'/>".encode())
            self._securing = True
            self.link.start_tls()
        elif self.traffic.pairs:
            self._established(child)
        elif isinstance(child, Stanza):
            raise StreamError("not-authorized")
        elif kind == BIDI:
            self._bidi = True
            self.traffic.max_bytes = limit_of(child)
        elif kind.startswith(SASL):
            self._authenticate(child)
        else:
            self._judge.hear(child)

    def _established(self, child: Child) -> None:
        kind = child.kind
        if isinstance(child, Stanza):
            if self._first is not None:
                self.begin()
            self.traffic.hear(child)
        elif kind == f"{SM}enable" and self._restarted and not self.traffic.managed:
            self._enable(child)
        elif kind == f"{SM}resume" and self._restarted and not self.traffic.managed:
            self._resume(child)
        elif kind in (f"{SM}enable", f"{SM}resume"):
            self.link.put(_failed("unexpected-request"))
        elif not self.traffic.hear(child):
            self._judge.hear(child)

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
                    self.link.put(f"<challenge xmlns='{ns.SASL}'/>".encode())
                    return
            elif child.kind != f"{SASL}response" or not responding:
                raise SaslFailure("malformed-request")
            self._external(parse_external(decode_payload(text)))
        except SaslFailure as failure:
            self._attempts += 1
            self.link.put(f"<failure xmlns='{ns.SASL}'><{failure.condition}/></failure>".encode())
            if self._attempts >= self._settings.login_attempts:
                raise StreamError("policy-violation", "too many attempts") from None

    def _external(self, authzid: str) -> None:
        if not self.certified(self._claimed):
            raise SaslFailure("not-authorized")
        if authzid and domain_of(authzid) != self._claimed:
            raise SaslFailure("invalid-authzid")
        self.admit(self._claimed, self._ours)
        self._restarted = True
        self.link.put(f"<success xmlns='{ns.SASL}'/>".encode())
        self._parser.reset()
        self._open = False
        if self._bidi:
            self._first = self._common.timers.after(FIRST_WORD_SECONDS, self.begin)

    def admit(self, theirs: str, ours: str) -> None:
        """The pair is authenticated."""
        traffic = self.traffic
        if traffic.peer is None:
            peer = self._common.peers.enter(theirs)
            if peer is None:
                raise StreamError("resource-constraint", "too many connections")
            traffic.peer = peer
        if not traffic.pairs:
            traffic.welcome()
            self._cancel_timer()
            traffic.heard = self._common.timers.clock()
            self._watch()
            self._common.tell("server-stream", theirs, state="accepted")
        traffic.pairs.add((theirs, ours))

    def begin(self) -> None:
        """Our own stanzas may go out on this stream."""
        if self._first is not None:
            self._first.cancel()
            self._first = None
        traffic = self.traffic
        if not self._bidi or not traffic.live:
            return
        for theirs, ours in sorted(traffic.pairs):
            if self._may_hear_us(theirs):
                traffic.sends = True
                traffic.watch()
                self._host.outward.adopt(traffic, theirs, ours)

    # -- stream management --------------------------------------------------------------------------------------------

    def _enable(self, child: Child) -> None:
        traffic = self.traffic
        extra = ""
        if child.attributes.get("resume") in ("true", "1"):
            traffic.resume_id = self._common.randomness(16).hex()
            extra = f" id='{traffic.resume_id}' resume='true' max='{int(RESUME_SECONDS)}'"
        traffic.manage()
        self.link.put(f"<enabled xmlns='{ns.SM}'{extra}/>".encode())
        self.begin()

    def _resume(self, child: Child) -> None:
        previd, h = child.attributes.get("previd", ""), number(child)
        old = self._host.unpark(previd, self._claimed, self._ours) if h is not None else None
        if old is None:
            self.link.put(_failed("item-not-found"))
            return
        try:
            old.confirm(h)
        except StreamError:
            self._host.drop(old)
            raise
        fresh, self.traffic = self.traffic, old
        self._host.drop(fresh)
        # What it is told to have been handled it will not send again: that must be durable.
        old.counts.when_safe(lambda: self._resumed(old, previd))

    def _resumed(self, old: Traffic, previd: str) -> None:
        if self.closing or old is not self.traffic:
            return
        handled = old.counts.handled % MODULO
        self.link.put(f"<resumed xmlns='{ns.SM}' previd='{escape(previd)}' h='{handled}'/>".encode())
        old.attach(self.link, self.fail, self._silent)
        if self._first is not None:
            self._first.cancel()
            self._first = None
        self._host.outward.returned(old)


def _failed(condition: str) -> bytes:
    return f"<failed xmlns='{ns.SM}'><{condition} xmlns='{ns.STANZAS}'/></failed>".encode()
