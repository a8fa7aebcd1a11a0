from __future__ import annotations

import math

import attack_worlds as worlds
import numpy as np
import pytest

from quietwire.lab.attacks import among, indistinct, sessions
from quietwire.lab.flows import Flow


def links(count: int, seed: int, cells: int = 120, noise: float = 0.0004) -> list[Flow]:
    generator = np.random.default_rng(seed)
    return [worlds.cells(generator, f"L{n}", cells, noise=noise) for n in range(count)]


@pytest.fixture(scope="module")
def verdict() -> indistinct.Verdict:
    """The same schedule twice, planted leaks and all."""
    return indistinct.compare(links(100, 1), links(100, 2))


def test_sessions_of_one_schedule_cannot_be_told_apart() -> None:
    found = indistinct.tell(links(500, 5, 24), links(500, 6, 24))
    assert found.area.low <= 0.5 <= found.area.high
    assert found.area.high <= indistinct.BOUND


def test_without_a_difference_the_area_is_a_half_on_average() -> None:
    """No fold's balance, no choice of models leans to either side."""
    labels = np.repeat([0, 1], 40)
    areas = [
        indistinct.auc(labels, indistinct.crossed(np.random.default_rng(n).normal(size=(80, 5)), labels, n, seeds=1))
        for n in range(12)
    ]
    # One area has a standard deviation of some 0.065.
    assert np.mean(areas) == pytest.approx(0.5, abs=0.06)


def test_who_only_recognises_a_capture_is_not_led_astray() -> None:
    """Three captures of ten and ten: all that is seen is which one it is."""
    strata, labels = np.repeat(np.arange(3), 20), np.tile(np.repeat([0, 1], 10), 3)
    told = (strata[:, None] == np.arange(3)).astype(np.float64)
    scores = indistinct.crossed(told, labels, 1, seeds=1, strata=strata)
    assert indistinct.auc(labels, scores) == pytest.approx(0.5, abs=0.001)


def test_links_of_one_capture_are_seen_among_each_other() -> None:
    flows = links(24, 8, 12)
    captures = [(flows[:6], flows[6:12]), (flows[12:18], flows[18:])]
    found = indistinct.tell_captures(captures)
    assert found.sessions == 24
    assert found.best in sessions.names() + among.names()
    with pytest.raises(ValueError, match="ten of each"):
        indistinct.tell_captures([(flows[:5], flows[5:14])])


def test_planted_leaks_are_found_in_the_same_sessions(verdict: indistinct.Verdict) -> None:
    assert verdict.late.area.low > 0.8
    assert "deviation" in verdict.late.best or "gap" in verdict.late.best
    assert verdict.longer.area.low > 0.98
    assert "size" in verdict.longer.best or "bytes" in verdict.longer.best
    assert verdict.sees


def test_a_millisecond_is_found_in_the_noise_of_a_busy_machine() -> None:
    quiet, leaky = links(120, 3, noise=0.002), links(120, 4, noise=0.002)
    found = indistinct.tell(quiet, sessions.late(leaky, 0.001, np.random.default_rng(5)))
    assert found.area.low > indistinct.FOUND


def test_a_known_difference_is_found_as_well_as_can_be() -> None:
    """Sessions that differ in when they begin only, normal with one spread: the optimum is Phi(d / (s sqrt 2))."""
    generator = np.random.default_rng(6)

    def some(mean: float) -> list[Flow]:
        found = []
        for number in range(200):
            flow = worlds.cells(generator, f"L{number}", 12, noise=1e-9, both=False)
            flow.sizes[:] = 500 + int(mean + 20 * generator.normal())
            found.append(flow)
        return found

    found = indistinct.tell(some(100), some(120))
    best = 0.5 * (1 + math.erf(20 / 20 / math.sqrt(2) / math.sqrt(2)))
    assert 0.5 + 0.9 * (best - 0.5) <= found.area.value <= best + 0.03


def test_sessions_without_any_difference_are_a_toss() -> None:
    same = [worlds.cells(np.random.default_rng(1), "L", 20) for _ in range(40)]
    assert indistinct.tell(same[:20], same[20:]).area.value == pytest.approx(0.5)


def test_too_few_sessions_are_refused_and_some_prove_nothing() -> None:
    with pytest.raises(ValueError, match="ten of each"):
        indistinct.tell(links(9, 1, 10), links(20, 2, 10))
    few = indistinct.Told(figures_estimate(0.5), 40, "")
    assert not indistinct.Verdict(few, few, few).enough


def figures_estimate(value: float) -> indistinct.Estimate:
    return indistinct.Estimate(value, value, value)


def test_what_sees_no_planted_leak_does_not_pass() -> None:
    blind = indistinct.Told(figures_estimate(0.5), 600, "")
    seen = indistinct.Told(figures_estimate(0.9), 600, "")
    assert not indistinct.Verdict(blind, blind, seen).passed
    assert indistinct.Verdict(blind, seen, seen).passed
    assert not indistinct.Verdict(seen, seen, seen).passed


def test_auc_of_ties_is_a_half() -> None:
    assert indistinct.auc(np.array([0, 1, 0, 1]), np.zeros(4)) == 0.5
    assert indistinct.auc(np.array([0, 0, 1, 1]), np.arange(4.0)) == 1.0
    assert math.isnan(indistinct.auc(np.array([1, 1]), np.zeros(2)))


def test_figures_mark_what_was_planted(verdict: indistinct.Verdict) -> None:
    found = indistinct.as_figures(verdict, "steady", simulated=False)
    assert [figure.simulated for figure in found] == [False, True, True]
    assert found[0].chance == 0.5


def test_the_same_seed_gives_the_same_area() -> None:
    left, right = links(20, 1, 20), links(20, 2, 20)
    assert indistinct.tell(left, right) == indistinct.tell(left, right)
