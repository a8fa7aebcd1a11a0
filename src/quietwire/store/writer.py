"""The thread that owns the connection: takes jobs in order, hands each back when it is done.

Many rows go into one statement and many rows come back as one: SQLite lets go of the interpreter for each step, and to
get it back from a busy loop can take a whole switch interval (5 ms). With a step a row, a thousand rows could take
seconds while the loop is under load.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from struct import Struct, error
from threading import Thread
from typing import Any

from quietwire.core.later import Later
from quietwire.store.group import Group
from quietwire.store.ports import TABLES

KNOWN = frozenset(TABLES)
ALL_TABLES = (*TABLES, "spool")
MOST_ROWS = 256  # rows a statement: three parameters each stay under the 999 that every SQLite allows

SMALL_PAGES = 1_024
"""A database of up to 4 MiB is written anew at each checkpoint, in the order of its keys: in a page rows lie in the
order in which they came, and in a small file both rows of a message may lie in one page. That takes 5 ms a MiB."""
SMALL_PAGES_AT_END = 16_384
"""The same for up to 64 MiB when the server ends: a third of a second."""

Query = Callable[[sqlite3.Connection], Any]


class Read:
    """A question for the database. `about`: tables, and whose rows in them, or (None) who has any. `convert` turns the
    answer into the value of `later`, in the loop's thread."""

    __slots__ = ("about", "answer", "convert", "error", "later", "query")

    def __init__(
        self,
        query: Query,
        later: Later[Any],
        about: Sequence[tuple[str, bytes | None]] = (),
        convert: Callable[[Any], Any] | None = None,
    ) -> None:
        self.query = query
        self.about = about
        self.later = later
        self.convert = convert
        self.answer: Any = None
        self.error: Exception | None = None


class Job:
    """What the thread does in one go: commit the group, then answer the reads, then checkpoint."""

    __slots__ = ("checkpoint", "error", "group", "reads")

    def __init__(self, group: Group | None, reads: list[Read], checkpoint: bool) -> None:
        self.group = group
        self.reads = reads
        self.checkpoint = checkpoint
        self.error: Exception | None = None
        """Why the group was not committed: nothing of it is in the database then."""


