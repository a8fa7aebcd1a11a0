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
from quietwire.seal.recovery import recovery_key
from quietwire.seal.wraps import NONCE_BYTES, RECOVERY, SECRET_BYTES, WRAP_BYTES, SealError, unwrap, wrap

_VERSION: Final = 1
_LENGTHS = struct.Struct(">BH")


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
    ) -> Credentials:
        """A record with a new secret, wrapped under every mechanism, and under `recovery_code` if there is one.

        Raises `PasswordError` for a password that cannot be one, `SealError` for a code that is none.
        """
        secret = randomness(SECRET_BYTES)
        made = Credentials(account.bare, _entries(secret, password, account, iterations, randomness))
        return made.with_recovery(secret, recovery_code, randomness) if recovery_code else made

    def verifier(self, mechanism: str) -> Verifier:
        """For `Scram.challenge` or `check_plain`; -PLUS or not."""
        return self.entries[base_mechanism(mechanism)].verifier

    def unlock(self, mechanism: str, client_key: bytes) -> bytes:
        """The account's secret, from the ClientKey that a login by `mechanism` gave. Raises `SealError`."""
        return unwrap(self.entries[base_mechanism(mechanism)].wrap, client_key, mechanism, self.account)

    def recover(self, recovery_code: str) -> bytes:
        """The account's secret, from the code shown once. Raises `SealError`."""
        if not self.recovery:
            raise SealError("this account has no recovery code")
        return unwrap(self.recovery, recovery_key(recovery_code), RECOVERY, self.account)

    def change_password(
        self,
        secret: bytes,
        new_password: str,
        iterations: int = DEFAULT_ITERATIONS,
        *,
        randomness: Callable[[int], bytes],
    ) -> Credentials:
        """The same secret under a new password, with new salts; the recovery code stays. Raises `PasswordError`.

        `secret` is what `unlock` or `recover` gave.
        """
        return replace(self, entries=_entries(secret, new_password, self.account, iterations, randomness))

    def with_recovery(self, secret: bytes, recovery_code: str, randomness: Callable[[int], bytes]) -> Credentials:
        """The same record with `recovery_code` (from `make_recovery_code`) in place of any older one."""
        nonce = randomness(NONCE_BYTES)
        return replace(self, recovery=wrap(secret, recovery_key(recovery_code), RECOVERY, self.account, nonce))

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
    secret: bytes, password: str, account: JID, iterations: int, randomness: Callable[[int], bytes]
) -> Mapping[str, Entry]:
    made = {}
    for mechanism in HASHES:
        salt, nonce = randomness(SALT_BYTES), randomness(NONCE_BYTES)
        keys = derive(password, salt, iterations, mechanism)
        verifier = Verifier(salt, iterations, keys.stored_key, keys.server_key)
        made[mechanism] = Entry(verifier, wrap(secret, keys.client_key, mechanism, account, nonce))
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
