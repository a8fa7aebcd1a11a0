from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

from test_sqlite_file import OURS

from quietwire.lab.audit import attacks, quietwire, score, sqlite_file
from quietwire.lab.audit.quietwire import Row

PEOPLE = [bytes((i,)) * 16 for i in range(1, 13)]
NAMES = {person: f"p{person[0]}" for person in PEOPLE}


def row(owner: bytes, size: int, page: int = 1, order: int = 0, key: bytes = b"") -> Row:
    return Row("archive", owner, key or bytes(16), b"\1" * size, page, order)


def test_who_is_written_together() -> None:
    a, b, c = PEOPLE[:3]
    written = [[("archive", a), ("archive", b)], [("archive", a), ("archive", b), ("archive", c)], [("other", c)]]
    assert attacks.co_written(written, "archive") == {
        frozenset((a, b)): 1.5, frozenset((a, c)): 0.5, frozenset((b, c)): 0.5,
    }  # fmt: skip


def test_a_crowd_tells_nothing() -> None:
    many = [("archive", bytes((i,)) * 4) for i in range(attacks.CROWD + 1)]
    assert attacks.co_written([many], "archive") == {}


def test_who_follows_whom_on_a_page() -> None:
    a, b, c = PEOPLE[:3]
    rows = [row(a, 9, 1, 0), row(c, 9, 1, 2), row(b, 9, 1, 1), row(b, 9, 2, 0), row(c, 9, 3, 0)]
    assert attacks.row_order(rows) == {frozenset((a, b)): 1, frozenset((b, c)): 1}
    pages = attacks.page_order(rows)
    assert frozenset((b, c)) in pages


def test_equal_counts_and_rare_sizes() -> None:
    a, b, c, d = PEOPLE[:4]
    rows = [row(a, 100), row(a, 777), row(b, 100), row(b, 777), row(c, 100), row(d, 100), row(d, 100), row(d, 100)]
    equal = attacks.counts(rows)
    assert max(equal, key=lambda pair: equal[pair]) == frozenset((a, b))
    assert attacks.sizes(rows) == {frozenset((a, b)): attacks.sizes(rows)[frozenset((a, b))]}


@contextmanager
def archive(path: Path, *, singly: bool, padded: bool) -> Iterator[tuple[set[frozenset[str]], Path]]:
    """A database with two rows of each message: in a transaction of their own, or all in one."""
    chance = random.Random(5)
    truth = chance.sample([tuple(pair) for pair in combinations(PEOPLE, 2)], 14)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA secure_delete=ON")
    db.execute("PRAGMA application_id=%d" % quietwire.APPLICATION_ID)  # noqa: UP031
    db.execute(OURS.format("archive"))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rows = []
    for pair in truth:
        for _ in range(chance.randint(2, 9)):
            size = 500 if padded else chance.randint(60, 900)
            rows.append([(owner, chance.randbytes(16), b"\1" + chance.randbytes(size)) for owner in pair])
    chance.shuffle(rows)
    for several in rows if singly else [sorted(each for two in rows for each in two)]:
        db.execute("BEGIN")
        db.executemany("INSERT INTO archive VALUES (?, ?, ?)", several)
        db.execute("COMMIT")
    try:
        yield {frozenset(NAMES[each] for each in pair) for pair in truth}, path
    finally:
        db.close()


def attacked(path: Path, truth: set[frozenset[str]]) -> dict[str, score.Score]:
    file = sqlite_file.read(path.read_bytes())
    assert file is not None
    log = sqlite_file.commits(path.with_name(path.name + "-wal").read_bytes())
    now = sqlite_file.replayed(file, log)
    file.of = now.of
    found = attacks.run(list(quietwire.table_rows(now)), file, log, ["archive"])
    return {
        each.name: score.ranked(
            {frozenset(NAMES[owner] for owner in pair): weight for pair, weight in each.pairs.items()},
            truth,
            len(PEOPLE),
        )
        for each in found
    }


def test_a_log_of_single_messages_gives_the_whole_graph_away(tmp_path: Path) -> None:
    with archive(tmp_path / "a.sqlite", singly=True, padded=True) as (truth, path):
        told = attacked(path, truth)
    assert (told["co-write"].precision, told["co-write"].recall) == (1, 1)


def test_lengths_that_are_not_padded_give_it_away_without_a_log(tmp_path: Path) -> None:
    with archive(tmp_path / "a.sqlite", singly=False, padded=False) as (truth, path):
        told = attacked(path, truth)
    assert told["sizes"].area > 0.9


def test_padded_and_written_together_it_tells_nothing(tmp_path: Path) -> None:
    with archive(tmp_path / "a.sqlite", singly=False, padded=True) as (truth, path):
        told = attacked(path, truth)
    assert told["co-write"].area == 0.5
    assert told["sizes"].area == 0.5
    assert abs(told["row order"].area - 0.5) < 0.15


def test_rows_that_were_folded_since_are_still_in_the_log(tmp_path: Path) -> None:
    with archive(tmp_path / "a.sqlite", singly=True, padded=True) as (truth, path):
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("DELETE FROM archive")
        db.execute(OURS.format("other"))
        fillers = [(b"other" + bytes((number,)), bytes(16), bytes(700)) for number in range(200)]
        db.executemany("INSERT INTO other VALUES (?, ?, ?)", fillers)
        left = [(person, b"page", b"\1" + bytes(300)) for person in PEOPLE]
        db.executemany("INSERT INTO archive VALUES (?, ?, ?)", left)
        told = attacked(path, truth)
        db.close()
    assert told["co-write"].area > 0.95
