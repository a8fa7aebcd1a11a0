"""The list of all sealed rows of an account, itself one of them: what is missing, foreign or old is found. Pure.

    manifest = version u8 | record …
    record   = kind u8 | key 16 | tag 16          in the order of keys

`kind` says which of the account's tables the row belongs to, `BODY` is set where it lies in the table of large values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from quietwire.seal.keys import HASH_BYTES
from quietwire.seal.rows import TAG_BYTES
from quietwire.seal.wraps import SealError

VERSION: Final = 1
BODY: Final = 0x80
DUMMY: Final = 0
"""Kind of a row that only rounds up their number."""
ISOLATED: Final = 0x7F
"""Kind of a row that is not what was written: known, reported, never read."""
_RECORD: Final = 1 + HASH_BYTES + TAG_BYTES


class Manifest:
    """Packed, since every account in memory has one: `_RECORD` bytes a row."""

    __slots__ = ("_records",)

    def __init__(self, records: bytes = b"") -> None:
        self._records = bytearray(records)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Raises SealError."""
        if data[:1] != bytes((VERSION,)) or (len(data) - 1) % _RECORD:
            raise SealError("not a manifest of version 1")
        return cls(data[1:])

    def to_bytes(self) -> bytes:
        whole = bytes(self._records)
        records = sorted((whole[at : at + _RECORD] for at in range(0, len(whole), _RECORD)), key=lambda each: each[1:])
        return bytes((VERSION,)) + b"".join(records)

    def __len__(self) -> int:
        return len(self._records) // _RECORD

    def __iter__(self) -> Iterator[tuple[int, bytes, bytes]]:
        """(kind, key, tag) of each row."""
        whole = bytes(self._records)
        for at in range(0, len(whole), _RECORD):
            yield whole[at], whole[at + 1 : at + 1 + HASH_BYTES], whole[at + 1 + HASH_BYTES : at + _RECORD]

    def _at(self, key: bytes) -> int:
        at = self._records.find(key, 1)
        while at != -1 and at % _RECORD != 1:  # the same bytes by chance across two records
            at = self._records.find(key, at + 1)
        return at - 1

    def get(self, key: bytes) -> tuple[int, bytes] | None:
        """(kind, tag) of that row."""
        at = self._at(key)
        if at < 0:
            return None
        return self._records[at], bytes(self._records[at + 1 + HASH_BYTES : at + _RECORD])

    def put(self, kind: int, key: bytes, tag: bytes) -> None:
        record = bytes((kind,)) + key + tag
        at = self._at(key)
        if at < 0:
            self._records += record
        else:
            self._records[at : at + _RECORD] = record

    def remove(self, key: bytes) -> None:
        """Nothing where there is no such row."""
        at = self._at(key)
        if at >= 0:
            del self._records[at : at + _RECORD]

    def keys(self, kinds: Iterable[int]) -> list[bytes]:
        wanted = set(kinds)
        return [key for kind, key, _ in self if kind in wanted]

    def count(self, kinds: Iterable[int] | None = None) -> int:
        if kinds is None:
            return len(self)
        wanted, records = set(kinds), self._records
        return sum(records[at] in wanted for at in range(0, len(records), _RECORD))
