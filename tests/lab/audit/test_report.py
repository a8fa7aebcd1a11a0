from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from vault import BEN, KEY, Vault

from quietwire.lab.audit import report
from quietwire.lab.audit.audit import Report, examine
from quietwire.lab.audit.facts import CATEGORIES, Fact
from quietwire.lab.audit.raw import Canary


@pytest.fixture
def told(tmp_path: Path) -> Report:
    Vault(tmp_path)
    return examine(tmp_path, secret=KEY, canaries=[Canary("Moles!", "room body")], guesses=[BEN.decode()])


def test_the_table_has_every_category_and_what_is_left(told: Report) -> None:
    console = Console(file=io.StringIO(), width=160)
    report.show(told, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(category in text for category in CATEGORIES)
    assert "ben@x.example: account" in text
    assert "Canaries: 1 of 1 found" in text
    assert "8 with 2" not in text
    assert "2 with 8" in text  # owners, rows


def test_json_holds_the_same_and_nothing_that_json_cannot(told: Report) -> None:
    data = json.loads(json.dumps(report.as_json(told)))
    assert data["categories"]["members"]["count"] == 1
    assert "all" not in data["categories"]["members"]
    assert data["left"]["accounts"] == 2
    canaries = data["canaries"]
    assert (canaries["planted"], canaries["found"]) == (1, 1)
    assert canaries["by_field"]["room body"]["found"] == 1
    assert {attack["name"] for attack in data["attacks"]} >= {"co-write", "counts", "sizes"}


def test_nothing_is_shortened_in_the_full_one(told: Report) -> None:
    data = json.loads(json.dumps(report.as_json(told, full=True)))
    assert data["categories"]["members"]["all"][0]["what"] == "ben@x.example"


def test_examples_are_short() -> None:
    fact = Fact("messages", "a" * 99, "b@x.example", "line\n" * 40)
    assert report.shown(fact) == f"{'a' * 11}… | b@x.example | {'line ' * 4}lin…"
