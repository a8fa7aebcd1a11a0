from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from quietwire.cli import lab_attack
from quietwire.core.errors import QuietwireError
from quietwire.lab import figures
from quietwire.lab.startups import Start
from quietwire.lab.trace import LinkWriter


def app() -> typer.Typer:
    made = typer.Typer()
    made.callback()(lambda: None)
    lab_attack.register(made)
    return made


def life(place: Path, users: int = 6, each: int = 40) -> Path:
    """A run of the test bed: people who ping and write."""
    generator = np.random.default_rng(1)
    (place / "traces").mkdir(parents=True)
    lines = []
    for user in range(users):
        trace = LinkWriter(place / "traces" / f"client-network.u{user}.jsonl", f"client-network.u{user}")
        trace.open(1000.0, f"L{user}", f"198.18.0.{user}", "a.example")
        for number in range(each):
            at = 1001.0 + 5 * number
            kind, size = ("ping", 0) if number % 2 else ("message", int(generator.integers(1, 100)))
            trace.record(at, f"L{user}", "up", "app", 150 if number % 2 else 300 + size)
            trace.record(at + 0.01, f"L{user}", "down", "app", 90)
            row = {"at": at - 0.001, "user": user, "kind": kind, "size": size, "link": f"L{user}", "way": "up"}
            lines.append(json.dumps(row))
        trace.close()
    (place / "truth.jsonl").write_text("\n".join(lines) + "\n")
    (place / "facts.json").write_text("{}")
    return place


def cells(path: Path, links: int, size: int) -> Path:
    path.mkdir()
    generator = np.random.default_rng(size)
    trace = LinkWriter(path / "some.jsonl", "client-network")
    for link in range(links):
        trace.open(0.0, f"L{link}", "x", "y")
        for number in range(12):
            at = 3.0 * number + 0.05 * link + 0.0004 * generator.random()
            trace.record(at, f"L{link}", "up", "app", size)
    trace.close()
    return path


def test_a_folder_of_runs_becomes_a_table_and_figures(tmp_path: Path) -> None:
    life(tmp_path / "runs" / "prosody-u6-9s-seed1-abc")
    out = tmp_path / "f.json"
    arguments = [
        "attack",
        str(tmp_path / "runs"),
        "--json",
        str(out),
        "--seeds",
        "1",
        "--only",
        "actions",
        "--only",
        "length",
    ]
    result = CliRunner().invoke(app(), arguments)
    assert result.exit_code == 0, result.output
    for words in ("prosody: actions", "what happened", "how long a message is", "0.5"):
        assert words in result.output
    found = figures.read(out)
    assert found[0].value == pytest.approx(1.0)
    assert not found[0].simulated


def test_without_folders_there_are_recorded_starts_of_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    figure = figures.Figure("client-network", "which", "prosody", 0.5, 0.5, 0.5, 0.5, 0.5, "accuracy", False)

    def measure(starts: tuple[Start, ...], **how: object) -> list[figures.Figure]:
        given.extend(starts)
        return [figure]

    monkeypatch.setattr("quietwire.lab.attacks.startups.measure", measure)
    result = CliRunner().invoke(app(), ["attack", "--only", "clients"])
    assert result.exit_code == 0, result.output
    assert "prosody" in result.output
    assert len(given) > 50
    with pytest.raises(QuietwireError, match="folders"):
        CliRunner().invoke(app(), ["attack", "--only", "length"], catch_exceptions=False)


def test_what_cannot_be_attacked_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(QuietwireError, match="no run of the test bed"):
        CliRunner().invoke(app(), ["attack", str(tmp_path)], catch_exceptions=False)
    place = life(tmp_path / "prosody-u2-9s-seed1-abc", 2, 2)
    with pytest.raises(QuietwireError, match="there are actions"):
        CliRunner().invoke(app(), ["attack", str(place), "--only", "magic"], catch_exceptions=False)
    with pytest.raises(QuietwireError, match="nothing could be measured"):
        CliRunner().invoke(app(), ["attack", str(place), "--only", "length"], catch_exceptions=False)
    (place / "truth.jsonl").write_text("no\n")
    with pytest.raises(QuietwireError, match="truth"):
        CliRunner().invoke(app(), ["attack", str(place)], catch_exceptions=False)


def test_sessions_of_other_sizes_are_told_apart(tmp_path: Path) -> None:
    left, right = cells(tmp_path / "a", 20, 1000), cells(tmp_path / "b", 20, 1001)
    result = CliRunner().invoke(app(), ["indistinct", str(left), str(right), "--json", str(tmp_path / "f.json")])
    assert result.exit_code == 1
    assert "whether sessions can be told apart" in result.output
    assert figures.read(tmp_path / "f.json")[0].value == pytest.approx(1.0)


def test_few_sessions_prove_nothing(tmp_path: Path) -> None:
    left, right = cells(tmp_path / "a", 12, 1000), cells(tmp_path / "b", 12, 1000)
    result = CliRunner().invoke(app(), ["indistinct", str(left), str(right / "some.jsonl")])
    assert result.exit_code == 1
    assert "Nothing is proved" in result.output
    with pytest.raises(QuietwireError, match="ten of each"):
        CliRunner().invoke(
            app(), ["indistinct", str(left), str(cells(tmp_path / "c", 3, 9))], catch_exceptions=False
        )  # fmt: skip


def test_without_the_libraries_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lab_attack, "find_spec", lambda name: None)
    with pytest.raises(QuietwireError, match=r"pip install .\.\[lab\]"):
        CliRunner().invoke(app(), ["attack", str(tmp_path)], catch_exceptions=False)
