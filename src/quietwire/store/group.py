"""The operations that will be committed together. Plain values: no thread, no disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quietwire.core.later import Ticket
from quietwire.store.ports import Entry

OVERHEAD = 256
"""Bytes an operation is taken to weigh besides its value: entry, key, owner and the slot in a dictionary."""


Row = tuple[str, bytes, bytes]
"""Table, owner, key."""


class Late:
    """A value that is made when the group is handed over. `size`: bytes it is taken to have until then."""

    __slots__ = ("make", "size")

    def __init__(self, make: Callable[[], bytes], size: int) -> None:
        self.make = make
        self.size = size


class Group:
    """The loop's thread fills it until it is handed over; the writer's thread only reads it.

    Applied in this order: `erased`, `gone`, `rows`, `kept`. A row or entry that was written and then deleted again
    within the group leaves no trace but, for a row, its deletion.
    """

    __slots__ = ("dressed", "erased", "gone", "kept", "late", "others", "rows", "ticket", "touched", "weight")

    def __init__(self) -> None:
        self.ticket = Ticket()
        self.others: list[Ticket] = []
        """Tickets that settle with this group: of groups it took up, or that had nothing left to write."""
        self.kept: dict[bytes, Entry] = {}
        self.dressed: dict[bytes, bytes] = {}
        """Key -> what is written for the entry instead of its value."""
        self.gone: dict[bytes, bytes] = {}
        """Key -> owner of spool entries on the disk that were confirmed."""
        self.rows: dict[Row, bytes | None] = {}
        """Row -> value, None for a deletion. Written by `put`."""
        self.late: dict[Row, Late] = {}
        """Those of the rows whose value is still to be made."""
        self.touched: set[tuple[str, bytes]] = set()
        """(table, owner) of the rows."""
        self.erased: set[bytes] = set()
        self.weight = 0
        """Bytes written into the group, entries confirmed meanwhile taken off again."""

    @property
    def empty(self) -> bool:
        return not (self.kept or self.gone or self.rows or self.erased)

    def put(self, table: str, owner: bytes, key: bytes, value: bytes | None) -> None:
        if self.late:
            self._not_late((table, owner, key))
        self.rows[table, owner, key] = value
        self.touched.add((table, owner))

    def put_late(self, table: str, owner: bytes, key: bytes, late: Late) -> None:
        self.put(table, owner, key, b"")
        self.late[table, owner, key] = late

    def fix(self, dress: Callable[[bytes, bytes, bytes], bytes] | None) -> tuple[dict[bytes, int], list[Exception]]:
        """Makes what is late, and dresses the entries that are not yet. -> by how much the entries of each owner have
        grown, and what went wrong: such a row or entry is not in the group any more."""
        grown: dict[bytes, int] = {}
        bugs: list[Exception] = []
        for row, late in self.late.items():
            try:
                value = self.rows[row] = late.make()
                self.weight += len(value) - late.size
            except Exception as bug:
                del self.rows[row]
                bugs.append(bug)
        self.late = {}
        if dress is None:
            return grown, bugs
        if self.dressed:  # some may have been confirmed since
            self.dressed = {key: value for key, value in self.dressed.items() if key in self.kept}
        for entry in [entry for key, entry in self.kept.items() if key not in self.dressed]:
            try:
                value = self.dressed[entry.key] = dress(entry.owner, entry.key, entry.value)
            except Exception as bug:
                self._drop(entry)
                bugs.append(bug)
                continue
            grown[entry.owner] = grown.get(entry.owner, 0) + len(value) - entry.size
            self.weight += len(value) - entry.size
            entry.size = len(value)
        return grown, bugs

    def matters_to(self, about: Sequence[tuple[str, bytes | None]]) -> bool:
        """Whether a read of those tables of those owners, or of all owners (None), must see this on the disk. Other
        reads do not wait: an archive that grows all the time would have every login commit it. The spool's entries are
        merged in memory."""
        for table, owner in about:
            if owner is None:
                if self.erased or any(touched == table for touched, _ in self.touched):
                    return True
            elif (table, owner) in self.touched or owner in self.erased:
                return True
        return False

    def erase(self, owner: bytes) -> None:
        """Deletes all of the owner's rows and entries, here and, when the group is applied, on the disk."""
        for entry in [entry for entry in self.kept.values() if entry.owner == owner]:
            entry.confirmed = True
            self._drop(entry)
        self.gone = {key: whose for key, whose in self.gone.items() if whose != owner}
        self.rows = {row: value for row, value in self.rows.items() if row[1] != owner}
        self.late = {row: late for row, late in self.late.items() if row[1] != owner}
        self.touched = {touched for touched in self.touched if touched[1] != owner}
        self.erased.add(owner)
        self.weight += OVERHEAD

    def absorb(self, newer: Group) -> None:
        """Takes up what was collected while this group failed to be committed, as if it had been one group."""
        for owner in newer.erased:
            self.erase(owner)
        for key, owner in newer.gone.items():
            entry = self.kept.get(key)
            if entry is None:
                self.gone[key] = owner
            else:
                self._drop(entry)
        if self.late:
            for row in newer.rows:
                self._not_late(row)
        self.rows.update(newer.rows)
        self.late.update(newer.late)
        self.touched |= newer.touched
        self.kept.update(newer.kept)
        self.dressed.update(newer.dressed)
        self.weight += newer.weight
        self.others += [newer.ticket, *newer.others]

    def settle(self) -> None:
        self.ticket.settle()
        for ticket in self.others:
            ticket.settle()

    def _drop(self, entry: Entry) -> None:
        del self.kept[entry.key]
        self.dressed.pop(entry.key, None)
        self.weight -= entry.size + OVERHEAD

    def _not_late(self, row: Row) -> None:
        late = self.late.pop(row, None)
        if late is not None:
            self.weight -= late.size
