from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quietwire.lab.findings import QUESTIONS, from_json
from quietwire.lab.observers.__main__ import OBSERVERS, main
from quietwire.lab.trace import LinkWriter, StanzaWriter


@pytest.fixture
def evidence(tmp_path: Path) -> dict[str, Path]:
    LinkWriter(tmp_path / "link", "w").close()
    StanzaWriter(tmp_path / "stanza", "w", lambda: 1.0).close()
    (tmp_path / "data").mkdir()
    kinds = {"live-server": "stanza", "peer-server": "stanza", "disk": "data"}
    return {name: tmp_path / kinds.get(name, "link") for name in OBSERVERS}


@pytest.mark.parametrize("name", list(OBSERVERS))
def test_each_answers_every_question(name: str, evidence: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, str(evidence[name])]) == 0
    assert {finding.question for finding in from_json(json.loads(capsys.readouterr().out))} == set(QUESTIONS)


def test_mistakes_are_one_line(evidence: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nobody", "x"]) == 2
    assert main(["live-server", str(evidence["client-network"])]) == 1
    assert main(["live-server", "/nonexistent"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "not a stanza trace" in lines[1]


def test_an_observer_process_loads_nothing_of_the_server_or_the_truth(evidence: dict[str, Path]) -> None:
    program = (
        "import sys; from quietwire.lab.observers.__main__ import main; "
        "main(sys.argv[1:]); print(); print(*sorted(m for m in sys.modules if m.startswith('quietwire.')))"
    )
    argv = [sys.executable, "-c", program, "disk", str(evidence["disk"])]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
    allowed = ("quietwire.lab", "quietwire.lab.trace", "quietwire.lab.findings")
    assert all(name in allowed or name.startswith("quietwire.lab.observers") for name in loaded)
