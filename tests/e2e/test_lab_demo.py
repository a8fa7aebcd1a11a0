"""The demo as a user starts it: real servers, real clients, every adversary; here with a shorter talk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quietwire.lab.findings import QUESTIONS, from_json
from quietwire.lab.observers.__main__ import OBSERVERS
from quietwire.lab.report import SEES

FULL = 16384 + 1 + 16
"""Bytes of a record that is as long as TLS 1.3 allows, with its type and tag: no padding fits into it. A backlog makes
some, for instance when a client comes back."""


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "quietwire", "lab", "demo", "--seconds", "12", "--json", str(tmp_path / "r.json")]
    environment = {**os.environ, "COLUMNS": "110"}
    done = subprocess.run(
        [*argv, "--keep", str(tmp_path / "w")], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "r.json").read_text())
    assert list(data["worlds"]) == ["off", "padded"]
    for name, world in data["worlds"].items():
        assert world["violations"] == []
        assert {(cell["adversary"], cell["question"]) for cell in world["cells"]} == {
            (adversary, question) for adversary in SEES for question in QUESTIONS
        }
        learned = {(cell["adversary"], cell["question"]): cell["learned"] for cell in world["cells"]}
        assert all(learned[adversary, "text"] == 0 for adversary in SEES)
        assert learned["live-server", "who"] == 1
        assert learned["client-network", "who"] == 0
        # The archive is on by default, and sealed: of what went by a thief with the server key finds the devices.
        assert all(learned["disk", question] == 0 for question in set(QUESTIONS) - {"devices", "lengths", "kinds"})
        assert learned["disk", "devices"] == 1
        # The same records, read again, give the same answer: the report rests on what the taps recorded.
        trace = tmp_path / "w" / name / "traces" / "client-network.alice.jsonl"
        again = subprocess.run(
            [sys.executable, "-m", "quietwire.lab.observers", "client-network", str(trace)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        findings = {finding.question: finding for finding in from_json(json.loads(again.stdout))}
        told = {c["question"]: c["records"] for c in world["cells"] if c["adversary"] == "client-network"}
        assert {question: list(finding.records) for question, finding in findings.items()} == told
        sizes = {
            record["size"]
            for record in map(json.loads, trace.read_text().splitlines()[1:])
            if record.get("type") == "app" and record["id"] > 200 and record["size"] < FULL
        }
        assert (len({size % 512 for size in sizes}) == 1) == (name == "padded")
    assert set(OBSERVERS) == set(SEES)
