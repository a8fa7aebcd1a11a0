"""The account's secret, wrapped under a key that exists only while its owner logs in.

The format is written down, with test vectors, in docs/protocols/account-secret.md.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID
from quietwire.core.sasl import HASHES, base_mechanism
from quietwire.core.wipe import wipe

SECRET_BYTES: Final = 32
NONCE_BYTES: Final = 12
RECOVERY: Final = "RECOVERY-CODE"
"""Stands where a mechanism's name stands, for the wrap under the recovery code."""

_VERSION: Final = 1
_CONTEXT: Final = b"quietwire wrap 1"
WRAP_BYTES: Final = 1 + NONCE_BYTES + SECRET_BYTES + 16


class SealError(QuietwireError):
    """Something sealed does not open: wrong key, other account, damage, or a version not known here."""


def wrap(secret: bytes | bytearray, client_key: bytes | bytearray, mechanism: str, account: JID, nonce: bytes) -> bytes:
    """The `WRAP_BYTES` bytes from which `unwrap` gets `secret` back, given the same key, mechanism and account.

    `secret` has 32 bytes; `client_key` is ClientKey of `mechanism` (RFC 5802 §3), -PLUS or not, or a recovery key;
    `nonce` is 12 fresh random bytes; of `account` the bare JID counts.
    """
    if len(secret) != SECRET_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError("a secret has 32 bytes and a nonce 12")
    key, bound_to = _key_and_context(client_key, mechanism, account)
    box = AESGCM(key).encrypt(nonce, secret, bound_to)
    wipe(key)
    return bytes([_VERSION]) + nonce + box


def unwrap(wrapped: bytes, client_key: bytes | bytearray, mechanism: str, account: JID) -> bytearray:
    """The secret, which is the caller's to wipe. Raises `SealError`."""
    if len(wrapped) != WRAP_BYTES or wrapped[0] != _VERSION:
        raise SealError("not a wrap of version 1")
    key, bound_to = _key_and_context(client_key, mechanism, account)
    secret = bytearray(SECRET_BYTES)
    try:
        AESGCM(key).decrypt_into(wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :], bound_to, secret)
    except InvalidTag:
        raise SealError("the wrap does not open") from None
    finally:
        wipe(key)
    return secret


def _key_and_context(client_key: bytes | bytearray, mechanism: str, account: JID) -> tuple[bytearray, bytes]:
    name = base_mechanism(mechanism)
    if name not in HASHES and name != RECOVERY:
        raise ValueError(f"no such mechanism: {name}")
    info = _CONTEXT + b"\0" + name.encode()
    key = bytearray(SECRET_BYTES)
    HKDF(SHA256(), SECRET_BYTES, salt=None, info=info).derive_into(client_key, key)
    return key, info + b"\0" + account.bare.text.encode()
