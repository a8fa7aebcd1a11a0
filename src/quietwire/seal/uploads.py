"""Uploaded files at rest: their name and their key come from the token in their URL, which nobody stores (DESIGN §6).

A file is a salt and chunks of AES-256-GCM. Their plaintext, from its start: size, time of expiry and media type in
HEAD_BYTES, the content, zeros up to a size class. A chunk's nonce is its number, which is safe because the salt makes
the key another one for each try to upload; so chunks can neither be moved nor exchanged. The format is version 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quietwire.core.errors import QuietwireError
from quietwire.seal import sizes

TOKEN_BYTES: Final = 24
NAME_BYTES: Final = 16
SALT_BYTES: Final = 16
HEAD_BYTES: Final = 256
CHUNK_BYTES: Final = 65_536
"""What memory holds of a file at once, and what a range costs to read at least."""
TAG_BYTES: Final = 16
SMALLEST: Final = 32_768
"""The first size class: nobody needs to know which of the short texts and thumbnails it is."""
_FIELDS: Final = struct.Struct(">BQQB")
_VERSION: Final = 1
LONGEST_TYPE: Final = HEAD_BYTES - _FIELDS.size


class Damaged(QuietwireError):
    """The file is not what was written under that token."""


def name_of(token: bytes) -> bytes:
    """What the file is called, NAME_BYTES long: it tells nothing of the token."""
    return HKDF(hashes.SHA256(), NAME_BYTES, None, b"quietwire upload name 1").derive(token)


def size_class(size: int) -> int:
    """The size on disk that stands for it."""
    return sizes.size_class(size, SMALLEST)


@dataclass(frozen=True, slots=True)
class Head:
    size: int
    """Bytes of the content."""
    expires: int
    """Seconds since the epoch."""
    type: str
    """Media type, ASCII, at most LONGEST_TYPE characters."""


class _Chunks:
    def __init__(self, token: bytes, salt: bytes) -> None:
        self._cipher = AESGCM(HKDF(hashes.SHA256(), 32, salt, b"quietwire upload key 1").derive(token))

    def seal(self, number: int, plain: bytes) -> bytes:
        return self._cipher.encrypt(number.to_bytes(12, "big"), plain, None)

    def open(self, number: int, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(number.to_bytes(12, "big"), sealed, None)
        except InvalidTag:
            raise Damaged("an upload is damaged") from None


class Writer:
    """Makes a file's bytes out of its content: `start`, then what `write` returns, then what `finish` yields."""

    def __init__(self, token: bytes, salt: bytes, head: Head) -> None:
        """`salt`: SALT_BYTES, random, new for each try."""
        self._chunks = _Chunks(token, salt)
        kind = head.type.encode("ascii")
        fields = _FIELDS.pack(_VERSION, head.size, head.expires, len(kind))
        self.start = salt
        self._plain = bytearray((fields + kind).ljust(HEAD_BYTES, b"\0"))
        self._number = 0
        self._left = size_class(HEAD_BYTES + head.size) - HEAD_BYTES

    def write(self, content: bytes) -> bytes:
        """The next piece of the content -> what can be written of the file. ValueError if the class holds no more."""
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("more than was announced")
        self._plain += content
        out = []
        while len(self._plain) >= CHUNK_BYTES:
            out.append(self._seal(CHUNK_BYTES))
        return b"".join(out)

    def finish(self) -> Iterator[bytes]:
        """The rest of the content and the zeros, chunk by chunk."""
        while self._left:
            zeros = min(self._left, CHUNK_BYTES - len(self._plain))
            self._plain += bytes(zeros)
            self._left -= zeros
            if len(self._plain) == CHUNK_BYTES:
                yield self._seal(CHUNK_BYTES)
        if self._plain:
            yield self._seal(len(self._plain))

    def _seal(self, size: int) -> bytes:
        sealed = self._chunks.seal(self._number, bytes(self._plain[:size]))
        del self._plain[:size]
        self._number += 1
        return sealed


class Reader:
    """Reads a file that a `Writer` made; `start` is its first SALT_BYTES. Chunks are got from the file by their number:
    `where(number)` says at which offset, `CHUNK_BYTES + TAG_BYTES` or what is left is their length."""

    def __init__(self, token: bytes, start: bytes) -> None:
        if len(start) != SALT_BYTES:
            raise Damaged("an upload is damaged")
        self._chunks = _Chunks(token, start)

    @staticmethod
    def where(number: int) -> int:
        return SALT_BYTES + number * (CHUNK_BYTES + TAG_BYTES)

    def head(self, first: bytes) -> Head:
        """Out of chunk 0. Raises Damaged."""
        plain = self._chunks.open(0, first)
        version, size, expires, length = _FIELDS.unpack_from(plain)
        if version != _VERSION:
            raise Damaged("an upload of another version")
        return Head(size, expires, plain[_FIELDS.size : _FIELDS.size + length].decode("ascii"))

    def content(self, number: int, sealed: bytes, first: int, stop: int) -> bytes:
        """What chunk `number` has of the content from `first` up to `stop`. Raises Damaged."""
        plain = self._chunks.open(number, sealed)
        base = number * CHUNK_BYTES - HEAD_BYTES
        return plain[max(first - base, 0) : max(stop - base, 0)]


def chunks_of(first: int, stop: int) -> range:
    """The numbers of the chunks that have the content from `first` up to `stop`."""
    if first >= stop:
        return range(0)
    return range((HEAD_BYTES + first) // CHUNK_BYTES, (HEAD_BYTES + stop - 1) // CHUNK_BYTES + 1)
