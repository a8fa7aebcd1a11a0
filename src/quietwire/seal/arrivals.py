"""Sealing to somebody who is not there: arrivals (DESIGN §6). Pure.

    arrival  = form u8 (2) | ephemeral X25519 public key 32 | number u32 | tag 16 | ciphertext

One X25519 agreement (RFC 7748) a day and account starts a chain; each row takes a key from it and steps it on
(BLAKE2b), so that a row costs symmetric work only, and what was sealed earlier cannot be opened with what is in memory
now. Rows can be opened in any order and with others missing: whoever has the private key walks the chain again from its
start.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quietwire.seal.keys import KEY_BYTES
from quietwire.seal.rows import bound
from quietwire.seal.wraps import SealError

FORM: Final = 2
"""First byte, where `rows` have theirs."""
PUBLIC_BYTES: Final = 32
TAG_BYTES: Final = 16
HEAD_BYTES: Final = 1 + PUBLIC_BYTES + 4 + TAG_BYTES
LONGEST_CHAIN: Final = 1 << 12
"""Rows of a chain: who opens one walks it from its start, at a microsecond a step. So no row, forged or damaged, costs
its reader more than some milliseconds; a busy day has more than one chain."""
MOST_CHAINS: Final = 64
"""Chains of which a reader remembers what it has walked: at most 128 KiB each."""
_NONCE: Final = bytes(12)
"""Each key seals once."""


class Chain:
    """Seals rows to one account. `ephemeral`: 32 random bytes, used for nothing else."""

    __slots__ = ("_key", "_public", "number")

    def __init__(self, account: bytes, ephemeral: bytes) -> None:
        """`account`: its public key, 32 bytes. Raises SealError for one that is none."""
        private = X25519PrivateKey.from_private_bytes(ephemeral)
        self._public = private.public_key().public_bytes_raw()
        self._key = _start(private, account, self._public, account)
        self.number = 0
        """Of the next row."""

    def seal(self, content: bytes, table: str, owner: bytes, key: bytes) -> bytes:
        """`owner`, `key`: as they stand in the database."""
        self._key, row_key = _step(self._key)
        box = AESGCM(row_key).encrypt(_NONCE, content, bound(table, owner, key))
        number = self.number.to_bytes(4, "big")
        self.number += 1
        return b"".join((b"\x02", self._public, number, box[-TAG_BYTES:], box[:-TAG_BYTES]))


class Opener:
    """Opens an account's arrivals; keeps what it has walked of each chain while it lives."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self._account = private.public_key().public_bytes_raw()
        self._chains: dict[bytes, tuple[bytes, bytearray]] = {}
        """(key of the next step, the rows' keys one after the other) by the chain's public key."""

    def open(self, row: bytes, table: str, owner: bytes, key: bytes) -> bytes:
        """The content. Raises SealError."""
        if len(row) < HEAD_BYTES or row[0] != FORM:
            raise SealError("not an arrival")
        public, number = chain_of(row)
        if number >= LONGEST_CHAIN:
            raise SealError("an arrival beyond its chain")
        known = self._chains.get(public)
        current, walked = known or (_start(self._private, public, public, self._account), bytearray())
        while len(walked) <= number * KEY_BYTES:
            current, row_key = _step(current)
            walked += row_key
        row_key = bytes(walked[number * KEY_BYTES : (number + 1) * KEY_BYTES])
        box = row[HEAD_BYTES:] + row[HEAD_BYTES - TAG_BYTES : HEAD_BYTES]
        try:
            content = AESGCM(row_key).decrypt(_NONCE, box, bound(table, owner, key))
        except InvalidTag:
            if known is not None:
                self._chains[public] = current, walked
            raise SealError("an arrival does not open") from None
        if known is None and len(self._chains) >= MOST_CHAINS:
            del self._chains[next(iter(self._chains))]
        self._chains[public] = current, walked
        return content


def chain_of(row: bytes) -> tuple[bytes, int]:
    """(the chain's public key, the row's number in it)."""
    return row[1 : 1 + PUBLIC_BYTES], int.from_bytes(row[1 + PUBLIC_BYTES : 5 + PUBLIC_BYTES], "big")


def _start(private: X25519PrivateKey, other: bytes, ephemeral: bytes, account: bytes) -> bytes:
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError:
        raise SealError("not a public key") from None
    return HKDF(SHA256(), 32, ephemeral + account, b"quietwire arrivals 1").derive(shared)


def _step(key: bytes) -> tuple[bytes, bytes]:
    """(the chain's next key, the row's)."""
    both = hashlib.blake2b(b"quietwire arrival 1", digest_size=64, key=key).digest()
    return both[:32], both[32:]
