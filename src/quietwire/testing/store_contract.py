"""What every storage driver must do (see `quietwire.store.ports`) as tests to inherit, and a loop to turn by hand.

    class TestMine(StoreContract):
        def open(self) -> Storage: ...

pytest collects the inherited methods. Nothing sleeps: `Pump` is the loop, and its clock moves when a test says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from queue import Queue
from typing import Any, TypeVar

from quietwire.core.later import Later, Ticket
from quietwire.store.ports import LONGEST_NAME, TABLES, Entry, Storage

T = TypeVar("T")
ALICE, BOB = b"alice", b"bob"
PATIENCE = 30.0  # seconds until a callable that never comes is a failure; nothing waits this long otherwise


class Pump:
    """A loop turned by hand: `post` and `later` to hand to a driver, `until` and `advance` for the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self._posted: Queue[Callable[[], None]] = Queue()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def post(self, fn: Callable[[], None]) -> None:
        self._posted.put(fn)

    def later(self, seconds: float, fn: Callable[[], None]) -> Callable[[], None]:
        timer = (self.now + seconds, next(self._order), fn)
        heapq.heappush(self._timers, timer)

        def cancel() -> None:
            if timer in self._timers:
                self._timers.remove(timer)
                heapq.heapify(self._timers)

        return cancel

    @property
    def posted(self) -> int:
        """How many callables wait to be run."""
        return self._posted.qsize()

    @property
    def timers(self) -> list[float]:
        """Seconds until each timer that is set."""
        return sorted(when - self.now for when, _, _ in self._timers)

    def until(self, true: Callable[[], bool]) -> None:
        """Runs what is posted until `true()`; queue.Empty if nothing comes any more."""
        while not true():
            self._posted.get(timeout=PATIENCE)()

    def advance(self, seconds: float) -> None:
        """Moves the clock and fires the timers that are due on the way, in order."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, fn = heapq.heappop(self._timers)
            fn()
        self.now = end


class StoreContract:
    """Tests of a driver. `open` gives a new, empty storage; `reopen` one as it is after a clean restart."""

    def open(self) -> Storage:
        raise NotImplementedError

    def reopen(self, storage: Storage) -> Storage:
        raise NotImplementedError

    def until(self, true: Callable[[], bool]) -> None:
        """Lets the driver work until `true()`."""
        assert true()

    def value(self, later: Later[T]) -> T:
        self.until(lambda: later.settled)
        return later.result()

    def durable(self, storage: Storage) -> None:
        ticket = storage.sync()
        self.until(lambda: ticket.settled)

    def rows(self, storage: Storage, table: str, owner: bytes) -> dict[bytes, bytes]:
        pairs = self.value(storage.store.scan(table, owner))
        assert len(dict(pairs)) == len(pairs), "a row was given twice"
        return dict(pairs)

    def owners(self, storage: Storage, table: str) -> list[bytes]:
        owners = self.value(storage.store.owners(table))
        return sorted(owners)

    def loaded(self, storage: Storage, owner: bytes) -> dict[bytes, Entry]:
        """The owner's entries by value."""
        entries = self.value(storage.spool.load(owner))
        assert len({entry.key for entry in entries}) == len(entries), "an entry was given twice"
        return {entry.value: entry for entry in entries}

    def test_a_row_can_be_read_as_soon_as_it_is_written(self) -> None:
        store = self.open().store
        for table in TABLES:
            store.put(table, ALICE, b"k", table.encode())
        for table in TABLES:
            assert self.value(store.get(table, ALICE, b"k")) == table.encode()

    def test_the_last_write_of_a_row_counts(self) -> None:
        storage = self.open()
        storage.store.put("sealed", ALICE, b"k", b"1")
        storage.store.put("sealed", ALICE, b"k", b"2")
        assert self.value(storage.store.get("sealed", ALICE, b"k")) == b"2"
        storage.store.delete("sealed", ALICE, b"k")
        assert self.value(storage.store.get("sealed", ALICE, b"k")) is None
        storage.store.put("sealed", ALICE, b"k", b"3")
        storage.store.delete("sealed", ALICE, b"k")
        storage.store.put("sealed", ALICE, b"k", b"4")
        assert self.value(storage.store.get("sealed", ALICE, b"k")) == b"4"

    def test_what_was_never_written_is_none_and_deleting_it_is_fine(self) -> None:
        storage = self.open()
        storage.store.delete("sealed", ALICE, b"k")
        storage.store.erase(BOB)
        self.durable(storage)
        assert self.value(storage.store.get("sealed", ALICE, b"k")) is None
        assert self.rows(storage, "sealed", ALICE) == {}
        assert self.owners(storage, "sealed") == []
        assert self.value(storage.spool.load(ALICE)) == []
        assert storage.spool.usage(ALICE) == (0, 0)

    def test_bytes_are_opaque(self) -> None:
        storage = self.open()
        rows = {b"": b"", b"\0": b"\0,:'\"", bytes(range(256)): bytes(range(256)), b"k" * LONGEST_NAME: b"v" * 100_000}
        for key, value in rows.items():
            storage.store.put("item", b"\0owner", key, value)
        storage.spool.keep(b"", b"")
        self.durable(storage)
        storage = self.reopen(storage)
        assert self.rows(storage, "item", b"\0owner") == rows
        assert self.owners(storage, "item") == [b"\0owner"]
        assert list(self.loaded(storage, b"")) == [b""]
        assert storage.spool.usage(b"") == (1, 0)

    def test_scan_and_owners_keep_owners_and_tables_apart(self) -> None:
        storage = self.open()
        store = storage.store
        store.put("sealed", ALICE, b"1", b"a1")
        store.put("sealed", ALICE, b"2", b"a2")
        store.put("sealed", BOB, b"1", b"b1")
        store.put("node", BOB, b"1", b"n1")
        assert self.rows(storage, "sealed", ALICE) == {b"1": b"a1", b"2": b"a2"}
        assert self.rows(storage, "sealed", BOB) == {b"1": b"b1"}
        assert self.owners(storage, "sealed") == [ALICE, BOB]
        assert self.owners(storage, "node") == [BOB]
        store.delete("sealed", BOB, b"1")
        assert self.owners(storage, "sealed") == [ALICE]

    def test_an_owners_rows_are_counted_and_measured(self) -> None:
        storage = self.open()
        for key, size in ((b"a", 0), (b"b", 70_000), (b"c", 5)):
            storage.store.put("archive", ALICE, key, bytes(size))
        storage.store.put("archive", BOB, b"a", b"bob's")
        assert self.value(storage.store.measure("archive", ALICE)) == (3, 70_005)
        storage.store.delete("archive", ALICE, b"b")
        self.durable(storage)
        assert self.value(storage.store.measure("archive", ALICE)) == (2, 5)
        assert self.value(storage.store.measure("archive", b"nobody")) == (0, 0)

    def test_scan_gives_a_range_of_keys_and_the_heads_of_values(self) -> None:
        storage = self.open()
        rows = {b"": b"", b"a": b"1", b"a\0": b"22", b"b": b"333", b"b\xff": b"4444", b"c": b"5" * 9_000}
        for key, value in rows.items():
            storage.store.put("archive", ALICE, key, value)
        storage.store.put("archive", BOB, b"b", b"bob's")
        for _ in range(2):
            for first, stop, keys in (
                (b"", None, set(rows)),
                (b"a", None, set(rows) - {b""}),
                (b"a", b"b", {b"a", b"a\0"}),
                (b"b", b"b\xff", {b"b"}),
                (b"", b"", set()),
                (b"d", None, set()),
            ):
                for head in (None, 0, 3, 10_000):
                    found = self.value(storage.store.scan("archive", ALICE, first, stop, head))
                    assert sorted(found) == sorted((key, rows[key][:head]) for key in keys)
            storage = self.reopen(storage)

    def test_get_many_gives_those_that_exist(self) -> None:
        storage = self.open()
        rows = {n.to_bytes(2): bytes(n % 50) for n in range(700)}
        for key, value in rows.items():
            storage.store.put("archive", ALICE, key, value)
        store = storage.store
        assert self.value(store.get_many("archive", ALICE, list(rows))) == rows
        assert self.value(store.get_many("archive", ALICE, [])) == {}
        assert self.value(store.get_many("archive", BOB, list(rows))) == {}
        store.delete("archive", ALICE, b"\0\1")
        assert self.value(store.get_many("archive", ALICE, [b"\0\1", b"\0\2", b"none"])) == {b"\0\2": bytes(2)}

    def test_scan_many_is_as_many_scans(self) -> None:
        storage = self.open()
        storage.store.put("sealed", ALICE, b"1", b"one")
        storage.store.put("sealed", ALICE, b"2", b"two")
        storage.store.put("body", ALICE, b"3", b"long" * 1000)
        storage.store.put("sealed", BOB, b"1", b"bob's")
        wanted = [("body", ALICE, 4), ("arrival", ALICE, None), ("sealed", ALICE, None), ("push", BOB, None)]
        for _ in range(2):
            found = self.value(storage.store.scan_many(wanted))
            assert [sorted(rows) for rows in found] == [
                [(b"3", b"long")], [], [(b"1", b"one"), (b"2", b"two")], []
            ]  # fmt: skip
            assert self.value(storage.store.scan_many([])) == []
            storage = self.reopen(storage)

    def test_a_late_row_is_made_when_it_is_committed(self) -> None:
        storage = self.open()
        made: list[bytes] = []
        ticket = storage.store.put_late("sealed", ALICE, b"k", made_of(made, b"v"), 1)
        assert made == []
        assert storage.latest is ticket
        self.durable(storage)
        assert ticket.settled
        assert made == [b"v"]
        for _ in range(2):
            assert self.rows(storage, "sealed", ALICE) == {b"k": b"v"}
            storage = self.reopen(storage)
        assert made == [b"v"]

    def test_a_read_sees_a_late_row(self) -> None:
        storage = self.open()
        store = storage.store
        made: list[bytes] = []
        reads: list[Callable[[], Later[Any]]] = [
            lambda: store.get("sealed", ALICE, b"k"),
            lambda: store.get_many("sealed", ALICE, [b"k"]),
            lambda: store.scan("sealed", ALICE),
            lambda: store.scan_many([("body", ALICE, None), ("sealed", ALICE, None)]),
            lambda: store.owners("sealed"),
        ]
        answers: list[Any] = []
        for n, read in enumerate(reads):
            store.put_late("sealed", ALICE, b"k", made_of(made, b"%d" % n), 1)
            answers.append(self.value(read()))
        assert answers == [b"0", {b"k": b"1"}, [(b"k", b"2")], [[], [(b"k", b"3")]], [ALICE]]
        assert self.value(store.get("sealed", ALICE, b"k")) == b"4"
        assert made == [b"0", b"1", b"2", b"3", b"4"]
        self.durable(storage)
        storage = self.reopen(storage)
        assert self.rows(storage, "sealed", ALICE) == {b"k": b"4"}

    def test_a_later_write_takes_the_place_of_a_late_row(self) -> None:
        storage = self.open()
        store = storage.store
        made: list[bytes] = []
        for key in (b"put", b"late", b"deleted", b"again"):
            store.put_late("sealed", ALICE, key, made_of(made, b"replaced"), 8)
        store.put_late("sealed", BOB, b"k", made_of(made, b"erased"), 6)
        store.put("sealed", ALICE, b"put", b"1")
        store.put_late("sealed", ALICE, b"late", made_of(made, b"2"), 1)
        store.delete("sealed", ALICE, b"deleted")
        store.delete("sealed", ALICE, b"again")
        store.put_late("sealed", ALICE, b"again", made_of(made, b"3"), 1)
        store.erase(BOB)
        self.durable(storage)
        assert sorted(made) == [b"2", b"3"]
        for _ in range(2):
            assert self.rows(storage, "sealed", ALICE) == {b"put": b"1", b"late": b"2", b"again": b"3"}
            assert self.rows(storage, "sealed", BOB) == {}
            storage = self.reopen(storage)

    def test_a_late_row_is_checked_at_once(self) -> None:
        store = self.open().store
        raises(KeyError, lambda: store.put_late("spool", ALICE, b"k", bytes, 1))
        raises(ValueError, lambda: store.put_late("sealed", ALICE, b"k" * (LONGEST_NAME + 1), bytes, 1))

    def test_what_is_written_of_an_entry_is_dressed_and_its_value_in_memory_is_not(self) -> None:
        storage = self.open()
        dressed: list[bytes] = []

        def dress(owner: bytes, key: bytes, value: bytes) -> bytes:
            dressed.append(key)
            return b"<" + owner + value + b">"

        storage.dress = dress
        early, staying = storage.spool.keep(ALICE, b"early"), storage.spool.keep(ALICE, b"staying")
        storage.spool.confirm(early)
        assert dressed == []
        assert storage.spool.usage(ALICE) == (1, 7)
        self.durable(storage)
        assert dressed == [staying.key]
        assert self.loaded(storage, ALICE) == {b"staying": staying}
        assert not staying.stored
        assert storage.spool.usage(ALICE) == (1, 14), "what is on the disk counts as it is there"
        storage = self.reopen(storage)
        again = self.loaded(storage, ALICE)[b"<alicestaying>"]
        assert again.stored
        assert again.key == staying.key
        assert storage.spool.usage(ALICE) == (1, 14)
        again.value = b"staying"
        storage.spool.confirm(again)
        assert storage.spool.usage(ALICE) == (0, 0)
        self.durable(storage)
        assert self.value(storage.spool.load(ALICE)) == []

    def test_many_rows(self) -> None:
        storage = self.open()
        rows = {n.to_bytes(2): bytes(n % 50) for n in range(1_000)}
        for key, value in rows.items():
            storage.store.put("item", ALICE, key, value)
        assert self.rows(storage, "item", ALICE) == rows
        for key in list(rows)[::2]:
            storage.store.delete("item", ALICE, key)
            del rows[key]
        assert self.rows(storage, "item", ALICE) == rows

    def test_an_unknown_table_is_a_key_error_at_once(self) -> None:
        store = self.open().store
        for call in (
            lambda: store.get("spool", ALICE, b"k"),
            lambda: store.scan("nothing", ALICE),
            lambda: store.get_many("spool", ALICE, [b"k"]),
            lambda: store.owners("spool"),
            lambda: store.put("spool", ALICE, b"k", b"v"),
            lambda: store.delete("", ALICE, b"k"),
        ):
            raises(KeyError, call)

    def test_an_owner_or_key_that_is_too_long_is_a_value_error_at_once(self) -> None:
        storage = self.open()
        store = storage.store
        raises(ValueError, lambda: store.put("sealed", b"o" * (LONGEST_NAME + 1), b"k", b"v"))
        raises(ValueError, lambda: store.put("sealed", ALICE, b"k" * (LONGEST_NAME + 1), b"v"))
        raises(ValueError, lambda: store.delete("sealed", ALICE, b"k" * (LONGEST_NAME + 1)))
        assert self.owners(storage, "sealed") == []

    def test_a_ticket_settles_when_its_write_is_durable(self) -> None:
        storage = self.open()
        tickets = [
            storage.store.put("sealed", ALICE, b"k", b"v"),
            storage.store.delete("node", ALICE, b"k"),
            storage.spool.keep(ALICE, b"hello").ticket,
            storage.store.erase(BOB),
        ]
        assert not any(ticket.settled for ticket in tickets)
        self.durable(storage)
        assert all(ticket.settled for ticket in tickets)

    def test_sync_with_nothing_pending_settles(self) -> None:
        storage = self.open()
        self.durable(storage)
        self.durable(storage)
        assert self.value(storage.spool.load(ALICE)) == []

    def test_the_ticket_of_an_entry_that_is_confirmed_settles(self) -> None:
        storage = self.open()
        entry = storage.spool.keep(ALICE, b"hello")
        storage.spool.confirm(entry)
        self.durable(storage)
        assert entry.ticket.settled

    def test_kept_entries_are_loaded_as_the_same_objects(self) -> None:
        storage = self.open()
        one = storage.spool.keep(ALICE, b"one")
        assert self.loaded(storage, ALICE) == {b"one": one}
        self.durable(storage)
        two = storage.spool.keep(ALICE, b"two")
        loaded = self.loaded(storage, ALICE)
        assert loaded[b"one"] is one
        assert loaded[b"two"] is two
        assert (one.owner, one.confirmed, one.holders) == (ALICE, False, 0)
        assert one.key != two.key

    def test_entries_loaded_from_before_a_restart_are_the_same_objects_each_time(self) -> None:
        storage = self.open()
        storage.spool.keep(ALICE, b"one")
        storage = self.reopen(storage)
        first = self.loaded(storage, ALICE)
        second = self.loaded(storage, ALICE)
        assert first[b"one"] is second[b"one"]
        assert first[b"one"].ticket.settled

    def test_confirmed_entries_are_gone(self) -> None:
        storage = self.open()
        early, late, staying = (storage.spool.keep(ALICE, value) for value in (b"early", b"late", b"staying"))
        storage.spool.confirm(early)
        assert set(self.loaded(storage, ALICE)) == {b"late", b"staying"}
        self.durable(storage)
        storage.spool.confirm(late)
        storage.spool.confirm(late)
        assert list(self.loaded(storage, ALICE)) == [b"staying"]
        assert (early.confirmed, late.confirmed, staying.confirmed) == (True, True, False)
        storage = self.reopen(storage)
        assert list(self.loaded(storage, ALICE)) == [b"staying"]

    def test_equal_values_are_different_entries(self) -> None:
        storage = self.open()
        first, second = storage.spool.keep(ALICE, b"same"), storage.spool.keep(ALICE, b"same")
        storage.spool.confirm(first)
        assert self.value(storage.spool.load(ALICE)) == [second]

    def test_usage_counts_unconfirmed_entries_and_their_bytes(self) -> None:
        storage = self.open()
        first = storage.spool.keep(ALICE, b"12345")
        storage.spool.keep(ALICE, b"123")
        storage.spool.keep(BOB, b"1")
        assert storage.spool.usage(ALICE) == (2, 8)
        self.durable(storage)
        assert storage.spool.usage(ALICE) == (2, 8)
        storage.spool.confirm(first)
        storage.spool.confirm(first)
        assert storage.spool.usage(ALICE) == (1, 3)
        storage = self.reopen(storage)
        assert storage.spool.usage(ALICE) == (1, 3)
        assert storage.spool.usage(BOB) == (1, 1)
        storage.spool.confirm(self.loaded(storage, BOB)[b"1"])
        assert storage.spool.usage(BOB) == (0, 0)

    def test_erase_takes_everything_of_one_owner(self) -> None:
        storage = self.open()
        for owner in (ALICE, BOB):
            for table in TABLES:
                storage.store.put(table, owner, b"old", b"v")
        durable = storage.spool.keep(ALICE, b"durable")
        storage.spool.keep(BOB, b"bob's")
        self.durable(storage)
        storage.store.put("sealed", ALICE, b"new", b"v")
        pending = storage.spool.keep(ALICE, b"pending")
        storage.store.erase(ALICE)
        assert storage.spool.usage(ALICE) == (0, 0)
        for entry in (durable, pending):
            storage.spool.confirm(entry)
        for _ in range(2):
            for table in TABLES:
                assert self.rows(storage, table, ALICE) == {}
                assert self.owners(storage, table) == [BOB]
            assert self.value(storage.spool.load(ALICE)) == []
            assert storage.spool.usage(ALICE) == (0, 0)
            assert list(self.loaded(storage, BOB)) == [b"bob's"]
            storage = self.reopen(storage)

    def test_what_is_written_after_erase_stays(self) -> None:
        storage = self.open()
        storage.store.put("sealed", ALICE, b"k", b"old")
        storage.spool.keep(ALICE, b"old")
        storage.store.erase(ALICE)
        storage.store.put("sealed", ALICE, b"k", b"new")
        storage.spool.keep(ALICE, b"new")
        for _ in range(2):
            assert self.rows(storage, "sealed", ALICE) == {b"k": b"new"}
            assert list(self.loaded(storage, ALICE)) == [b"new"]
            assert storage.spool.usage(ALICE) == (1, 3)
            storage = self.reopen(storage)

    def test_closing_makes_everything_durable(self) -> None:
        storage = self.open()
        ticket = storage.store.put("account", ALICE, b"k", b"v")
        entry = storage.spool.keep(ALICE, b"hello")
        storage.close()
        storage.close()
        assert ticket.settled
        assert entry.ticket.settled
        storage = self.reopen(storage)
        assert self.value(storage.store.get("account", ALICE, b"k")) == b"v"
        assert list(self.loaded(storage, ALICE)) == [b"hello"]

    def test_the_latest_ticket_stands_for_every_write_so_far(self) -> None:
        storage = self.open()
        assert storage.latest is None
        entry = storage.spool.keep(ALICE, b"hello")
        assert storage.latest is entry.ticket
        storage.spool.confirm(entry)
        assert storage.latest is None
        ticket = storage.store.put("sealed", ALICE, b"k", b"v")
        assert storage.latest is ticket
        self.durable(storage)
        assert ticket.settled
        assert storage.latest is None
        storage.store.delete("sealed", ALICE, b"k")
        assert storage.latest is not None

    def test_waiters_of_tickets_run_once(self) -> None:
        storage = self.open()
        settled: list[Ticket] = []
        for value in (b"one", b"two"):
            ticket = storage.spool.keep(ALICE, value).ticket
            ticket.when_settled(lambda ticket=ticket: settled.append(ticket))  # type: ignore[misc]
        self.durable(storage)
        self.durable(storage)
        assert len(settled) == 2


def made_of(made: list[bytes], value: bytes) -> Callable[[], bytes]:
    """What makes `value`, and notes that it did."""

    def make() -> bytes:
        made.append(value)
        return value

    return make


def raises(kind: type[BaseException], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")
