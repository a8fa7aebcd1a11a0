"""The stream that we open to another server: header, TLS, then EXTERNAL or dialback, then stanzas (RFC 6120, XEP-0178,
XEP-0220, XEP-0288).

    HEADER > FEATURES > PROCEED > SECURING > HEADER > FEATURES > SASL > HEADER > FEATURES > SM > READY > ENDED
             (no TLS yet)                             (TLS is up) |              (authenticated)   |
                                                                  +-----------> DIALBACK ----------+

Nothing but the negotiation is written before READY, so no stanza ever leaves in clear or, unless dialback alone is
allowed, to a server whose certificate does not stand for the domain.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, StreamClose, StreamOpen, StreamParser
from quietwire.core.stanza import Child, Stanza
from quietwire.core.xml import escape, local_name
from quietwire.server import s2s_dialback as dialback
from quietwire.server.links import Link
from quietwire.server.s2s import (
    BIDI_FEATURE,
    CLOSING,
    DIALBACK_FEATURE,
    SASL,
    SM,
    TLS,
    Common,
    Failure,
    domain_of,
    header,
    limit_of,
    limits,
    stands_for,
    stream_error,
    version_known,
)
from quietwire.server.s2s_traffic import Traffic, number
from quietwire.server.sm import MODULO

NEGOTIATION_SECONDS = 25.0
"""From the connection to READY: eight round trips, two signatures and perhaps the peer's question about our key, and
less than stanzas wait."""
_FEATURES = f"{{{ns.STREAMS}}}features"
_ERROR = f"{{{ns.STREAMS}}}error"
_MECHANISMS = f"{SASL}mechanisms"
_STARTTLS = f"{TLS}starttls"
_SM_FEATURE = f"{SM}sm"
_PASSING = frozenset(("remote-server-timeout", "resource-constraint", "internal-server-error", "undefined-condition"))
"""Dialback errors that another try may not meet."""


class State(Enum):
    HEADER = auto()
    FEATURES = auto()
    PROCEED = auto()
    SECURING = auto()
    SASL = auto()
    DIALBACK = auto()
    SM = auto()
    READY = auto()
    ENDED = auto()


class Owner(Protocol):
    """Who wanted the stream (`federation.Remote`)."""

    def ready(self, stream: OutgoingServerStream, resumed: bool) -> None:
        """Stanzas may be put on `stream.traffic`."""
        ...

    def ended(self, stream: OutgoingServerStream, failure: Failure) -> None:
        """Nothing can be put any more. Called once, even for a stream that never was ready."""
        ...

    def lost(self, stream: OutgoingServerStream) -> None:
        """The connection is gone; the last call."""
        ...


def _failed(state: str, *, permanent: bool = False) -> Failure:
    # RFC 6120 §8.3.3.17: whatever goes wrong after the name was found is a remote-server-timeout.
    return Failure("remote-server-timeout", state, permanent)


class Opener:
    """Implements `links.Stream`: what every stream that we open begins with, up to features under TLS. `domain` is
    ours, `remote` the domain that is called."""

    __slots__ = ("_common", "_domain", "_link", "_parser", "_remote", "_state", "_stream_id", "_timer", "certified")

    def __init__(self, link: Link, domain: str, remote: str, common: Common) -> None:
        self._link = link
        self._domain = domain
        self._remote = remote
        self._common = common
        self._parser = StreamParser(common.settings.limits)
        self._state = State.HEADER
        self._stream_id = ""
        self.certified = False
        """The peer's certificate stands for the domain."""
        self._timer = common.timers.after(NEGOTIATION_SECONDS, lambda: self._end(_failed("negotiation-timeout")))
        # Under direct TLS the certificate is judged before a word is said.
        if not link.secure or self._certificate_fits():
            self._open()

    @property
    def ended(self) -> bool:
        return self._state is State.ENDED

    def close(self, failure: Failure | None = None) -> None:
        """Closes the stream in order (RFC 6120 §4.4); nobody's answer is waited for."""
        self._end(failure or _failed("closed"))

    def abort(self, failure: Failure) -> None:
        """The peer does not read: nothing can be said to it."""
        if self._state is not State.ENDED:
            self._finish(failure)
            self._link.abort()

    # -- links.Stream -------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._state in (State.ENDED, State.SECURING):
            return  # between <proceed/> and the handshake there is nothing that could be believed
        try:
            stanzas = 0
            for event in self._parser.feed(data):
                if isinstance(event, Child):
                    stanzas += 1
                    self._child(event)
                elif isinstance(event, StreamOpen):
                    self._header(event)
                elif isinstance(event, StreamClose):
                    self._end(_failed("closed-by-peer"))
                elif isinstance(event, Broken):
                    raise event.error
                if self._state in (State.ENDED, State.SECURING):
                    return
            self._weigh(len(data), stanzas)
        except StreamError as error:
            self._refuse(error)
        except Exception as error:
            self._common.fault(error)
            self._refuse(StreamError("internal-server-error"))

    def _weigh(self, size: int, stanzas: int) -> None:
        """So much was read."""

    def secured(self) -> None:
        if self._state is State.SECURING and self._certificate_fits():
            self._open()

    def written(self) -> None: ...

    def lost(self) -> None:
        # Not permanent during the handshake either: a peer that restarts looks alike here.
        self._finish(_failed("tls-failed" if self._state is State.SECURING else "connection-lost"))
        self._parser.close()

    # -- ending -------------------------------------------------------------------------------------------------------

    def _end(self, failure: Failure) -> None:
        if self._state is State.ENDED:
            return
        if self._state is not State.SECURING:
            self._link.put(CLOSING)
        self._finish(failure)
        self._link.close()

    def _refuse(self, error: StreamError) -> None:
        """The peer broke a rule, or we did."""
        if self._state is State.ENDED:
            return
        self._link.put(stream_error(error))
        self._finish(_failed(f"peer-{error.condition}"))
        self._link.close()

    def _finish(self, failure: Failure) -> None:
        if self._state is State.ENDED:
            return
        self._state = State.ENDED
        self._timer.cancel()
        self._over(failure)

    def _over(self, failure: Failure) -> None:
        """Told once."""
        raise NotImplementedError

    # -- negotiation --------------------------------------------------------------------------------------------------

    def _certificate_fits(self) -> bool:
        self.certified = stands_for(self._link.peer_domains, self._remote)
        if self.certified or self._common.policy.authentication == "dialback":
            return True
        problem = self._link.peer_fault or "of-another"
        self._finish(_failed(f"certificate-{problem}", permanent=True))
        self._link.close()
        return False

    def _open(self) -> None:
        self._parser.reset()
        self._state = State.HEADER
        self._link.put(header(from_=self._domain, to=self._remote))

    def _header(self, opened: StreamOpen) -> None:
        if self._state is not State.HEADER:
            raise StreamError("bad-format")
        if opened.content != ns.SERVER:
            raise StreamError("invalid-namespace")
        if not version_known(opened.attributes.get("version", "")):
            raise StreamError("unsupported-version")  # a server without features and TLS
        self._stream_id = opened.attributes.get("id", "")
        self._state = State.FEATURES

    def _child(self, child: Child) -> None:
        state = self._state
        kind = child.kind
        if kind == _ERROR:
            self._stream_error(child)
        elif state is State.FEATURES and kind == _FEATURES:
            if self._link.secure:
                self._features(child)
            elif _STARTTLS not in child.names:
                self._end(_failed("no-tls", permanent=True))
            else:
                self._state = State.PROCEED
                self._link.put(f"<starttls xmlns='{ns.TLS}'/>".encode())
        elif state is State.PROCEED and kind == f"{TLS}proceed":
            self._state = State.SECURING
            self._link.start_tls()
        elif state is State.PROCEED and kind == f"{TLS}failure":
            self._end(_failed("tls-refused"))
        else:
            self._hear(child)

    def _features(self, features: Child) -> None:
        """Features under TLS."""
        raise NotImplementedError

    def _hear(self, child: Child) -> None:
        """Anything else. Raises StreamError."""
        raise NotImplementedError

    def _stream_error(self, error: Child) -> None:
        conditions = [local_name(name) for name in error.names if name.startswith(f"{{{ns.STREAM_ERRORS}}}")]
        condition = conditions[0] if conditions else "undefined-condition"
        if condition in ("host-unknown", "host-gone"):
            self._end(Failure("remote-server-not-found", "host-unknown", permanent=True))
        else:
            permanent = condition in ("not-authorized", "unsupported-version") and self._state is not State.READY
            self._end(_failed("stream-error", permanent=permanent))


