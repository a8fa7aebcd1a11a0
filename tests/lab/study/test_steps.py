"""Steps keep what they have found, do it again only where it would be another thing, and say what has not been done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.lab.attack_worlds import EPOCH, place

from quietwire.lab.attacks import actions, models, run
from quietwire.lab.attacks import startups as by_starts
from quietwire.lab.attacks.data import Data
from quietwire.lab.attacks.told import Told
from quietwire.lab.correlation.active import Waiting
from quietwire.lab.correlation.linking import Setting
from quietwire.lab.figures import Figure
from quietwire.lab.processes import BedError
from quietwire.lab.range.scenario import Scenario
from quietwire.lab.study import steps
from quietwire.lab.study.bounds import read, violations
from quietwire.lab.study.defences import Defence
from quietwire.lab.study.plan import Plan, Played, full

LINKING = Setting(users=30, messages=(1, 3), senders=4, seeds=(1,), attacks=("likelihood",))
TINY = Plan((), ("off", "steady"), LINKING, waiting=Waiting(users=50, judged=5, days=(1, 2), seeds=(1,)), others=False)


def quiet(what: str, done: float, total: float) -> None:
    assert 0 <= done <= total


def nobody(scenario: Scenario) -> Path:
    raise BedError(f"{scenario.system}: not installed")


def a_step(name: str, found: list[str], *, kept: bool = False) -> steps.Step:
    figure = Figure("client-network", name, "prosody", 0.5, 0.4, 0.6, 0.1, 0.1, "share", False)

    def make() -> list[Figure]:
        found.append(name)
        return [figure]

    return steps.Step(name, lambda: [figure] if kept else None, make)


def test_what_was_simulated_is_kept(tmp_path: Path) -> None:
    told: list[str] = []
    done = steps.do(steps.steps(TINY, tmp_path, nobody, quiet), lambda what, *_: told.append(what))
    assert told == ["linking off", "linking steady", "intersection"]
    assert {"quietwire-off", "quietwire-steady"} <= {figure.system for figure in done.figures}
    assert all(figure.simulated for figure in done.figures)
    assert done.left == {}
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 3
    again = steps.do(steps.steps(TINY, tmp_path, nobody, quiet), lambda what, *_: told.append(what))
    assert again == done
    assert len(told) == 3
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    other = replace(TINY, linking=replace(LINKING, users=32))
    assert [step.kept() is None for step in steps.steps(other, tmp_path, nobody, quiet)] == [True, True, False]


def test_what_was_not_asked_for_is_said_but_what_is_there_is_taken() -> None:
    made: list[str] = []
    every = [a_step("attack prosody", made), a_step("linking off", made), a_step("linking steady", made, kept=True)]
    done = steps.do(every, quiet, ["attack *"])
    assert made == ["attack prosody"]
    assert [figure.question for figure in done.figures] == ["attack prosody", "linking steady"]
    assert done.left == {"linking off": steps.LATER}


def test_no_step_is_begun_when_the_time_is_over() -> None:
    made: list[str] = []
    done = steps.do([a_step("a", made), a_step("b", made)], quiet, more=lambda: not made)
    assert (made, done.left) == (["a"], {"b": steps.LATER})


def test_a_step_that_fails_is_said_and_others_go_on() -> None:
    def fails() -> list[Figure]:
        raise BedError("ejabberd is not installed")

    def interrupted() -> list[Figure]:
        raise KeyboardInterrupt

    made: list[str] = []
    every = [steps.Step("a", lambda: None, fails), a_step("b", made), steps.Step("c", lambda: None, interrupted)]
    done = steps.do([*every, a_step("d", made)], quiet)
    assert made == ["b"]
    assert done.left == {"a": "ejabberd is not installed", "c": "broken off", "d": steps.LATER}


def test_lives_are_attacked_as_they_were_and_as_they_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked: list[tuple[str, bool, int]] = []

    def attack(one: Data, which: object, *, seeds: object, say: object) -> list[Figure]:
        attacked.append((one.system, one.simulated, len(one.places)))
        return [Figure("client-network", "q", one.system, 0.5, 0.4, 0.6, 0.1, 0.1, "share", one.simulated)]

    def play(scenario: Scenario) -> Path:
        folder = tmp_path / f"prosody-u2-5s-seed{scenario.seed}-ab"
        (folder / "traces").mkdir(parents=True, exist_ok=True)
        lines: list[dict[str, object]] = [
            {"trace": "link", "version": 1, "place": "client-network.u0", "clock": "epoch seconds"}
        ]
        lines.append(
            {"id": 1, "time": EPOCH, "event": "open", "link": "L1", "initiator": "198.18.0.1", "responder": "a"}
        )
        lines += [
            {"id": 2 + n, "time": EPOCH + n, "event": "record", "link": "L1", "direction": "up", "type": "app",
             "size": 100} for n in range(11)
        ]  # fmt: skip
        (folder / "traces" / "client-network.u0.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        row = {"link": "L1", "user": 0, "kind": "message", "size": 3, "id": "m"}
        rows = [{**row, "at": EPOCH + 3, "way": "up"}, {**row, "at": EPOCH + 3.25, "way": "down"}]
        (folder / "truth.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
        (folder / "facts.json").write_text(json.dumps({"scenario": scenario.document(), "addresses": {}}))
        return folder

    monkeypatch.setattr(run, "attack", attack)
    what = Played(
        "prosody",
        tuple(Scenario(system="prosody", seed=seed) for seed in (1, 2)),
        (("prosody with padding", Defence(block=512)),),
    )
    plan = Plan((what,), (), others=False)
    plain, changed = steps.do(steps.steps(plan, tmp_path, play, quiet), quiet).figures
    assert attacked == [("prosody", False, 2), ("prosody with padding", True, 2)]
    assert plain.detail == pytest.approx({"KB a second": 0.055, "p50": 0.25, "p95": 0.25})
    assert changed.detail["more bytes"] == pytest.approx(4.28)
    assert changed.simulated
    done = steps.do(steps.steps(plan, tmp_path, nobody, quiet), quiet)
    assert len(attacked) == 2
    assert done.figures == (plain, changed)


def test_without_peers_their_steps_are_left_out_by_name(tmp_path: Path) -> None:
    whole = replace(full(), linking=None, weeks=None, gathering=None, probing=None, flooding=None, waiting=None)
    whole = replace(whole, frontier=None)
    done = steps.do(steps.steps(whole, tmp_path, nobody, quiet), quiet, ["attack *", "change *", "*.json"])
    assert done.figures == ()
    assert done.left["attack prosody"] == "prosody: not installed"
    assert done.left["audit.json"].startswith("made by `make audit")


def test_what_others_have_measured_is_taken_from_the_folder(tmp_path: Path) -> None:
    cell = {"adversary": "live-server", "question": "who", "learned": 1.0, "how": "addresses"}
    (tmp_path / "demo.json").write_text(json.dumps({"worlds": {"off": {"cells": [cell]}}}))
    done = steps.do(steps.steps(Plan((), ()), tmp_path, nobody, quiet), quiet, ["*.json"])
    assert [figure.adversary for figure in done.figures] == ["live-server"]
    assert set(done.left) == {"clients by their starts", "audit.json"}


def test_which_client_it_is_comes_from_recorded_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure("client-network", "which client", "prosody", 0.5, 0.4, 0.6, 0.1, 0.1, "share", False)

    def measure(starts: Sequence[object], *, seeds: object, say: object) -> list[Figure]:
        assert len(starts) > 50
        return [figure]

    monkeypatch.setattr(by_starts, "measure", measure)
    done = steps.do(steps.steps(Plan((), ()), tmp_path, nobody, quiet), quiet, ["clients *"])
    assert done.figures == (figure,)


@pytest.mark.parametrize("leaks", [False, True])
def test_a_leak_that_is_planted_breaks_the_promise(leaks: bool) -> None:
    """Whole: links as `steady` makes them, the attack, its figure, the bound of the small study."""
    generator = np.random.default_rng(5)
    places = []
    for user in range(9):
        rows, records = [], []
        for tick in range(40):
            at = EPOCH + 3 * tick
            kind = ("message", "typing")[int(generator.integers(2))]
            rows.append((at + 0.1, kind, 1, 30))
            records.append((at + generator.random() / 1000, 1040 + (leaks and kind == "message"), 1))
            records.append((at + 0.2 + generator.random() / 1000, 1040, -1))
        places.append(place(user, rows, records))
    windows = actions.collect(places, Told("steady", "steady"))
    trees = partial(actions.recognise, seeds=(1, 2), candidates=lambda: [models.Trees(10)])
    clock = trees(windows.columns(actions.CLOCK))
    found = actions.as_figures(trees(windows), "quietwire-steady", simulated=True, clock=clock)
    promised = [bound for bound in read() if bound.small and bound.question.startswith("what happened, ")]
    broken, _ = violations(found, promised)
    assert bool(broken) is leaks
