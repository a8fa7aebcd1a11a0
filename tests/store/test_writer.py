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
from quietwire.store.writer import (
    ALL_TABLES,
    Job,
    Read,
    Writer,
    _pairs_of,
    commit,
    gives_bytes_as_they_are,
    perform,
    query_get_many,
    query_scan,
    query_scan_many,
)


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
    assert [done.get(timeout=60) for _ in jobs] == jobs
    running.close()
    assert len(threads) == 1
    assert get_ident() not in threads
    assert not (tmp_path / "q.db-wal").exists()


def test_rows_of_every_length_and_of_every_byte_are_given_as_they_are(db: sqlite3.Connection) -> None:
    assert gives_bytes_as_they_are(db)
    rows = {bytes([n]) * (n % 5): bytes([n, 0]) * (n % 3) for n in range(256)} | {b"": b""}
    group = Group()
    for key, value in rows.items():
        group.put("item", b"o", key, value)
    group.put("sealed", b"p", b"", b"")
    commit(db, group)
    assert dict(query_scan("item", b"o")(db)) == rows
    assert query_get_many("item", b"o", list(rows))(db) == rows
    assert query_scan("sealed", b"p")(db) == query_scan("sealed", b"p", head=0)(db) == [(b"", b"")]
    items, none, sealed = query_scan_many([("item", b"o", 1), ("item", b"p", None), ("sealed", b"p", 0)])(db)
    assert dict(items) == {key: value[:1] for key, value in rows.items()}
    assert (none, sealed) == ([], [(b"", b"")])
    assert writer.query_owners("item")(db) == [b"o"]
    assert writer.query_owners("node")(db) == []


def test_several_tables_are_one_step(db: sqlite3.Connection) -> None:
    """Each step gives the interpreter away, and a busy loop takes its time to give it back."""
    plan = db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM (SELECT {_pairs_of(None)} FROM sealed WHERE owner=?), "
                      f"(SELECT {_pairs_of(29)} FROM body WHERE owner=?)", (b"o", b"o")).fetchall()  # fmt: skip
    searches = sorted(row[3] for row in plan if "SEARCH" in row[3] and "PRIMARY KEY" in row[3])
    assert searches == [f"SEARCH {table} USING PRIMARY KEY (owner=?)" for table in ("body", "sealed")]