class OutgoingServerStream(Opener):
    """For stanzas. `resume`: the traffic of a stream whose connection was lost, to go on with if the peer still can."""

    __slots__ = ("_authenticated", "_bidi", "_dialback", "_owner", "_resume", "_said_key", "traffic")

    def __init__(
        self, link: Link, domain: str, remote: str, owner: Owner, common: Common, resume: Traffic | None = None
    ) -> None:
        self._owner = owner
        self._resume = resume
        self._authenticated = False
        self._bidi = False
        self._dialback = False
        """The peer offers it."""
        self._said_key = False
        self.traffic = Traffic(common, link, self._refuse, self._dead)
        self.traffic.sends = True
        super().__init__(link, domain, remote, common)

    @property
    def ready(self) -> bool:
        return self._state is State.READY

    def _dead(self) -> None:
        self.abort(_failed("silent"))

    def _weigh(self, size: int, stanzas: int) -> None:
        if self._state is State.READY:
            self.traffic.weigh(size, stanzas)

    def written(self) -> None:
        if self._state is State.READY:
            self.traffic.written()

    def lost(self) -> None:
        super().lost()
        self._owner.lost(self)

    def _end(self, failure: Failure) -> None:
        if self._state is State.READY:
            self.traffic.say()
        super()._end(failure)

    def _over(self, failure: Failure) -> None:
        self.traffic.detach()
        self._owner.ended(self, failure)

    # -- authentication -----------------------------------------------------------------------------------------------

    def _features(self, features: Child) -> None:
        self.traffic.max_bytes = limit_of(features) or self.traffic.max_bytes
        if self._authenticated:
            self._agree(features)
            return
        self._dialback = DIALBACK_FEATURE in features.names
        # What it sends to us on this stream is believed, so its certificate must say who it is.
        if self.certified and BIDI_FEATURE in features.names:
            self._bidi = True
            self._link.put(f"<bidi xmlns='urn:xmpp:bidi'>{limits(self._common.settings)}</bidi>".encode())
        if _offers_external(features):
            self._state = State.SASL
            # ejabberd and Prosody both take the domain; '=' would do for either (XEP-0178 §3 step 9).
            authzid = base64.b64encode(self._domain.encode()).decode()
            self._link.put(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>{authzid}</auth>".encode())
        elif self._dialback:
            self._say_key()
        else:
            self._end(_failed("no-external", permanent=True))

    def _say_key(self) -> None:
        self._said_key = True
        self._state = State.DIALBACK
        key = self._common.keys.make(self._remote, self._domain, self._stream_id)
        self._link.put(dialback.asking(dialback.RESULT, self._domain, self._remote, key))

    def _hear(self, child: Child) -> None:
        state, kind = self._state, child.kind
        if state is State.READY:
            self._established(child)
        elif state is State.SASL and kind == f"{SASL}success":
            self._authenticated = True
            self._open()
        elif state is State.SASL and kind == f"{SASL}challenge":
            # We said all we have: an empty response is all that EXTERNAL can add (RFC 4422 appendix A.2).
            self._link.put(f"<response xmlns='{ns.SASL}'>=</response>".encode())
        elif state is State.SASL and kind == f"{SASL}failure":
            self._sasl_failure(child)
        elif state is State.DIALBACK and kind == dialback.RESULT:
            self._judged(child)
        elif state is State.SM and kind.startswith(SM):
            self._sm(child)
        elif state is State.SM and isinstance(child, Stanza) and self._bidi and self._resume is None:
            self.traffic.hear(child)  # the peer is ready before we are
        elif isinstance(child, Stanza):
            # RFC 6120 §4.4: this direction is ours; nothing was agreed that would let the peer use it (XEP-0288).
            raise StreamError("not-authorized")
        else:
            raise StreamError("unsupported-stanza-type")

    def _sasl_failure(self, failure: Child) -> None:
        if self._dialback:
            self._say_key()  # XEP-0178 §3 step 11
            return
        conditions = [local_name(name) for name in failure.names if local_name(name) != "text"]
        condition = conditions[0] if conditions else "not-authorized"
        self._end(_failed("sasl-refused", permanent=condition != "temporary-auth-failure"))

    def _judged(self, child: Child) -> None:
        if not self._about_us(child):
            raise StreamError("invalid-from")
        outcome = dialback.outcome_of(child)
        if outcome == "valid":
            self._ready(resumed=False)
        else:
            self._end(_failed("dialback-refused", permanent=outcome not in _PASSING))

    def _about_us(self, child: Child) -> bool:
        addresses = child.attributes
        return (domain_of(addresses.get("from", "")), domain_of(addresses.get("to", ""))) == (
            self._remote,
            self._domain,
        )

    # -- what is agreed -----------------------------------------------------------------------------------------------

    def _agree(self, features: Child) -> None:
        old = self._resume
        if _SM_FEATURE not in features.names:
            self._ready(resumed=False)
        elif old is not None:
            self._state = State.SM
            # What it is told to have been handled it will not send again: that must be durable.
            old.counts.when_safe(self._ask_to_resume)
        else:
            self._enable()

    def _ask_to_resume(self) -> None:
        old = self._resume
        if self._state is State.SM and old is not None:
            h = old.counts.handled % MODULO
            self._link.put(f"<resume xmlns='{ns.SM}' previd='{escape(old.resume_id)}' h='{h}'/>".encode())

    def _enable(self) -> None:
        self._state = State.SM
        self._permit()
        self._link.put(f"<enable xmlns='{ns.SM}' resume='true'/>".encode())

    def _permit(self) -> None:
        """From now on the peer may send on this stream, where that was agreed."""
        if self._bidi:
            self.traffic.pairs.add((self._remote, self._domain))

    def _sm(self, child: Child) -> None:
        kind = child.kind
        old, self._resume = self._resume, None
        if kind == f"{SM}resumed" and old is not None:
            old.confirm(number(child))
            self.traffic.close()
            self.traffic = old
            old.attach(self._link, self._refuse, self._dead)
            self._ready(resumed=True)
        elif kind == f"{SM}failed" and old is not None:
            h = number(child)
            if h is not None:
                old.confirm(h)  # XEP-0198 §5: what it had, though the rest is forgotten
            self._enable()
        elif kind == f"{SM}enabled" and old is None:
            self.traffic.manage()
            if child.attributes.get("resume") in ("true", "1"):
                self.traffic.resume_id = child.attributes.get("id", "")
            self._ready(resumed=False)
        elif kind == f"{SM}failed":
            self._ready(resumed=False)
        elif kind == f"{SM}r" and old is None:
            # Between its <enabled/> and our being told there can be none; a peer that asks early is answered so.
            self._link.put(f"<a xmlns='{ns.SM}' h='0'/>".encode())
        else:
            raise StreamError("unsupported-stanza-type")

    def _ready(self, *, resumed: bool) -> None:
        self._permit()
        self._state = State.READY
        self._timer.cancel()
        self.traffic.watch()
        self._owner.ready(self, resumed)

    def _established(self, child: Child) -> None:
        if self.traffic.pairs or child.kind.startswith(SM):
            if self.traffic.hear(child):
                return
        elif isinstance(child, Stanza):
            raise StreamError("not-authorized")
        if child.kind == dialback.RESULT:
            raise StreamError("invalid-id")  # XEP-0220 §3: an answer that nobody asked for


class Verification(Opener):
    """Asks the authoritative server of `remote` whether a key is its own (XEP-0220 §2.1.2), then closes.

    `answered(outcome)` is called once: "valid", "invalid" or the condition of a dialback error; `gone` last of all.
    """

    __slots__ = ("_answered", "_gone", "_id", "_key", "_outcome")

    def __init__(
        self,
        link: Link,
        domain: str,
        remote: str,
        common: Common,
        *,
        stream_id: str,
        key: str,
        answered: Callable[[str], None],
        gone: Callable[[Verification], None],
    ) -> None:
        self._id = stream_id
        self._key = key
        self._answered = answered
        self._gone = gone
        self._outcome = ""
        super().__init__(link, domain, remote, common)

    def _features(self, features: Child) -> None:
        self._state = State.DIALBACK
        self._link.put(dialback.asking(dialback.VERIFY, self._domain, self._remote, self._key, self._id))

    def _hear(self, child: Child) -> None:
        addresses = child.attributes
        if self._state is not State.DIALBACK or child.kind != dialback.VERIFY:
            raise StreamError("unsupported-stanza-type")
        told = domain_of(addresses.get("from", "")), domain_of(addresses.get("to", "")), addresses.get("id")
        if told != (self._remote, self._domain, self._id):
            raise StreamError("invalid-id")
        outcome = dialback.outcome_of(child)
        self._outcome = outcome if outcome in ("valid", "invalid") else "remote-server-timeout"
        self._end(_failed("closed"))

    def _over(self, failure: Failure) -> None:
        self._answered(self._outcome or condition_of(failure))

    def lost(self) -> None:
        super().lost()
        self._gone(self)


def condition_of(failure: Failure) -> str:
    """The dialback error for a question that could not be asked (XEP-0220 §2.5)."""
    if failure.state.startswith("certificate-"):
        return "not-authorized"
    return failure.condition


def _offers_external(features: Child) -> bool:
    offered = features.child(_MECHANISMS)
    return offered is not None and any(
        mechanism.tag == f"{SASL}mechanism" and (mechanism.text or "").strip() == "EXTERNAL" for mechanism in offered
    )
