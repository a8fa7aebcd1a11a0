"""Finds and reads Erlang terms in any bytes: what Mnesia keeps in its logs and tables, deleted objects among it.

The external term format (Erlang/OTP, "ERTS Reference Manual", External Term Format), as far as data needs it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

DEEPEST = 60
LARGEST = 1 << 22
"""Bytes of a compressed term that are taken."""
_START = re.compile(rb"\x83(?=[hliP])")
ACTIVE = b"\x12\x34\x56\x78"
"""Before an object in a file of dets that was not deleted (stdlib's dets.hrl)."""


class Atom(str):
    """A name, as opposed to a string of bytes."""

    __slots__ = ()


class TermError(ValueError):
    """No term, or one that is cut off."""


def carve(data: bytes) -> Iterator[tuple[int, Any]]:
    """(offset, term) of each compound term that stands in `data`, wherever."""
    at = 0
    while (match := _START.search(data, at)) is not None:
        try:
            term, at = read(data, match.start())
        except TermError:
            at = match.end()
            continue
        yield match.start(), term


def read(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The term at an offset (with its version byte, 131), and where it ends. Raises TermError."""
    if data[at : at + 1] != b"\x83":
        raise TermError("not a term")
    try:
        if data[at + 1] == 80:
            size = int.from_bytes(data[at + 2 : at + 6], "big")
            if size > LARGEST:
                raise TermError("too long")
            unpacker = zlib.decompressobj()
            inner = unpacker.decompress(data[at + 6 :], size)
            return _term(inner, 0, 0)[0], len(data) - len(unpacker.unused_data)
        return _term(data, at + 1, 0)
    except (IndexError, struct.error, zlib.error, UnicodeDecodeError, OverflowError) as error:
        raise TermError(str(error)) from None


def _term(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEEPEST:
        raise TermError("too deep")
    tag = data[at]
    at += 1
    match tag:
        case 97:
            return data[at], at + 1
        case 98:
            return struct.unpack_from(">i", data, at)[0], at + 4
        case 70:
            return struct.unpack_from(">d", data, at)[0], at + 8
        case 110 | 111:
            width = 1 if tag == 110 else 4
            size = int.from_bytes(_piece(data, at, width), "big")
            sign, at = data[at + width], at + width + 1
            number = int.from_bytes(_piece(data, at, size), "little")
            return -number if sign else number, at + size
        case 100 | 118 | 115 | 119:
            width = 2 if tag in (100, 118) else 1
            size = int.from_bytes(_piece(data, at, width), "big")
            if size > 1020:
                raise TermError("too long for a name")
            name = _piece(data, at + width, size)
            return Atom(name.decode("latin-1" if tag in (100, 115) else "utf-8")), at + width + size
        case 104 | 105:
            width = 1 if tag == 104 else 4
            size = int.from_bytes(_piece(data, at, width), "big")
            items, at = _several(data, at + width, size, depth)
            return tuple(items), at
        case 106:
            return [], at
        case 107:
            size = int.from_bytes(_piece(data, at, 2), "big")
            return list(_piece(data, at + 2, size)), at + 2 + size
        case 108:
            size = int.from_bytes(_piece(data, at, 4), "big")
            items, at = _several(data, at + 4, size, depth)
            tail, at = _term(data, at, depth + 1)
            return items if tail == [] else [*items, tail], at
        case 109:
            size = int.from_bytes(_piece(data, at, 4), "big")
            return _piece(data, at + 4, size), at + 4 + size
        case 116:
            size = int.from_bytes(_piece(data, at, 4), "big")
            items, at = _several(data, at + 4, 2 * size, depth)
            return dict(zip(map(_frozen, items[::2]), items[1::2], strict=True)), at
        case 88 | 103:  # processes
            _, at = _term(data, at, depth + 1)
            return Atom("pid"), at + (12 if tag == 88 else 9)
        case 90 | 114:  # references
            size = int.from_bytes(_piece(data, at, 2), "big")
            _, at = _term(data, at + 2, depth + 1)
            return Atom("reference"), at + (4 if tag == 90 else 1) + 4 * size
    raise TermError(f"tag {tag}")


def _several(data: bytes, at: int, size: int, depth: int) -> tuple[list[Any], int]:
    if size > len(data) - at:
        raise TermError("too many")
    items = []
    for _ in range(size):
        item, at = _term(data, at, depth + 1)
        items.append(item)
    return items, at


def _piece(data: bytes, at: int, size: int) -> bytes:
    piece = data[at : at + size]
    if len(piece) != size:
        raise TermError("ends too early")
    return piece


def _frozen(term: Any) -> Any:
    return (
        tuple(map(_frozen, term)) if isinstance(term, list | tuple) else repr(term) if isinstance(term, dict) else term
    )


def records(term: Any) -> Iterator[tuple[Any, ...]]:
    """Every tuple in a term that begins with a name, outer ones first: records, wherever they stand."""
    if isinstance(term, tuple):
        if term and isinstance(term[0], Atom):
            yield term
        for each in term:
            yield from records(each)
    elif isinstance(term, list):
        for each in term:
            if isinstance(each, tuple | list | dict):
                yield from records(each)
    elif isinstance(term, dict):
        for each in term.values():
            yield from records(each)


def text(term: Any) -> str:
    """A binary, a name, a number or a list of characters as text; "" for what is none of these."""
    if isinstance(term, bytes):
        return term.decode("utf-8", "replace")
    if isinstance(term, Atom):
        return "" if term in ("undefined", "none", "false") else str(term)
    if isinstance(term, list) and term and all(isinstance(each, int) and 0 < each < 256 for each in term):
        return bytes(term).decode("utf-8", "replace")
    return str(term) if isinstance(term, int | float) else ""


def words(term: Any) -> str:
    """All texts in a term."""
    if isinstance(term, tuple) or (isinstance(term, list) and not text(term)):
        return " ".join(filter(None, map(words, term)))
    if isinstance(term, dict):
        return " ".join(filter(None, (f"{words(key)} {words(value)}" for key, value in term.items())))
    return text(term)
