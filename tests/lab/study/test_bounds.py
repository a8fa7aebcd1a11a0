"""A promise that is broken is told, and so is one that nobody looked after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quietwire.lab.figures import Figure
from quietwire.lab.study.bounds import Bound, read, violations

PROMISE = Bound("how long a message is", "quietwire-s*", "cells have one size", most=0.1)


def figure(value: float, low: float, high: float, **more: Any) -> Figure:
    system = more.pop("system", "quietwire-steady")
    return Figure(
        "client-network", "how long a message is", system, value, low, high, 0.0, 0.0, "bits", False, **more
    )  # fmt: skip


def test_only_a_whole_interval_beyond_the_bound_breaks_it() -> None:
    assert violations([figure(0.3, 0.09, 0.5)], [PROMISE]) == ([], [])
    broken, missing = violations([figure(0.3, 0.2, 0.5)], [PROMISE])
    assert broken == ["how long a message is, quietwire-steady: 0.3 (interval 0.2 to 0.5) > 0.1: cells have one size"]
    assert missing == []


def test_an_attack_that_does_not_find_what_is_there_is_no_attack() -> None:
    needed = Bound("how long a message is", "prosody", "nothing is hidden there", least=1.0)
    assert violations([figure(2.0, 1.5, 2.5, system="prosody")], [needed]) == ([], [])
    (line,), _ = violations([figure(0.3, 0.2, 0.5, system="prosody")], [needed])
    assert line.endswith("0.3 (interval 0.2 to 0.5) < 1: nothing is hidden there")


def test_what_was_not_measured_is_said() -> None:
    assert violations([figure(2.0, 1.0, 3.0, system="prosody")], [PROMISE]) == (
        [], ["how long a message is, quietwire-s*: not measured (cells have one size)"],
    )  # fmt: skip


def test_of_a_curve_the_points_up_to_there() -> None:
    early = Bound("how long a message is", "*", "at first", most=0.1, at=50.0)
    points = [figure(0.3, 0.2, 0.4, over="n", at=60.0), figure(0.05, 0.0, 0.1, over="n", at=50.0)]
    assert violations(points, [early]) == ([], [])


def test_a_bound_beyond_what_needs_no_link() -> None:
    clock = Bound("how long a message is", "*", "the clock tells that much", most=0.05, beyond="clock alone")
    told = figure(0.34, 0.3, 0.4, detail={"clock alone": 0.26})
    assert violations([told], [clock]) == ([], [])
    assert violations([figure(0.34, 0.32, 0.4, detail={"clock alone": 0.26})], [clock])[0]
    sure = {"clock alone": 0.26, "clock alone, high": 0.28}
    assert violations([figure(0.34, 0.32, 0.4, detail=sure)], [clock]) == ([], []), "from the end of its interval"
    assert violations([figure(0.35, 0.335, 0.4, detail=sure)], [clock])[0]
    assert violations([figure(0.34, 0.3, 0.4)], [clock])[0], "chance where the detail is not there"


def test_ours_can_be_read_and_others_are_one_line(tmp_path: Path) -> None:
    ours = read()
    assert all((bound.most is None) != (bound.least is None) and bound.why for bound in ours)
    for text in ("[[bound]]\nquestion = 1", "bound", "[[bound]]\nother = 1"):
        wrong = tmp_path / "bounds.toml"
        wrong.write_text(text)
        with pytest.raises(ValueError, match=r"bounds\.toml: "):
            read(wrong)
