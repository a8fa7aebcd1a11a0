"""The key block: the server's lasting secrets, sealed once for each key or passphrase that may open them. Pure.

    block   = version u8 | count u8 | wrap …
    wrap    = kind u8 | number u32 | id 8 | parameters of Argon2id 25, or nothing | nonce 12 | u32 length of box | box
    box     = AES-256-GCM of a master under a key from the server key, bound to everything of the wrap before its nonce
    master  = index 32 | u8 length of login | login | u16 count | (id u16 | data key 32) …

It has one wrap, and two while the server key is being changed. docs/protocols/server-key.md has it whole, with test
vectors.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.seal.keys import KEY_BYTES, ServerKeys
from quietwire.seal.server_key import ID_BYTES, Argon2, RawKey, Secret, Wrapping, box_key, of_raw
from quietwire.seal.wraps import SealError

_VERSION: Final = 1
_RAW: Final = 1
_ARGON2: Final = 2
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_CONTEXT: Final = b"quietwire key block 1\0"
_HEAD = struct.Struct(f">BI{ID_BYTES}s")
_LENGTH = struct.Struct(">I")
_DATA_KEY = struct.Struct(f">H{KEY_BYTES}s")
MOST_WRAPS: Final = 8
MOST_DATA_KEYS: Final = 1_000
"""A row under an older one costs a try of each newer one first, a microsecond each."""


class WrongKey(SealError):
    """The block is whole as far as can be seen, and has no wrap that this key or passphrase opens."""


@dataclass(frozen=True, slots=True)
class Master:
    """The secrets themselves. `index`: what names are hashed under, for good. `data`: (id, key), the newest last.
    `login`: b"", or the 32 bytes that made decoys and ids of clients before there was a block."""

    index: bytes = field(repr=False)
    data: tuple[tuple[int, bytes], ...] = field(repr=False)
    login: bytes = field(repr=False, default=b"")

    def keys(self) -> ServerKeys:
        older = [key for _, key in self.data[:-1]]
        return ServerKeys(self.index, self.data[-1][1], older, self.login)

    def data_keys(self) -> tuple[bytes, ...]:
        """For `DataCipher.renew`."""
        return tuple(key for _, key in self.data)

    def renewed(self, randomness: Callable[[int], bytes]) -> Master:
        """With one more data key. Raises SealError where there are too many."""
        if len(self.data) >= MOST_DATA_KEYS:
            raise SealError(f"{MOST_DATA_KEYS} data keys are as many as there can be")
        return replace(self, data=(*self.data, (self.data[-1][0] + 1, randomness(KEY_BYTES))))

    def _to_bytes(self) -> bytes:
        keys = b"".join(_DATA_KEY.pack(id, key) for id, key in self.data)
        return b"".join(
            (self.index, bytes((len(self.login),)), self.login, len(self.data).to_bytes(2, "big"), keys),
        )

    @staticmethod
    def _from_bytes(data: bytes) -> Master:
        index, at = data[:KEY_BYTES], KEY_BYTES + 1
        login, at = data[at : at + data[KEY_BYTES]], at + data[KEY_BYTES]
        count, keys = int.from_bytes(data[at : at + 2], "big"), data[at + 2 :]
        if len(login) not in (0, KEY_BYTES) or not count or len(keys) != count * _DATA_KEY.size:
            raise ValueError("not a master")
        return Master(index, tuple(_DATA_KEY.iter_unpack(keys)), login)


@dataclass(frozen=True, slots=True)
class Wrap:
    """One way to open the block. `number` counts upwards: one with a higher number was made later."""

    number: int
    id: bytes
    argon2: Argon2 | None
    nonce: bytes
    box: bytes = field(repr=False)

    @property
    def kind(self) -> str:
        """For people."""
        return "passphrase" if self.argon2 else "key"

    def head(self) -> bytes:
        kind = _ARGON2 if self.argon2 else _RAW
        return _HEAD.pack(kind, self.number, self.id) + (self.argon2.to_bytes() if self.argon2 else b"")


@dataclass(frozen=True, slots=True)
class Opened:
    """A block that somebody had the key for."""

    master: Master
    wrapping: Wrapping
    number: int
    """Of the wrap that opened it."""


@dataclass(frozen=True, slots=True)
class KeyBlock:
    """`wraps`: the oldest first, at least one."""

    wraps: tuple[Wrap, ...]

    @staticmethod
    def create(randomness: Callable[[int], bytes], wrapping: Wrapping, login: bytes = b"") -> tuple[KeyBlock, Master]:
        """A new one. `login`: see `Master`."""
        master = Master(randomness(KEY_BYTES), ((1, randomness(KEY_BYTES)),), login)
        return KeyBlock.sealed(master, ((1, wrapping),), randomness), master

    @staticmethod
    def sealed(
        master: Master, wrappings: Sequence[tuple[int, Wrapping]], randomness: Callable[[int], bytes]
    ) -> KeyBlock:
        """The same secrets for each of (number, wrapping)."""
        return KeyBlock(
            tuple(_wrap(master, number, wrapping, randomness(_NONCE_BYTES)) for number, wrapping in wrappings)
        )

    def open(self, secret: Secret) -> Opened:
        """With the newest wrap that it opens. Raises WrongKey; SealError for a damaged block. A passphrase takes its
        time for each wrap that it may be for."""
        raw = of_raw(secret) if isinstance(secret, RawKey) else None
        for wrap in reversed(self.wraps):
            if raw is not None and wrap.argon2 is None and wrap.id == raw.id:
                master = _unwrap(wrap, raw)
                if master is None:
                    raise SealError("the key block is damaged")
                return Opened(master, raw, wrap.number)
            if not isinstance(secret, RawKey) and wrap.argon2 is not None:
                wrapping = Wrapping(wrap.argon2.derive(secret), wrap.id, wrap.argon2)
                master = _unwrap(wrap, wrapping)
                if master is not None:
                    return Opened(master, wrapping, wrap.number)
        raise WrongKey("not the key of this database")

    def rewrap(
        self, opened: Opened, added: Wrapping, randomness: Callable[[int], bytes], *, renew: bool = True
    ) -> tuple[KeyBlock, Master]:
        """With two wraps, the one that opened it and one of `added`, of the same secrets and a new data key. Others
        are gone. Raises SealError where there are too many data keys."""
        master = opened.master.renewed(randomness) if renew else opened.master
        number = self.wraps[-1].number + 1
        return KeyBlock.sealed(master, ((opened.number, opened.wrapping), (number, added)), randomness), master

    def without_older(self, number: int) -> KeyBlock:
        """Without the wraps that were made before that one: it has proved that it opens."""
        return KeyBlock(tuple(wrap for wrap in self.wraps if wrap.number >= number))

    def to_bytes(self) -> bytes:
        parts = [bytes((_VERSION, len(self.wraps)))]
        for wrap in self.wraps:
            parts += (wrap.head(), wrap.nonce, _LENGTH.pack(len(wrap.box)), wrap.box)
        return b"".join(parts)

    @staticmethod
    def from_bytes(data: bytes) -> KeyBlock:
        """Raises SealError."""
        if data[:1] != bytes((_VERSION,)):
            raise SealError("a key block of another version")
        try:
            return KeyBlock(_wraps(data))
        except (IndexError, ValueError, struct.error):
            raise SealError("the key block is damaged") from None


def _wraps(data: bytes) -> tuple[Wrap, ...]:
    at, wraps = 2, []
    for _ in range(data[1]):
        kind, number, id = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        argon2 = None
        if kind == _ARGON2:
            argon2 = Argon2.from_bytes(data[at : at + Argon2.FORM.size])
            at += Argon2.FORM.size
        elif kind != _RAW:
            raise ValueError("another kind")
        nonce, at = data[at : at + _NONCE_BYTES], at + _NONCE_BYTES
        (length,) = _LENGTH.unpack_from(data, at)
        box, at = data[at + _LENGTH.size : at + _LENGTH.size + length], at + _LENGTH.size + length
        wraps.append(Wrap(number, id, argon2, nonce, box))
    numbers = [wrap.number for wrap in wraps]
    if at != len(data) or not 1 <= len(wraps) <= MOST_WRAPS or numbers != sorted(set(numbers)):
        raise ValueError("not a block")
    return tuple(wraps)


def _wrap(master: Master, number: int, wrapping: Wrapping, nonce: bytes) -> Wrap:
    empty = Wrap(number, wrapping.id, wrapping.argon2, nonce, b"")
    box = AESGCM(box_key(wrapping)).encrypt(nonce, master._to_bytes(), _CONTEXT + empty.head())
    return replace(empty, box=box)


def _unwrap(wrap: Wrap, wrapping: Wrapping) -> Master | None:
    """None where it does not open. Raises SealError for what opens and is nonsense."""
    try:
        plain = AESGCM(box_key(wrapping)).decrypt(wrap.nonce, wrap.box, _CONTEXT + wrap.head())
    except InvalidTag:
        return None
    try:
        return Master._from_bytes(plain)
    except (IndexError, ValueError):
        raise SealError("the key block is damaged") from None
