"""Overwriting keys in memory, as far as Python lets us.

A `bytearray` is overwritten in place. An immutable `bytes` object is, too, in CPython, where its data follows its
header: for key material that a library could only return as `bytes`, and that nothing else refers to. Not in reach: copies that
an interpreter, a library or the kernel has made and freed before. docs/protocols/sealed-store.md says which there are.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_CPYTHON: Final = sys.implementation.name == "cpython"
_HEADER: Final = bytes.__basicsize__ - 1
_LEAST: Final = 16
"""Bytes: shorter ones may be shared by the interpreter, and are no keys."""


def wipe(*keys: bytearray | bytes | None) -> None:
    """Overwrites each with zeros. A `bytes` object must be a key of the caller's own, in use nowhere else."""
    for key in keys:
        if isinstance(key, bytearray):
            key[:] = bytes(len(key))
        elif isinstance(key, bytes) and _CPYTHON and len(key) >= _LEAST:
            ctypes.memset(id(key) + _HEADER, 0, len(key))
