"""The commands end to end on tiny servers: tables, files, and one line for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from quietwire.cli import lab_correlation
from quietwire.core.errors import QuietwireError
from quietwire.lab import figures
from quietwire.lab.correlation.timings import default, read
from quietwire.lab.study.plan import SHAPINGS


def app() -> typer.Typer:
    made = typer.Typer()
    made.callback()(lambda: None)
    lab_correlation.register(made)
    return made


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app(), arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fails(*arguments: str) -> str:
    with pytest.raises(QuietwireError) as caught:
        CliRunner().invoke(app(), arguments, catch_exceptions=False)
    return str(caught.value)


TINY = ("--users", "40", "--messages", "3", "--senders", "5", "--seeds", "1")


def test_linking_is_a_table_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    output = run("correlate", *TINY, "--only", "linking", "--profile", "off", "--json", str(file))
    assert "Linked after 3 messages" in output
    assert "quietwire off" in output
    assert "simulated" in output
    kept = figures.read(file)
    assert {figure.at for figure in kept} == {1, 2, 3}
    assert all(figure.simulated for figure in kept)


def test_the_other_questions_are_a_table(tmp_path: Path) -> None:
    output = run("correlate", *TINY, "--only", "groups", "--only", "probing", "--profile", "padded")
    assert "group membership" in output
    assert "probing: whose" in output
    assert "event-based" in output or "shape-based" in output


def test_profiles_are_those_of_the_study_by_name_and_by_what_they_do() -> None:
    assert set(lab_correlation.PROFILES) == set(SHAPINGS)
    for name, theirs in SHAPINGS.items():
        ours = lab_correlation._shaping(name, 816, 2.2, 0.3)
        assert (ours.up, ours.down) == (theirs.up, theirs.down), name


def test_the_frontier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quietwire.lab.correlation import frontier

    monkeypatch.setattr(frontier.frontier, "__defaults__", ((1022,), (0.6, 30.0), True, True, lambda *_: None))
    file = tmp_path / "points.json"
    output = run("frontier", "--users", "20", "--messages", "3", "--senders", "4", "--seeds", "1", "--json", str(file))
    assert "falls behind" in output
    points = json.loads(file.read_text())["points"]
    assert [point["tick"] for point in points] == [0.6, 30.0]
    assert points[1]["p95"] is None


def test_timings_of_a_run(tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    (run_folder / "traces").mkdir(parents=True)
    lines = [{"trace": "link", "version": 1, "place": "server-network.a", "clock": "epoch seconds"}]
    for link in ("A", "B"):
        lines.append(
            {"id": len(lines), "time": 1.0, "event": "open", "link": link, "initiator": "192.0.2.1", "responder": "a"}
        )
    truth, records = [], []
    for n in range(30):
        at = 10.0 + n
        records += [("A", at + 0.001, "up", 1017), ("B", at + 0.004, "down", 1163), ("B", at + 0.05, "up", 217)]
        text = {"kind": "message", "id": f"m{n}", "size": 9, "carbon": False}
        receipt = {"kind": "receipt", "id": f"r{n}", "size": 0, "carbon": False}
        truth += [
            {**text, "at": at, "user": 0, "peer": 1, "link": "A", "way": "up"},
            {**text, "at": at + 0.005, "user": 1, "peer": 0, "link": "B", "way": "down"},
            {**receipt, "at": at + 0.049, "user": 1, "peer": 0, "link": "B", "way": "up"},
        ]
    for link, time, way, size in records:
        lines.append(
            {
                "id": len(lines),
                "time": time,
                "event": "record",
                "link": link,
                "direction": way,
                "type": "app",
                "size": size,
            }
        )
    (run_folder / "traces" / "server-network.a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (run_folder / "truth.jsonl").write_text("\n".join(map(json.dumps, truth)) + "\n")
    file = tmp_path / "timings.json"
    assert "passage 3.0 ms, receipt 46 ms" in run("timings", str(run_folder), "--into", str(file), "--made", "by hand")
    found = read(file)
    assert found.made.startswith("by hand")
    assert found.late == default().late
    output = run("correlate", *TINY, "--only", "linking", "--profile", "off", "--timings", str(file))
    assert "by hand" in output


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    assert "there are" in fails("correlate", "--only", "luck")
    assert "there are" in fails("correlate", "--profile", "silent")
    assert "there are" in fails("correlate", "--people", "martians")
    assert "--servers 3" in fails("correlate", "--server-links")
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    assert "no timings" in fails("correlate", "--timings", str(wrong))


def test_without_libraries_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_correlation, "find_spec", lambda name: None)
    assert "pip install '.[lab]'" in fails("frontier")
