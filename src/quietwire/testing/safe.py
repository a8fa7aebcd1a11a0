"""Seals without keys, for tests of what is kept for accounts that are away: rows can be read as they lie there."""

from __future__ import annotations

from quietwire.seal.wraps import SealError
from quietwire.server.sealed.seals import Sealed

_FRONT = b"sealed:"


class PlainSafe:
    """Implements `seals.Safe`. `locked`: owners whose rows cannot be opened now."""

    def __init__(self) -> None:
        self.locked: set[bytes] = set()

    def owner(self, table: str, owner: bytes) -> bytes:
        return owner

    def is_open(self, owner: bytes) -> bool:
        return owner not in self.locked

    def seal(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes:
        return _FRONT + content

    def seal_own(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes:
        if owner in self.locked:
            raise Sealed
        return _FRONT + content

    def open(self, table: str, owner: bytes, key: bytes, row: bytes) -> bytes:
        if owner in self.locked:
            raise Sealed
        if not row.startswith(_FRONT):
            raise SealError("not a sealed row")
        return row[len(_FRONT) :]
