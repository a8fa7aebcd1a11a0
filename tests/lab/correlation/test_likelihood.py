"""Ratios by hand, laws that are learnt, and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.likelihood import Likelihood, learn, near, surrounded, uniform_law
from quietwire.lab.correlation.shapes import Side


def side(times: list[float], links: list[int], number: int, sizes: list[int] | None = None) -> Side:
    return Side(number, np.array(times), np.array(links, np.int32), np.array(sizes or [100] * len(times), np.int32))


def test_pairs_in_reach() -> None:
    which, seen = near(np.array([1.0, 1.2, 2.0, 3.0]), np.array([1.0, 2.5]), (0.0, 0.6))
    assert list(zip(which.tolist(), seen.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 3)]


def test_the_ratio_is_density_over_rate_summed_over_records() -> None:
    # Two records in a window of 0.5 s at a rate of 0.2: 2 / (0.5 * 0.2) = 20; none: impossible.
    attack = Likelihood(uniform_law(0.5), side([1.1, 1.3, 1.7], [0, 0, 1], 2), np.array([0.2, 0.2]))
    ratios = attack.ratios(np.array([1.0]), np.array([100], np.int32))
    assert ratios[0, 0] == pytest.approx(np.log(20))
    assert ratios[0, 1] == -np.inf


def test_a_share_that_goes_elsewhere_forgives_a_miss() -> None:
    attack = Likelihood(uniform_law(0.5, miss=0.25), side([1.1], [0], 2), np.array([0.2, 0.2]))
    ratios = attack.ratios(np.array([1.0]), np.array([100], np.int32))
    assert ratios[0].tolist() == pytest.approx([np.log(0.25 + 0.75 * 10), np.log(0.25)])


def test_scores_add_up_record_by_record() -> None:
    attack = Likelihood(uniform_law(0.5, miss=0.1), side([1.1, 2.1], [0, 1], 2), np.array([1.0, 1.0]))
    at, sizes = np.array([1.0, 2.0]), np.array([100, 100], np.int32)
    scores = attack.scores(at, sizes, [0, 1, 2])
    assert scores[0].tolist() == [0.0, 0.0]
    assert scores[1, 0] > scores[1, 1]
    assert scores[2, 0] == pytest.approx(scores[2, 1])


def test_a_learnt_law_has_the_delays_and_growths_it_was_shown() -> None:
    rng = np.random.default_rng(1)
    law = learn(rng.uniform(0.1, 0.4, 5000), rng.integers(60, 70, 5000), 0.2)
    assert law.reach == pytest.approx((0.1, 0.4), abs=0.01)
    assert (law.density * np.diff(law.delay)).sum() == pytest.approx(1)
    wide = np.diff(law.delay) > 1e-3
    assert law.density[wide] == pytest.approx(1 / 0.3, rel=0.2)
    assert law.share.sum() == pytest.approx(1)


def test_a_size_that_fits_tells_more_than_one_that_does_not() -> None:
    law = learn(np.linspace(0.0, 0.1, 500), np.full(500, 64), 0.1)
    many = [100 + 7 * n for n in range(50)]
    links = side([1.05] * 52, [0, 1, *[2] * 50], 3, [564, 600, *many])
    ratios = Likelihood(law, links, np.ones(3)).ratios(np.array([1.0]), np.array([500], np.int32))[0]
    assert ratios[0] > 3
    assert ratios[1] == pytest.approx(np.log(0.1), abs=0.01)


def test_delays_that_all_links_share_tell_nothing() -> None:
    """Everything leaves at whole seconds: a record one second later is no news."""
    rng = np.random.default_rng(2)
    at = np.arange(10.0, 200.0)
    times = np.sort(rng.choice(np.arange(0.0, 210.0), 2000))
    links = side(times.tolist(), rng.integers(0, 20, 2000).tolist(), 20)
    plain = learn(np.ones(300), np.zeros(300, np.int64), 0.2)
    law = surrounded(plain, at, links, 210.0)
    assert law.common.max() > 100
    rate = np.full(20, 100 / 210)
    weights = [Likelihood(one, links, rate).ratios(at, np.full(len(at), 100, np.int32)).max() for one in (plain, law)]
    assert weights[0] > weights[1] + 4
