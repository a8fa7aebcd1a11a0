from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Semaphore
from typing import Any

import pytest

from quietwire.core.later import Later
from quietwire.store import backup
from quietwire.store.backup import PART, Copier, copy
from quietwire.store.committer import CHECKPOINT_SECONDS
from quietwire.store.database import APPLICATION_ID, migrations, open_database
from quietwire.store.ports import StorageError
from quietwire.store.sqlite import SqliteStorage
from quietwire.testing.store_contract import ALICE, BOB, Pump

CANARY = b"a canary that was deleted"


class World:
    def __init__(self, directory: Path) -> None:
        self.pump = Pump()
        self.path = directory / "data" / "q.db"
        self.storage = SqliteStorage(
            self.path, post=self.pump.post, later=self.pump.later, randomness=Random(1).randbytes
        )

    def value(self, later: Later[Any]) -> Any:
        self.pump.until(lambda: later.settled)
        return later.result()

    def sync(self) -> None:
        ticket = self.storage.sync()
        self.pump.until(lambda: ticket.settled)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.storage.close()


def rows(path: Path, table: str) -> list[tuple[bytes, bytes, bytes]]:
    db = sqlite3.connect(path)
    found = db.execute(f"SELECT owner, key, value FROM {table} ORDER BY owner, key").fetchall()
    db.close()
    return found


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy looks whether to stop at each instruction, so that a small one can be caught in its midst."""
    monkeypatch.setattr(backup, "STEPS_A_LOOK", 1)


def test_a_copy_holds_what_was_written_before_it(world: World, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    world.storage.put("sealed", ALICE, b"k", b"before")
    world.storage.keep(BOB, b"waits")
    copied = world.storage.backup(target)
    world.storage.put("node", ALICE, b"k", b"same turn")
    assert world.value(copied) is None
    assert rows(target, "sealed") == [(ALICE, b"k", b"before")]
    assert rows(target, "node") == [(ALICE, b"k", b"same turn")]
    assert [value for _, _, value in rows(target, "spool")] == [b"waits"]


def test_a_copy_is_a_database_of_ours_for_its_owner_only_without_a_log(world: World, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "copy.db"
    target.parent.mkdir()
    world.storage.put("sealed", ALICE, b"k", b"v")
    world.value(world.storage.backup(target))
    assert [file.name for file in target.parent.iterdir()] == ["copy.db"]
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes()[18:20] == b"\1\1", "no log: see the file format's header"
    db = open_database(target)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert db.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_copy_has_no_free_pages_and_nothing_deleted(world: World, tmp_path: Path) -> None:
    for n in range(500):
        world.storage.put("body", ALICE, b"%d" % n, CANARY * 20)
    world.sync()
    for n in range(499):
        world.storage.delete("body", ALICE, b"%d" % n)
    world.storage.put("body", ALICE, b"499", b"v")
    world.value(world.storage.backup(tmp_path / "copy.db"))
    assert CANARY not in (tmp_path / "copy.db").read_bytes()
    db = sqlite3.connect(tmp_path / "copy.db")
    assert db.execute("PRAGMA freelist_count").fetchone() == (0,)
    db.close()


def test_a_copy_takes_the_place_of_one_before_and_of_one_that_was_killed(world: World, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_bytes(b"the one before")
    target.chmod(0o644)
    target.with_name("copy.db" + PART).write_bytes(b"killed")
    world.storage.put("sealed", ALICE, b"k", b"v")
    world.value(world.storage.backup(target))
    assert rows(target, "sealed") == [(ALICE, b"k", b"v")]
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "data"]


def test_commits_go_on_while_a_copy_is_made_and_the_log_is_cut_after_it(
    world: World, tmp_path: Path, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    real = backup.copy

    def caught(source: Path, target: Path, stopped: Any) -> None:
        def once() -> bool:
            if not held:
                held.append(True)
                reached.release()
                assert go.acquire(timeout=60)
            return bool(stopped())

        real(source, target, once)

    reached, go = Semaphore(0), Semaphore(0)
    monkeypatch.setattr(backup, "copy", caught)
    world.storage.put("sealed", ALICE, b"k", b"before")
    world.sync()
    copied = world.storage.backup(tmp_path / "copy.db")
    world.pump.until(lambda: world.storage._copier.running)
    assert reached.acquire(timeout=60)
    world.storage.put("sealed", ALICE, b"k", b"meanwhile")
    world.sync()
    world.pump.advance(CHECKPOINT_SECONDS)
    world.sync()
    log = world.path.with_name("q.db-wal")
    assert log.stat().st_size > 0
    with pytest.raises(StorageError, match="being made"):
        world.value(world.storage.backup(tmp_path / "other.db"))
    go.release()
    assert world.value(copied) is None
    assert rows(tmp_path / "copy.db", "sealed") in ([(ALICE, b"k", b"before")], [(ALICE, b"k", b"meanwhile")])
    world.pump.until(lambda: world.storage._job is not None)
    world.pump.until(lambda: world.storage._job is None)
    assert log.stat().st_size == 0


def test_closing_ends_a_copy(world: World, tmp_path: Path, slow: None) -> None:
    for n in range(2000):
        world.storage.put("body", ALICE, b"%d" % n, bytes(1000))
    copied = world.storage.backup(tmp_path / "copy.db")
    world.pump.until(lambda: world.storage._copier.running)
    world.storage.close()
    with pytest.raises(StorageError, match="closed"):
        copied.result()
    assert [file.name for file in tmp_path.iterdir()] == ["data"]
    with pytest.raises(StorageError, match="closed"):
        world.storage.backup(tmp_path / "copy.db").result()


def test_what_cannot_be_written_is_said_and_leaves_nothing(world: World, tmp_path: Path) -> None:
    for target in (tmp_path / "none" / "copy.db", tmp_path, world.path, world.path.with_name("q.db-wal")):
        with pytest.raises(StorageError) as error:
            world.value(world.storage.backup(target))
        assert str(tmp_path) not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["data"]
    assert sorted(file.name for file in world.path.parent.iterdir()) == ["lock", "q.db", "q.db-shm", "q.db-wal"]
    world.storage.put("sealed", ALICE, b"k", b"v")
    assert world.value(world.storage.get("sealed", ALICE, b"k")) == b"v"


def test_a_disk_that_refuses_the_database_does_not_keep_it_from_being_copied(world: World, tmp_path: Path) -> None:
    world.storage.put("sealed", ALICE, b"k", b"before")
    world.sync()
    aside = world.path.with_name("aside")
    world.path.rename(aside)  # the guard of commits sees that it is not there
    world.storage.put("sealed", ALICE, b"k", b"refused")
    world.storage.sync()
    world.pump.until(lambda: bool(world.storage.condition[1]))
    aside.rename(world.path)
    world.value(world.storage.backup(tmp_path / "copy.db"))
    assert rows(tmp_path / "copy.db", "sealed") == [(ALICE, b"k", b"before")]


def test_a_copy_that_is_stopped_leaves_nothing(tmp_path: Path, slow: None) -> None:
    open_database(tmp_path / "q.db").close()
    with pytest.raises(sqlite3.OperationalError):
        copy(tmp_path / "q.db", tmp_path / "copy.db", lambda: True)
    assert [file.name for file in tmp_path.iterdir()] == ["q.db"]


def test_the_loop_may_have_ended(tmp_path: Path) -> None:
    def ended(fn: object) -> None:
        raise RuntimeError("the loop is closed")

    open_database(tmp_path / "q.db").close()
    copier = Copier(tmp_path / "q.db", ended)
    copied = copier.start(tmp_path / "copy.db")
    thread = copier._thread
    assert thread is not None
    thread.join()
    assert (tmp_path / "copy.db").exists()
    copier.stop()
    with pytest.raises(StorageError):
        copied.result()


def test_a_copy_does_not_tell_in_which_order_rows_were_written(tmp_path: Path) -> None:
    """Databases of the same rows have the same copies, byte for byte."""
    written = [(table, b"%d" % (n % 3), Random(n).randbytes(16), Random(n).randbytes(n % 900))
               for n in range(1000) for table in ("archive", "arrival")]  # fmt: skip
    copies = []
    for seed in (1, 2):
        directory = tmp_path / str(seed)
        directory.mkdir()
        world = World(directory)
        Random(seed).shuffle(written)
        for n, row in enumerate(written):
            world.storage.put(*row)
            if n % 50 == 0:
                world.sync()
        target = tmp_path / f"copy {seed}.db"
        world.value(world.storage.backup(target))
        world.storage.close()
        copies.append(target.read_bytes())
    different = [n for n, (one, other) in enumerate(zip(*copies, strict=True)) if one != other]
    assert different == []
