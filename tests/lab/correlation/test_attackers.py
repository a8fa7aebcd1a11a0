"""Each attacker against the closed-form optimum, on Poisson users with uniform delays."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.attackers import Attack, ByLearning, ByLikelihood, ByWavelet, Features
from quietwire.lab.correlation.likelihood import uniform_law
from quietwire.lab.correlation.optimum import drawn, top_one
from quietwire.lab.correlation.sight import Case, Watched

BOUND, RATE, CANDIDATES = 0.3, 2 / 3, 100
LAW = uniform_law(BOUND, 1e-6)


def drawn_case(rng: np.random.Generator, messages: int) -> tuple[Case, Watched]:
    """Candidate 0 is right; the sender is one more, whose link is quiet."""
    at, side, seconds = drawn(rng, RATE, BOUND, messages, CANDIDATES)
    ends = (float(at[-1] + BOUND),)
    return Case(CANDIDATES, 0, at, np.ones(messages, np.int32), (messages,), ends), Watched(seconds, side)


def won(scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    best = scores >= scores[0] - 1e-9
    return 0.0 if (scores > scores[0] + 1e-9).any() else float(1 / best.sum())


def reached(name: str, messages: int, rounds: int, lessons: int = 60) -> float:
    rng = np.random.default_rng(11)
    known = np.full(CANDIDATES, RATE)
    taught = [drawn_case(rng, messages) for _ in range(lessons)]
    total, learner, weights = 0.0, None, None
    if name == "wavelet":
        pairs = [ByWavelet(seen, LAW).correlations(case)[0] for case, seen in taught]
        model = ByWavelet(taught[0][1], LAW)
        model.wavelet.learn(np.array([each[0] for each in pairs]), np.concatenate([each[1:] for each in pairs]))
        weights = model.wavelet.weights
    if name == "learned":
        learner = ByLearning(Features(taught[0][1], LAW, None, known))
        learner.learn([(case, Features(seen, LAW, None, known).of(case)) for case, seen in taught], rng)
    for _ in range(rounds):
        case, seen = drawn_case(rng, messages)
        attack: Attack
        if name == "likelihood":
            attack = ByLikelihood(seen, LAW, known=known)
        elif name == "wavelet":
            attack = ByWavelet(seen, LAW)
            assert weights is not None
            attack.wavelet.weights = weights
        else:
            assert learner is not None
            attack = learner.on(Features(seen, LAW, None, known))
        total += won(attack.scores(case)[0])
    return total / rounds


@pytest.mark.parametrize("messages", [2, 3, 6])
def test_likelihood_is_the_optimum(messages: int) -> None:
    assert reached("likelihood", messages, 800) == pytest.approx(top_one(RATE * BOUND, messages, CANDIDATES), rel=0.1)


@pytest.mark.parametrize("messages", [3, 6])
def test_the_learner_comes_within_a_tenth_of_it(messages: int) -> None:
    assert reached("learned", messages, 300) >= 0.9 * top_one(RATE * BOUND, messages, CANDIDATES)


def test_the_wavelet_needs_more_messages_to_come_within_a_tenth_of_it() -> None:
    """Its statistic is linear: an empty window, which rules a candidate out, costs it no more than a full one gains."""
    assert reached("wavelet", 15, 200) >= 0.9 * top_one(RATE * BOUND, 15, CANDIDATES)
    assert reached("wavelet", 3, 200) < 0.9 * top_one(RATE * BOUND, 3, CANDIDATES)


def test_none_is_better_than_the_optimum() -> None:
    for name in ("likelihood", "wavelet", "learned"):
        assert reached(name, 2, 200) <= top_one(RATE * BOUND, 2, CANDIDATES) + 0.08