class Writer:
    """Runs jobs one after the other; `done(job)` is called in the thread after each. The thread ends with `close`.
    `check` is called before each commit, and raises where it would be for nothing."""

    def __init__(
        self, db: sqlite3.Connection, done: Callable[[Job], None], check: Callable[[], None] = lambda: None
    ) -> None:
        self._db = db
        self._done = done
        self._check = check
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="quietwire-store", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._inbox.put(job)

    def close(self) -> None:
        """Waits for all jobs, checkpoints, closes the connection. Blocks."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._inbox.get()) is not None:
            perform(self._db, job, self._check)
            self._done(job)
            del job  # the loop's thread is to be the last to hold it
        checkpoint(self._db, SMALL_PAGES_AT_END if self._db.total_changes else 0)
        self._db.close()


def perform(db: sqlite3.Connection, job: Job, check: Callable[[], None] = lambda: None) -> None:
    """Does the job; whatever goes wrong is written into it."""
    if job.group is not None:
        try:
            check()
            commit(db, job.group)
        except Exception as error:
            job.error = error
    for read in job.reads:
        try:
            if job.error is not None and job.group is not None and job.group.matters_to(read.about):
                raise job.error  # the answer would not be that of a moment after the writes before it
            read.answer = read.query(db)
        except Exception as error:
            read.error = error
    if job.checkpoint:
        checkpoint(db)


def checkpoint(db: sqlite3.Connection, small: int = SMALL_PAGES) -> None:
    """Writes a database of up to `small` pages anew, in the order of its keys and without free pages. Moves the log
    into the database and cuts it to nothing: it would tell what was written together and when.

    What it cannot do now (a full disk, a reader) is done by a later one: the log stays and loses nothing.
    """
    with suppress(sqlite3.Error):
        if db.execute("PRAGMA page_count").fetchone()[0] <= small:
            db.execute("VACUUM")
    with suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def commit(db: sqlite3.Connection, group: Group) -> None:
    """All of the group or nothing. Rows go in sorted by owner and key, so that their order of arrival is not kept."""
    if db.in_transaction:  # a rollback failed last time
        db.rollback()
    try:
        db.execute("BEGIN IMMEDIATE")
        for owner in sorted(group.erased):
            for table in ALL_TABLES:
                db.execute(f"DELETE FROM {table} WHERE owner=?", (owner,))  # noqa: S608 - a name of ours
        _each(db, _delete, "spool", sorted((owner, key) for key, owner in group.gone.items()))
        doomed: defaultdict[str, list[tuple[bytes, ...]]] = defaultdict(list)
        fresh: defaultdict[str, list[tuple[bytes, ...]]] = defaultdict(list)
        for (table, owner, key), value in group.rows.items():
            if value is None:
                doomed[table].append((owner, key))
            else:
                fresh[table].append((owner, key, value))
        for table, rows in sorted(doomed.items()):
            _each(db, _delete, table, sorted(rows))
        for table, rows in sorted(fresh.items()):
            _each(db, _insert, table, sorted(rows))
        dressed = group.dressed
        kept: list[tuple[bytes, ...]] = [
            (entry.owner, key, dressed.get(key, entry.value)) for key, entry in group.kept.items()
        ]
        _each(db, _insert, "spool", sorted(kept))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.rollback()
        raise


def _each(
    db: sqlite3.Connection, statement: Callable[[str, int], str], table: str, rows: list[tuple[bytes, ...]]
) -> None:
    start = 0
    while start < len(rows):
        count = min(MOST_ROWS, 1 << ((len(rows) - start).bit_length() - 1))  # powers of two: few distinct statements
        some = rows[start : start + count]
        db.execute(statement(table, count), [part for row in some for part in row])
        start += count


@cache
def _insert(table: str, count: int) -> str:
    return f"INSERT OR REPLACE INTO {table} (owner, key, value) VALUES " + ",".join(["(?,?,?)"] * count)  # noqa: S608


@cache
def _delete(table: str, count: int) -> str:
    doomed = ",".join(["(?,?)"] * count)  # in a WITH: else SQLite scans the table instead of searching it by key
    return (
        f"WITH doomed (o, k) AS (VALUES {doomed}) DELETE FROM {table} WHERE (owner, key) IN (SELECT o, k FROM doomed)"  # noqa: S608
    )


def query_get(table: str, owner: bytes, key: bytes) -> Query:
    sql = f"SELECT value FROM {table} WHERE owner=? AND key=?"  # noqa: S608

    def query(db: sqlite3.Connection) -> bytes | None:
        row = db.execute(sql, (owner, key)).fetchone()
        return None if row is None else row[0]

    return query


def query_scan(
    table: str, owner: bytes, first: bytes = b"", stop: bytes | None = None, head: int | None = None
) -> Query:
    """The (key, value) of the owner, as one row: one step, see the head of this file."""
    sql = f"SELECT {_pairs_of(head)} FROM {table} WHERE owner=? AND key>=?"  # noqa: S608
    bounds: tuple[bytes, ...] = (owner, first)
    if stop is not None:
        sql += " AND key<?"
        bounds += (stop,)

    def query(db: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
        return _pairs(db.execute(sql, bounds).fetchone())

    return query


def query_scan_many(wanted: Sequence[tuple[str, bytes, int | None]]) -> Query:
    """Of each (table, owner, head) its (key, value), in one step."""
    sql = ",".join(f"(SELECT {_pairs_of(head)} FROM {table} WHERE owner=?)" for table, _, head in wanted)  # noqa: S608

    def query(db: sqlite3.Connection) -> list[list[tuple[bytes, bytes]]]:
        row = db.execute(f"SELECT * FROM {sql}", [owner for _, owner, _ in wanted]).fetchone()  # noqa: S608
        return [_pairs(row[at : at + 4]) for at in range(0, len(row), 4)]

    return query


def query_get_many(table: str, owner: bytes, keys: Collection[bytes]) -> Query:
    wanted = list(keys)

    def query(db: sqlite3.Connection) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for start in range(0, len(wanted), MOST_ROWS):
            some = wanted[start : start + MOST_ROWS]
            marks = ",".join("?" * len(some))
            sql = f"SELECT {_pairs_of(None)} FROM {table} WHERE owner=? AND key IN ({marks})"  # noqa: S608
            found.update(_pairs(db.execute(sql, (owner, *some)).fetchone()))
        return found

    return query


def query_measure(table: str, owner: bytes) -> Query:
    """(rows, bytes). Lengths stand in the rows' headers: no long value is read."""
    sql = f"SELECT count(*), coalesce(sum(length(value)), 0) FROM {table} WHERE owner=?"  # noqa: S608

    def query(db: sqlite3.Connection) -> tuple[int, int]:
        count, size = db.execute(sql, (owner,)).fetchone()
        return count, size

    return query


