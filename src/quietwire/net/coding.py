"""Content codings that hide lengths: a gzip (RFC 1952) that compresses nothing and is as long as it is meant to be.

A download cannot be longer than its Content-Length, and TLS pads records, not files. But whoever accepts gzip takes a
comment in its head and empty stored blocks (RFC 1951 §3.2.4) before its last one, any number of them. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

BLOCK: Final = 32_768
"""Bytes of the content in one stored block; 65,535 is the most. About as much filling comes in one piece."""
_HEAD: Final = b"\x1f\x8b\x08%c\0\0\0\0\0\xff"
"""Deflate; flags; no time; no name of a system."""
_COMMENT: Final = 0x10
_EMPTY: Final = b"\0\0\0\xff\xff"
_LAST: Final = b"\x01\0\0\xff\xff"
_TRAILER: Final = 8


def accepts_gzip(accept_encoding: str) -> bool:
    """What a request says about it (RFC 9110 §12.5.3). Not named: not accepted."""
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def least(size: int) -> int:
    """Bytes of `size` bytes, coded without any filling."""
    return len(_HEAD) - 1 + len(_EMPTY) * (-(-size // BLOCK) + 1) + size + _TRAILER


class Coder:
    """`begin()`, `add()` for all of the content in pieces of any length, `finish()`: together `total` bytes."""

    def __init__(self, size: int, total: int) -> None:
        """Raises ValueError for a `total` under `least(size)`."""
        missing = total - least(size)
        if missing < 0:
            raise ValueError("more than the length it is to have")
        self._comment = (missing - 1) % len(_EMPTY) + 1 if missing else 0
        self._empty = (missing - self._comment) // len(_EMPTY)
        self._size = size
        self._crc = 0
        self._waiting = bytearray()

    def begin(self) -> bytes:
        flags = _COMMENT if self._comment else 0
        return _HEAD % flags + b"-" * (self._comment - 1) + b"\0" * bool(self._comment)

    def add(self, content: bytes) -> bytes:
        """What can be written by now: whole blocks."""
        self._crc = zlib.crc32(content, self._crc)
        self._waiting += content
        out = bytearray()
        while len(self._waiting) >= BLOCK:
            out += _stored(self._waiting[:BLOCK])
            del self._waiting[:BLOCK]
        return bytes(out)

    def finish(self) -> Iterator[bytes]:
        """The rest, the filling and the end, in pieces of BLOCK at most."""
        if self._waiting:
            yield _stored(self._waiting)
        many = BLOCK // len(_EMPTY)
        for left in range(self._empty, 0, -many):
            yield _EMPTY * min(left, many)
        yield _LAST + self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")


def _stored(block: bytearray) -> bytes:
    length = len(block).to_bytes(2, "little")
    return b"\0" + length + bytes(255 - byte for byte in length) + block
