"""A storage without a disk, for tests: reads are there at once, and durability happens when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TypeVar

from quietwire.core.later import Later, Ticket
from quietwire.store.ports import LONGEST_NAME, TABLES, Entry, StorageError

T = TypeVar("T")


class _State:
    """What a disk would hold."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[bytes, dict[bytes, bytes]]] = {table: {} for table in TABLES}
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
        self._kept: list[Entry] = []
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
        for operation in self._pending:
            operation(self._durable)
        self._pending.clear()
        self._kept.clear()
        self._written = False
        ticket, self._ticket = self._ticket, Ticket()
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
            owner: {key: Entry(owner, key, value, settled) for key, value in entries.items()}
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
        self._do(partial(_State.keep, owner=owner, key=key, value=value))
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
        return len(entries), sum(len(entry.value) for entry in entries)

    def get(self, table: str, owner: bytes, key: bytes) -> Later[bytes | None]:
        rows = self._now.rows[table]
        return self._answer(lambda: rows.get(owner, {}).get(key))

    def get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> Later[dict[bytes, bytes]]:
        rows = self._now.rows[table].get(owner, {})
        return self._answer(lambda: {key: rows[key] for key in keys if key in rows})

    def scan(
        self, table: str, owner: bytes, first: bytes = b"", stop: bytes | None = None, head: int | None = None
    ) -> Later[list[tuple[bytes, bytes]]]:
        rows = self._now.rows[table].get(owner, {})
        return self._answer(
            lambda: [
                (key, value[:head]) for key, value in rows.items() if key >= first and (stop is None or key < stop)
            ]
        )

    def owners(self, table: str) -> Later[list[bytes]]:
        rows = self._now.rows[table]
        return self._answer(lambda: list(rows))

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Ticket:
        self._check_row(table, owner, key)
        self._written = True
        return self._do(partial(_State.put, table=table, owner=owner, key=key, value=value))

    def delete(self, table: str, owner: bytes, key: bytes) -> Ticket:
        self._check_row(table, owner, key)
        self._written = True
        return self._do(partial(_State.delete, table=table, owner=owner, key=key))

    def erase(self, owner: bytes) -> Ticket:
        self._check_open()
        for entry in self._entries.pop(owner, {}).values():
            entry.confirmed = True
        self._written = True
        return self._do(partial(_State.erase, owner=owner))

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
        if table not in TABLES:
            raise KeyError(table)
        if len(owner) > LONGEST_NAME or len(key) > LONGEST_NAME:
            raise ValueError("owners and keys have at most 4,096 bytes")
