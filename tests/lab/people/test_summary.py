from __future__ import annotations

import json

import numpy as np
import pytest

from quietwire.lab.people import Parameters, plan
from quietwire.lab.people.summary import burstiness, lines, summary

DAY = 86_400.0


def test_burstiness_of_what_is_known() -> None:
    rng = np.random.default_rng(1)
    assert burstiness(np.full(100, 3.0)) == -1.0
    assert burstiness(rng.exponential(1.0, 100_000)) == pytest.approx(0.0, abs=0.01)
    bursty = burstiness(rng.pareto(1.1, 100_000))
    assert bursty is not None
    assert bursty > 0.6
    assert burstiness(np.array([1.0])) is None
    assert burstiness(np.zeros(5)) is None


@pytest.mark.parametrize("family", ["hawkes", "sessions", "queue"])
def test_life_has_the_shape_that_it_is_to_have(family: str) -> None:
    figures = summary(plan(1, 150, 2 * DAY, Parameters(family=family, pings=0.0)))  # type: ignore[arg-type]
    assert figures["texts_per_user_and_day"] == pytest.approx(40.0, rel=0.3)
    assert figures["burstiness_by_user"] > 0.25
    assert figures["gaps"]["p99"] > 100 * figures["gaps"]["median"]
    assert figures["lengths"]["median"] == pytest.approx(29, abs=3)
    assert figures["lengths"]["p99"] > 6 * figures["lengths"]["median"]
    assert figures["night"] < 0.04
    assert figures["texts_per_user"]["max"] > 3 * figures["texts_per_user"]["mean"]
    assert set(figures["devices"]) == {"phone", "desktop", "web"}


def test_poisson_users_have_no_shape() -> None:
    figures = summary(plan(1, 100, 2 * DAY, Parameters(family="poisson", pings=0.0)))
    assert abs(figures["burstiness_by_user"]) < 0.08
    assert figures["night"] == pytest.approx(0.25, abs=0.03)


def test_figures_for_machines_and_for_people() -> None:
    figures = summary(plan(1, 24, 300.0, Parameters(squeeze=40.0)))
    assert json.loads(json.dumps(figures)) == figures
    assert sum(figures["kinds"].values()) == figures["events"]
    said = "\n".join(lines(figures))
    for words in (
        "24 people for 300 s, family hawkes, seed 1; compressed 40 times",
        "room-join",
        "burstiness",
        "digest",
    ):
        assert words in said
    assert "compressed" not in lines(summary(plan(1, 24, 300.0)))[0]


def test_a_plan_in_which_nobody_says_anything() -> None:
    figures = summary(plan(1, 2, 1.0, Parameters(messages=0.0001)))
    assert figures["night"] is None
    assert "gaps between a person's texts, s: none" in lines(figures)
