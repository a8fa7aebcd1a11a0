"""The operations that will be committed together. Plain values: no thread, no disk."""

from __future__ import annotations

from quietwire.core.later import Ticket
from quietwire.store.ports import Entry

OVERHEAD = 256
"""Bytes an operation is taken to weigh besides its value: entry, key, owner and the slot in a dictionary."""


class Group:
    """The loop's thread fills it until it is handed over; the writer's thread only reads it.

    Applied in this order: `erased`, `gone`, `rows`, `kept`. A row or entry that was written and then deleted again
    within the group leaves no trace but, for a row, its deletion.
    """

    __slots__ = ("erased", "gone", "kept", "others", "rows", "ticket", "touched", "weight")

    def __init__(self) -> None:
        self.ticket = Ticket()
        self.others: list[Ticket] = []
        """Tickets that settle with this group: of groups it took up, or that had nothing left to write."""
        self.kept: dict[bytes, Entry] = {}
        self.gone: dict[bytes, bytes] = {}
        """Key -> owner of spool entries on the disk that were confirmed."""
        self.rows: dict[tuple[str, bytes, bytes], bytes | None] = {}
        """(table, owner, key) -> value, None for a deletion. Written by `put`."""
        self.touched: set[tuple[str, bytes]] = set()
        """(table, owner) of the rows."""
        self.erased: set[bytes] = set()
        self.weight = 0
        """Bytes written into the group, entries confirmed meanwhile taken off again."""

    @property
    def empty(self) -> bool:
        return not (self.kept or self.gone or self.rows or self.erased)

    def put(self, table: str, owner: bytes, key: bytes, value: bytes | None) -> None:
        self.rows[table, owner, key] = value
        self.touched.add((table, owner))

    def matters_to(self, table: str, owner: bytes | None) -> bool:
        """Whether a read of that owner's rows, or of all owners' (None), must see this on the disk. Other reads do not
        wait: an archive that grows all the time would have every login commit it. The spool's entries are merged in
        memory."""
        if owner is None:
            return bool(self.erased) or any(touched == table for touched, _ in self.touched)
        return (table, owner) in self.touched or owner in self.erased

    def erase(self, owner: bytes) -> None:
        """Deletes all of the owner's rows and entries, here and, when the group is applied, on the disk."""
        for entry in [entry for entry in self.kept.values() if entry.owner == owner]:
            entry.confirmed = True
            self._drop(entry)
        self.gone = {key: whose for key, whose in self.gone.items() if whose != owner}
        self.rows = {row: value for row, value in self.rows.items() if row[1] != owner}
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
        self.rows.update(newer.rows)
        self.touched |= newer.touched
        self.kept.update(newer.kept)
        self.weight += newer.weight
        self.others += [newer.ticket, *newer.others]

    def settle(self) -> None:
        self.ticket.settle()
        for ticket in self.others:
            ticket.settle()

    def _drop(self, entry: Entry) -> None:
        del self.kept[entry.key]
        self.weight -= len(entry.value) + OVERHEAD
