"""The order in which groups reach the disk; faults, bounds and timers are in `test_sqlite.py`, with the faces."""

from __future__ import annotations

import os
from pathlib import Path

from quietwire.store.committer import CHECKPOINT_SECONDS, CUT_SECONDS, GROUP_SECONDS
from quietwire.store.sqlite import SqliteStorage
from quietwire.testing.store_contract import Pump


def test_a_read_of_others_rows_commits_nothing_before_its_time(tmp_path: Path) -> None:
    pump = Pump()
    storage = SqliteStorage(tmp_path / "d" / "q.db", post=pump.post, later=pump.later, randomness=os.urandom)
    ticket = storage.put("archive", b"alice", b"k", b"v")
    entry = storage.keep(b"alice", b"hello")
    for read in (storage.get("archive", b"bob", b"k"), storage.scan("sealed", b"alice"), storage.owners("sealed")):
        pump.until(lambda read=read: read.settled)  # type: ignore[misc]
    assert not ticket.settled
    storage.confirm(entry)
    mine = storage.scan("archive", b"alice")
    pump.until(lambda: mine.settled)
    assert ticket.settled
    assert mine.result() == [(b"k", b"v")]
    assert storage.usage(b"alice") == (0, 0), "confirmed in time: it never was on the disk"
    storage.close()


def test_a_group_collects_is_held_and_is_written(tmp_path: Path) -> None:
    pump = Pump()
    storage = SqliteStorage(tmp_path / "d" / "q.db", post=pump.post, later=pump.later, randomness=os.urandom)
    ticket = storage.put("sealed", b"alice", b"k", b"v")
    pump.advance(GROUP_SECONDS)
    later = storage.put("sealed", b"alice", b"k", b"w")
    assert not ticket.settled
    pump.advance(GROUP_SECONDS)
    pump.until(lambda: ticket.settled)
    assert not later.settled
    assert CHECKPOINT_SECONDS in pump.timers
    storage.close()
    assert later.settled


def test_the_log_is_cut_soon_for_somebody_who_has_left(tmp_path: Path) -> None:
    pump = Pump()
    path = tmp_path / "d" / "q.db"
    storage = SqliteStorage(path, post=pump.post, later=pump.later, randomness=os.urandom)
    log = path.with_name("q.db-wal")
    storage.cut_log()
    assert pump.timers == [], "nothing was committed"
    ticket = storage.put("sealed", b"alice", b"k", b"v")
    storage.sync()
    pump.until(lambda: ticket.settled)
    assert log.stat().st_size > 0
    storage.cut_log()
    storage.cut_log()
    pump.advance(CUT_SECONDS)
    pump.until(lambda: log.stat().st_size == 0)
    storage.close()
