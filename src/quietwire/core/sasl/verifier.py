"""What a server keeps of a password (RFC 5802 §3), how it comes to be, and what it shows for users it does not have."""

from __future__ import annotations

import hashlib
import hmac
import stringprep
import struct
from dataclasses import dataclass, field
from typing import Final
from unicodedata import ucd_3_2_0

from quietwire.core.errors import QuietwireError
from quietwire.core.wipe import wipe, wipe_text

HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
"""Mechanism (without -PLUS) -> its hash, the better one first."""

KEY_BYTES: Final = {mechanism: hashlib.new(name).digest_size for mechanism, name in HASHES.items()}
"""Mechanism (without -PLUS) -> size of each of its keys."""

SALT_BYTES: Final = 16
"""Of every salt, made up ones included: a different length would tell them apart."""

DEFAULT_ITERATIONS: Final = 100_000
"""Of new passwords. The client pays for them at each login, a thief at each guess."""

_VERSION: Final = 1
_HEAD = struct.Struct(">BIBB")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class PasswordError(QuietwireError, ValueError):
    """No password can have this form: empty, control characters, mixed directions. Says the rule, not the password."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The three keys of RFC 5802 §3. Only `stored_key` and `server_key` may be kept; `client_key` is to be wiped."""

    client_key: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What is kept of a password under one mechanism."""

    salt: bytes = field(repr=False)
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Version 1: u8 version, u32 iterations, u8 length of salt, u8 length of a key, salt, StoredKey, ServerKey."""
        head = _HEAD.pack(_VERSION, self.iterations, len(self.salt), len(self.stored_key))
        return head + self.salt + self.stored_key + self.server_key

    @staticmethod
    def from_bytes(data: bytes) -> Verifier:
        """Raises `ValueError` for anything `to_bytes` cannot have written."""
        if len(data) < _HEAD.size or data[0] != _VERSION:
            raise ValueError("not a verifier of version 1")
        _, iterations, salt_length, key_length = _HEAD.unpack_from(data)
        salt_end = _HEAD.size + salt_length
        key_end = salt_end + key_length
        if (
            not iterations
            or not salt_length
            or key_length not in KEY_BYTES.values()
            or len(data) != key_end + key_length
        ):
            raise ValueError("a damaged verifier")
        return Verifier(data[_HEAD.size : salt_end], iterations, data[salt_end:key_end], data[key_end:])


def base_mechanism(mechanism: str) -> str:
    """``SCRAM-SHA-256-PLUS`` -> ``SCRAM-SHA-256``: both share keys, verifier and wrap."""
    return mechanism.removesuffix("-PLUS")


def prepare_password(password: str) -> str:
    """SASLprep (RFC 4013), which SCRAM asks of clients (RFC 5802 §5.1). Raises `PasswordError`.

    As for a query: code points newer than Unicode 3.2 pass, since clients let them pass and people do use emoji.
    """
    # Always another object than `password`: who asks for this wipes it.
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    if prepared is not mapped:
        wipe_text(mapped)
    if not prepared:
        raise PasswordError("a password must not be empty")
    if any(forbidden(c) for c in prepared for forbidden in _PROHIBITED):
        raise PasswordError("a password must not hold control or private characters")
    if any(map(stringprep.in_table_d1, prepared)) and not (
        stringprep.in_table_d1(prepared[0])
        and stringprep.in_table_d1(prepared[-1])
        and not any(map(stringprep.in_table_d2, prepared))
    ):
        raise PasswordError("a password must not mix writing directions")
    return prepared


def derive(password: str, salt: bytes, iterations: int, mechanism: str) -> Keys:
    """The keys of `password`, by PBKDF2. Takes milliseconds: not on an event loop. Raises `PasswordError`."""
    text = prepare_password(password)
    prepared = text.encode()
    wipe_text(text)
    try:
        return derive_prepared(prepared, salt, iterations, mechanism)
    finally:
        wipe(prepared)


def derive_prepared(password: bytes, salt: bytes, iterations: int, mechanism: str) -> Keys:
    """As `derive`, for a password that is prepared and encoded already."""
    name = HASHES[base_mechanism(mechanism)]
    salted = hashlib.pbkdf2_hmac(name, password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", name)
    keys = Keys(client_key, hashlib.new(name, client_key).digest(), hmac.digest(salted, b"Server Key", name))
    wipe(salted)
    return keys


def decoy(server_secret: bytes, username: str, mechanism: str, iterations: int) -> Verifier:
    """What to show for a user who does not exist: the same salt at every try, and keys that nothing fits.

    `server_secret` is 32 bytes that never leave the server; `iterations` the number all accounts have. To spend the
    same time on both, make it for existing users too and throw it away.
    """
    base = base_mechanism(mechanism)

    def made_up(purpose: str, size: int) -> bytes:
        text = f"quietwire decoy 1\0{purpose}\0{base}\0{username}"
        return hmac.digest(server_secret, text.encode("utf-8", "surrogatepass"), "sha256")[:size]

    size = KEY_BYTES[base]
    return Verifier(made_up("salt", SALT_BYTES), iterations, made_up("stored", size), made_up("server", size))
