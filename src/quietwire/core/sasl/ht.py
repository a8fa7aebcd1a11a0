"""The hashed-token mechanisms (draft-schmaus-kitten-sasl-ht-09), the server's side: one message, one answer.

The token proves the client, the answer proves the server; both are bound to the channel where the mechanism says so.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from quietwire.core.sasl.failure import SaslFailure, utf8

HT_BINDINGS: Final[Mapping[str, str]] = {
    "HT-SHA-256-EXPR": "tls-exporter",
    "HT-SHA-256-ENDP": "tls-server-end-point",
    "HT-SHA-256-NONE": "",
}
"""Mechanism -> the channel binding that it needs, '' for none; the best first. HT-SHA-256-UNIQ is not here: its
binding is not defined for TLS 1.3."""
_HASH = "sha256"
_PROOF_BYTES = 32


@dataclass(frozen=True, slots=True)
class Hashed:
    """The initiator's message: who it is, unprepared, and HMAC(token, "Initiator" || binding)."""

    username: str = field(repr=False)
    proof: bytes = field(repr=False)


def ht_mechanisms(bindings: Mapping[str, bytes]) -> tuple[str, ...]:
    """Those that work on a connection with these channel bindings, the best first."""
    return tuple(name for name, binding in HT_BINDINGS.items() if not binding or binding in bindings)


def parse_ht(message: bytes) -> Hashed:
    """Reads ``authcid NUL proof``. Raises `SaslFailure` ``malformed-request``."""
    name, zero, proof = message.partition(b"\0")
    if not name or not zero or len(proof) != _PROOF_BYTES:
        raise SaslFailure("malformed-request")
    return Hashed(utf8(name), proof)


def initiator(token: bytes, binding: bytes) -> bytes:
    """What a client proves itself with."""
    return hmac.digest(token, b"Initiator" + binding, _HASH)


def responder(token: bytes, binding: bytes) -> bytes:
    """What the server answers with, as additional data with success."""
    return hmac.digest(token, b"Responder" + binding, _HASH)
