"""The default storage: SQLite, one writer thread, commits of groups (`committer.py`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from struct import Struct

from quietwire.core.later import Later, Ticket, drive
from quietwire.store.committer import (
    CHECKPOINT_SECONDS,
    DURABLE,
    GROUP_SECONDS,
    GROUP_WEIGHT,
    RETRY_SECONDS,
    Committer,
)
from quietwire.store.group import OVERHEAD, Late
from quietwire.store.ports import LONGEST_NAME, Entry, StorageError
from quietwire.store.writer import (
    KNOWN,
    query_get,
    query_get_many,
    query_measure,
    query_owners,
    query_scan,
    query_scan_many,
)

__all__ = ["CHECKPOINT_SECONDS", "GROUP_SECONDS", "GROUP_WEIGHT", "RETRY_SECONDS", "SqliteStorage"]


KEYS = Struct("16s" * 512)  # random keys: long enough never to meet again, many drawn with one system call


class SqliteStorage(Committer):
    """Store, spool and storage (see `ports`) in the SQLite file `path`; creates its directory (0700) and file (0600).

    `post(fn)` has `fn` called in the loop's thread, from any thread (`loop.call_soon_threadsafe`). `later(seconds, fn)`
    calls `fn` in the loop's thread then, and returns what cancels it. `randomness(n)` gives n random bytes.
    `on_fault(text)` is told once why the disk refuses, again when the reason changes, and "" when it accepts again.
    Raises ConfigError if the directory is in use by another process or the file cannot be used.
    """

    @property
    def store(self) -> SqliteStorage:
        """This object: the faces of one storage share its buffer and its commits."""
        return self

    @property
    def spool(self) -> SqliteStorage:
        return self

    def backup(self, path: Path) -> Later[None]:
        """Writes a consistent copy of all that was written until now, while everything goes on; see `backup.copy`.

        Fails with StorageError: another copy is being made, the storage is closed, or why the copy cannot be written.
        Of what the disk of the database refuses at the time nothing is in the copy.
        """
        copied: Later[None] = Later()

        def done(_: object, error: BaseException | None) -> None:
            if error is None:
                copied.resolve(None)
            else:
                copied.fail(error)

        drive(self._backup(path), done)
        return copied

    async def _backup(self, path: Path) -> None:
        if not self._closed:
            self._due = True
            self._when_turned()
        await self._ask(lambda _: None, ())  # after the commit
        if self._closed:
            raise StorageError("the storage is closed")
        await self._copier.start(path)

    # the spool; `keep` and `confirm` run for every message

    def keep(self, owner: bytes, value: bytes) -> Entry:
        if self._refusing:
            self._refuse()
        if not self._keys:
            self._keys = list(KEYS.unpack(self._randomness(KEYS.size)))
        key = self._keys.pop()
        group = self._group
        group.kept[key] = entry = Entry(owner, key, value, group.ticket)
        size = len(value)
        used = self._usage.get(owner)
        if used is None:
            used = self._usage[owner] = [0, 0]
        used[0] += 1
        used[1] += size
        group.weight += size + OVERHEAD
        if self._timer is None or group.weight >= GROUP_WEIGHT:
            self._collected(group)
        return entry

    def confirm(self, entry: Entry) -> None:
        if entry.confirmed:
            return
        entry.confirmed = True
        group = self._group
        size = entry.size
        used = self._usage[entry.owner]
        used[0] -= 1
        used[1] -= size
        if group.kept.pop(entry.key, None) is not None:
            group.weight -= size + OVERHEAD
            if not group.kept and group.ticket.awaited and group.empty:
                self._settle_unwritten()
            return
        held = self._held
        if held is not None and held.kept.pop(entry.key, None) is not None:
            held.weight -= size + OVERHEAD
            if not held.kept and held.ticket.awaited and held.empty:
                self._settle_held()
            return
        group.gone[entry.key] = entry.owner
        self._wrote(0)

    def load(self, owner: bytes) -> Later[list[Entry]]:
        return self._ask(query_scan("spool", owner), (("spool", owner),), partial(self._entries, owner))

    def usage(self, owner: bytes) -> tuple[int, int]:
        entries, size = self._usage.get(owner, (0, 0))
        return entries, size

    # the store

    def _empty(self, table: str, owner: bytes) -> bool:
        """Known without a look: the owner has no rows there."""
        few = self._few.get(table)
        return few is not None and owner not in few and not self._closed

    def get(self, table: str, owner: bytes, key: bytes) -> Later[bytes | None]:
        if self._empty(table, owner):
            return Later.of(None)
        return self._ask(query_get(_known(table), owner, key), ((table, owner),))

    def get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> Later[dict[bytes, bytes]]:
        if self._empty(table, owner):
            return Later.of({})
        return self._ask(query_get_many(_known(table), owner, keys), ((table, owner),))

    def scan(
        self, table: str, owner: bytes, first: bytes = b"", stop: bytes | None = None, head: int | None = None
    ) -> Later[list[tuple[bytes, bytes]]]:
        if self._empty(table, owner):
            return Later.of([])
        return self._ask(query_scan(_known(table), owner, first, stop, head), ((table, owner),))

    def scan_many(self, wanted: Sequence[tuple[str, bytes, int | None]]) -> Later[list[list[tuple[bytes, bytes]]]]:
        answers: list[list[tuple[bytes, bytes]]] = [[] for _ in wanted]
        asked = [n for n, (table, owner, _) in enumerate(wanted) if not self._empty(table, owner)]
        if not asked:
            return Later.of(answers)
        question = [(_known(table), owner, head) for table, owner, head in map(wanted.__getitem__, asked)]

        def placed(found: list[list[tuple[bytes, bytes]]]) -> list[list[tuple[bytes, bytes]]]:
            for n, pairs in zip(asked, found, strict=True):
                answers[n] = pairs
            return answers

        return self._ask(query_scan_many(question), [one[:2] for one in question], placed)

    def measure(self, table: str, owner: bytes) -> Later[tuple[int, int]]:
        return self._ask(query_measure(_known(table), owner), ((table, owner),))

    def owners(self, table: str) -> Later[list[bytes]]:
        return self._ask(query_owners(_known(table)), ((table, None),))

    def handle(self, table: str, owner: bytes) -> bytes:
        return owner

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Ticket:
        return self._write(table, owner, key, value)

    def put_late(self, table: str, owner: bytes, key: bytes, make: Callable[[], bytes], size: int) -> Ticket:
        self._check(table, owner, key)
        self._group.put_late(table, owner, key, Late(make, size))
        return self._added(table, owner, len(key) + size)

    def delete(self, table: str, owner: bytes, key: bytes) -> Ticket:
        return self._write(table, owner, key, None)

    def erase(self, owner: bytes) -> Ticket:
        if self._closed:
            self._refuse()
        self._usage.pop(owner, None)
        for owners in self._few.values():
            owners.discard(owner)
        self._merge()
        committing = self._job.group if self._job else None
        for entry in [*self._resting.values(), *(committing.kept.values() if committing else ())]:
            if entry.owner == owner:
                entry.confirmed = True  # all of them are looked at: an account is rarely deleted
        group = self._group
        group.erase(owner)
        self._wrote(0)
        return group.ticket

    def _write(self, table: str, owner: bytes, key: bytes, value: bytes | None) -> Ticket:
        self._check(table, owner, key)
        self._group.put(table, owner, key, value)
        return self._added(table, owner, len(key) + len(value or b""))

    def _check(self, table: str, owner: bytes, key: bytes) -> None:
        if self._refusing:
            self._refuse()
        if len(owner) > LONGEST_NAME or len(key) > LONGEST_NAME:
            raise ValueError("owners and keys have at most 4,096 bytes")
        _known(table)

    def _added(self, table: str, owner: bytes, size: int) -> Ticket:
        if table in self._few:
            self._few[table].add(owner)
        ticket = self._group.ticket
        self._wrote(len(owner) + size)
        return ticket

    def _entries(self, owner: bytes, rows: list[tuple[bytes, bytes]]) -> list[Entry]:
        """The owner's entries: what was on the disk, with what happened since in memory."""
        groups = [self._group]
        if self._held is not None:
            groups.append(self._held)
        if self._job is not None and self._job.group is not None:
            groups.append(self._job.group)  # an earlier waiter had it handed over
        entries = [entry for group in groups for entry in group.kept.values() if entry.owner == owner]
        for key, value in rows if not any(owner in group.erased for group in groups) else ():
            entry = self._resting.get(key)
            if entry is None:
                if any(key in group.gone for group in groups):
                    continue
                entry = self._resting[key] = Entry(owner, key, value, DURABLE, stored=True)
            entries.append(entry)
        return [entry for entry in entries if not entry.confirmed]


def _known(table: str) -> str:
    if table not in KNOWN:
        raise KeyError(table)
    return table
