"""`quietwire lab report` joins files of figures; what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

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
