"""`quietwire lab report` joins files of figures; what is wrong is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quietwire.cli import lab_study
from quietwire.cli.app import app
from quietwire.core.errors import QuietwireError
from quietwire.lab import figures
from quietwire.lab.figures import Figure


def one(system: str, at: float) -> Figure:
    return Figure(
        "server-network", "linking: who receives, top 1", system, at / 10, 0.0, 1.0, 0.01, 0.01, "share", True,
        over="messages observed", at=at,
    )  # fmt: skip


def test_figures_of_several_files_become_one_report(tmp_path: Path) -> None:
    files = []
    for system in ("prosody", "quietwire-steady"):
        files.append(tmp_path / f"{system}.json")
        figures.write(files[-1], [one(system, 1.0), one(system, 5.0)])
    into = tmp_path / "made"
    done = CliRunner().invoke(app, ["lab", "report", *map(str, files), "--into", str(into)])
    assert done.exit_code == 0, done.output
    assert "4 figures" in done.output
    page = (into / "report.html").read_text()
    assert "<svg" in page
    assert "quietwire-steady" in page
    assert "| messages observed | prosody | quietwire-steady |" in (into / "report.md").read_text()
    assert len(figures.read(into / "report.json")) == 4


@pytest.mark.parametrize(
    ("text", "says"), [("{}", "no figures of version 1"), ('{"figures": 1, "all": []}', "no figures in")]
)
def test_files_of_another_kind_are_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    done = CliRunner().invoke(app, ["lab", "report", str(file), "--into", str(tmp_path / "made")])
    assert isinstance(done.exception, QuietwireError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


def test_what_a_demo_has_seen_goes_into_a_report(tmp_path: Path) -> None:
    cell = {"adversary": "live-server", "question": "who", "learned": 1.0, "how": "addresses"}
    (tmp_path / "demo.json").write_text(json.dumps({"worlds": {"off": {"cells": [cell]}}}))
    done = CliRunner().invoke(app, ["lab", "report", str(tmp_path / "demo.json"), "--into", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "| one talk: who talks to whom | 100 %" in (tmp_path / "report.md").read_text()


def test_steps_are_listed_and_only_known_ones_can_be_asked_for(tmp_path: Path) -> None:
    into = ["--into", str(tmp_path / "study"), "--small"]
    done = CliRunner().invoke(app, ["lab", "study", *into, "--list"])
    assert done.exit_code == 0, done.output
    assert "-    attack quietwire-steady\n" in done.output
    done = CliRunner().invoke(app, ["lab", "study", *into, "--only", "attack prosody"])
    assert "--only attack prosody: no such step" in str(done.exception)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("option", ["--seeds", "--splits", "--worlds", "--users", "--seconds"])
def test_a_small_study_has_its_own_size(tmp_path: Path, option: str) -> None:
    into = ["--into", str(tmp_path / "study"), "--list"]
    done = CliRunner().invoke(app, ["lab", "study", *into, "--small", option, "12"])
    assert isinstance(done.exception, QuietwireError)
    assert str(done.exception) == f"--small has its own size, which {option} does not change: leave one of them out"
    assert CliRunner().invoke(app, ["lab", "study", *into, option, "12"]).exit_code == 0


def test_without_the_libraries_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_study, "LIBRARIES", ("json", "no_library_of_this_name"))
    done = CliRunner().invoke(app, ["lab", "study", "--list"])
    assert "pip install '.[lab]'" in str(done.exception)


def test_a_part_of_a_study_says_what_is_missing_and_is_no_failure(tmp_path: Path) -> None:
    into = tmp_path / "study"
    done = CliRunner().invoke(app, ["lab", "study", "--small", "--into", str(into), "--only", "linking off"])
    assert done.exit_code == 0, done.output
    assert "not run  attack quietwire-steady: not asked for" in done.output
    text = (into / "report.md").read_text()
    assert "- attack quietwire-steady: not asked for, or no time was left" in text
    assert "linking: who receives, top 1" in text
