"""Steps keep what they have found, and do it again only where it would be another thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quietwire.lab.attacks import data, run
from quietwire.lab.correlation.active import Waiting
from quietwire.lab.correlation.linking import Setting
from quietwire.lab.figures import Figure
from quietwire.lab.study import steps
from quietwire.lab.study.bounds import read

TINY = steps.Plan(
    (), ("off", "steady"),
    Setting(users=30, messages=(1, 3), senders=4, seeds=(1,), attacks=("likelihood",)),
    waiting=Waiting(users=50, judged=5, days=(1, 2), seeds=(1,)),
)  # fmt: skip


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def test_what_was_simulated_is_kept(tmp_path: Path) -> None:
    told: list[str] = []
    found = steps.simulated(TINY, tmp_path, lambda what, done, total: told.append(what))
    assert told == ["linking, off", "linking, steady"]
    assert {"quietwire-off", "quietwire-steady"} <= {figure.system for figure in found}
    assert all(figure.simulated for figure in found)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 3
    assert steps.simulated(TINY, tmp_path, quiet) == found
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    steps.simulated(replace(TINY, linking=replace(TINY.linking, users=32)), tmp_path, quiet)
    assert len(list(tmp_path.iterdir())) == 5


def test_all_folders_of_a_system_are_attacked_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def __init__(self, system: str) -> None:
            self.system = system

    attacked: list[str] = []

    def attack(one: Fake, *, seeds: tuple[int, ...], say: object) -> list[Figure]:
        attacked.append(one.system)
        return [Figure("client-network", "q", one.system, 0.5, 0.4, 0.6, 0.1, 0.1, "share", False)]

    monkeypatch.setattr(data, "read", lambda folder: folder)
    monkeypatch.setattr(data, "joined", lambda folders: [Fake("prosody"), Fake("quietwire-off")])
    monkeypatch.setattr(run, "attack", attack)
    folders = [tmp_path / f"{name}-u2-5s-seed{seed}-ab" for name in ("prosody", "quietwire-off") for seed in (1, 2)]
    first = steps.attacked(folders, tmp_path, (1,), quiet)
    assert [figure.system for figure in first] == attacked == ["prosody", "quietwire-off"]
    assert steps.attacked(folders, tmp_path, (1,), quiet) == first
    steps.attacked(folders[1:], tmp_path, (1,), quiet)
    assert attacked == ["prosody", "quietwire-off", "prosody"]


def test_what_was_measured_and_what_was_simulated_share_a_column() -> None:
    assert {f"quietwire-{name}" for name in steps.SHAPINGS} <= {scenario.label for scenario in steps.full().scenarios}
    assert {scenario.label for scenario in steps.small().scenarios} == {"quietwire-off", "quietwire-steady"}


def test_the_small_study_looks_after_promises() -> None:
    plan = steps.small()
    systems = {scenario.label for scenario in plan.scenarios} | {f"quietwire-{name}" for name in plan.profiles}
    assert {bound.system for bound in read() if bound.small} <= systems
    assert len([bound for bound in read() if bound.small and bound.most is not None]) >= 2


def test_the_whole_study_has_each_end_alone_and_every_peer() -> None:
    labels = {scenario.label for scenario in steps.full().scenarios}
    assert {"quietwire-server-steady", "quietwire-client-steady", "prosody", "ejabberd"} <= labels
    assert set(steps.full().profiles) == set(steps.SHAPINGS)
