"""Ranks among all others give the figures for any fewer."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.ranks import among_first, better, hits, separation


def test_who_is_better_and_ties_at_random() -> None:
    rng = np.random.default_rng(1)
    scores = np.array([[5.0, 9.0, 9.0, 7.0, 1.0], [0.0] * 5])
    found = np.array([better(scores, 3, 0, rng) for _ in range(400)])
    assert set(found[:, 0].tolist()) == {2}  # 0 is the sender
    assert found[:, 1].mean() == pytest.approx(1.5, abs=0.2)


def test_fewer_candidates_by_drawing_from_all() -> None:
    before, others = 4, 99
    rng = np.random.default_rng(2)
    drawn = [(rng.permutation(others)[:19] < before).sum() for _ in range(4000)]
    for first in (1, 5):
        expected = np.mean(np.array(drawn) < first)
        assert among_first(np.array([before]), others, 20, first)[0] == pytest.approx(expected, abs=0.03)
    assert among_first(np.array([0, 3]), others, 100, 1).tolist() == [1.0, 0.0]


def test_separation_and_hits() -> None:
    assert separation(np.array([0, 50, 100]), 100).tolist() == [1.0, 0.5, 0.0]
    wrong = np.arange(1000.0)
    assert hits(np.array([997.0, 998.0, 999.5]), wrong, 1e-3).tolist() == [False, False, True]
