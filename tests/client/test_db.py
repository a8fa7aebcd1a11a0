from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from quietwire.client.db import STEP, Database
from quietwire.client.errors import StoreError
from quietwire.client.keys import FromKeyring


class Ring:
    """A keyring in memory: Argon2 has its own test, and takes its time."""

    key: str | None = None

    def get_password(self, service_name: str, username: str) -> str | None:
        return self.key

    def set_password(self, service_name: str, username: str, password: str) -> None:
        self.key = password


@pytest.fixture
def source() -> FromKeyring:
    return FromKeyring(Ring(), "a")


def test_what_is_committed_is_there_again(tmp_path: Path, source: FromKeyring) -> None:
    database = Database.open(tmp_path / "s", source)
    batch = database.batch()
    batch.put("a", b"1")
    batch.put("b", b"")
    batch.commit()
    batch.delete("a")
    batch.commit()
    database.close()
    again = Database.open(tmp_path / "s", source).batch()
    assert (again.get("a"), again.get("b"), again.get("c")) == (None, b"", None)


def test_a_batch_is_all_or_nothing(tmp_path: Path, source: FromKeyring) -> None:
    database = Database.open(tmp_path / "s", source)
    batch = database.batch()
    batch.put("a", b"1")
    mark = batch.mark()
    batch.put("a", b"2")
    batch.put("b", b"2")
    assert batch.get("a") == b"2"
    assert database.batch().get("a") is None
    batch.back(mark)
    batch.commit()
    assert (database.batch().get("a"), database.batch().get("b")) == (b"1", None)


def test_a_batch_is_one_transaction(tmp_path: Path, source: FromKeyring) -> None:
    database = Database.open(tmp_path / "s", source)
    statements: list[str] = []
    database._connection.set_trace_callback(statements.append)
    batch = database.batch()
    for number in range(36):
        batch.put(f"k{number}", b"v")
    batch.commit()
    assert sum(1 for statement in statements if statement == "COMMIT") == 1


def test_the_file_shows_neither_names_nor_values_nor_exact_lengths(tmp_path: Path, source: FromKeyring) -> None:
    database = Database.open(tmp_path / "s", source)
    batch = database.batch()
    batch.put("history/bob@b.example", b"meet me at noon")
    batch.put("other", b"x" * 200)
    batch.commit()
    rows = database._connection.execute("SELECT name, value FROM pair").fetchall()
    assert {len(name) for name, _ in rows} == {16}
    assert {(len(value) - 12 - 16) % STEP for _, value in rows} == {0}
    assert len({len(value) for _, value in rows}) == 1
    database.close()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert b"bob" not in content
        assert b"noon" not in content


def test_only_the_owner_may_read_the_file(tmp_path: Path, source: FromKeyring) -> None:
    Database.open(tmp_path / "s", source)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_second_process_is_refused(tmp_path: Path, source: FromKeyring) -> None:
    first = Database.open(tmp_path / "s", source)
    with pytest.raises(StoreError, match="another process"):
        Database.open(tmp_path / "s", source)
    first.close()
    Database.open(tmp_path / "s", source).close()


def test_values_cannot_be_swapped(tmp_path: Path, source: FromKeyring) -> None:
    database = Database.open(tmp_path / "s", source)
    batch = database.batch()
    batch.put("a", b"1")
    batch.put("b", b"2")
    batch.commit()
    one, two = database.name("a"), database.name("b")
    database._connection.execute(
        "UPDATE pair SET value = (SELECT value FROM pair WHERE name = ?) WHERE name = ?", (one, two)
    )
    with pytest.raises(StoreError, match="damaged"):
        database.batch().get("b")


def test_foreign_files_are_left_alone(tmp_path: Path, source: FromKeyring) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be looked at as one" * 50)
    connection = sqlite3.connect(tmp_path / "other")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    for name in ("text", "other"):
        with pytest.raises(StoreError, match="not a store"):
            Database.open(tmp_path / name, source)
    with pytest.raises(StoreError, match="cannot be opened"):
        Database.open(tmp_path / "no" / "folder", source)
