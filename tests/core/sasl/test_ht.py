"""Hashed tokens."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from quietwire.core.sasl import SaslFailure, ht_mechanisms, initiator, parse_ht, responder


def test_both_sides_prove_the_token_and_the_channel() -> None:
    """draft-schmaus-kitten-sasl-ht-09 §3."""
    assert initiator(b"token", b"channel") == hmac.new(b"token", b"Initiatorchannel", hashlib.sha256).digest()
    assert responder(b"token", b"channel") == hmac.new(b"token", b"Responderchannel", hashlib.sha256).digest()


def test_a_message_is_a_name_and_a_proof() -> None:
    hashed = parse_ht(b"alice\0" + bytes(32))
    assert (hashed.username, hashed.proof) == ("alice", bytes(32))
    assert "alice" not in repr(hashed)


@pytest.mark.parametrize(
    "message", [b"", b"alice", b"alice\0", b"\0" + bytes(32), b"alice\0" + bytes(31), b"alice\0" + bytes(33),
                b"\xff\0" + bytes(32), b"a" * 9_000 + b"\0" + bytes(32)],
)  # fmt: skip
def test_anything_else_is_malformed(message: bytes) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        parse_ht(message)


def test_a_mechanism_is_offered_where_its_channel_binding_is() -> None:
    assert ht_mechanisms({}) == ("HT-SHA-256-NONE",)
    assert ht_mechanisms({"tls-server-end-point": b""}) == ("HT-SHA-256-ENDP", "HT-SHA-256-NONE")
    assert ht_mechanisms({"tls-exporter": b"", "tls-server-end-point": b""})[0] == "HT-SHA-256-EXPR"
