from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from quietwire.lab.observers.disk import observe
from quietwire.seal import rows
from quietwire.seal.key_block import KeyBlock
from quietwire.seal.server_key import RawKey, of_raw


def database(folder: Path, *rows: tuple[bytes, bytes, bytes]) -> None:
    with closing(sqlite3.connect(folder / "q.sqlite")) as db:
        db.execute("CREATE TABLE stuff (owner BLOB, key BLOB, value BLOB)")
        db.executemany("INSERT INTO stuff VALUES (?, ?, ?)", rows)
        db.commit()


def test_what_lies_open_is_found_with_its_row(tmp_path: Path) -> None:
    stanza = b"<message><body>see you at nine</body><delay stamp='2026-01-01T10:00:00Z'/></message>"
    database(
        tmp_path,
        (b"alice@a.example", b"bob@b.example", b"\x01{}"),
        (b"alice@a.example", b"devices", b"<devices xmlns='urn:xmpp:omemo:2'><device id='77'/></devices>"),
        (b"alice@a.example", b"k", stanza),
    )
    findings = {finding.question: finding for finding in observe(tmp_path)}
    assert findings["contacts"].answer == {"contacts": {"alice@a.example": ["bob@b.example"]}}
    assert findings["contacts"].records == ("q.sqlite#stuff:1",)
    assert findings["who"].answer == {"pairs": [["alice@a.example", "bob@b.example"]]}
    assert findings["devices"].answer == {"devices": {"alice@a.example": ["77"]}}
    assert findings["text"].answer == {"texts": ["see you at nine"]}
    assert findings["count"].answer == {"sent": {"": 1}}
    assert findings["when"].answer["messages"][0]["stamp"] == "2026-01-01T10:00:00Z"


def test_sealed_rows_give_nothing(tmp_path: Path) -> None:
    database(tmp_path, (b"\x93" * 32, b"\xee" * 16, bytes(range(128, 256))))
    for finding in observe(tmp_path):
        assert not any(finding.answer.values())


def test_raw_bytes_are_read_besides_the_rows(tmp_path: Path) -> None:
    database(tmp_path)
    (tmp_path / "q.sqlite-journal").write_bytes(b"\0\0<body>left behind</body>\0")
    findings = {finding.question: finding for finding in observe(tmp_path)}
    assert findings["text"].answer == {"texts": ["left behind"]}
    assert findings["text"].records == ("q.sqlite-journal#raw",)


def test_a_broken_database_is_no_obstacle_and_the_original_stays(tmp_path: Path) -> None:
    (tmp_path / "q.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 200)
    before = (tmp_path / "q.sqlite").read_bytes()
    assert {finding.question: finding.answer for finding in observe(tmp_path)}["text"] == {"texts": []}
    assert (tmp_path / "q.sqlite").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["q.sqlite"]


def test_what_is_under_the_servers_key_is_opened_with_it(tmp_path: Path) -> None:
    key = bytes(range(32))
    block, master = KeyBlock.create(bytes, of_raw(RawKey(key)))
    server = master.keys()
    devices = b"<devices xmlns='urn:xmpp:omemo:2'><device id='77'/></devices>"

    def row(name: bytes) -> tuple[bytes, bytes, bytes]:
        owner = server.owner("item", name)
        hashed = server.key("item", owner, b"devices")
        content = rows.pack(0, b"devices", devices)
        return owner, hashed, rows.seal(server.cipher, bytes(12), content, "item", owner, hashed, rows.SERVER)

    with closing(sqlite3.connect(tmp_path / "q.sqlite")) as db:
        for table in ("server", "item"):
            db.execute(f"CREATE TABLE {table} (owner BLOB, key BLOB, value BLOB)")
        db.execute("INSERT INTO server VALUES (?, ?, ?)", (b"", b"keys", block.to_bytes()))
        db.executemany("INSERT INTO item VALUES (?, ?, ?)", [row(b"alice@a.example"), row(b"zilpzalp@a.example")])
        db.commit()
    (tmp_path / "quietwire.toml").write_text('domain = "a.example"\n')
    assert {finding.question: finding.answer for finding in observe(tmp_path)}["devices"] == {"devices": {}}
    (tmp_path / "server.key").write_bytes(key)
    found = {finding.question: finding for finding in observe(tmp_path)}
    assert found["devices"].answer == {"devices": {"alice@a.example": ["77"]}}, "the other name is not guessed"
    assert found["contacts"].answer == {"contacts": {}}
