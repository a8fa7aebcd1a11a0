"""Uploads that are promised and not there yet (XEP-0363), and what the server asks of the disk they go to.

A row of the table `upload` says that an account has a file of that name and size class until that day. It is written
before its slot is given out, so that a file without a row is always one that nothing belongs to any more.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

from quietwire.core.jid import JID
from quietwire.core.later import Later, Ticket

PATH: Final = "/upload"
TABLE: Final = "upload"
DAY: Final = 86_400
SLOT_SECONDS: Final = 300.0
"""For a client to begin its upload after it was told where."""
SLOTS: Final = 64
"""Of one account, promised and unfinished: a gallery at once."""
FILES: Final = 10_000
"""Of one account: they are looked through for each promise."""
_ROW: Final = struct.Struct(">BIIQ")
_VERSION: Final = 1


class Files(Protocol):
    """The disk; implemented by `net/files.py`."""

    def tidy(self) -> Later[None]:
        """Removes what unfinished uploads have left. Before the first one."""
        ...

    def names(self) -> Later[list[bytes]]:
        """Of all whole files."""
        ...

    def remove(self, names: Collection[bytes]) -> Later[None]:
        """Those that are not there are not missed."""
        ...


@dataclass(slots=True)
class Row:
    """`day` and `expires` are days since the epoch, `size` the size class in bytes."""

    day: int
    expires: int
    size: int

    def to_bytes(self) -> bytes:
        return _ROW.pack(_VERSION, self.day, self.expires, self.size)

    @staticmethod
    def from_bytes(value: bytes) -> Row:
        version, day, expires, size = _ROW.unpack(value)
        if version != _VERSION:
            raise ValueError("a row of another version")
        return Row(day, expires, size)


@dataclass(slots=True)
class Slot:
    """One file that is promised. `expires`: the file, seconds since the epoch; `until`: the promise; `stored`: settles
    when its row is durable."""

    owner: JID
    size: int
    type: str
    expires: int
    until: float
    stored: Ticket
    taken: bool = False
    """Its upload is under way."""


class Uploads:
    """All slots, by the name of the file. `files` is None where there is no web port."""

    def __init__(self, files: Files | None) -> None:
        self.files = files
        self._slots: dict[bytes, Slot] = {}

    def add(self, name: bytes, slot: Slot) -> None:
        self._slots[name] = slot

    def count(self, owner: JID) -> int:
        """Slots of that account."""
        return sum(slot.owner == owner for slot in self._slots.values())

    def take(self, name: bytes, now: float) -> Slot | None:
        """The slot for the one upload that may use it now; None if there is none, any more or already taken."""
        slot = self._slots.get(name)
        if slot is None or slot.taken or slot.until < now:
            return None
        slot.taken = True
        return slot

    def give_back(self, name: bytes) -> None:
        """The upload has failed; while the promise lasts it may be tried again."""
        slot = self._slots.get(name)
        if slot is not None:
            slot.taken = False

    def finish(self, name: bytes) -> bool:
        """The file is there. False if nobody wants it any more: its account is gone."""
        return self._slots.pop(name, None) is not None

    def lapse(self, now: float) -> list[tuple[JID, bytes]]:
        """Takes out promises that were not used; -> (owner, name) of each."""
        lapsed = [(s.owner, name) for name, s in self._slots.items() if s.until < now and not s.taken]
        for _, name in lapsed:
            del self._slots[name]
        return lapsed

    def forget(self, owner: JID) -> None:
        """The account is gone."""
        for name in [name for name, slot in self._slots.items() if slot.owner == owner]:
            del self._slots[name]


async def sweep(uploads: Uploads, store: Any, now: float) -> None:
    """Deletes the rows of expired files and the files that have no row. `store`: `store.ports.Store`."""
    if uploads.files is None:
        return
    # First the files: each of them got its row before it got there.
    found = set(await uploads.files.names())
    today = int(now // DAY)
    for owner in await store.owners(TABLE):
        for name, value in await store.scan(TABLE, owner):
            if Row.from_bytes(value).expires < today:
                store.delete(TABLE, owner, name)
            else:
                found.discard(name)
    await uploads.files.remove(found)
