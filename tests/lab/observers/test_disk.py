from __future__ import annotations

import base64
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from quietwire.lab.observers.disk import observe


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


def test_an_archive_tells_who_when_how_long_and_what(tmp_path: Path) -> None:
    def row(number: int, sender: str, time_ms: int, size: int) -> tuple[bytes, bytes, bytes]:
        payload = base64.b64encode(bytes([number]) * size)
        message = b"<message from='%s/d' to='x'><payload>%s</payload></message>" % (sender.encode(), payload)
        header = struct.pack(">BBQQIQH", 1, 0, number, time_ms, len(message), 0, len(b"bob@b.example"))
        return b"alice@a.example", b"m\0\0" + bytes(15) + bytes([number]), header + b"bob@b.example" + message

    with closing(sqlite3.connect(tmp_path / "q.sqlite")) as db:
        db.execute("CREATE TABLE archive (owner BLOB, key BLOB, value BLOB)")
        rows = [row(1, "alice@a.example", 5_000, 1024), row(2, "bob@b.example", 5_040, 512)]
        db.executemany("INSERT INTO archive VALUES (?, ?, ?)", rows)
        db.commit()
    findings = {finding.question: finding for finding in observe(tmp_path)}
    assert findings["who"].answer == {"pairs": [["alice@a.example", "bob@b.example"]]}
    assert findings["when"].answer == {
        "messages": [{"time": 5.0, "from": "alice@a.example", "id": "q.sqlite#archive:1"}]
    }
    assert findings["count"].answer == {"sent": {"alice@a.example": 1}}
    assert [event["kind"] for event in findings["kinds"].answer["events"]] == ["message", "receipt"]
    assert findings["lengths"].answer["messages"][0]["length"] > 100
    assert findings["text"].answer == {"texts": []}
