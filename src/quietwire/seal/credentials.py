"""What the server keeps to let an account's owner in: for each SCRAM mechanism a verifier and a wrap of the secret.

The format is written down, with test vectors, in docs/protocols/account-secret.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from quietwire.core.jid import JID
from quietwire.core.sasl import DEFAULT_ITERATIONS, HASHES, KEY_BYTES, SALT_BYTES, Verifier, base_mechanism, derive
from quietwire.core.wipe import wipe
from quietwire.seal.recovery import recovery_key
from quietwire.seal.wraps import NONCE_BYTES, RECOVERY, SECRET_BYTES, WRAP_BYTES, SealError, unwrap, wrap

_VERSION: Final = 1
_LENGTHS = struct.Struct(">BH")
_NO_WRAP: Final = bytes([1]) + bytes(WRAP_BYTES - 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One mechanism's part."""

    verifier: Verifier
    wrap: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account's record. `entries`: each mechanism of `HASHES` -> `Entry`; `recovery`: the wrap under a code, or b''.

    `account` is not in the bytes: what is on disk should not say whose it is. Creating a record and changing a password
    take as long as a login by PLAIN for each mechanism: not on an event loop.
    """

    account: JID = field(repr=False)
    entries: Mapping[str, Entry]
    recovery: bytes = field(repr=False, default=b"")

    @staticmethod
    def create(
        password: str,
        account: JID,
        iterations: int = DEFAULT_ITERATIONS,
        *,
        randomness: Callable[[int], bytes],
        recovery_code: str = "",
        secret: bytearray | None = None,
    ) -> Credentials:
        """A record with a new secret, wrapped under every mechanism, and under `recovery_code` if there is one.
        `secret`: 32 bytes to take for it, if it is needed beside; the caller wipes it.

        Raises `PasswordError` for a password that cannot be one, `SealError` for a code that is none.
        """
        held = secret or randomness(SECRET_BYTES)
        try:
            made = Credentials(account.bare, _entries(held, password, account, iterations, randomness))
            return made.with_recovery(held, recovery_code, randomness) if recovery_code else made
        finally:
            if secret is None:
                wipe(held)

    def verifier(self, mechanism: str) -> Verifier:
        """For `Scram.challenge` or `check_plain`; -PLUS or not."""
        return self.entries[base_mechanism(mechanism)].verifier

    def unlock(self, mechanism: str, client_key: bytes | bytearray) -> bytearray:
        """The account's secret, from the ClientKey that a login by `mechanism` gave. Raises `SealError`."""
        return unwrap(self.entries[base_mechanism(mechanism)].wrap, client_key, mechanism, self.account)

    def recover(self, recovery_code: str) -> bytearray:
        """The account's secret, from the code shown once. Raises `SealError`."""
        key = recovery_key(recovery_code)
        try:
            return unwrap(self.recovery or _NO_WRAP, key, RECOVERY, self.account)  # time must not tell
        except SealError:
            raise SealError("another recovery code, or none" if self.recovery else "no recovery code") from None
        finally:
            wipe(key)

    def change_password(
        self,
        secret: bytes | bytearray,
        new_password: str,
        iterations: int = DEFAULT_ITERATIONS,
        *,
        randomness: Callable[[int], bytes],
    ) -> Credentials:
        """The same secret under a new password, with new salts; the recovery code stays. Raises `PasswordError`.

        `secret` is what `unlock` or `recover` gave.
        """
        return replace(self, entries=_entries(secret, new_password, self.account, iterations, randomness))

    def with_recovery(
        self, secret: bytes | bytearray, recovery_code: str, randomness: Callable[[int], bytes]
    ) -> Credentials:
        """The same record with `recovery_code` (from `make_recovery_code`) in place of any older one."""
        nonce, key = randomness(NONCE_BYTES), recovery_key(recovery_code)
        wrapped = wrap(secret, key, RECOVERY, self.account, nonce)
        wipe(key)
        return replace(self, recovery=wrapped)

    def to_bytes(self) -> bytes:
        """The record as stored, version 1, without the account."""
        parts = [bytes([_VERSION, len(self.entries)])]
        for mechanism, entry in self.entries.items():
            verifier = entry.verifier.to_bytes()
            parts += [_LENGTHS.pack(len(mechanism), len(verifier)), mechanism.encode(), verifier, entry.wrap]
        return b"".join([*parts, self.recovery])

    @staticmethod
    def from_bytes(data: bytes, account: JID) -> Credentials:
        """Reads `to_bytes` back for the account it was stored under. Raises `SealError`."""
        try:
            return Credentials(account.bare, *_read(data))
        except (ValueError, IndexError, struct.error):
            raise SealError("damaged credentials") from None


def _entries(
    secret: bytes | bytearray, password: str, account: JID, iterations: int, randomness: Callable[[int], bytes]
) -> Mapping[str, Entry]:
    made = {}
    for mechanism in HASHES:
        salt, nonce = randomness(SALT_BYTES), randomness(NONCE_BYTES)
        keys = derive(password, salt, iterations, mechanism)
        verifier = Verifier(salt, iterations, keys.stored_key, keys.server_key)
        made[mechanism] = Entry(verifier, wrap(secret, keys.client_key, mechanism, account, nonce))
        wipe(keys.client_key)
    return MappingProxyType(made)


def _read(data: bytes) -> tuple[Mapping[str, Entry], bytes]:
    version, count = data[0], data[1]
    if version != _VERSION:
        raise ValueError("another version")
    at, entries = 2, {}
    for _ in range(count):
        name_length, verifier_length = _LENGTHS.unpack_from(data, at)
        name_end = at + _LENGTHS.size + name_length
        verifier_end = name_end + verifier_length
        mechanism = data[at + _LENGTHS.size : name_end].decode("ascii")
        at = verifier_end + WRAP_BYTES
        entries[mechanism] = Entry(Verifier.from_bytes(data[name_end:verifier_end]), data[verifier_end:at])
    recovery = data[at:]
    if (
        entries.keys() != HASHES.keys()
        or count != len(entries)
        or len(recovery) not in (0, WRAP_BYTES)
        or at > len(data)
    ):
        raise ValueError("incomplete")
    for mechanism, entry in entries.items():
        if len(entry.verifier.stored_key) != KEY_BYTES[mechanism]:
            raise ValueError("a verifier of another mechanism")
    return MappingProxyType(entries), recovery
