"""What every stream that we open to another server begins with: header, TLS, header again, features (RFC 6120).

    HEADER > FEATURES > PROCEED > SECURING > HEADER > FEATURES > ...
             (no TLS yet)                             (TLS is up)

What follows is the subclass's: stanzas (`s2s_out.py`), or one question about a key of dialback (`s2s_verify.py`).
"""

from __future__ import annotations

from enum import Enum, auto

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, StreamClose, StreamOpen, StreamParser
from quietwire.core.stanza import Child
from quietwire.core.xml import local_name
from quietwire.server.links import Link
from quietwire.server.s2s import CLOSING, TLS, Common, Failure, header, stands_for, stream_error, version_known

NEGOTIATION_SECONDS = 25.0
"""From the connection to READY: eight round trips, two signatures and perhaps the peer's question about our key, and
less than stanzas wait."""
_FEATURES = f"{{{ns.STREAMS}}}features"
_ERROR = f"{{{ns.STREAMS}}}error"
_STARTTLS = f"{TLS}starttls"


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


def failed(state: str, *, permanent: bool = False) -> Failure:
    """What senders are told of a stream that came to nothing. `state`, `permanent`: as `Failure` has them."""
    # RFC 6120 §8.3.3.17: whatever goes wrong after the name was found is a remote-server-timeout.
    return Failure("remote-server-timeout", state, permanent)


class Opener:
    """Implements `links.Stream`, up to features under TLS. `domain` is ours, `remote` the domain that is called."""

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
        self._timer = common.timers.after(NEGOTIATION_SECONDS, lambda: self._end(failed("negotiation-timeout")))
        # Under direct TLS the certificate is judged before a word is said.
        if not link.secure or self._certificate_fits():
            self._open()

    @property
    def ended(self) -> bool:
        return self._state is State.ENDED

    def close(self, failure: Failure | None = None) -> None:
        """Closes the stream in order (RFC 6120 §4.4); nobody's answer is waited for."""
        self._end(failure or failed("closed"))

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
                    self._end(failed("closed-by-peer"))
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
        self._finish(failed("tls-failed" if self._state is State.SECURING else "connection-lost"))
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
        self._finish(failed(f"peer-{error.condition}"))
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
        self._finish(failed(f"certificate-{problem}", permanent=True))
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
                self._end(failed("no-tls", permanent=True))
            else:
                self._state = State.PROCEED
                self._link.put(f"<starttls xmlns='{ns.TLS}'/>".encode())
        elif state is State.PROCEED and kind == f"{TLS}proceed":
            self._state = State.SECURING
            self._link.start_tls()
        elif state is State.PROCEED and kind == f"{TLS}failure":
            self._end(failed("tls-refused"))
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
            self._end(failed("stream-error", permanent=permanent))
