"""Probes, floods and patience."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.active import (
    Flooding,
    Probing,
    Waiting,
    flood,
    intersect,
    left_over,
    probe,
    sessions,
)
from quietwire.lab.correlation.timings import default
from quietwire.lab.correlation.world import Shaping
from quietwire.shaping.policy import Policy, Profile

STEADY = Policy(Profile.STEADY, cell=1022, tick=3.0)
BOTH = Shaping(STEADY, STEADY)


def test_a_prober_finds_the_link_unless_it_is_steady() -> None:
    small = Probing(users=150, targets=15, bursts=4, seeds=(1, 2))
    found = {shaping.name: probe(shaping, small, default())[-1] for shaping in (Shaping(), BOTH)}
    assert found["off"].value > 0.8
    assert found[BOTH.name].value < 0.15
    assert found["off"].chance == 1 / 150


def test_a_flood_shows_on_the_flooded_link_only_where_it_is_not_steady() -> None:
    small = Flooding(users=20, rate=100.0, stretches=12, seeds=(1, 2))
    off = {figure.question: figure.value for figure in flood(Shaping(), small, default())}
    shaped = flood(BOTH, small, default())
    steady = {figure.question: figure.value for figure in shaped}
    assert all(figure.low <= 0.5 for figure in shaped)
    flooded = next(question for question in off if "the flooded" in question)
    assert off[flooded] > 0.99
    others = next(question for question in off if "others" in question)
    assert steady[others] < 0.65
    # The same for the flooded as for anybody: it has one link a seed, so this is noisy.
    assert steady[flooded] < 0.9


def test_sessions_have_their_share() -> None:
    rng = np.random.default_rng(1)
    always = np.arange(2000) < 500
    online = sessions(rng, always, 0.35)
    assert online[:, always].all()
    assert online[:, ~always].mean() == pytest.approx(0.35, abs=0.02)
    stay = (online[1:, ~always] & online[:-1, ~always]).sum() / online[:-1, ~always].sum()
    assert stay == pytest.approx(0.75, abs=0.02)


def test_intersection_leaves_what_the_closed_form_says() -> None:
    rng = np.random.default_rng(2)
    left = [((rng.random((4, 500)) < 0.5).all(axis=0)[1:].sum() + 1) for _ in range(300)]
    assert np.mean(left) == pytest.approx(left_over(500, 0.5, 4), rel=0.1)


def test_who_comes_and_goes_is_found_and_who_stays_is_not() -> None:
    found = intersect(Waiting(users=300, days=(1, 7), judged=20, seeds=(1, 2)))
    value = {(figure.system.split(" ")[-1], figure.at): figure.value for figure in found}
    assert value["connected", 7.0] < 0.02
    assert value["goes", 1.0] <= value["goes", 7.0] + 1e-9
    assert value["goes", 7.0] == pytest.approx(1 / (0.4 * 300 + 1), rel=0.3)
