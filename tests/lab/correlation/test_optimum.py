"""The closed form against cases small enough to think about, and against the attack it is the bound of."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.likelihood import Likelihood, uniform_law
from quietwire.lab.correlation.optimum import drawn, top_one


def test_with_no_other_traffic_one_message_tells() -> None:
    assert top_one(1e-9, 1, 3000) == pytest.approx(1.0, abs=1e-4)


def test_with_very_much_it_is_a_guess() -> None:
    assert top_one(2000.0, 1, 10) == pytest.approx(0.1, rel=0.1)


def test_two_candidates_and_one_message_by_hand() -> None:
    # Right: 1 + k; the other: k'. First alone if 1 + k > k'; half if they are equal.
    load = 0.5
    pmf = np.exp(-load) * np.cumprod(np.concatenate([[1.0], load / np.arange(1, 30)]))
    expected = sum(
        pmf[k] * pmf[other] * (1.0 if 1 + k > other else 0.5 if 1 + k == other else 0.0)
        for k in range(29)
        for other in range(29)
    )
    assert top_one(load, 1, 2) == pytest.approx(expected, rel=1e-6)


def test_more_messages_help_and_more_candidates_hinder() -> None:
    by_messages = [top_one(0.5, n, 100) for n in (1, 3, 10, 30)]
    by_candidates = [top_one(0.5, 3, n) for n in (10, 100, 1000)]
    assert by_messages == sorted(by_messages)
    assert by_candidates == sorted(by_candidates, reverse=True)


@pytest.mark.parametrize(
    ("load", "messages", "candidates"), [(0.2, 2, 100), (0.2, 3, 100), (1.0, 10, 100), (0.04, 3, 600)]
)
def test_the_likelihood_attack_reaches_it(load: float, messages: int, candidates: int) -> None:
    rng = np.random.default_rng(1)
    rounds, bound = 1500, 0.3
    won = 0.0
    for _ in range(rounds):
        at, side, _ = drawn(rng, load / bound, bound, messages, candidates)
        attack = Likelihood(uniform_law(bound), side, np.full(candidates, load / bound))
        scores = attack.scores(at, np.ones(messages, np.int32), [messages])[0]
        best = scores >= scores[0] - 1e-9
        won += 0.0 if (scores > scores[0] + 1e-9).any() else 1 / best.sum()
    optimum = top_one(load, messages, candidates)
    assert won / rounds == pytest.approx(optimum, rel=0.1)
