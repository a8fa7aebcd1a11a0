from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from quietwire.cli import lab_flows
from quietwire.core.errors import QuietwireError
from quietwire.lab.trace import LinkWriter


def run(*arguments: str) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.callback()(lambda: None)
    lab_flows.register(app)
    result = CliRunner().invoke(app, ["flows", *arguments])
    return result.output, result.exception


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    writer = LinkWriter(tmp_path / "t.jsonl", "client-network.alice")
    writer.open(10.0, "L1", "192.0.2.1", "a.example")
    writer.record(10.0, "L1", "up", "app", 1200)
    writer.record(12.5, "L1", "down", "app", 40)
    writer.record(12.5, "L1", "down", "app", 2)
    writer.close()
    return tmp_path / "t.jsonl"


def test_the_table(trace: Path) -> None:
    said, error = run(str(trace))
    assert error is None
    assert said.splitlines()[-1].split() == ["L1", "2.500", "1", "1,200", "2", "42"]


def test_several_files_are_named_and_json_is_for_machines(trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_bytes(trace.read_bytes())
    said, _ = run(str(trace), str(other))
    assert "t.jsonl: L1" in said
    assert "other.jsonl: L1" in said
    told = json.loads(run(str(trace), "--json")[0])
    assert told == [
        {"file": "t.jsonl", "link": "L1", "began": 10.0, "seconds": 2.5, "records_up": 1, "bytes_up": 1200,
         "records_down": 2, "bytes_down": 42}
    ]  # fmt: skip


def test_a_file_of_another_kind_is_a_defined_failure(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    _, error = run(str(tmp_path / "x"))
    assert isinstance(error, QuietwireError)
    assert str(error) == "x: neither a link trace nor pcap or pcapng"
    assert isinstance(run(str(tmp_path / "none"))[1], OSError)


def test_without_the_libraries_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, trace: Path) -> None:
    monkeypatch.setattr(lab_flows, "find_spec", lambda name: None)
    _, error = run(str(trace))
    assert isinstance(error, QuietwireError)
    assert "pip install '.[lab]'" in str(error)
