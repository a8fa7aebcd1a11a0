"""The stream that we open to another server: header, TLS, SASL EXTERNAL, then our stanzas (RFC 6120, XEP-0178 §3).

    HEADER -> FEATURES -> PROCEED -> SECURING -> HEADER -> FEATURES -> SASL -> HEADER -> FEATURES -> READY -> ENDED
              (no TLS yet)                                 (TLS is up)                  (authenticated)

Nothing but the negotiation is written before READY, so no stanza ever leaves in clear or to a server whose
certificate does not stand for the domain.
"""

from __future__ import annotations

import base64
from enum import Enum, auto
from typing import Protocol

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, Limits, StreamClose, StreamOpen, StreamParser
from quietwire.core.jid import JID
from quietwire.core.stanza import Child, Stanza
from quietwire.core.xml import local_name
from quietwire.server.links import Link
from quietwire.server.s2s import CLOSING, SASL, TLS, Failure, header, stands_for, stream_error, version_known
from quietwire.server.timers import Timers

NEGOTIATION_SECONDS = 20.0
"""From the connection to READY: eight round trips and two signatures, and less than stanzas wait."""
_FEATURES = f"{{{ns.STREAMS}}}features"
_ERROR = f"{{{ns.STREAMS}}}error"
_MECHANISMS = f"{SASL}mechanisms"
_STARTTLS = f"{TLS}starttls"


class State(Enum):
    HEADER = auto()
    FEATURES = auto()
    PROCEED = auto()
    SECURING = auto()
    SASL = auto()
    READY = auto()
    ENDED = auto()


class Owner(Protocol):
    """Who wanted the stream (`federation.Remote`)."""

    def ready(self, stream: OutgoingServerStream) -> None:
        """Stanzas may be put."""
        ...

    def written(self, stream: OutgoingServerStream) -> None:
        """Everything put so far is in the kernel's hands."""
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


