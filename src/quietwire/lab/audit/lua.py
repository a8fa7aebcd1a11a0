"""Reads the tables that Prosody keeps as Lua source: `return {…};` and one `item({…});` after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Table = dict[Any, Any]

_TOKEN = re.compile(
    rb"""\s*(?:(?P<punct>[{}\[\]=;,()])|(?P<number>-?(?:0x[0-9a-fA-F.]+|\d[\d.]*(?:[eE][+-]?\d+)?))|(?P<name>[A-Za-z_]\w*)"""
    rb"""|"(?P<string>(?:[^"\\]|\\.|\\\n)*)")""",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(\d{1,3}|.)", re.DOTALL)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"0": b"\0"}
DEEPEST = 100
"""Tables in tables; what clients send is less deep."""


class LuaError(ValueError):
    """Not such a file, or its end is missing."""


def read(source: bytes) -> Iterator[Table]:
    """Each table, with positions from 1 as the keys of what has none. Raises LuaError after those that are whole."""
    reader = _Reader(source)
    while (word := reader.next()) is not None:
        if word == ("punct", b";"):
            continue
        if word not in (("name", b"return"), ("name", b"item")):
            raise LuaError(f"{word[1]!r} at the start of a table")
        parenthesis = word[1] == b"item"
        if parenthesis:
            reader.want(b"(")
        found = reader.value(0)
        if parenthesis:
            reader.want(b")")
        if not isinstance(found, dict):
            raise LuaError("a value that is no table")
        yield found


class _Reader:
    def __init__(self, source: bytes) -> None:
        self._source = source
        self._at = 0

    def next(self) -> tuple[str, bytes] | None:
        match = _TOKEN.match(self._source, self._at)
        if match is None or match.lastgroup is None:
            if self._source[self._at :].strip():
                raise LuaError(f"{self._source[self._at : self._at + 20]!r}")
            return None
        self._at = match.end()
        return match.lastgroup, match[match.lastgroup]

    def want(self, punct: bytes) -> None:
        if self.next() != ("punct", punct):
            raise LuaError(f"no {punct!r}")

    def value(self, depth: int) -> Any:
        token = self.next()
        if token is None or depth > DEEPEST:
            raise LuaError("ends too early")
        group, text = token
        if group == "string":
            return _ESCAPE.sub(_unescape, text).decode("utf-8", "replace")
        if group == "number":
            number = float.fromhex(text.decode()) if text.startswith((b"0x", b"-0x")) else float(text)
            return int(number) if number.is_integer() else number
        if group == "name":
            return {b"true": True, b"false": False}.get(text)
        if text != b"{":
            raise LuaError(f"{text!r} is no value")
        return self._table(depth)

    def _table(self, depth: int) -> Table:
        table: Table = {}
        position = 1
        while True:
            at = self._at
            token = self.next()
            if token is None:
                raise LuaError("ends too early")
            if token == ("punct", b"}"):
                return table
            if token[0] == "punct" and token[1] in b";,":
                continue
            if token == ("punct", b"["):
                key = self.value(depth + 1)
                self.want(b"]")
                self.want(b"=")
                table[key] = self.value(depth + 1)
            else:
                self._at = at
                table[position] = self.value(depth + 1)
                position += 1


def _unescape(match: re.Match[bytes]) -> bytes:
    text = match[1]
    if text.isdigit():
        return bytes((min(int(text), 255),))
    return _PLAIN.get(text, text)
