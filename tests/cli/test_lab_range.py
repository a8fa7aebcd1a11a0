from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quietwire.cli import lab_range
from quietwire.cli.app import app
from quietwire.core.errors import QuietwireError
from quietwire.lab.processes import BedError
from quietwire.lab.range import bed
from quietwire.lab.range.scenario import Scenario


def test_one_scenario_from_the_command_line() -> None:
    assert lab_range.chosen(None, {"system": "prosody", "users": 8}, "") == [Scenario(system="prosody", users=8)]


def test_seeds_and_what_is_given_go_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('users = 10\n[[scenario]]\nserver = "padded"\n[[scenario]]\nsystem = "ejabberd"\n')
    found = lab_range.chosen(file, {"seconds": 5.0}, "3,4")
    assert [(s.label, s.users, s.seconds, s.seed) for s in found] == [
        ("quietwire-server-padded", 10, 5.0, 3),
        ("quietwire-server-padded", 10, 5.0, 4),
        ("ejabberd", 10, 5.0, 3),
        ("ejabberd", 10, 5.0, 4),
    ]


@pytest.mark.parametrize(("given", "seeds"), [({"system": "x"}, ""), ({}, "one")])
def test_mistakes_are_one_line(given: dict[str, Any], seeds: str) -> None:
    with pytest.raises(QuietwireError):
        lab_range.chosen(None, given, seeds)


def test_keys_of_links_are_as_in_a_file() -> None:
    given = lab_range.shape(["tick=1", "pad=true", "garbage = 2.5", 'preset="phone"'])
    assert given == {"tick": 1, "pad": True, "garbage": 2.5, "preset": "phone"}
    for wrong in ("tick", "tick=one"):
        with pytest.raises(QuietwireError, match="--link"):
            lab_range.shape([wrong])


def test_who_is_told_to_end_takes_down_what_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_down = []

    async def run(scenario: Scenario, folder: Path, say: bed.Say, means: object) -> Path:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            taken_down.append(scenario)
        return folder

    monkeypatch.setattr(bed, "run", run)
    ran = CliRunner().invoke(app, ["lab", "range", "--into", str(tmp_path / "r")])
    assert ran.exit_code == 128 + signal.SIGTERM
    assert taken_down


def test_two_servers_get_a_resolver() -> None:
    assert lab_range.means().resolver is not None


def test_a_result_is_told_in_a_line_and_failures_end_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(scenario: Scenario, folder: Path, say: bed.Say, means: object) -> Path:
        say("playing", 1, 2)
        if scenario.seed == 2:
            raise BedError("no luck")
        done = {"done": {"ping": 3, "login": 2}, "left_out": {"typing": 1}, "events": 9}
        (folder / "done.json").write_text(json.dumps(done))
        return folder

    monkeypatch.setattr(bed, "run", run)
    ran = CliRunner().invoke(app, ["lab", "range", "--into", str(tmp_path / "r"), "--seeds", "1,2", "--small"])
    assert ran.exit_code == 1
    assert "5 happenings of 2 kinds, seen 9 times on links; 1 could not be" in ran.output
    assert "quietwire-off-u24-120s-seed2: no luck" in ran.output
    assert "quietwire-off-u24-120s-seed1: playing" in ran.output
