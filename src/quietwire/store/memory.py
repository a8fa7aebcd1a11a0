"""A storage without a disk, for tests: reads are there at once, and durability happens when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from quietwire.core.later import Later, Ticket
from quietwire.store.group import Row
from quietwire.store.ports import LOGICAL, LONGEST_NAME, TABLES, Entry, StorageError

T = TypeVar("T")
KNOWN = frozenset((*TABLES, *LOGICAL))
"""The tables of drivers, and those of modules, which tests run without the sealed store between."""


class _State:
    """What a disk would hold."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[bytes, dict[bytes, bytes]]] = {table: {} for table in KNOWN}
        self.spool: dict[bytes, dict[bytes, bytes]] = {}

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> None:
        self.rows[table].setdefault(owner, {})[key] = value

    def delete(self, table: str, owner: bytes, key: bytes) -> None:
        rows = self.rows[table].get(owner, {})
        rows.pop(key, None)
        if not rows:
            self.rows[table].pop(owner, None)

    def keep(self, owner: bytes, key: bytes, value: bytes) -> None:
        self.spool.setdefault(owner, {})[key] = value

    def put_made(self, row: Row, made: dict[Row, bytes]) -> None:
        if row in made:  # else a later write has taken its place
            self.put(*row, made[row])

    def confirm(self, owner: bytes, key: bytes) -> None:
        self.spool.get(owner, {}).pop(key, None)

    def erase(self, owner: bytes) -> None:
        for rows in self.rows.values():
            rows.pop(owner, None)
        self.spool.pop(owner, None)


