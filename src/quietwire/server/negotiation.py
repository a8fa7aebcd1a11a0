"""What a client's stream does before it carries a session (RFC 6120 §4.3): header, TLS, login, binding."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from quietwire.core import ns
from quietwire.core.errors import QuietwireError, StanzaError, StreamError
from quietwire.core.framing import StreamOpen
from quietwire.core.jid import JID, JIDError
from quietwire.core.later import drive
from quietwire.core.stanza import Child, Iq, Stanza
from quietwire.core.xml import build
from quietwire.server import c2s_sm
from quietwire.server.bound import Bound
from quietwire.server.c2s_host import Carrier, Host
from quietwire.server.c2s_sasl import SASL, Login
from quietwire.server.c2s_sasl2 import SASL2, Login2
from quietwire.server.c2s_sm import failed
from quietwire.server.features import after_login, before_login
from quietwire.server.module import ANEW

T = TypeVar("T")

_TLS = f"{{{ns.TLS}}}"
_ERROR = f"{{{ns.STREAMS}}}error"
_BIND = f"{{{ns.BIND}}}bind"


class Negotiation:
    """Let go of once the stream carries a session."""

    __slots__ = ("_answered", "_host", "_login", "_login2", "_memory", "_patient", "_received", "_stream")

    def __init__(self, host: Host, stream: Carrier) -> None:
        self._host = host
        self._stream = stream
        self._login = Login(host, stream)
        self._login2 = Login2(host, stream)
        self._received = 0
        self._answered = 0
        """Requests before login."""
        self._patient = False
        """The client has got `registration_seconds`."""
        self._memory: dict[str, Any] = {}
        """What modules hold for this stream (`module.PreauthIq`)."""

    def weigh(self, size: int) -> bool:
        """So many more bytes came; False if they are too many for somebody who has not logged in."""
        if self._stream.account is None:
            self._received += size
        return self._received <= self._host.settings.unauthenticated_bytes

    def check(self, header: StreamOpen) -> str:
        """The address that the header is for, '' where it names none. Raises StreamError."""
        if header.content != ns.CLIENT:
            raise StreamError("invalid-namespace")
        to = header.attributes.get("to", "")
        if to and not self._is_ours(to):
            raise StreamError("host-unknown")
        self._login2.claim(header.attributes.get("from", ""))
        if not _version_known(header.attributes.get("version", "")):
            raise StreamError("unsupported-version")
        return to

    def _is_ours(self, to: str) -> bool:
        try:
            return JID.parse(to) == self._host.settings.domain
        except JIDError:
            return False

    def features(self) -> bytes:
        if self._stream.account is None:
            return before_login(self._host, self._stream.link)
        return after_login(self._host)

    def hear(self, child: Child) -> None:
        """One first-level child. Raises StreamError."""
        stream = self._stream
        if child.kind == _ERROR:
            stream.close()
        elif not stream.link.secure:
            if not stream.open:
                return  # plaintext sent along with the request for TLS is thrown away (RFC 6120 §5.3.3)
            if child.kind != f"{_TLS}starttls":
                raise StreamError("policy-violation", "TLS first")
            stream.link.put(f"<proceed xmlns='{ns.TLS}'/>".encode())
            stream.start_tls()
        elif not stream.open:
            # Sent along with what ended the last stream: it belongs to none.
            raise StreamError("bad-format", "a stream header first")
        elif stream.account is not None:
            self._bind_or_resume(stream.account, child)
        elif self._login2.under_way or (child.kind.startswith(SASL2) and not self._login.under_way):
            self._login2.hear(child)
        elif child.kind.startswith(SASL):
            self._login.hear(child)
        elif isinstance(child, Iq) and child.type in ("get", "set") and not self._login.under_way:
            self._answer(child)
        elif child.kind in (c2s_sm.ENABLE, c2s_sm.RESUME) and not self._login.under_way:
            stream.link.put(failed("unexpected-request"))  # XEP-0198 §3: after binding
        else:
            raise StreamError("not-authorized")

    # -- before login -----------------------------------------------------------------------------------------------

    def _answer(self, iq: Iq) -> None:
        to = iq.attributes.get("to", "")
        work = self._host.preauth(iq, self._memory) if not to or self._is_ours(to) else None
        if work is None:
            raise StreamError("not-authorized")
        self._answered += 1
        if self._answered > self._host.settings.preauth_requests:
            work.close()
            raise StreamError("policy-violation", "too many requests before login")
        self._serve(work, self._answered_with, iq)

    def _answered_with(self, reply: Iq | None) -> None:
        if reply is None or self._stream.closing:
            return
        self._stream.link.put(reply.to_bytes())
        anew = self._memory.pop(ANEW, False)
        if anew:
            self._answered = self._received = 0
        if reply.type == "result" and (anew or not self._patient):
            self._patient = True
            self._stream.extend(self._host.settings.registration_seconds)

    def _serve(self, work: Coroutine[Any, Any, T], done: Callable[[T], None], iq: Iq | None = None) -> None:
        """Runs `work`; the stream waits while it is suspended. `done` gets what comes of it; an error is the answer to
        `iq`, or the stream's end."""
        suspended = False

        def ended(outcome: T | None, error: BaseException | None) -> None:
            if error is None:
                done(outcome)  # type: ignore[arg-type]
            else:
                if not isinstance(error, QuietwireError):
                    self._host.fault(error)
                if isinstance(error, StreamError):
                    self._stream.fail(error)
                elif iq is None:
                    self._stream.fail(StreamError("internal-server-error"))
                elif not self._stream.closing:
                    told = error if isinstance(error, StanzaError) else StanzaError("internal-server-error")
                    self._stream.link.put(iq.error(told).to_bytes())
            if suspended:
                self._stream.go_on()

        if not drive(work, ended):
            suspended = True
            self._stream.suspend()

    # -- after login ------------------------------------------------------------------------------------------------

    def _bind_or_resume(self, account: JID, child: Child) -> None:
        if child.kind == c2s_sm.RESUME:
            self._resume(account, child)
        elif child.kind == c2s_sm.ENABLE:
            self._stream.link.put(failed("unexpected-request"))
        elif isinstance(child, Iq) and child.type == "set" and child.names == (_BIND,):
            self._bind(account, child)
        elif isinstance(child, Stanza):
            raise StreamError("not-authorized")  # RFC 6120 §7.1: no stanzas before binding
        else:
            raise StreamError("unsupported-stanza-type")

    def _bind(self, account: JID, iq: Iq) -> None:
        host, stream = self._host, self._stream
        resource = iq.payload.findtext(f"{{{ns.BIND}}}resource") or ""

        def done(bound: Bound) -> None:
            if stream.closing:
                host.end(bound)
                return
            stream.begin(bound)
            jid = build(f"{{{ns.BIND}}}jid", text=bound.session.jid.text)
            stream.link.put(iq.result(build(_BIND, None, jid)).to_bytes())

        self._serve(host.bind(account, resource, stream, stream.link, stream.client), done, iq)

    def _resume(self, account: JID, child: Child) -> None:
        stream = self._stream

        def done(outcome: tuple[Bound | None, bytes]) -> None:
            bound, answer = outcome
            if stream.closing:
                return
            if bound is not None:
                stream.begin(bound)
            stream.link.put(answer)
            if bound is not None:
                bound.outgoing.resume(stream.link)

        self._serve(c2s_sm.resume(self._host, stream, account, child.attributes), done)


def _version_known(version: str) -> bool:
    major, _, minor = version.partition(".")
    return major.isdecimal() and minor.isdecimal() and int(major[:9]) >= 1
