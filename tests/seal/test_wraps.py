from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from seal_vectors import ACCOUNT, SECRET, VECTORS

from quietwire.core.jid import parse_jid
from quietwire.core.sasl import derive
from quietwire.seal.wraps import RECOVERY, WRAP_BYTES, SealError, unwrap, wrap

KEY, NONCE = b"k" * 32, b"n" * 12
GOOD = wrap(SECRET, KEY, "SCRAM-SHA-256", ACCOUNT, NONCE)


@pytest.mark.parametrize("vector", VECTORS["wraps"], ids=lambda v: v["mechanism"])
def test_vectors(vector: dict[str, str]) -> None:
    mechanism, wrapped = vector["mechanism"], bytes.fromhex(vector["wrap"])
    keys = derive(VECTORS["password"], bytes.fromhex(vector["salt"]), VECTORS["iterations"], mechanism)
    assert keys.client_key.hex() == vector["client_key"]
    assert wrap(SECRET, keys.client_key, mechanism, ACCOUNT, bytes.fromhex(vector["nonce"])) == wrapped
    assert unwrap(wrapped, keys.client_key, mechanism, ACCOUNT) == SECRET


@pytest.mark.parametrize("vector", VECTORS["wraps"], ids=lambda v: v["mechanism"])
def test_a_second_reader_of_the_document_can_open_a_wrap(vector: dict[str, str]) -> None:
    wrapped, info = bytes.fromhex(vector["wrap"]), b"quietwire wrap 1\0" + vector["mechanism"].encode()
    extracted = hmac.digest(bytes(32), bytes.fromhex(vector["client_key"]), "sha256")  # HKDF by hand, RFC 5869
    key = hmac.digest(extracted, info + b"\x01", "sha256")
    assert AESGCM(key).decrypt(wrapped[1:13], wrapped[13:], info + b"\0juliet@example.com") == SECRET


def test_plus_shares_the_wrap_and_a_resource_does_not_count() -> None:
    assert wrap(SECRET, KEY, "SCRAM-SHA-256-PLUS", ACCOUNT.with_resource("x"), NONCE) == GOOD
    assert unwrap(GOOD, KEY, "SCRAM-SHA-256-PLUS", ACCOUNT.with_resource("y")) == SECRET


@pytest.mark.parametrize(
    ("key", "mechanism", "account"),
    [
        (b"K" * 32, "SCRAM-SHA-256", ACCOUNT),
        (KEY, "SCRAM-SHA-1", ACCOUNT),
        (KEY, RECOVERY, ACCOUNT),
        (KEY, "SCRAM-SHA-256", parse_jid("romeo@example.com")),
    ],
)
def test_bound_to_key_mechanism_and_account(key: bytes, mechanism: str, account: object) -> None:
    with pytest.raises(SealError):
        unwrap(GOOD, key, mechanism, account)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", range(WRAP_BYTES))
def test_every_byte_counts(at: int) -> None:
    with pytest.raises(SealError):
        unwrap(GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :], KEY, "SCRAM-SHA-256", ACCOUNT)


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_seal_error(data: bytes) -> None:
    with pytest.raises(SealError):
        unwrap(data, KEY, "SCRAM-SHA-256", ACCOUNT)


def test_wrong_use_is_an_error() -> None:
    for secret, nonce, mechanism in ((SECRET[1:], NONCE, RECOVERY), (SECRET, b"n", RECOVERY), (SECRET, NONCE, "PLAIN")):
        with pytest.raises(ValueError, match=r"bytes|mechanism"):
            wrap(secret, KEY, mechanism, ACCOUNT, nonce)
