from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from quietwire.cli import lab_flows, lab_plan
from quietwire.core.errors import QuietwireError
from quietwire.lab.people import Parameters, plan


def run(*arguments: str) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.callback()(lambda: None)
    lab_plan.register(app)
    result = CliRunner().invoke(app, ["plan", *arguments])
    return result.output, result.exception


SMALL = ("--users", "6", "--seconds", "200", "--squeeze", "60", "--seed", "4")


def test_figures_for_people_and_for_machines() -> None:
    said, error = run(*SMALL)
    assert error is None
    assert said.startswith("6 people for 200 s, family hawkes, seed 4; compressed 60 times")
    told = json.loads(run(*SMALL, "--json")[0])
    assert told["digest"] == plan(4, 6, 200.0, Parameters(squeeze=60.0)).digest


def test_the_plan_is_written(tmp_path: Path) -> None:
    run(*SMALL, "--out", str(tmp_path / "plan.jsonl"), "--family", "queue", "--set", "messages=80", "--set", "pings=0")
    parameters = Parameters(family="queue", squeeze=60.0, messages=80.0, pings=0.0)
    events = plan(4, 6, 200.0, parameters).events
    lines = (tmp_path / "plan.jsonl").read_text().splitlines()
    assert len(lines) == len(events)
    first = events[0]
    assert json.loads(lines[0]) == {
        "at": first.at, "user": first.user, "device": 0, "kind": "login", "peer": -1, "size": 0,
    }  # fmt: skip


def test_switches() -> None:
    told = json.loads(run(*SMALL, "--json", "--set", "background=no", "--set", "longest=100")[0])
    assert "login" not in told["kinds"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--users", "1"), "users: from 2"),
        (("--family", "markov"), "family: one of hawkes"),
        (("--squeeze", "0"), "squeeze: more than 0"),
        (("--set", "messages"), "--set messages: NAME=VALUE"),
        (("--set", "nothing=1"), "--set nothing=1: NAME=VALUE with one of family"),
        (("--set", "messages=many"), "not a value of messages"),
        (("--set", "mixing=2"), "mixing: from 0 to 1"),
    ],
)
def test_what_cannot_be_is_a_defined_failure(arguments: tuple[str, ...], why: str) -> None:
    _, error = run(*arguments)
    assert isinstance(error, QuietwireError)
    assert why in str(error)


def test_without_the_libraries_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_flows, "find_spec", lambda name: None)
    assert isinstance(run(*SMALL)[1], QuietwireError)
