from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from quietwire.lab.checks import delivery, forms, readable, undeclared
from quietwire.lab.truth import Event, Facts

A, B = "alice@a.example", "bob@b.example"
FACTS = Facts({A: {"phone": "1", "laptop": "2"}, B: {"phone": "3"}}, {A: [B], B: [A]})


def sent(id: str, kind: str = "message", digest: str = "d") -> Event:
    return Event(1.0, A, "phone", "sent", kind, B, id, 5, digest)


def got(account: str, device: str, id: str, kind: str = "message", digest: str = "d") -> Event:
    return Event(2.0, account, device, "got", kind, A, id, 5, digest, account == A)


GOOD = [sent("1"), sent("2"), *(got(*who, id) for id in "12" for who in ((A, "laptop"), (B, "phone")))]


def test_a_whole_run_has_no_violations() -> None:
    assert delivery(GOOD, FACTS) == []


@pytest.mark.parametrize(
    ("events", "line"),
    [
        (GOOD[:-1], "lost: bob@b.example/phone never got message 2 from alice@a.example/phone"),
        ([*GOOD, GOOD[-1]], "doubled: bob@b.example/phone got message 2 from alice@a.example/phone 2 times"),
        (
            [*GOOD[:-1], got(B, "phone", "2", digest="x")],
            "changed: bob@b.example/phone got message 2 from alice@a.example/phone with another text",
        ),
        (
            [*GOOD[:2], GOOD[5], *GOOD[2:5]],
            "reordered: bob@b.example/phone got item 2 of alice@a.example/phone before item 1",
        ),
        ([*GOOD, got(B, "phone", "9")], "from nowhere: bob@b.example/phone got message 9, which nobody sent"),
    ],
)
def test_each_violation_says_which(events: list[Event], line: str) -> None:
    assert delivery(events, FACTS) == [line]


def test_carbons_are_due_too() -> None:
    without = [event for event in GOOD if event.device != "laptop"]
    assert [line.split(" from ")[0] for line in delivery(without, FACTS)] == [
        "lost: alice@a.example/laptop never got message 1",
        "lost: alice@a.example/laptop never got message 2",
    ]


def test_typing_may_be_dropped() -> None:
    assert delivery([*GOOD, sent("3", "typing")], FACTS) == []


WORD = "bodafigakolemanipora"


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_every_alignment_of_base64_is_found(before: bytes) -> None:
    content = base64.b64encode(before + WORD.encode() + b" and more")
    assert any(form in content for form in forms(WORD))


@pytest.mark.parametrize(
    "content",
    [
        b"..." + WORD.encode(),
        WORD[:10].encode() + b"|page|",
        WORD[10:].encode(),
        WORD.encode("utf-16-le"),
        WORD.encode().hex().encode(),
        WORD.encode().hex().upper().encode(),
    ],
)
def test_a_text_in_a_folder_is_found_in_every_form(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "db-wal").write_bytes(b"\0" * 100 + content)
    (line,) = readable([WORD, "zuzuzuzuzuzuzuzuzuzu"], [("the disk of a.example", tmp_path)])
    assert line == "readable: 1 of the texts said can be read in the disk of a.example (db-wal)"


def test_ciphertext_is_no_violation(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 100 + b"bodafiga kolemani pora")
    assert readable([WORD], [("there", path)]) == []


def test_what_is_kept_and_not_declared_is_found(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE roster (a); CREATE TABLE visits (a); CREATE TABLE empty (a);"
            "INSERT INTO roster VALUES (1); INSERT INTO visits VALUES (1);"
        )
    assert undeclared(path, {"roster"}) == ["undeclared: q.sqlite keeps visits, which no feature declares"]
    assert undeclared(path, {"roster", "visits"}) == []
