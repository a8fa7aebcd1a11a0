"""What is deleted is nowhere in the files any more once the log has been cut: tables, free pages, rests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from quietwire.store import writer
from quietwire.store.ports import TABLES
from quietwire.store.sqlite import CHECKPOINT_SECONDS, SqliteStorage
from quietwire.store.writer import SMALL_PAGES, checkpoint
from quietwire.testing.store_contract import ALICE, BOB, Pump

CANARY = b"canary-%d-%s-"
SIZES = (1, 30, 200, 3_000)
"""Times that a canary is in a value: inside of a page, most of one, several overflow pages."""


class World:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "q.db"
        self.pump = Pump()
        self.storage = SqliteStorage(
            self.path, post=self.pump.post, later=self.pump.later, randomness=Random(1).randbytes
        )

    def sync(self) -> None:
        ticket = self.storage.sync()
        self.pump.until(lambda: ticket.settled)

    def checkpoint(self) -> None:
        self.sync()
        self.pump.advance(CHECKPOINT_SECONDS)
        self.pump.until(lambda: self.storage._job is None)

    def found(self, needle: bytes) -> list[str]:
        """The files that hold it anywhere."""
        return sorted(file.name for file in self.path.parent.iterdir() if needle in file.read_bytes())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.storage.close()


def values(table: str) -> Iterator[tuple[bytes, bytes]]:
    for times in SIZES:
        for n in range(3):
            yield b"key of %s %d %d" % (table.encode(), times, n), (CANARY % (n, table.encode())) * times


@pytest.mark.parametrize("small", [0, SMALL_PAGES])
@pytest.mark.parametrize("way", ["delete", "erase", "replace", "late"])
def test_rows_that_are_gone_leave_no_byte(world: World, way: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "checkpoint", lambda db, _=0: checkpoint(db, small))
    for table in TABLES:
        for key, value in values(table):
            world.storage.put(table, ALICE, key, value)
            world.storage.put(table, BOB, b"other", b"stays")
    world.checkpoint()
    assert world.found(CANARY % (0, b"archive")) == ["q.db"]
    for table in TABLES:
        for key, _ in values(table):
            if way == "delete":
                world.storage.delete(table, ALICE, key)
            elif way == "replace":
                world.storage.put(table, ALICE, key, b"")
            elif way == "late":
                world.storage.put_late(table, ALICE, key, lambda: b"short", 5)
    if way == "erase":
        world.storage.erase(ALICE)
    world.checkpoint()
    for table in TABLES:
        for n in range(3):
            assert world.found(CANARY % (n, table.encode())) == []
        if way in ("delete", "erase"):
            assert world.found(b"key of %s " % table.encode()) == []
    assert world.found(b"stays") == ["q.db"]


def test_messages_that_were_confirmed_leave_no_byte(world: World) -> None:
    entries = [world.storage.keep(ALICE, (CANARY % (n, b"spool")) * times) for n in range(20) for times in SIZES]
    world.storage.keep(BOB, b"stays")
    world.checkpoint()
    assert world.found(CANARY % (7, b"spool")) == ["q.db"]
    for entry in entries:
        world.storage.confirm(entry)
    world.checkpoint()
    for n in range(20):
        assert world.found(CANARY % (n, b"spool")) == []
    assert world.found(b"stays") == ["q.db"]


def test_what_was_refused_or_never_written_is_nowhere(world: World) -> None:
    entry = world.storage.keep(ALICE, CANARY % (1, b"confirmed"))
    world.storage.put("sealed", ALICE, b"k", CANARY % (1, b"replaced"))
    world.storage.put_late("sealed", ALICE, b"k", lambda: b"what counts", 11)
    world.storage.confirm(entry)
    world.sync()
    for needle in (b"confirmed", b"replaced"):
        assert world.found(CANARY % (1, needle)) == []
    assert world.found(b"what counts") == ["q.db-wal"]


def test_pages_given_back_are_zeros(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "checkpoint", lambda db, _=0: checkpoint(db, 0))
    for n in range(200):
        world.storage.put("body", ALICE, b"%d" % n, b"\xaa" * 9_000)
    world.sync()
    world.storage.erase(ALICE)
    world.checkpoint()
    content = world.path.read_bytes()
    assert b"\xaa" * 8 not in content
    assert content.count(bytes(4096 - 8)) > 100, "the file keeps its length"


COUNTERS = (slice(24, 28), slice(40, 44), slice(92, 96))
"""Of a file's header: what counts changes of the file and of its schema."""


@pytest.mark.parametrize("ends", [False, True])
def test_a_small_file_does_not_tell_in_which_order_rows_were_written(tmp_path: Path, ends: bool) -> None:
    """Files of the same rows are the same, byte for byte but for counters of changes. One is larger than what is
    written anew while the server runs."""
    rows = [(table, Random(n).randbytes(16), Random(n).randbytes(16), Random(n).randbytes(n % 900))
            for n in range(6000 if ends else 500) for table in ("archive", "arrival")]  # fmt: skip
    files = []
    for seed in (1, 2):
        directory = tmp_path / str(seed)
        directory.mkdir()
        world = World(directory)
        Random(seed).shuffle(rows)
        for n, row in enumerate(rows):
            world.storage.put(*row)
            if n % 100 == 0:
                world.sync()
        world.checkpoint()
        if ends:
            assert world.path.stat().st_size > SMALL_PAGES * 4096
            world.storage.close()
        content = bytearray(world.path.read_bytes())
        for counter in COUNTERS:
            content[counter] = bytes(4)
        files.append(bytes(content))
        world.storage.close()
    different = [n for n, (one, other) in enumerate(zip(*files, strict=True)) if one != other]
    assert different == []


def test_an_end_without_changes_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    World(tmp_path).storage.close()
    before = (tmp_path / "q.db").read_bytes()
    World(tmp_path).storage.close()
    assert (tmp_path / "q.db").read_bytes() == before
