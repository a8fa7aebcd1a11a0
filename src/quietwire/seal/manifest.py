"""The list of all sealed rows of an account, itself one of them: what is missing, foreign or old is found. Pure.

    manifest = version u8 | record …
    record   = kind u8 | key 16 | tag 16          in the order of keys, each key once

`kind` says which of the account's tables the row belongs to, `BODY` is set where it lies in the table of large values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from quietwire.seal.keys import HASH_BYTES
from quietwire.seal.rows import TAG_BYTES
from quietwire.seal.wraps import SealError

VERSION: Final = 1
BODY: Final = 0x80
DUMMY: Final = 0
"""Kind of a row that only rounds up their number."""
ISOLATED: Final = 0x7F
"""Kind of a row that is not what was written: known, reported, never read. `BODY` may be set with it."""
_KEY: Final = 1
_TAG: Final = 1 + HASH_BYTES
_RECORD: Final = _TAG + TAG_BYTES


class Manifest:
    """Packed, since every account in memory has one: `_RECORD` bytes a row. A row is found in a binary search, and what
    goes to the disk is there as it is."""

    __slots__ = ("_records", "dummies", "small")

    def __init__(self) -> None:
        self._records = bytearray()
        self.small = 0
        """Rows without `BODY`, dummies among them."""
        self.dummies = 0

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Raises SealError."""
        if data[:1] != bytes((VERSION,)) or (len(data) - 1) % _RECORD:
            raise SealError("not a manifest of version 1")
        manifest = cls()
        former = b""
        for at in range(1, len(data), _RECORD):
            key = data[at + _KEY : at + _TAG]
            if key <= former:
                raise SealError("a manifest without order")
            former = key
            manifest._count(data[at], 1)
        manifest._records += memoryview(data)[1:]
        return manifest

    def to_bytes(self) -> bytes:
        return bytes((VERSION,)) + self._records

    def __len__(self) -> int:
        return len(self._records) // _RECORD

    def __iter__(self) -> Iterator[tuple[int, bytes, bytes]]:
        """(kind, key, tag) of each row as it is now."""
        whole = bytes(self._records)
        for at in range(0, len(whole), _RECORD):
            yield whole[at], whole[at + _KEY : at + _TAG], whole[at + _TAG : at + _RECORD]

    def get(self, key: bytes) -> tuple[int, bytes] | None:
        """(kind, tag) of that row."""
        at = self._at(key)
        if not self._is(at, key):
            return None
        return self._records[at], bytes(self._records[at + _TAG : at + _RECORD])

    def put(self, kind: int, key: bytes, tag: bytes) -> None:
        """ValueError for a key or tag of another length than 16."""
        if len(key) != HASH_BYTES or len(tag) != TAG_BYTES:
            raise ValueError("keys and tags have 16 bytes")
        at = self._at(key)
        end = at
        if self._is(at, key):
            self._count(self._records[at], -1)
            end = at + _RECORD
        self._records[at:end] = bytes((kind,)) + key + tag
        self._count(kind, 1)

    def remove(self, key: bytes) -> None:
        """Nothing where there is no such row."""
        at = self._at(key)
        if self._is(at, key):
            self._count(self._records[at], -1)
            del self._records[at : at + _RECORD]

    def keys(self, kind: int, most: int | None = None) -> list[bytes]:
        """Of the rows of that kind, of at most that many."""
        return [key for key, _ in self.of(kind, most)]

    def of(self, kind: int, most: int | None = None) -> list[tuple[bytes, bytes]]:
        """(key, tag) of the rows of that kind, of at most that many."""
        kinds = bytes(self._records[::_RECORD])
        found: list[tuple[bytes, bytes]] = []
        number = kinds.find(kind)
        while number != -1 and (most is None or len(found) < most):
            record = bytes(self._records[number * _RECORD : (number + 1) * _RECORD])
            found.append((record[_KEY:_TAG], record[_TAG:]))
            number = kinds.find(kind, number + 1)
        return found

    def _count(self, kind: int, change: int) -> None:
        if not kind & BODY:
            self.small += change
            if kind == DUMMY:
                self.dummies += change

    def _at(self, key: bytes) -> int:
        """Where its record is, or would be."""
        records = self._records
        low, high = 0, len(records) // _RECORD
        while low < high:
            middle = (low + high) // 2
            at = middle * _RECORD
            if records[at + _KEY : at + _TAG] < key:
                low = middle + 1
            else:
                high = middle
        return low * _RECORD

    def _is(self, at: int, key: bytes) -> bool:
        return self._records[at + _KEY : at + _TAG] == key
