"""What an invitation says, under a key that only its token gives: who stores it cannot read it. Pure.

    key   = HKDF-SHA-256(token, no salt, "quietwire invitation 1"): 32 bytes
    box   = AES-256-GCM(key, nonce of zeros, content, what stands beside it)

A token is sealed under once, and has 120 random bits: so the nonce may be zero, and no salt is needed.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quietwire.seal.wraps import SealError

_NONCE: Final = bytes(12)


def seal(token: bytes, content: bytes, beside: bytes) -> bytes:
    """Once for each token."""
    return _cipher(token).encrypt(_NONCE, content, beside)


def open_box(token: bytes, box: bytes, beside: bytes) -> bytes:
    """Raises SealError."""
    try:
        return _cipher(token).decrypt(_NONCE, box, beside)
    except InvalidTag:
        raise SealError("an invitation does not open") from None


def _cipher(token: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, None, b"quietwire invitation 1").derive(token))