class MemoryStorage:
    """Store, spool and storage (see `ports`). `Later`s are settled when they are returned; tickets by `commit`,
    `sync` or `close`. `crash` gives what a restart would find. `randomness(n)` gives n bytes and must not repeat."""

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        self._randomness = randomness
        self._durable = _State()
        self._now = _State()
        self._entries: dict[bytes, dict[bytes, Entry]] = {}
        self._ticket = Ticket()
        self._pending: list[Callable[[_State], None]] = []
        self._late: dict[Row, Callable[[], bytes]] = {}
        self._made: dict[Row, bytes] = {}
        """Of what is pending, the late rows whose values are made."""
        self._kept: list[Entry] = []
        self.dress: Callable[[bytes, bytes, bytes], bytes] | None = None
        self._written = False
        self._closed = False

    @property
    def store(self) -> MemoryStorage:
        return self

    @property
    def spool(self) -> MemoryStorage:
        return self

    def commit(self) -> None:
        """Makes all that is pending durable and settles its ticket."""
        self._make(list(self._late))
        pending, self._pending = self._pending, []
        ticket, self._ticket = self._ticket, Ticket()
        self._made = {}
        self._kept = []
        self._written = False
        for operation in pending:
            operation(self._durable)
        ticket.settle()

    def crash(self) -> MemoryStorage:
        """The storage as the next start finds it if the process is killed now; this one is not to be used any more."""
        again = MemoryStorage(self._randomness)
        for state in (again._durable, again._now):
            state.rows = {t: {o: dict(rows) for o, rows in all_.items()} for t, all_ in self._durable.rows.items()}
            state.spool = {owner: dict(entries) for owner, entries in self._durable.spool.items()}
        settled = Ticket()
        settled.settle()
        again._entries = {
            owner: {key: Entry(owner, key, value, settled, stored=True) for key, value in entries.items()}
            for owner, entries in self._durable.spool.items()
        }
        self._closed = True
        return again

    @property
    def latest(self) -> Ticket | None:
        owed = self._written or any(not entry.confirmed for entry in self._kept)
        return self._ticket if owed else None

    def sync(self) -> Ticket:
        ticket = self._ticket
        self.commit()
        return ticket

    def cut_log(self) -> None:
        """There is none."""

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.commit()

    def keep(self, owner: bytes, value: bytes) -> Entry:
        self._check_open()
        key = self._randomness(16)
        entries = self._entries.setdefault(owner, {})
        if key in entries:
            raise RuntimeError("the randomness handed in repeats itself")
        entries[key] = entry = Entry(owner, key, value, self._ticket)
        self._kept.append(entry)
        self._pending.append(partial(self._spool, entry))
        return entry

    def confirm(self, entry: Entry) -> None:
        if not entry.confirmed:
            entry.confirmed = True
            del self._entries[entry.owner][entry.key]
            self._do(partial(_State.confirm, owner=entry.owner, key=entry.key))

    def load(self, owner: bytes) -> Later[list[Entry]]:
        return self._answer(lambda: list(self._entries.get(owner, {}).values()))

    def usage(self, owner: bytes) -> tuple[int, int]:
        entries = self._entries.get(owner, {}).values()
        return len(entries), sum(entry.size for entry in entries)

    def get(self, table: str, owner: bytes, key: bytes) -> Later[bytes | None]:
        rows = self._rows(table, owner)
        return self._answer(lambda: rows.get(key))

    def get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> Later[dict[bytes, bytes]]:
        rows = self._rows(table, owner)
        return self._answer(lambda: {key: rows[key] for key in keys if key in rows})

    def scan(
        self, table: str, owner: bytes, first: bytes = b"", stop: bytes | None = None, head: int | None = None
    ) -> Later[list[tuple[bytes, bytes]]]:
        rows = self._rows(table, owner)
        return self._answer(
            lambda: [
                (key, value[:head]) for key, value in rows.items() if key >= first and (stop is None or key < stop)
            ]
        )

    def scan_many(self, wanted: Sequence[tuple[str, bytes, int | None]]) -> Later[list[list[tuple[bytes, bytes]]]]:
        scans = [self.scan(table, owner, head=head) for table, owner, head in wanted]
        return self._answer(lambda: [scan.result() for scan in scans])

    def measure(self, table: str, owner: bytes) -> Later[tuple[int, int]]:
        rows = self._rows(table, owner)
        return self._answer(lambda: (len(rows), sum(map(len, rows.values()))))

    def owners(self, table: str) -> Later[list[bytes]]:
        rows = self._now.rows[table]
        return self._answer(lambda: list(rows))

    def handle(self, table: str, owner: bytes) -> bytes:
        return owner

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Ticket:
        self._check_row(table, owner, key)
        self._written = True
        self._late.pop((table, owner, key), None)
        return self._do(partial(_State.put, table=table, owner=owner, key=key, value=value))

    def put_late(self, table: str, owner: bytes, key: bytes, make: Callable[[], bytes], size: int) -> Ticket:
        self._check_row(table, owner, key)
        self._written = True
        row = (table, owner, key)
        self._late[row] = make
        self._now.put(*row, b"")
        self._pending.append(partial(_State.put_made, row=row, made=self._made))
        return self._ticket

    def delete(self, table: str, owner: bytes, key: bytes) -> Ticket:
        self._check_row(table, owner, key)
        self._written = True
        self._late.pop((table, owner, key), None)
        return self._do(partial(_State.delete, table=table, owner=owner, key=key))

    def erase(self, owner: bytes) -> Ticket:
        self._check_open()
        for entry in self._entries.pop(owner, {}).values():
            entry.confirmed = True
        self._written = True
        self._late = {row: make for row, make in self._late.items() if row[1] != owner}
        return self._do(partial(_State.erase, owner=owner))

    def _rows(self, table: str, owner: bytes) -> dict[bytes, bytes]:
        rows = self._now.rows[table].get(owner, {})
        self._make([row for row in self._late if row[0] == table and row[1] == owner])
        return rows

    def _make(self, rows: Collection[Row]) -> None:
        for row in rows:
            self._made[row] = value = self._late.pop(row)()
            self._now.put(*row, value)

    def _spool(self, entry: Entry, state: _State) -> None:
        """At the commit: what was confirmed before is not written."""
        if not entry.confirmed:
            value = entry.value if self.dress is None else self.dress(entry.owner, entry.key, entry.value)
            entry.size = len(value)
            state.keep(entry.owner, entry.key, value)

    def _do(self, operation: Callable[[_State], None]) -> Ticket:
        operation(self._now)
        self._pending.append(operation)
        return self._ticket

    def _answer(self, value: Callable[[], T]) -> Later[T]:
        later: Later[T] = Later()
        if self._closed:
            later.fail(StorageError("the storage is closed"))
        else:
            later.resolve(value())
        return later

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("the storage is closed")

    def _check_row(self, table: str, owner: bytes, key: bytes) -> None:
        self._check_open()
        if table not in KNOWN:
            raise KeyError(table)
        if len(owner) > LONGEST_NAME or len(key) > LONGEST_NAME:
            raise ValueError("owners and keys have at most 4,096 bytes")
