"""The key that opens a client's store: from a passphrase by Argon2id, or kept in the system's keyring.

Either way it is a key-encryption key: it wraps the random master key of the file, so that a passphrase can be changed
without writing the file anew.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.client.errors import StoreError

TIME_COST: Final = 3
MEMORY_KIB: Final = 65536
LANES: Final = 4
"""RFC 9106 §4, second recommended option: 64 MiB, about 0.1 to 0.3 s."""

MAX_TIME_COST: Final = 16
MAX_MEMORY_KIB: Final = 1048576
"""A file that asks for more than 1 GiB was not written by us."""

NONCE: Final = 12
SERVICE: Final = "quietwire"
"""The keyring's service name; the user name is the account's bare JID."""


@dataclass(frozen=True)
class Lock:
    """What stands in the file in the clear."""

    source: str
    """``passphrase`` or ``keyring``."""
    salt: bytes
    time_cost: int
    memory_kib: int
    lanes: int
    wrapped: bytes
    """Nonce and AES-256-GCM of the master key."""


class Keyring(Protocol):
    """The two calls of the `keyring` package that are used."""

    def get_password(self, service_name: str, username: str) -> str | None: ...
    def set_password(self, service_name: str, username: str, password: str) -> None: ...


@dataclass(frozen=True)
class Passphrase:
    text: str

    def __repr__(self) -> str:
        return "Passphrase(…)"


@dataclass(frozen=True)
class FromKeyring:
    keyring: Keyring
    user: str


Source = Passphrase | FromKeyring


def new_lock(source: Source, random: Callable[[int], bytes]) -> tuple[Lock, bytes]:
    """(lock, master key) of a new file. With a keyring, its entry is made or used again."""
    kind = "passphrase" if isinstance(source, Passphrase) else "keyring"
    draft = Lock(kind, random(16), TIME_COST, MEMORY_KIB, LANES, b"")
    master = random(32)
    wrapping = _key(source, draft, random)
    nonce = random(NONCE)
    wrapped = nonce + AESGCM(wrapping).encrypt(nonce, master, _header(draft))
    return Lock(kind, draft.salt, TIME_COST, MEMORY_KIB, LANES, wrapped), master


def open_lock(lock: Lock, source: Source) -> bytes:
    """The master key. Raises StoreError: wrong passphrase, another kind of key, parameters out of bounds."""
    kind = "passphrase" if isinstance(source, Passphrase) else "keyring"
    if lock.source != kind:
        raise StoreError(f"the store opens with a {lock.source}, not a {kind}")
    if not (1 <= lock.time_cost <= MAX_TIME_COST and 8 * lock.lanes <= lock.memory_kib <= MAX_MEMORY_KIB):
        raise StoreError("the store's key parameters are out of bounds")
    try:
        return AESGCM(_key(source, lock, None)).decrypt(lock.wrapped[:NONCE], lock.wrapped[NONCE:], _header(lock))
    except InvalidTag:
        raise StoreError(f"wrong {kind} for this store") from None


def _header(lock: Lock) -> bytes:
    return f"quietwire client 1 {lock.source} {lock.time_cost} {lock.memory_kib} {lock.lanes}".encode()


def _key(source: Source, lock: Lock, random: Callable[[int], bytes] | None) -> bytes:
    if isinstance(source, FromKeyring):
        return _keyring_key(source, lock, random)
    return hash_secret_raw(
        source.text.encode(), lock.salt, lock.time_cost, lock.memory_kib, lock.lanes, hash_len=32, type=Type.ID
    )


def _keyring_key(source: FromKeyring, lock: Lock, random: Callable[[int], bytes] | None) -> bytes:
    from keyring.errors import KeyringError  # slow to import, and needed only here

    try:
        stored = source.keyring.get_password(SERVICE, source.user)
        if stored is None:
            if random is None:
                raise StoreError("the system's keyring has no key for this store")
            stored = random(32).hex()
            source.keyring.set_password(SERVICE, source.user, stored)
    except KeyringError:
        raise StoreError("this system has no keyring that can be used: give the store a passphrase") from None
    # The salt makes two files of one account independent.
    return hmac.digest(bytes.fromhex(stored), lock.salt, "sha256")
