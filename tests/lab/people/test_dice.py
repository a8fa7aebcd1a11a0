from __future__ import annotations

import math

import numpy as np
import pytest

from quietwire.lab.people.dice import Dice, Wheel

NUMBER = 20_000


@pytest.fixture
def dice() -> Dice:
    return Dice(np.random.default_rng(7))


def test_the_same_seed_the_same_numbers(dice: Dice) -> None:
    other = Dice(np.random.default_rng(7))
    assert [dice.random() for _ in range(10_000)] == [other.random() for _ in range(10_000)]


def test_distributions_have_the_moments_that_they_say(dice: Dice) -> None:
    def sample(draw: object) -> np.ndarray:  # type: ignore[type-arg]
        return np.array([draw() for _ in range(NUMBER)], float)  # type: ignore[operator]

    assert sample(lambda: dice.exponential(3.0)).mean() == pytest.approx(3.0, rel=0.05)
    normal = sample(dice.normal)
    assert (abs(normal.mean()) < 0.03, normal.std()) == (True, pytest.approx(1.0, rel=0.03))
    lognormal = sample(lambda: dice.lognormal(28.0, 1.0))
    assert (np.median(lognormal), np.log(lognormal).std()) == (pytest.approx(28, rel=0.05), pytest.approx(1, rel=0.03))
    for mean in (0.3, 6.0, 1200.0):
        drawn = sample(lambda mean=mean: dice.poisson(mean)) if mean < 100 else np.array([dice.poisson(mean)] * 1)
        assert drawn.mean() == pytest.approx(mean, rel=0.15)
    geometric = sample(lambda: dice.geometric(5.0))
    assert (geometric.min(), geometric.mean()) == (1, pytest.approx(5.0, rel=0.05))
    reciprocal = sample(lambda: dice.reciprocal(1.0, 10_000.0))
    assert (np.median(reciprocal), reciprocal.min() >= 1, reciprocal.max() <= 10_000) == (
        pytest.approx(100.0, rel=0.1), True, True,
    )  # fmt: skip
    assert dice.poisson(0.0) == 0


@pytest.mark.parametrize("tail", [0.9, 1.5, 2.5])
def test_lomax_has_the_tail_that_it_says(dice: Dice, tail: float) -> None:
    drawn = np.sort([dice.lomax(tail, 2.0) for _ in range(NUMBER)])
    # Hill's estimate over what is far beyond the shift, shifted as the distribution is.
    top = drawn[-2000:] + 2.0
    assert 1.0 / np.mean(np.log(top / top[0])) == pytest.approx(tail, rel=0.1)
    assert np.median(drawn) == pytest.approx(2.0 * (2.0 ** (1 / tail) - 1), rel=0.1)


def test_choices(dice: Dice) -> None:
    assert {dice.below(3) for _ in range(100)} == {0, 1, 2}
    assert {dice.of("ab") for _ in range(100)} == {"a", "b"}
    assert sum(dice.chance(0.25) for _ in range(NUMBER)) == pytest.approx(NUMBER / 4, rel=0.05)
    wheel = Wheel([1.0, 0.0, 3.0])
    turned = [wheel.turn(dice) for _ in range(NUMBER)]
    assert turned.count(1) == 0
    assert turned.count(2) == pytest.approx(NUMBER * 0.75, rel=0.03)


def test_arrivals_are_a_poisson_process(dice: Dice) -> None:
    times = dice.arrivals(2.0, 100.0, 5100.0)
    assert times == sorted(times)
    assert (times[0] >= 100.0, times[-1] < 5100.0, len(times)) == (True, True, pytest.approx(10_000, rel=0.05))
    gaps = np.diff(times)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)
    assert dice.arrivals(2.0, 5.0, 5.0) == dice.arrivals(2.0, 5.0, 1.0) == []
    assert math.isfinite(sum(times))
