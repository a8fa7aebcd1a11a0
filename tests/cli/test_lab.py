from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from quietwire.cli import lab
from quietwire.core.errors import QuietwireError
from quietwire.lab import demo
from quietwire.lab.findings import QUESTIONS
from quietwire.lab.processes import BedError
from quietwire.lab.report import SEES, Cell


def cells() -> list[Cell]:
    return [
        Cell(who, question, 0.5, "something", "the truth", "server", "nothing", "how", 1.0, ("t#1",))
        for who in SEES
        for question in QUESTIONS
    ]


def app() -> typer.Typer:
    made = typer.Typer()
    made.callback()(lambda: None)
    lab.register(made)
    return made


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[demo.Outcome]:
    """The demo without its worlds: those are played by the end-to-end test."""
    prepared = [demo.Outcome("off", cells()), demo.Outcome("padded", cells())]

    async def run(folder: Path, *, say: Any, **_: Any) -> list[demo.Outcome]:
        for stage in lab.STAGES:
            say("off", stage)
        return prepared

    monkeypatch.setattr(demo, "run", run)
    return prepared


def test_tables_and_json(outcomes: list[demo.Outcome], tmp_path: Path) -> None:
    result = CliRunner().invoke(app(), ["lab", "demo", "--json", str(tmp_path / "r.json"), "--seed", "7"])
    assert result.exit_code == 0, result.output
    for words in ("off links: talking", "What was learned, padded links", "client-network", "Nothing was lost"):
        assert words in result.output
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["seed"] == 7
    assert len(data["worlds"]["off"]["cells"]) == len(SEES) * len(QUESTIONS)


def test_a_violation_is_named_and_changes_the_exit_status(outcomes: list[demo.Outcome], tmp_path: Path) -> None:
    outcomes[1].violations.append("lost: bob@b.example/phone never got message [1]")
    result = CliRunner().invoke(app(), ["lab", "demo"])
    assert result.exit_code == 1
    assert "VIOLATION (padded links): lost: bob@b.example/phone never got message [1]" in result.output
    assert "Nothing was lost" not in result.output


def test_a_world_that_cannot_be_built_is_a_defined_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(folder: Path, **_: Any) -> list[demo.Outcome]:
        raise BedError("a.example is not there")

    monkeypatch.setattr(demo, "run", run)
    result = CliRunner().invoke(app(), ["lab", "demo"])
    assert isinstance(result.exception, QuietwireError)


def test_an_existing_folder_is_not_written_over(tmp_path: Path) -> None:
    result = CliRunner().invoke(app(), ["lab", "demo", "--keep", str(tmp_path)])
    assert isinstance(result.exception, QuietwireError)


def test_without_the_clients_libraries_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "LIBRARIES", ("json", "no_library_of_this_name"))
    result = CliRunner().invoke(app(), ["lab", "demo"])
    assert isinstance(result.exception, QuietwireError)
    assert "pip install" in str(result.exception)
