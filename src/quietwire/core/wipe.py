"""Overwriting keys in memory, as far as Python lets us.

A `bytearray` is overwritten in place. An immutable `bytes` object is, too, in CPython, where its data follows its
header: for key material that a library could only return as `bytes`, and that nothing else refers to. So is a `str`
that was made at run time and is nobody else's. Not in reach: copies that an interpreter, a library or the kernel
has made and freed before. docs/protocols/account-secret.md says which there are.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_CPYTHON: Final = sys.implementation.name == "cpython"
_HEADER: Final = bytes.__basicsize__ - 1
_TEXT: Final = sys.getsizeof("") - 1
"""Before the characters of a `str` that is all ASCII."""
_WIDE: Final = sys.getsizeof(chr(0x100) * 2) - 2 * 3
"""Before those of any other, which have one, two or four bytes each, as the widest of them needs."""
_SHARED: Final = 1
"""The interpreter has one object for each byte or character, and for nothing at all."""


def wipe(*keys: bytearray | bytes | None) -> None:
    """Overwrites each with zeros. A `bytes` object must be a key of the caller's own, in use nowhere else."""
    for key in keys:
        if isinstance(key, bytearray):
            key[:] = bytes(len(key))
        elif isinstance(key, bytes) and _CPYTHON and len(key) > _SHARED:
            ctypes.memset(id(key) + _HEADER, 0, len(key))


def wipe_text(*texts: str) -> None:
    """The same for passwords: text of the caller's own, never a literal or a key of a dict."""
    for text in texts:
        if _CPYTHON and len(text) > _SHARED:
            if text.isascii():
                ctypes.memset(id(text) + _TEXT, 0, len(text))
            else:
                widest = ord(max(text))
                ctypes.memset(id(text) + _WIDE, 0, len(text) * (1 if widest < 0x100 else 2 if widest < 0x10000 else 4))
