"""A client's login as RFC 6120 §6 writes it: ``<auth/>``, ``<challenge/>``, ``<response/>``, ``<success/>``."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Final

from quietwire.core import ns
from quietwire.core.errors import QuietwireError, StreamError
from quietwire.core.later import drive
from quietwire.core.sasl import SaslFailure, decode_payload, encode_payload
from quietwire.core.stanza import Child
from quietwire.server.c2s_host import Carrier, Host
from quietwire.server.login import Accepted, Challenge, Exchange

SASL: Final = f"{{{ns.SASL}}}"
_BINDINGS = "urn:xmpp:sasl-cb:0"


def offer(host: Host, bindings: Mapping[str, bytes]) -> str:
    """The stream features of a login, with the kinds of channel binding (XEP-0440)."""
    mechanisms = "".join(f"<mechanism>{name}</mechanism>" for name in host.gate.mechanisms(True, bindings))
    types = "".join(f"<channel-binding type='{name}'/>" for name in bindings)
    listed = f"<sasl-channel-binding xmlns='{_BINDINGS}'>{types}</sasl-channel-binding>" if types else ""
    return f"<mechanisms xmlns='{ns.SASL}'>{mechanisms}</mechanisms>{listed}"


class Login:
    """The attempts on one stream. Success sets `stream.account`."""

    __slots__ = ("_attempts", "_exchange", "_host", "_stream")

    def __init__(self, host: Host, stream: Carrier) -> None:
        self._host = host
        self._stream = stream
        self._attempts = 0
        self._exchange: Exchange | None = None

    @property
    def under_way(self) -> bool:
        """An exchange has begun and is not over."""
        return self._exchange is not None

    def hear(self, child: Child) -> None:
        """One element before login. Raises StreamError."""
        link = self._stream.link
        if child.kind == f"{SASL}auth" and self._exchange is None:
            mechanism = child.attributes.get("mechanism", "")
            try:
                exchange = self._exchange = Exchange(self._host.gate, mechanism, link.bindings)
                text = _text(child)
                message = decode_payload(text)
            except SaslFailure as failure:
                self._refuse(failure)
                return
            if text:
                self._run(exchange.first(message))
            else:
                # No initial response, not even an empty one ('='): asked for (RFC 6120 §6.4.2).
                link.put(f"<challenge xmlns='{ns.SASL}'/>".encode())
        elif child.kind == f"{SASL}response" and self._exchange is not None:
            try:
                if not self._exchange.begun:
                    self._run(self._exchange.first(decode_payload(_text(child))))
                    return
                accepted = self._exchange.second(decode_payload(_text(child)))
            except SaslFailure as failure:
                self._refuse(failure)
                return
            self._proceed(accepted)
        elif child.kind == f"{SASL}abort" and self._exchange is not None:
            self._refuse(SaslFailure("aborted"))
        elif child.kind.startswith(SASL):
            self._refuse(SaslFailure("malformed-request"))
        else:
            raise StreamError("not-authorized")

    def _run(self, step: Coroutine[Any, Any, Challenge | Accepted]) -> None:
        """Drives a step of the login; the stream waits while it is suspended."""
        suspended = False

        def done(outcome: Challenge | Accepted | None, error: BaseException | None) -> None:
            if self._stream.closing:
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
                self._stream.go_on()

        if not drive(step, done):
            suspended = True
            self._stream.suspend()

    def _proceed(self, outcome: Challenge | Accepted) -> None:
        link = self._stream.link
        if isinstance(outcome, Accepted):
            self._exchange = None
            payload = encode_payload(outcome.data) if outcome.data else ""
            link.put(f"<success xmlns='{ns.SASL}'>{payload}</success>".encode())
            self._stream.account = outcome.account
            self._stream.restart()
        else:
            payload = encode_payload(outcome.data)
            link.put(f"<challenge xmlns='{ns.SASL}'>{payload}</challenge>".encode())

    def _refuse(self, failure: SaslFailure) -> None:
        self._exchange = None
        self._attempts += 1
        self._host.note("login-refused", condition=failure.condition)
        self._stream.link.put(f"<failure xmlns='{ns.SASL}'><{failure.condition}/></failure>".encode())
        if self._attempts >= self._host.settings.login_attempts:
            self._stream.fail(StreamError("policy-violation", "too many attempts"))


def _text(child: Child) -> str:
    return (child.tree.text or "").strip()