class OutgoingServerStream:
    """Implements `links.Stream`. `domain` is ours, `remote` the domain that is called."""

    __slots__ = (
        "_authenticated", "_domain", "_link", "_owner", "_parser", "_remote", "_state", "_timer",
    )  # fmt: skip

    def __init__(self, link: Link, domain: JID, remote: str, owner: Owner, *, timers: Timers, limits: Limits) -> None:
        self._link = link
        self._domain = domain
        self._remote = remote
        self._owner = owner
        self._parser = StreamParser(limits)
        self._authenticated = False
        self._state = State.HEADER
        self._timer = timers.after(NEGOTIATION_SECONDS, lambda: self._end(_failed("negotiation-timeout")))
        # Under direct TLS the certificate is judged before a word is said.
        if not link.secure or self._certificate_fits():
            self._open()

    @property
    def ready(self) -> bool:
        return self._state is State.READY

    @property
    def ended(self) -> bool:
        return self._state is State.ENDED

    def put(self, stanza: bytes) -> None:
        """One stanza; only while `ready`."""
        assert self._state is State.READY
        self._link.put(stanza)

    def close(self, failure: Failure | None = None) -> None:
        """Closes the stream in order (RFC 6120 §4.4): nothing comes in here, so nobody's answer is waited for."""
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
        for event in self._parser.feed(data):
            if isinstance(event, Child):
                self._child(event)
            elif isinstance(event, StreamOpen):
                self._header(event)
            elif isinstance(event, StreamClose):
                self._end(_failed("closed-by-peer"))
            elif isinstance(event, Broken):
                self._refuse(event.error)
            if self._state in (State.ENDED, State.SECURING):
                return

    def secured(self) -> None:
        if self._state is State.SECURING and self._certificate_fits():
            self._open()

    def written(self) -> None:
        if self._state is State.READY:
            self._owner.written(self)

    def lost(self) -> None:
        # Not permanent during the handshake either: an invalid chain and a peer that restarts look alike here.
        self._finish(_failed("tls-failed" if self._state is State.SECURING else "connection-lost"))
        self._owner.lost(self)

    # -- ending -------------------------------------------------------------------------------------------------------

    def _end(self, failure: Failure) -> None:
        if self._state is State.ENDED:
            return
        if self._state is not State.SECURING:
            self._link.put(CLOSING)
        self._finish(failure)
        self._link.close()

    def _refuse(self, error: StreamError) -> None:
        """The peer broke a rule."""
        self._link.put(stream_error(error))
        self._finish(_failed(f"peer-{error.condition}"))
        self._link.close()

    def _finish(self, failure: Failure) -> None:
        if self._state is State.ENDED:
            return
        self._state = State.ENDED
        self._timer.cancel()
        self._owner.ended(self, failure)

    # -- negotiation --------------------------------------------------------------------------------------------------

    def _certificate_fits(self) -> bool:
        if stands_for(self._link.peer_domains, self._remote):
            return True
        self._finish(_failed("certificate-of-another", permanent=True))
        self._link.close()
        return False

    def _open(self) -> None:
        self._parser.reset()
        self._state = State.HEADER
        self._link.put(header(from_=self._domain.text, to=self._remote))

    def _header(self, opened: StreamOpen) -> None:
        if self._state is not State.HEADER:
            self._refuse(StreamError("bad-format"))
        elif opened.content != ns.SERVER:
            self._refuse(StreamError("invalid-namespace"))
        elif not version_known(opened.attributes.get("version", "")):
            self._refuse(StreamError("unsupported-version"))  # a server without features: dialback alone
        else:
            self._state = State.FEATURES

    def _child(self, child: Child) -> None:
        state = self._state
        kind = child.kind
        if kind == _ERROR:
            self._stream_error(child)
        elif state is State.FEATURES and kind == _FEATURES:
            self._features(child)
        elif state is State.PROCEED and kind == f"{TLS}proceed":
            self._state = State.SECURING
            self._link.start_tls()
        elif state is State.PROCEED and kind == f"{TLS}failure":
            self._end(_failed("tls-refused"))
        elif state is State.SASL and kind == f"{SASL}success":
            self._authenticated = True
            self._open()
        elif state is State.SASL and kind == f"{SASL}challenge":
            # We said all we have: an empty response is all that EXTERNAL can add (RFC 4422 appendix A.2).
            self._link.put(f"<response xmlns='{ns.SASL}'>=</response>".encode())
        elif state is State.SASL and kind == f"{SASL}failure":
            self._sasl_failure(child)
        elif isinstance(child, Stanza):
            # RFC 6120 §4.4: this direction is ours; nothing was agreed that would let the peer use it (XEP-0288).
            self._refuse(StreamError("not-authorized"))
        elif state is not State.READY:
            self._refuse(StreamError("unsupported-stanza-type"))

    def _features(self, features: Child) -> None:
        if self._authenticated:
            self._state = State.READY
            self._timer.cancel()
            self._owner.ready(self)
        elif not self._link.secure:
            if _STARTTLS not in features.names:
                self._end(_failed("no-tls", permanent=True))
                return
            self._state = State.PROCEED
            self._link.put(f"<starttls xmlns='{ns.TLS}'/>".encode())
        elif _offers_external(features):
            self._state = State.SASL
            # ejabberd and Prosody both take the domain; '=' would do for either (XEP-0178 §3 step 9).
            authzid = base64.b64encode(self._domain.text.encode()).decode()
            self._link.put(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>{authzid}</auth>".encode())
        else:
            self._end(_failed("no-external", permanent=True))

    def _sasl_failure(self, failure: Child) -> None:
        conditions = [local_name(name) for name in failure.names if local_name(name) != "text"]
        condition = conditions[0] if conditions else "not-authorized"
        self._end(_failed("sasl-refused", permanent=condition != "temporary-auth-failure"))

    def _stream_error(self, error: Child) -> None:
        conditions = [local_name(name) for name in error.names if name.startswith(f"{{{ns.STREAM_ERRORS}}}")]
        condition = conditions[0] if conditions else "undefined-condition"
        if condition in ("host-unknown", "host-gone"):
            self._end(Failure("remote-server-not-found", "host-unknown", permanent=True))
        else:
            permanent = condition in ("not-authorized", "unsupported-version") and not self.ready
            self._end(_failed("stream-error", permanent=permanent))


def _offers_external(features: Child) -> bool:
    offered = features.child(_MECHANISMS)
    return offered is not None and any(
        mechanism.tag == f"{SASL}mechanism" and (mechanism.text or "").strip() == "EXTERNAL" for mechanism in offered
    )
