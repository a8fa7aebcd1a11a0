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
from typing import Protocol

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.stanza import Child, Stanza
from quietwire.core.xml import escape, local_name
from quietwire.server import s2s_dialback as dialback
from quietwire.server.links import Link
from quietwire.server.s2s import (
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    SASL,
    SM,
    Common,
    Failure,
    domain_of,
    limit_of,
    limits,
)
from quietwire.server.s2s_open import Opener, State, failed
from quietwire.server.s2s_traffic import Traffic, number
from quietwire.server.sm import MODULO

_MECHANISMS = f"{SASL}mechanisms"
_SM_FEATURE = f"{SM}sm"
_PASSING = frozenset(("remote-server-timeout", "resource-constraint", "internal-server-error", "undefined-condition"))
"""Dialback errors that another try may not meet."""


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
        self.abort(failed("silent"))

    def _weigh(self, size: int, stanzas: int) -> None:
        if self._state is State.READY:
            self.traffic.weigh(size, stanzas)

    def written(self) -> None:
        if self._state is State.READY:
            self.traffic.written()

    def room(self) -> None:
        """A paced link has room in its next cell."""
        if self._state is State.READY:
            self.traffic.room()

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
            self._end(failed("no-external", permanent=True))

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
        self._end(failed("sasl-refused", permanent=condition != "temporary-auth-failure"))

    def _judged(self, child: Child) -> None:
        if not self._about_us(child):
            raise StreamError("invalid-from")
        outcome = dialback.outcome_of(child)
        if outcome == "valid":
            self._ready(resumed=False)
        else:
            self._end(failed("dialback-refused", permanent=outcome not in _PASSING))

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
        self.traffic.welcome()
        self._owner.ready(self, resumed)

    def _established(self, child: Child) -> None:
        if self.traffic.pairs or child.kind.startswith(SM):
            if self.traffic.hear(child):
                return
        elif isinstance(child, Stanza):
            raise StreamError("not-authorized")
        if child.kind == dialback.RESULT:
            raise StreamError("invalid-id")  # XEP-0220 §3: an answer that nobody asked for


def _offers_external(features: Child) -> bool:
    offered = features.child(_MECHANISMS)
    return offered is not None and any(
        mechanism.tag == f"{SASL}mechanism" and (mechanism.text or "").strip() == "EXTERNAL" for mechanism in offered
    )
