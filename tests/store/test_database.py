from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from quietwire.core.errors import ConfigError
from quietwire.store import database
from quietwire.store.database import guard, lock_directory, migrations, open_database
from quietwire.store.ports import OLD, TABLES


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        open_database(path)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: database: ")
    return text


def test_a_new_database_has_the_tables_of_the_ports(tmp_path: Path) -> None:
    db = open_database(tmp_path / "q.db")
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    assert names == {*TABLES, "spool"}
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(migrations())
    for name in names:
        with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
            db.execute(f"SELECT rowid FROM {name}")
    db.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    db = open_database(tmp_path / "q.db")
    db.execute("INSERT INTO sealed VALUES (x'00', x'01', x'02')")
    db.close()
    db = open_database(tmp_path / "q.db")
    assert db.execute("SELECT * FROM sealed").fetchall() == [(b"\0", b"\1", b"\2")]
    db.close()


def test_a_database_from_the_future_is_refused(tmp_path: Path) -> None:
    db = open_database(tmp_path / "q.db")
    db.execute("PRAGMA user_version=99")
    db.close()
    assert "is of schema 99" in refused(tmp_path / "q.db")


def test_files_of_others_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database at all, but longer than a header of SQLite would be" * 20)
    assert "not a database" in refused(text)
    assert text.read_text().startswith("not a database at all")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()
    assert "not a database of this program" in refused(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(tmp_path / "file" / "q.db")
    assert "cannot be written" in refused(tmp_path)


@pytest.mark.elsewhere
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "q.db").close()
    (tmp_path / "q.db").chmod(0o400)
    assert "cannot be written" in refused(tmp_path / "q.db")


def test_wider_modes_are_tightened(tmp_path: Path) -> None:
    (tmp_path / "q.db").touch(0o666)
    (tmp_path / "q.db").chmod(0o666)
    open_database(tmp_path / "q.db").close()
    assert (tmp_path / "q.db").stat().st_mode & 0o777 == 0o600


def test_a_migration_that_fails_leaves_the_schema_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    open_database(tmp_path / "q.db").close()
    step = (len(known) + 1, "CREATE TABLE added (a);\nINSERT INTO added VALUES (1);")
    broken = (len(known) + 2, "CREATE TABLE added (a);")
    monkeypatch.setattr(database, "migrations", lambda: [*known, step, broken])
    assert "cannot be brought to schema" in refused(tmp_path / "q.db")
    monkeypatch.setattr(database, "migrations", lambda: known)
    db = open_database(tmp_path / "q.db")
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name='added'").fetchone() == (0,)
    db.close()
    monkeypatch.setattr(database, "migrations", lambda: [*known, step])
    db = open_database(tmp_path / "q.db")
    assert db.execute("SELECT * FROM added").fetchall() == [(1,)]
    assert db.execute("PRAGMA user_version").fetchone() == (len(known) + 1,)
    db.close()


def test_the_data_directory_has_one_user(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    with pytest.raises(ConfigError, match="already in use by a running server"):
        lock_directory(tmp_path / "data")
    os.close(lock)
    os.close(lock_directory(tmp_path / "data"))


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        lock_directory(tmp_path / "mistyped" / "data")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        lock_directory(tmp_path / "file")


def test_a_file_that_is_gone_or_another_one_is_noticed_and_one_that_comes_back_is_good_again(tmp_path: Path) -> None:
    path, aside = tmp_path / "q.db", tmp_path / "aside"
    open_database(path).close()
    check = guard(path)
    check()
    path.rename(aside)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="removed or replaced"):
            check()
        path.write_bytes(b"")  # somebody makes another one
    aside.replace(path)
    check()


def test_an_sqlite_that_changes_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "gives_bytes_as_they_are", lambda db: False)
    assert "does not give bytes as they are" in refused(tmp_path / "q.db")


def test_what_was_kept_before_the_sealed_store_is_in_old_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    monkeypatch.setattr(database, "migrations", lambda: known[:2])
    db = open_database(tmp_path / "q.db")
    before = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    for name in before:
        db.execute(f"INSERT INTO {name} VALUES (?, x'01', x'02')", (name.encode(),))
    db.close()
    monkeypatch.setattr(database, "migrations", lambda: known)
    db = open_database(tmp_path / "q.db")
    assert {f"old_{name}" for name in before} == set(OLD)
    for name in before:
        assert db.execute(f"SELECT * FROM old_{name}").fetchall() == [(name.encode(), b"\1", b"\2")]
    for name in (*TABLES, "spool"):
        if name not in OLD:
            assert db.execute(f"SELECT * FROM {name}").fetchall() == []
    db.close()