def query_owners(table: str) -> Query:
    # From owner to owner, past each one's rows: DISTINCT would read the whole table, every archive in it.
    sql = f"""
        WITH RECURSIVE o(x) AS (
            SELECT min(owner) FROM {table}
            UNION ALL SELECT (SELECT min(owner) FROM {table} WHERE owner>x) FROM o WHERE x IS NOT NULL
        ) SELECT {_lengths("x")}, {_joined("x")} FROM o WHERE x IS NOT NULL"""  # noqa: S608

    def query(db: sqlite3.Connection) -> list[bytes]:
        lengths, joined = db.execute(sql).fetchone()
        return list(Struct(lengths).unpack(joined or b"")) if lengths is not None else []

    return query


def usage(db: sqlite3.Connection) -> dict[bytes, list[int]]:
    """Owner -> [entries, bytes] of the spool. Lengths stand in the rows' headers: no long value is read."""
    counted = db.execute("SELECT owner, count(*), sum(length(value)) FROM spool GROUP BY owner")
    return {owner: [entries, size] for owner, entries, size in counted}


def _pairs_of(head: int | None) -> str:
    """The columns of all rows as four values: the lengths of keys and of values, as formats of `struct`, and all keys
    and all values, joined. That group_concat takes and gives any bytes is tried when a database is opened
    (`database.open_database`); hexadecimal text would take twice the time."""
    value = "value" if head is None else f"substr(value,1,{head:d})" if head else "x''"  # substr reads it whole
    return f"{_lengths('key')}, {_lengths(value)}, {_joined('key')}, {_joined(value)}"


def _lengths(column: str) -> str:
    return f"group_concat(ifnull(length({column}),0)||'s','')"  # substr() of nothing is NULL


def _joined(column: str) -> str:
    return f"CAST(group_concat({column},'') AS BLOB)"


def _pairs(row: tuple[str | None, str, bytes | None, bytes | None]) -> list[tuple[bytes, bytes]]:
    key_lengths, value_lengths, keys, values = row
    if key_lengths is None:
        return []
    # Not struct.unpack(): it would keep a hundred formats, some of them of a hundred thousand lengths.
    return list(zip(Struct(key_lengths).unpack(keys or b""), Struct(value_lengths).unpack(values or b""), strict=True))


def gives_bytes_as_they_are(db: sqlite3.Connection) -> bool:
    """Whether rows can be joined and taken apart again with this SQLite."""
    rows = [(b"", b"\0"), (b"\0\xff", b""), (b"\xc3", b"\xa9,'"), (bytes(range(256)), b"\0\0")]
    marks = ",".join(["(?,?)"] * len(rows))
    sql = f"WITH t (key, value) AS (VALUES {marks}) SELECT {_pairs_of(None)} FROM t"  # noqa: S608
    try:
        return _pairs(db.execute(sql, [part for row in rows for part in row]).fetchone()) == rows
    except (error, ValueError):
        return False
