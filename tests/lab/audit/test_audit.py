from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest
from test_prosody import FILES
from vault import ANNA, BEN, KEY, Vault

from quietwire.core.errors import QuietwireError
from quietwire.lab.audit.audit import examine, has_content
from quietwire.lab.audit.raw import Canary
from quietwire.seal.wraps import SealError

MOLES, NOWHERE, ROSTER = Canary("Moles!", "room body"), Canary("zqnowhere"), Canary("both Benny", "contact name")


def prints(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_ours_without_and_with_the_key(tmp_path: Path) -> None:
    Vault(tmp_path)
    before = prints(tmp_path)
    backup = examine(tmp_path, canaries=[MOLES, NOWHERE, ROSTER])
    disk = examine(tmp_path, secret=KEY, canaries=[MOLES, NOWHERE, ROSTER], guesses=[BEN.decode()])
    assert prints(tmp_path) == before
    assert backup.systems == disk.systems == ["Quietwire"]
    assert set(backup.hits) == {ROSTER}
    assert set(disk.hits) == {ROSTER, MOLES}
    assert any("opened" in place for place in disk.hits[MOLES].places)
    assert (backup.key, disk.key) == ("", "opened")
    assert {attack.table for attack in backup.attacks} == {"sealed"}
    assert backup.pages.commits == 0


def test_rows_that_are_in_the_log_only_are_read_too(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "made" if (tmp_path / "made").mkdir() is None else tmp_path)
    db = sqlite3.connect(vault.path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("INSERT INTO old_roster VALUES (?, ?, ?)", (BEN, ANNA, b"\1late Anna"))
    try:
        report = examine(vault.path.parent)
    finally:
        db.close()
    assert {fact.who for fact in report.facts.of("contacts")} == {ANNA.decode(), BEN.decode()}
    assert report.pages.commits == 1


def test_a_server_key_needs_a_database_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"anything")
    with pytest.raises(SealError, match="no database of ours"):
        examine(tmp_path, secret=KEY)
    with pytest.raises(QuietwireError, match="nothing"):
        examine(tmp_path / "missing")


def test_prosodys_with_logs_left_over_files_and_a_core_dump(tmp_path: Path) -> None:
    data, logs = tmp_path / "data", tmp_path / "logs"
    for name, content in FILES.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(content)
    (data / "roster.dat~").write_text("carl@x.example")
    (data / "core.77").write_bytes(b"\x7fELF" + bytes(12) + b"\4\0" + b"password of dora@x.example")
    logs.mkdir()
    (logs / "prosody.log").write_text("Nov 21 11:10:38 Authenticated as anna@x.example from 192.0.2.7\n")
    report = examine(data, logs=[logs])
    facts = report.facts
    assert report.systems == ["Prosody"]
    assert facts.of("logs")[0].what == "anna@x.example"
    assert facts.of("addresses")[0].what == "192.0.2.7"
    assert facts.of("temporary")[0].what == "roster.dat~"
    assert facts.of("dumps")[0].what == "core.77"
    assert {"carl@x.example", "dora@x.example"} <= {fact.what for fact in facts.of("strings")}
    assert "ben@x.example" not in {fact.what for fact in facts.of("strings")}


def test_what_was_deleted_and_not_overwritten(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    db.execute("PRAGMA secure_delete=OFF")
    db.execute("CREATE TABLE notes (text)")
    db.executemany("INSERT INTO notes VALUES (?)", [(f"n{number}@gone.example " * 20,) for number in range(50)])
    db.execute("DELETE FROM notes WHERE rowid > 3")
    db.close()
    report = examine(tmp_path)
    assert report.systems == ["SQLite"]
    assert report.pages.free_with_content > 0
    assert "n40@gone.example" in {fact.what for fact in report.facts.of("deleted")}


def test_pointers_that_were_left_over_are_no_content() -> None:
    pointers = b"".join(number.to_bytes(2, "big") for number in range(300, 330))
    numbers = b"".join(number.to_bytes(4, "big") for number in range(1, 40))
    assert not has_content(bytes(50) + pointers + bytes(50), 2, 4_096)
    assert not has_content(b"\7" + pointers, 2, 4_096)
    assert not has_content(numbers, 4, 400)
    assert not has_content(bytes(4_096), 2, 4_096)
    assert has_content(bytes(50) + hashlib.sha256(b"x").digest() + bytes(50), 2, 4_096)
    assert has_content(b"a text of a message", 2, 4_096)
