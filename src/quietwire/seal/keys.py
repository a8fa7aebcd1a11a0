"""The keys of the sealed store: the server's, always there, and an account's, there while its owner is.

Everything of an account comes from its secret (`wraps.py`); everything of the server from two keys in its key block
(`key_block.py`): `index`, under which names are hashed and which never changes, and `data`, which a rotation replaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from quietwire.core.wipe import wipe
from quietwire.seal.wraps import SealError

KEY_BYTES: Final = 32
HASH_BYTES: Final = 16
"""Of an owner or key in the database: two of 2^32 names meet with a probability of 2^-65."""


def expand(secret: bytes | bytearray, purpose: str, size: int = KEY_BYTES) -> bytearray:
    """A key for one purpose out of a uniformly random one (HKDF-Expand, RFC 5869 §2.3)."""
    key = bytearray(size)
    HKDFExpand(SHA256(), size, f"quietwire {purpose}".encode()).derive_into(secret, key)
    return key


def hashed(key: bytes | bytearray, *parts: bytes) -> bytes:
    """A keyed hash of those parts: BLAKE2b (RFC 7693), `HASH_BYTES` long. All parts but the last go in with their
    length."""
    text = b"".join([*(len(part).to_bytes(2, "big") + part for part in parts[:-1]), parts[-1]])
    return hashlib.blake2b(text, digest_size=HASH_BYTES, key=key).digest()


def begun(key: bytes, first: bytes) -> hashlib.blake2b:
    """`hashed` of two parts, of which the second is still to come: for many of them."""
    return hashlib.blake2b(len(first).to_bytes(2, "big") + first, digest_size=HASH_BYTES, key=key)


class Cipher(Protocol):
    """What seals and opens: an `AESGCM`, or several of them."""

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated: bytes, /) -> bytes: ...


class DataCipher:
    """Seals under the newest of the server's data keys, opens what was sealed under any. Used like an `AESGCM`."""

    __slots__ = ("_ciphers",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, the newest last."""
        self._ciphers = tuple(AESGCM(bytes(expand(key, "server data 1"))) for key in reversed(keys))

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        return self._ciphers[0].encrypt(nonce, data, associated)

    def decrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """Raises InvalidTag where none of them opens it."""
        for cipher in self._ciphers[:-1]:
            try:
                return cipher.decrypt(nonce, data, associated)
            except InvalidTag:
                pass
        return self._ciphers[-1].decrypt(nonce, data, associated)

    def renew(self, keys: Sequence[bytes]) -> None:
        """From now on those, as in the constructor."""
        self._ciphers = DataCipher(keys)._ciphers


class ServerKeys:
    """What is there as long as the server runs. `index` and `data`: 32 bytes each. `older`: former data keys, the
    newest last. `login`: 32 bytes where it has a secret of its own (`key_block.py`)."""

    __slots__ = ("cipher", "index", "login")

    def __init__(self, index: bytes, data: bytes, older: Sequence[bytes] = (), login: bytes = b"") -> None:
        self.index = bytes(expand(index, "server index 1"))
        """Hashes owners and keys."""
        self.login = login or bytes(expand(index, "server login 1"))
        """Makes decoys for those who do not exist, and ids of clients (`server/login.py`)."""
        self.cipher = DataCipher((*older, data))
        """Seals what must be readable while its owner is away."""

    def __repr__(self) -> str:
        return "ServerKeys(...)"

    def owner(self, table: str, owner: bytes) -> bytes:
        """What stands for an owner in that table, and in no other one."""
        return hashed(self.index, b"owner", table.encode(), owner)

    def key(self, table: str, owner: bytes, key: bytes) -> bytes:
        """What stands for a row's key; `owner` as hashed."""
        return hashed(self.index, b"key", table.encode(), owner, key)


class AccountKeys:
    """An account's keys while it is unlocked. `secret` becomes this object's: it is wiped with it."""

    __slots__ = ("_data", "_index", "_secret", "_there", "parting")

    def __init__(self, secret: bytearray) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError("a secret has 32 bytes")
        self._secret = secret
        self._data = expand(secret, "account data 1")
        self._there = True
        self._index = expand(secret, "account index 1")
        self.parting: Callable[[], None] = lambda: None
        """Called before the keys are wiped: what must still be sealed is."""

    def __repr__(self) -> str:
        return "AccountKeys(...)"

    @property
    def locked(self) -> bool:
        return not self._there

    @property
    def cipher(self) -> AESGCM | None:
        """A new one each time, for a loop to keep: it is 4 KB, an account that is idle has none. None once locked."""
        return AESGCM(self._data) if self._there else None

    @property
    def secret(self) -> bytearray:
        """The account's secret itself, to be wrapped under another password."""
        return self._secret

    def key(self, kind: bytes, key: bytes) -> bytes:
        """What stands for a row's key in the database. Raises SealError once the account is locked."""
        self._check()
        return hashed(self._index, kind, key)

    def arrival_key(self) -> X25519PrivateKey:
        """What opens arrivals; drop it after use. Raises SealError once the account is locked."""
        self._check()
        seed = expand(self._secret, "account arrivals 1")
        private = X25519PrivateKey.from_private_bytes(seed)
        wipe(seed)
        return private

    def arrival_public(self) -> bytes:
        """What arrivals are sealed to; anybody may know it."""
        return self.arrival_key().public_key().public_bytes_raw()

    def wipe(self) -> None:
        """The account is locked from now on. Idempotent."""
        if not self._there:
            return
        self.parting()
        self.parting = lambda: None
        self._there = False
        wipe(self._secret, self._data, self._index)

    def _check(self) -> None:
        if not self._there:
            raise SealError("the account is locked")
