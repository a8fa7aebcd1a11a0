"""A client's login, in both its forms: the attempts on one stream, and RFC 6120 §6 (``<auth/>`` … ``<success/>``).

The other form, SASL2, is `c2s_sasl2.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from quietwire.core import ns
from quietwire.core.errors import QuietwireError, StreamError
from quietwire.core.later import drive
from quietwire.core.sasl import SaslFailure, decode_payload, encode_payload
from quietwire.core.stanza import Child
from quietwire.core.wipe import wipe
from quietwire.server.c2s_host import Carrier, Host
from quietwire.server.login import Accepted, Challenge, Exchange

T = TypeVar("T")

SASL: Final = f"{{{ns.SASL}}}"


class Login:
    """RFC 6120 §6. Success sets `stream.account` and starts the stream anew."""

    __slots__ = ("_exchange", "_host", "_stream")
    NS = ns.SASL

    def __init__(self, host: Host, stream: Carrier) -> None:
        self._host = host
        self._stream = stream
        self._exchange: Exchange | None = None

    @property
    def under_way(self) -> bool:
        """An exchange has begun and is not over."""
        return self._exchange is not None

    def hear(self, child: Child) -> None:
        """One element before login, of this form. Raises StreamError."""
        link = self._stream.link
        try:
            if child.kind == f"{SASL}auth" and self._exchange is None:
                exchange = self._begin(child.attributes.get("mechanism", ""))
                text = content(child)
                if text:
                    with self._confided(child, text) as message:
                        self._run(exchange.first(message), self._proceed)
                else:
                    # No initial response, not even an empty one ('='): asked for (RFC 6120 §6.4.2).
                    link.put(f"<challenge xmlns='{ns.SASL}'/>".encode())
            elif child.kind == f"{SASL}response" and self._exchange is not None:
                with self._confided(child, content(child)) as message:
                    self._respond(self._exchange, message)
            elif child.kind == f"{SASL}abort" and self._exchange is not None:
                raise SaslFailure("aborted")
            else:
                raise SaslFailure("malformed-request")
        except SaslFailure as failure:
            self._refuse(failure)

    @contextmanager
    def _confided(self, child: Child, payload: bytes) -> Iterator[bytes]:
        """The message inside of what the client has sent. A password or a proof: when it has been read it is
        overwritten, wherever that can be done. Raises SaslFailure."""
        message = decode_payload(payload)
        try:
            yield message
        finally:
            wipe(message, payload, child.inner)
            if self._exchange is None or self._exchange.confided:
                self._stream.scrub()

    def _begin(self, mechanism: str) -> Exchange:
        """Raises SaslFailure."""
        link = self._stream.link
        self._exchange = Exchange(self._host.gate, mechanism, link.bindings, link.tls)
        return self._exchange

    def _respond(self, exchange: Exchange, message: bytes) -> None:
        """Raises SaslFailure."""
        if exchange.begun:
            self._proceed(exchange.second(message))
        else:
            self._run(exchange.first(message), self._proceed)

    def _run(self, step: Coroutine[Any, Any, T], proceed: Callable[[T], None]) -> None:
        """Drives a step of the login; the stream waits while it is suspended."""
        suspended = False

        def done(outcome: T | None, error: BaseException | None) -> None:
            if self._stream.closing:
                if isinstance(outcome, Accepted):
                    outcome.let_go()
                return
            if isinstance(error, SaslFailure):
                self._refuse(error)
            elif isinstance(error, StreamError):
                self._stream.fail(error)
            elif error is not None:
                if not isinstance(error, QuietwireError):
                    self._host.fault(error)
                self._refuse(SaslFailure("temporary-auth-failure"))
            else:
                proceed(outcome)  # type: ignore[arg-type]
            if suspended:
                self._stream.go_on()

        if not drive(step, done):
            suspended = True
            self._stream.suspend()

    def _proceed(self, outcome: Challenge | Accepted) -> None:
        if isinstance(outcome, Accepted):
            self._exchange = None
            self._succeed(outcome)
        else:
            payload = encode_payload(outcome.data)
            self._stream.link.put(f"<challenge xmlns='{self.NS}'>{payload}</challenge>".encode())

    def _succeed(self, accepted: Accepted) -> None:
        payload = encode_payload(accepted.data) if accepted.data else ""
        self._stream.link.put(f"<success xmlns='{ns.SASL}'>{payload}</success>".encode())
        self._stream.account, self._stream.lease = accepted.account, accepted.lease
        self._stream.restart()

    def _refuse(self, failure: SaslFailure) -> None:
        self._exchange = None
        self._host.note("login-refused", condition=failure.condition)
        condition = f"<{failure.condition}/>" if self.NS == ns.SASL else f"<{failure.condition} xmlns='{ns.SASL}'/>"
        self._stream.link.put(f"<failure xmlns='{self.NS}'>{condition}</failure>".encode())
        self._stream.refused()


def content(child: Child) -> bytes:
    """What the element holds, in base64."""
    inner = child.inner
    if child.names or b"&" in inner or b"<" in inner:
        return (child.tree.text or "").strip().encode()
    return inner.strip()
