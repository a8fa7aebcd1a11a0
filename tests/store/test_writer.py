from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import get_ident

import pytest

from quietwire.core.later import Later
from quietwire.store import writer
from quietwire.store.database import open_database
from quietwire.store.group import Group
from quietwire.store.ports import Entry
from quietwire.store.writer import ALL_TABLES, Job, Read, Writer, commit, perform


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    db = open_database(tmp_path / "q.db")
    yield db
    db.close()


def count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.parametrize("rows", [1, 2, 255, 256, 257, 1000])
def test_any_number_of_rows_in_few_statements(db: sqlite3.Connection, rows: int) -> None:
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    group = Group()
    for n in range(rows):
        key = n.to_bytes(4)
        group.kept[key] = Entry(b"o", key, b"v", group.ticket)
        group.put("item", b"o", key, b"v")
    commit(db, group)
    assert count(db, "spool") == count(db, "item") == rows
    deleting = Group()
    deleting.gone = dict.fromkeys(group.kept, b"o")
    deleting.rows = dict.fromkeys(group.rows)
    commit(db, deleting)
    assert count(db, "spool") == count(db, "item") == 0
    assert len(statements) < 60


@pytest.mark.parametrize("table", ALL_TABLES)
def test_deletions_find_their_rows_by_key(db: sqlite3.Connection, table: str) -> None:
    plan = db.execute("EXPLAIN QUERY PLAN " + writer._delete(table, 2), (b"o", b"1", b"o", b"2")).fetchall()
    assert any(f"SEARCH {table} USING PRIMARY KEY (owner=? AND key=?)" in row[3] for row in plan)


def test_a_commit_is_all_or_nothing(db: sqlite3.Connection) -> None:
    db.execute("DROP TABLE spool")
    group = Group()
    group.put("item", b"o", b"k", b"v")
    group.kept[b"k"] = Entry(b"o", b"k", b"v", group.ticket)
    read = Read(writer.query_get("item", b"o", b"k"), Later(), [("item", b"o")])
    other = Read(writer.query_get("item", b"p", b"k"), Later(), [("item", b"p")])
    job = Job(group, [read, other], checkpoint=False)
    perform(db, job)
    assert isinstance(job.error, sqlite3.OperationalError)
    assert read.error is job.error
    assert (other.error, other.answer) == (None, None), "what the commit does not concern can be read"
    assert not db.in_transaction
    assert count(db, "item") == 0


def test_erasures_come_first(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO item VALUES (x'6f', x'00', x'00')")
    group = Group()
    group.erase(b"o")
    group.put("item", b"o", b"k", b"v")
    commit(db, group)
    assert writer.query_scan("item", b"o")(db) == [(b"k", b"v")]


def test_usage_is_counted_per_owner(db: sqlite3.Connection) -> None:
    group = Group()
    for n, size in enumerate((0, 10, 5000)):
        key = b"%d" % n
        group.kept[key] = Entry(b"a" if n else b"b", key, bytes(size), group.ticket)
    commit(db, group)
    assert writer.usage(db) == {b"a": [2, 5010], b"b": [1, 0]}


def test_jobs_are_done_in_order_in_one_other_thread(tmp_path: Path) -> None:
    done: SimpleQueue[Job] = SimpleQueue()
    threads: set[int] = set()

    def query(db: sqlite3.Connection) -> None:
        threads.add(get_ident())

    running = Writer(open_database(tmp_path / "q.db"), done.put)
    jobs = [Job(None, [Read(query, Later())], checkpoint=False) for _ in range(10)]
    for job in jobs:
        running.submit(job)
    assert [done.get(timeout=30) for _ in jobs] == jobs
    running.close()
    assert len(threads) == 1
    assert get_ident() not in threads
    assert not (tmp_path / "q.db-wal").exists()
