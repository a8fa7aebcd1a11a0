from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from quietwire.lab.audit import sqlite_file

OURS = "CREATE TABLE {} (owner BLOB, key BLOB, value BLOB NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID"


def database(path: Path, rows: int = 600, *, secure: bool = True) -> sqlite3.Connection:
    """Two tables, with short and long values, some rows changed and some deleted."""
    chance = random.Random(7)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA secure_delete={'ON' if secure else 'OFF'}")
    db.execute("PRAGMA application_id=77")
    db.execute("PRAGMA user_version=3")
    db.execute(OURS.format("ours"))
    db.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY, name TEXT, number INTEGER, share REAL)")
    for number in range(rows):
        value = chance.randbytes(chance.choice((3, 80, 700, 9_000)))
        db.execute("INSERT INTO ours VALUES (?, ?, ?)", (b"owner%d" % (number % 9), chance.randbytes(16), value))
        db.execute("INSERT INTO theirs (name, number, share) VALUES (?, ?, ?)", (f"n{number}é", -number << 20, 0.5))
    db.execute("DELETE FROM ours WHERE owner = ?", (b"owner4",))
    return db


def test_every_row_is_found_as_sqlite_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    db = database(path)
    expected = sorted(db.execute("SELECT owner, key, value FROM ours"))
    others = sorted(db.execute("SELECT name, number FROM theirs"))
    db.close()
    file = sqlite_file.read(path.read_bytes())
    assert file is not None
    assert (file.application_id, file.user_version) == (77, 3)
    assert sorted(cell.columns for cell in sqlite_file.walk(file, file.tables["ours"][0])) == expected
    assert sorted(cell.columns[1:3] for cell in sqlite_file.walk(file, file.tables["theirs"][0])) == others


def test_rows_of_an_open_log_are_found_and_its_transactions(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    database(path, 50).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    for each in range(3):
        db.execute("INSERT INTO ours VALUES (?, ?, ?)", (b"late", b"key%d" % each, b"value"))
    expected = sorted(db.execute("SELECT owner, key, value FROM ours"))
    copies = [Path(shutil.copy(f"{path}{end}", tmp_path / f"copy{end}")) for end in ("", "-wal")]
    db.close()
    file = sqlite_file.read(copies[0].read_bytes())
    log = sqlite_file.commits(copies[1].read_bytes())
    assert file is not None
    assert [commit.past for commit in log] == [False] * 3
    now = sqlite_file.replayed(file, log)
    assert sorted(cell.columns for cell in sqlite_file.walk(now, now.tables["ours"][0])) == expected
    before = [cell.columns[0] for cell in sqlite_file.walk(file, file.tables["ours"][0])]
    assert b"late" not in before


@pytest.mark.parametrize("secure", [True, False])
def test_what_was_deleted_is_found_where_it_was_not_overwritten(tmp_path: Path, secure: bool) -> None:
    path = tmp_path / "a.sqlite"
    db = database(path, secure=secure)
    db.execute("INSERT INTO ours VALUES (?, ?, ?)", (b"ownerX", b"k", b"DELETED" * 30))
    db.execute("DELETE FROM ours WHERE owner = ?", (b"ownerX",))
    db.execute("DROP TABLE theirs")
    db.close()
    file = sqlite_file.read(path.read_bytes())
    assert file is not None
    slack = b"".join(sqlite_file.parse(file, number).slack for number in file.pages)
    free = b"".join(file.free.values())
    assert file.free
    assert (b"DELETED" in slack) == (not secure)
    assert ("n77é".encode() in free) == (not secure)


def test_what_is_no_database_is_left(tmp_path: Path) -> None:
    assert sqlite_file.read(b"") is None
    assert sqlite_file.read(sqlite_file.MAGIC + bytes(200)) is None
    assert sqlite_file.commits(b"\x37\x7f\x06\x82" + bytes(10)) == []


def test_damage_is_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    database(path, 100).close()
    data = bytearray(path.read_bytes())
    chance = random.Random(3)
    for _ in range(200):
        at = chance.randrange(4_096, len(data))
        data[at] = chance.randrange(256)
    file = sqlite_file.read(bytes(data))
    assert file is not None
    for number in file.pages:
        sqlite_file.parse(file, number)
