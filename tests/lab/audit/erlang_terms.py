"""Terms as Erlang writes them, for tests of who reads them."""

from __future__ import annotations

import struct
from typing import Any

from quietwire.lab.audit.erlang import Atom


def encode(term: Any) -> bytes:
    """A term as Erlang writes it, without the version byte."""
    if isinstance(term, Atom):
        return b"d" + struct.pack(">H", len(term)) + term.encode()
    if isinstance(term, bytes):
        return b"m" + struct.pack(">I", len(term)) + term
    if isinstance(term, tuple):
        return b"h" + bytes((len(term),)) + b"".join(map(encode, term))
    if isinstance(term, list):
        return b"l" + struct.pack(">I", len(term)) + b"".join(map(encode, term)) + b"j" if term else b"j"
    if isinstance(term, int):
        return b"a" + bytes((term,)) if 0 <= term < 256 else b"b" + struct.pack(">i", term)
    raise TypeError(term)


def term(value: Any) -> bytes:
    return b"\x83" + encode(value)
