from __future__ import annotations

import gc
import re
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.later import Later
from quietwire.store import committer, sqlite
from quietwire.store.ports import Entry, Storage, StorageError
from quietwire.store.sqlite import CHECKPOINT_SECONDS, GROUP_SECONDS, GROUP_WEIGHT, RETRY_SECONDS, SqliteStorage
from quietwire.store.writer import Job, Read
from quietwire.testing.store_contract import ALICE, BOB, PATIENCE, Pump, StoreContract


class World:
    """A storage on a loop that the test turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pump = Pump()
        self.faults: list[str] = []
        self.jobs = 0
        self.storage = SqliteStorage(
            path,
            post=self.pump.post,
            later=self.pump.later,
            randomness=Random(1).randbytes,
            on_fault=self.faults.append,
        )
        self._submit = self.storage._writer.submit

        def counted(job: Job) -> None:
            self.jobs += 1
            self._submit(job)

        self.storage._writer.submit = counted  # type: ignore[method-assign]

    def value(self, later: Later[Any]) -> Any:
        self.pump.until(lambda: later.settled)
        return later.result()

    def run(self, query: Callable[[sqlite3.Connection], Any]) -> Any:
        """Runs a query in the writer's thread past the storage, to bring faults about and to look."""
        self.idle()
        read = Read(query, Later())
        self._submit(Job(None, [read], checkpoint=False))
        self.storage._finished.get(timeout=PATIENCE)
        assert read.error is None
        return read.answer

    def pragma(self, pragma: str) -> None:
        self.run(lambda db: db.execute(f"PRAGMA {pragma}").fetchall())

    def sync(self) -> None:
        ticket = self.storage.sync()
        self.pump.until(lambda: ticket.settled)

    def idle(self) -> None:
        """Until the writer has nothing more to do."""
        self.pump.until(lambda: self.storage._job is None)

    def spooled(self) -> list[bytes]:
        """What the file holds, seen by another connection."""
        with sqlite3.connect(self.path) as db:
            return sorted(value for (value,) in db.execute("SELECT value FROM spool"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data" / "q.db")
    yield world
    try:
        world.storage.close()
    except StorageError:
        assert world.faults


class TestSqlite(StoreContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> Iterator[None]:
        self.opened: list[SqliteStorage] = []
        self.path = tmp_path / "q.db"
        yield
        for storage in self.opened:
            storage.close()

    def open(self) -> SqliteStorage:
        self.pump = Pump()
        storage = SqliteStorage(
            self.path, post=self.pump.post, later=self.pump.later, randomness=Random(len(self.opened)).randbytes
        )
        self.opened.append(storage)
        return storage

    def reopen(self, storage: Storage) -> SqliteStorage:
        storage.close()
        return self.open()

    def until(self, true: Callable[[], bool]) -> None:
        self.pump.until(true)


# groups


def test_a_group_is_committed_after_its_time(world: World) -> None:
    one = world.storage.keep(ALICE, b"one")
    world.pump.advance(GROUP_SECONDS / 2)
    two = world.storage.keep(ALICE, b"two")
    assert two.ticket is one.ticket
    assert world.jobs == 0
    world.pump.advance(GROUP_SECONDS / 2)
    three = world.storage.keep(ALICE, b"three")
    assert three.ticket is not one.ticket
    assert world.jobs == 0, "the first group is held"
    world.pump.advance(GROUP_SECONDS)
    assert world.jobs == 1
    world.pump.until(lambda: one.ticket.settled)
    assert world.spooled() == [b"one", b"two"]
    assert not three.ticket.settled


def test_a_group_that_empties_settles_at_once_for_whoever_waits(world: World) -> None:
    for advance in (0.0, GROUP_SECONDS):
        entry = world.storage.keep(ALICE, b"one")
        told: list[bool] = []
        entry.ticket.when_settled(partial(told.append, True))
        world.pump.advance(advance)
        assert not told
        world.storage.confirm(entry)
        assert told == [True]
    assert world.jobs == 0


def test_what_is_held_and_what_is_collected_is_read_and_synced_together(world: World) -> None:
    held = world.storage.keep(ALICE, b"held")
    world.storage.put("sealed", ALICE, b"k", b"held")
    world.pump.advance(GROUP_SECONDS)
    collected = world.storage.keep(ALICE, b"collected")
    assert world.storage.latest is collected.ticket
    assert world.value(world.storage.get("sealed", ALICE, b"k")) == b"held"
    assert {entry.value for entry in world.value(world.storage.load(ALICE))} == {b"held", b"collected"}
    world.sync()
    assert held.ticket.settled
    assert collected.ticket.settled
    assert world.storage.latest is None


def test_what_is_confirmed_in_time_touches_neither_disk_nor_thread(world: World) -> None:
    files = {file: file.stat().st_mtime_ns for file in world.path.parent.iterdir()}
    for round_ in range(3):
        entries = [world.storage.keep(ALICE, b"%d" % n) for n in range(100)]
        for entry in entries:
            world.storage.confirm(entry)
        assert not entries[0].ticket.settled, round_
        world.pump.advance(GROUP_SECONDS)
        assert entries[0].ticket.settled
    assert world.jobs == 0
    assert {file: file.stat().st_mtime_ns for file in world.path.parent.iterdir()} == files
    assert world.pump.timers == []


def test_only_the_unconfirmed_entries_of_a_group_are_written(world: World) -> None:
    entries = [world.storage.keep(ALICE, b"%d" % n) for n in range(5)]
    for entry in entries[:4]:
        world.storage.confirm(entry)
    world.pump.advance(GROUP_SECONDS)
    world.pump.advance(GROUP_SECONDS)
    world.pump.until(lambda: entries[0].ticket.settled)
    assert world.spooled() == [b"4"]


def test_a_large_group_is_committed_at_once(world: World) -> None:
    entry = world.storage.keep(ALICE, bytes(GROUP_WEIGHT))
    world.pump.until(lambda: world.jobs == 1)
    world.pump.until(lambda: entry.ticket.settled)


def test_a_group_of_many_operations_is_committed_at_once(world: World) -> None:
    entries = [world.storage.keep(ALICE, b"") for _ in range(4096)]
    world.pump.until(lambda: world.jobs == 1)
    world.pump.until(lambda: entries[0].ticket.settled)
    assert len(world.value(world.storage.load(ALICE))) == 4096


def test_the_next_group_collects_while_one_is_committed(world: World) -> None:
    first = world.storage.keep(ALICE, b"first")
    world.storage.sync()
    second = world.storage.keep(ALICE, b"second")
    assert second.ticket is not first.ticket
    world.pump.advance(GROUP_SECONDS)
    assert world.jobs == 1
    world.pump.until(lambda: first.ticket.settled)
    assert not second.ticket.settled
    world.pump.advance(GROUP_SECONDS)
    world.pump.until(lambda: second.ticket.settled)
    assert world.spooled() == [b"first", b"second"]


def test_a_confirmation_during_the_commit_is_written_with_the_next(world: World) -> None:
    entry = world.storage.keep(ALICE, b"v")
    ticket = world.storage.sync()
    world.storage.confirm(entry)
    world.pump.until(lambda: ticket.settled)
    assert world.spooled() == [b"v"]
    assert world.value(world.storage.load(ALICE)) == []
    world.sync()
    assert world.spooled() == []


def test_a_read_commits_rows_before_it_but_not_entries(world: World) -> None:
    entry = world.storage.keep(ALICE, b"v")
    assert world.value(world.storage.get("sealed", ALICE, b"k")) is None
    assert world.value(world.storage.load(ALICE)) == [entry]
    assert not entry.ticket.settled
    world.storage.put("sealed", ALICE, b"k", b"v")
    assert world.value(world.storage.get("sealed", ALICE, b"k")) == b"v"
    assert entry.ticket.settled


def test_an_entry_confirmed_while_it_is_loaded_is_not_given(world: World) -> None:
    first = world.storage.keep(ALICE, b"first")
    second = world.storage.keep(ALICE, b"second")
    world.sync()
    loading = world.storage.load(ALICE)
    world.storage.confirm(first)
    del first
    third = world.storage.keep(ALICE, b"third")
    assert set(world.value(loading)) == {second, third}


def test_what_becomes_empty_while_the_writer_is_busy_settles_without_a_timer(world: World) -> None:
    first = world.storage.keep(ALICE, b"first")
    world.storage.sync()  # not collected before the end: the writer is busy
    held = world.storage.keep(ALICE, b"held")
    world.pump.advance(GROUP_SECONDS)
    collected = world.storage.keep(ALICE, b"collected")
    world.pump.advance(2 * GROUP_SECONDS)
    assert world.storage.latest is collected.ticket
    for entry in (collected, held):
        world.storage.confirm(entry)
    assert world.storage.latest is first.ticket
    world.pump.until(lambda: collected.ticket.settled and held.ticket.settled)
    assert world.spooled() == [b"first"]
    assert world.storage.latest is None


def test_an_empty_group_settles_once_whatever_its_waiters_ask(world: World) -> None:
    world.storage.keep(ALICE, b"first")
    world.storage.sync()
    empty = world.storage.keep(ALICE, b"empty")
    world.pump.advance(GROUP_SECONDS)
    world.storage.keep(BOB, b"collected")
    world.pump.advance(GROUP_SECONDS)
    for entry in [*world.storage._held.kept.values(), *world.storage._group.kept.values()]:  # type: ignore[union-attr]
        world.storage.confirm(entry)
    answers: list[Later[Any]] = []

    def ask() -> None:
        answers.extend(world.storage.get("sealed", owner, b"k") for owner in (ALICE, BOB, ALICE))

    empty.ticket.when_settled(ask)
    world.pump.until(lambda: bool(answers) and all(answer.settled for answer in answers))
    world.idle()
    assert world.pump.posted == 0


def test_groups_settle_in_order(world: World) -> None:
    first = world.storage.keep(ALICE, b"first")
    world.pump.advance(GROUP_SECONDS)
    second = world.storage.keep(ALICE, b"second")
    assert world.storage.latest is second.ticket
    world.storage.confirm(second)
    assert world.storage.latest is first.ticket
    world.pump.advance(GROUP_SECONDS)
    assert not second.ticket.settled
    second.ticket.when_settled(lambda: order.append(first.ticket.settled))
    order: list[bool] = []
    world.pump.until(lambda: second.ticket.settled)
    assert order == [True]
    assert world.jobs == 1


def test_an_owner_erased_while_it_is_loaded_has_no_entries(world: World) -> None:
    world.storage.keep(ALICE, b"v")
    world.sync()
    loading = world.storage.load(ALICE)
    world.storage.erase(ALICE)
    assert world.value(loading) == []


def test_an_owner_erased_during_the_commit_is_erased_by_the_next(world: World) -> None:
    entry = world.storage.keep(ALICE, b"v")
    world.storage.sync()
    world.storage.erase(ALICE)
    world.storage.confirm(entry)
    world.sync()
    assert world.spooled() == []
    assert world.storage.usage(ALICE) == (0, 0)


def test_the_ticket_of_erase_is_that_of_its_commit(world: World) -> None:
    world.storage.keep(BOB, bytes(GROUP_WEIGHT - 300))
    ticket = world.storage.erase(ALICE)
    world.pump.until(lambda: world.jobs == 1)
    world.pump.until(lambda: ticket.settled)


def test_entries_on_the_disk_are_not_held_in_memory(world: World) -> None:
    for n in range(50):
        world.storage.keep(ALICE, b"%d" % n)
    world.sync()
    gc.collect()
    assert len(world.storage._resting) == 0
    entries = world.value(world.storage.load(ALICE))
    assert len(entries) == len(world.storage._resting) == 50


def test_a_waiter_that_fails_does_not_hold_the_others_up(world: World) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    reads = [world.storage.get("sealed", ALICE, b"k")]
    reads += [world.storage.get("sealed", BOB, b"k") for _ in range(2)]  # wait for the first, then go as one job
    reads[1].when_settled(broken)
    with pytest.raises(ExceptionGroup):
        world.pump.until(lambda: reads[2].settled)
    assert all(read.settled for read in reads)
    assert world.value(world.storage.get("sealed", ALICE, b"k")) is None


def test_a_waiter_may_close_the_storage(world: World) -> None:
    entry = world.storage.keep(ALICE, b"v")
    world.storage.sync().when_settled(world.storage.close)
    world.pump.until(lambda: entry.ticket.settled)
    with pytest.raises(StorageError):
        world.storage.keep(ALICE, b"w")


def test_closing_settles_what_is_under_way(world: World) -> None:
    first = world.storage.keep(ALICE, b"first")
    world.storage.sync()
    second = world.storage.keep(ALICE, b"second")
    reading = world.storage.get("sealed", ALICE, b"k")
    world.storage.close()
    assert first.ticket.settled
    assert second.ticket.settled
    assert reading.result() is None
    with pytest.raises(StorageError):
        world.storage.load(ALICE).result()
    with pytest.raises(StorageError):
        world.storage.put("sealed", ALICE, b"k", b"v")
    with pytest.raises(StorageError):
        world.storage.erase(ALICE)
    assert world.pump.timers == []
    assert world.spooled() == [b"first", b"second"]


def test_rows_of_a_commit_are_sorted(world: World) -> None:
    statements: list[str] = []
    world.run(lambda db: db.set_trace_callback(statements.append))
    for n in range(20):
        world.storage.keep(b"%d" % (n % 3), b"v")
    world.sync()
    world.run(lambda db: db.set_trace_callback(None))
    owners_and_keys = re.findall(r"\((x'\w+',x'\w+'),", " ".join(one for one in statements if "INSERT" in one))
    assert len(owners_and_keys) == 20
    assert owners_and_keys == sorted(owners_and_keys)


# turns, and what is late


def committed(world: World) -> Callable[[], list[list[str]]]:
    """-> the tables written in each commit, in order, as the writer's thread sees them."""
    groups: list[list[str]] = []
    submit = world.storage._writer.submit

    def seen(job: Job) -> None:
        if job.group is not None:
            groups.append(sorted({table for table, _, _ in job.group.rows}))
        submit(job)

    world.storage._writer.submit = seen  # type: ignore[method-assign]
    return lambda: groups


def test_the_writes_of_a_turn_are_in_one_commit_however_many(world: World) -> None:
    groups = committed(world)
    world.storage.put("sealed", ALICE, b"k", bytes(GROUP_WEIGHT))
    world.storage.put("body", ALICE, b"k", bytes(GROUP_WEIGHT))
    ticket = world.storage.put("node", ALICE, b"k", b"v")
    world.pump.until(lambda: ticket.settled)
    assert groups() == [["body", "node", "sealed"]]


def test_the_writes_of_a_turn_are_in_one_commit_whatever_is_read_between(world: World) -> None:
    groups = committed(world)
    world.storage.put("sealed", ALICE, b"k", b"v")
    mine = world.storage.get("sealed", ALICE, b"k")
    others = world.storage.get("sealed", BOB, b"k")
    ticket = world.storage.put("node", ALICE, b"k", b"v")
    assert world.value(mine) == b"v"
    assert world.value(others) is None
    assert ticket.settled
    assert groups() == [["node", "sealed"]]


def test_the_writes_of_a_turn_are_in_one_commit_when_the_writer_becomes_free_in_its_midst(world: World) -> None:
    groups = committed(world)
    world.storage.put("item", ALICE, b"k", b"v")
    world.storage.sync()
    world.storage.put("sealed", ALICE, b"k", bytes(GROUP_WEIGHT))
    while not world.pump.posted > 1:
        pass  # the thread has done its job: what it posts is run after this turn
    ticket = world.storage.put("node", ALICE, b"k", b"v")
    world.pump.until(lambda: ticket.settled)
    assert groups() == [["item"], ["node", "sealed"]]


def test_a_late_row_is_made_once_when_the_group_is_handed_over(world: World) -> None:
    rows: list[bytes] = []
    made: list[int] = []

    def make() -> bytes:
        made.append(len(rows))
        return b"".join(rows)

    for n in range(5):
        rows.append(b"%d" % n)
        ticket = world.storage.put_late("archive", ALICE, b"k", make, 10)
    world.pump.advance(GROUP_SECONDS)
    rows.append(b"5")  # into the group that is held
    assert made == []
    world.pump.advance(GROUP_SECONDS)
    assert made == [6]
    world.pump.until(lambda: ticket.settled)
    assert world.value(world.storage.get("archive", ALICE, b"k")) == b"012345"
    assert made == [6]


def test_groups_that_have_the_same_row_late_are_one_commit(world: World) -> None:
    groups = committed(world)
    rows: list[bytes] = []

    def write(table: str) -> Any:
        ticket = world.storage.put_late("server", ALICE, b"k", lambda: b",".join(rows), 10)
        world.storage.put(table, ALICE, b"k", b"v")
        rows.append(table.encode())
        return ticket

    write("sealed")
    world.pump.advance(GROUP_SECONDS)
    ticket = write("body")
    world.pump.advance(GROUP_SECONDS)
    world.pump.until(lambda: ticket.settled)
    assert groups() == [["body", "sealed", "server"]]
    assert world.value(world.storage.get("server", ALICE, b"k")) == b"sealed,body"
    assert world.pump.timers == [pytest.approx(CHECKPOINT_SECONDS)]


def test_what_was_made_late_stays_what_it_is_while_the_disk_refuses(world: World) -> None:
    made: list[bytes] = []

    def make(value: bytes) -> bytes:
        made.append(value)
        return value

    world.pragma("query_only=1")
    ticket = world.storage.put_late("sealed", ALICE, b"k", partial(make, b"1"), 10)
    other = world.storage.put_late("sealed", BOB, b"k", partial(make, b"bob"), 10)
    world.storage.sync()
    world.pump.until(lambda: bool(world.faults))
    world.pump.advance(RETRY_SECONDS[0])
    world.idle()
    assert made == [b"1", b"bob"]
    world.storage.put_late("sealed", ALICE, b"k", partial(make, b"2"), 10)
    world.pragma("query_only=0")
    world.pump.advance(RETRY_SECONDS[1])
    world.pump.until(lambda: ticket.settled and other.settled)
    assert made == [b"1", b"bob", b"2"]
    assert world.value(world.storage.get("sealed", ALICE, b"k")) == b"2"
    assert world.value(world.storage.get("sealed", BOB, b"k")) == b"bob"


def test_a_late_row_that_cannot_be_made_keeps_its_value_and_holds_nobody_up(world: World) -> None:
    def broken() -> bytes:
        raise RuntimeError("a bug")

    world.storage.put("sealed", ALICE, b"k", b"before")
    world.sync()
    world.storage.put_late("sealed", ALICE, b"k", broken, 10)
    ticket = world.storage.put("sealed", BOB, b"k", b"bob's")
    world.storage.sync()
    with pytest.raises(ExceptionGroup, match="could not be made"):
        world.pump.until(lambda: False)
    world.pump.until(lambda: ticket.settled)
    assert world.value(world.storage.get("sealed", ALICE, b"k")) == b"before"
    assert world.value(world.storage.get("sealed", BOB, b"k")) == b"bob's"


def test_what_is_made_late_may_write_and_read(world: World) -> None:
    """It goes into the next group, as if it had been asked a moment later."""
    reads: list[Later[Any]] = []

    def make() -> bytes:
        world.storage.put("node", ALICE, b"k", b"next")
        reads.append(world.storage.get("node", ALICE, b"k"))
        return b"v"

    ticket = world.storage.put_late("sealed", ALICE, b"k", make, 10)
    world.pump.advance(GROUP_SECONDS)
    world.pump.advance(GROUP_SECONDS)
    world.pump.until(lambda: ticket.settled)
    assert world.value(reads[0]) == b"next"


def test_the_weight_of_a_late_row_is_what_it_was_said_to_be_then_what_it_is(world: World) -> None:
    for _ in range(3):
        world.storage.put_late("sealed", ALICE, b"k", lambda: bytes(7), 5_000)
    weight = world.storage.condition[2]
    assert 5_000 < weight < 6_000
    world.storage.sync()
    assert world.storage.condition[2] == weight - 5_000 + 7
    big = world.storage.put_late("sealed", BOB, b"k", lambda: b"", GROUP_WEIGHT)
    world.pump.until(lambda: big.settled)


# dress


def reverse(owner: bytes, key: bytes, value: bytes) -> bytes:
    return owner + b"/" + value[::-1]


def test_entries_are_dressed_once_when_they_are_really_written(world: World) -> None:
    dressed: list[bytes] = []

    def dress(owner: bytes, key: bytes, value: bytes) -> bytes:
        dressed.append(key)
        return reverse(owner, key, value)

    world.storage.dress = dress
    world.pragma("query_only=1")
    one, two, three = (world.storage.keep(ALICE, value) for value in (b"one", b"two", b"three"))
    world.storage.confirm(one)
    world.storage.sync()
    world.pump.until(lambda: bool(world.faults))
    world.storage.confirm(two)
    four = world.storage.keep(ALICE, b"four")
    assert sorted(dressed) == sorted([two.key, three.key])
    world.pragma("query_only=0")
    world.pump.advance(RETRY_SECONDS[0])
    world.pump.until(lambda: four.ticket.settled)
    assert sorted(dressed) == sorted([two.key, three.key, four.key])
    assert world.spooled() == [b"alice/eerht", b"alice/ruof"]
    assert (three.value, three.stored) == (b"three", False)
    assert world.value(world.storage.load(ALICE)) == [three, four]
    assert world.storage.usage(ALICE) == (2, 21)


def test_usage_is_right_whoever_replaces_values(world: World) -> None:
    world.storage.dress = reverse
    for value in (b"one", b"two"):
        world.storage.keep(ALICE, value)
    world.sync()
    gc.collect()
    loaded = world.value(world.storage.load(ALICE))
    assert sorted(entry.value for entry in loaded) == [b"alice/eno", b"alice/owt"]
    assert all(entry.stored for entry in loaded)
    assert world.storage.usage(ALICE) == (2, 18)
    for entry in loaded:
        entry.value = entry.value[:5:-1]
    assert world.value(world.storage.load(ALICE)) == loaded
    for entry in loaded:
        world.storage.confirm(entry)
    assert world.storage.usage(ALICE) == (0, 0)


def test_an_entry_that_cannot_be_dressed_is_not_written_in_clear(world: World) -> None:
    def broken(owner: bytes, key: bytes, value: bytes) -> bytes:
        if owner == ALICE:
            raise RuntimeError("a bug")
        return value

    world.storage.dress = broken
    mine = world.storage.keep(ALICE, b"mine")
    theirs = world.storage.keep(BOB, b"theirs")
    world.storage.sync()
    with pytest.raises(ExceptionGroup, match="could not be made"):
        world.pump.until(lambda: False)
    world.pump.until(lambda: theirs.ticket.settled)
    assert world.spooled() == [b"theirs"]
    world.storage.confirm(mine)
    assert world.storage.usage(ALICE) == (0, 0)
    world.sync()


# the files


def test_the_log_is_emptied_in_time_and_on_close(world: World) -> None:
    log = world.path.with_name("q.db-wal")
    entry = world.storage.keep(ALICE, b"a secret of some length")
    world.sync()
    assert log.stat().st_size > 0
    world.pump.advance(CHECKPOINT_SECONDS)
    world.idle()
    assert log.stat().st_size == 0
    assert b"a secret of some length" in world.path.read_bytes()
    world.storage.confirm(entry)
    world.sync()
    world.storage.close()
    assert not log.exists()
    assert b"a secret of some length" not in world.path.read_bytes()


def test_an_idle_server_does_not_touch_its_files(world: World) -> None:
    world.storage.keep(ALICE, b"v")
    world.sync()
    world.pump.advance(CHECKPOINT_SECONDS)
    world.idle()
    assert world.pump.timers == []


def test_the_files_are_for_their_owner_only(world: World) -> None:
    world.storage.keep(ALICE, b"v")
    world.sync()
    modes = {file.name: file.stat().st_mode & 0o777 for file in world.path.parent.iterdir()}
    assert modes == {"q.db": 0o600, "q.db-wal": 0o600, "q.db-shm": 0o600, "lock": 0o600}
    assert world.path.parent.stat().st_mode & 0o777 == 0o700


def test_commits_are_flushed_and_deletions_overwritten(world: World) -> None:
    def settings(db: sqlite3.Connection) -> list[Any]:
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "secure_delete", "journal_mode")]

    assert world.run(settings) == [2, 1, "wal"]


# faults of the disk


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """Writes beyond the first bytes of a file fail, as on a disk that breaks; Python ignores the signal of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(world: World) -> None:
    world.pragma("max_page_count=1")
    entry = world.storage.keep(ALICE, bytes(100_000))
    world.storage.sync()
    world.pump.until(lambda: bool(world.faults))
    assert world.faults == ["database or disk is full"]
    assert not entry.ticket.settled
    for seconds in (*RETRY_SECONDS, RETRY_SECONDS[-1]):
        jobs = world.jobs
        assert pytest.approx(seconds) in world.pump.timers
        world.pump.advance(seconds)
        assert world.jobs == jobs + 1
        world.idle()
    assert world.faults == ["database or disk is full"], "told once"
    more = world.storage.keep(ALICE, b"more")
    world.pragma("max_page_count=1000000")
    assert not entry.ticket.settled
    world.pump.advance(RETRY_SECONDS[-1])
    world.pump.until(lambda: entry.ticket.settled)
    assert more.ticket.settled
    assert world.faults == ["database or disk is full", ""]
    assert world.spooled() == [bytes(100_000), b"more"]


def test_an_io_error_acknowledges_nothing_and_loses_nothing(world: World) -> None:
    entry = world.storage.keep(ALICE, bytes(100_000))
    with no_file_may_grow():
        world.storage.sync()
        world.pump.until(lambda: bool(world.faults))
    assert world.faults == ["disk I/O error"]
    assert not entry.ticket.settled
    world.pump.advance(RETRY_SECONDS[0])
    world.pump.until(lambda: entry.ticket.settled)
    assert world.faults == ["disk I/O error", ""]
    assert world.spooled() == [bytes(100_000)]


def test_a_change_of_the_fault_is_told(world: World) -> None:
    world.storage.keep(ALICE, bytes(100_000))
    world.pragma("query_only=1")
    world.storage.sync()
    world.pump.until(lambda: len(world.faults) == 1)
    world.pragma("query_only=0")
    world.pragma("max_page_count=1")
    world.pump.advance(RETRY_SECONDS[0])
    world.pump.until(lambda: len(world.faults) == 2)
    assert world.faults == ["attempt to write a readonly database", "database or disk is full"]


def test_during_a_fault_reads_fail_only_if_they_would_miss_a_write(world: World) -> None:
    world.storage.put("sealed", ALICE, b"k", b"old")
    world.sync()
    world.pragma("query_only=1")
    entry = world.storage.keep(ALICE, b"v")
    world.storage.sync()
    world.pump.until(lambda: bool(world.faults))
    assert world.value(world.storage.get("sealed", ALICE, b"k")) == b"old"
    assert world.value(world.storage.load(ALICE)) == [entry]
    world.storage.put("sealed", ALICE, b"k", b"new")
    with pytest.raises(StorageError, match="readonly"):
        world.storage.get("sealed", ALICE, b"k").result()
    assert world.value(world.storage.load(ALICE)) == [entry]
    assert world.value(world.storage.get("sealed", BOB, b"k")) is None
    with pytest.raises(StorageError):
        world.storage.close()
    assert not entry.ticket.settled


def test_reads_that_come_with_the_failing_write_or_wait_for_it_fail(world: World) -> None:
    world.pragma("query_only=1")
    world.storage.put("sealed", ALICE, b"k", b"new")
    with_it = world.storage.get("sealed", ALICE, b"k")
    after_it = world.storage.get("sealed", ALICE, b"k")
    for later in (with_it, after_it):
        with pytest.raises(StorageError):
            world.value(later)
    world.pragma("query_only=0")
    world.pump.advance(RETRY_SECONDS[0])
    assert world.value(world.storage.get("sealed", ALICE, b"k")) == b"new"


def test_a_read_that_fails_by_itself_is_a_storage_error(world: World) -> None:
    world.run(lambda db: db.execute("DROP TABLE item"))
    with pytest.raises(StorageError, match="no such table"):
        world.value(world.storage.get("item", ALICE, b"k"))


def test_what_is_confirmed_during_a_fault_never_reaches_the_disk(world: World) -> None:
    before = world.storage.keep(ALICE, b"before")
    world.sync()
    world.pragma("query_only=1")
    failing = world.storage.keep(ALICE, b"failing")
    world.storage.sync()
    world.storage.confirm(failing)
    world.pump.until(lambda: bool(world.faults))
    later = world.storage.keep(ALICE, b"later")
    world.storage.confirm(later)
    assert world.value(world.storage.load(ALICE)) == [before]
    assert world.storage._group.empty
    world.pragma("query_only=0")
    jobs = world.jobs
    world.pump.advance(1.0)
    assert failing.ticket.settled
    assert later.ticket.settled
    assert world.jobs == jobs
    assert world.spooled() == [b"before"]


def test_erasing_during_a_fault(world: World) -> None:
    world.storage.put("sealed", ALICE, b"k", b"on disk")
    world.storage.keep(ALICE, b"on disk")
    world.sync()
    world.pragma("query_only=1")
    world.storage.put("sealed", ALICE, b"l", b"failing")
    world.storage.put("sealed", BOB, b"l", b"bob's")
    world.storage.keep(ALICE, b"failing")
    world.storage.sync()
    ticket = world.storage.erase(ALICE)
    kept = world.storage.keep(ALICE, b"after")
    world.pump.until(lambda: bool(world.faults))
    assert world.storage.usage(ALICE) == (1, 5)
    assert not ticket.settled
    world.pragma("query_only=0")
    world.pump.advance(RETRY_SECONDS[0])
    world.pump.until(lambda: ticket.settled)
    assert kept.ticket.settled
    assert world.spooled() == [b"after"]
    assert world.value(world.storage.load(ALICE)) == [kept]
    assert world.value(world.storage.scan("sealed", ALICE)) == []
    assert world.value(world.storage.scan("sealed", BOB)) == [(b"l", b"bob's")]


def flood(world: World) -> list[Entry]:
    """Entries of 1,000 bytes until no more is accepted."""
    kept: list[Entry] = []

    def keep_on() -> None:
        for _ in range(1000):
            kept.append(world.storage.keep(ALICE, bytes(1000)))

    with pytest.raises(StanzaError) as error:
        keep_on()
    assert error.value.condition == "resource-constraint"
    return kept


def test_the_buffer_is_bounded_while_the_disk_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (committer, sqlite):
        monkeypatch.setattr(module, "GROUP_WEIGHT", 10_000)
    monkeypatch.setattr(committer, "BUFFER_WEIGHT", 100_000)
    world.pragma("query_only=1")
    first = world.storage.keep(ALICE, bytes(1000))
    accepted = 1
    for _ in range(10):  # also when tries to commit lie between
        world.pump.advance(10.0)
        world.idle()
        accepted += len(flood(world))
    assert 100_000 <= accepted * (1000 + 256) < 120_000
    assert world.storage.usage(ALICE) == (accepted, accepted * 1000)
    with pytest.raises(StanzaError):
        world.storage.put("sealed", ALICE, b"k", b"v")
    world.storage.confirm(first)
    world.pragma("query_only=0")
    world.pump.advance(5.0)
    world.pump.until(lambda: first.ticket.settled)
    world.storage.keep(ALICE, b"again")
    world.sync()
    assert len(world.spooled()) == accepted


def test_the_buffer_is_bounded_while_a_commit_takes_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (committer, sqlite):
        monkeypatch.setattr(module, "GROUP_WEIGHT", 10_000)
    monkeypatch.setattr(committer, "BUFFER_WEIGHT", 100_000)
    kept = flood(world)  # nothing posted by the thread is run: as if the commit did not end
    assert 70 < len(kept) < 100
    world.pump.until(lambda: kept[-1].ticket.settled)
    world.storage.keep(ALICE, b"again")


def test_closing_on_a_full_disk_says_so_and_keeps_tickets(world: World) -> None:
    world.pragma("max_page_count=1")
    entry = world.storage.keep(ALICE, bytes(100_000))
    with pytest.raises(StorageError, match="full"):
        world.storage.close()
    assert not entry.ticket.settled
    world.storage.close()
    assert World(world.path).storage.usage(ALICE) == (0, 0), "and lets the lock go"


def test_who_has_nothing_in_a_table_of_few_is_told_without_the_thread(world: World) -> None:
    storage = world.storage
    storage.put("push", ALICE, b"x", b"1")
    world.run(lambda db: None)
    jobs = world.jobs
    assert storage.get("push", BOB, b"x").result() is None
    assert storage.get_many("preference", ALICE, [b"x"]).result() == {}
    assert storage.scan_many([("preference", ALICE, None), ("push", BOB, 3)]).result() == [[], []]
    assert world.jobs == jobs
    assert world.value(storage.scan("push", ALICE)) == [(b"x", b"1")]


def test_who_has_something_in_a_table_of_few_is_known_after_a_start(tmp_path: Path) -> None:
    first = World(tmp_path / "few.sqlite")
    first.storage.put("push", ALICE, b"x", b"1")
    first.storage.put("push", BOB, b"x", b"1")
    first.storage.erase(BOB)
    assert first.storage.scan("push", BOB).result() == []
    first.storage.close()
    assert first.storage.scan("push", BOB).settled  # with an error: it is closed
    again = World(tmp_path / "few.sqlite")
    assert again.storage.scan("push", BOB).result() == []
    assert again.value(again.storage.scan("push", ALICE)) == [(b"x", b"1")]
    again.storage.close()
