from __future__ import annotations

import math

import numpy as np
import pytest

from quietwire.client import link
from quietwire.lab import figures
from quietwire.lab.attacks import location
from quietwire.lab.attacks.probes import Probed
from quietwire.lab.attacks.told import Told
from quietwire.shaping import policy


def normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("probes", [1, 16])
def test_gaussian_delays_are_told_apart_as_well_as_can_be(probes: int) -> None:
    """Two places, delays normal with one spread: after k probes the optimum is Phi(sqrt k d / 2 s)."""
    generator = np.random.default_rng(1)
    apart, spread = 0.01, 0.02
    rows, labels = [], []
    for label in (0, 1):
        for _ in range(2500):
            rows.append(location.summary(0.1 + label * apart + spread * generator.normal(size=probes)))
            labels.append(label)
    tally = location.judged(np.stack(rows), np.array(labels), 1)
    found = figures.estimate([tally], figures.balanced_accuracy, rounds=50).value
    best = normal(math.sqrt(probes) * apart / 2 / spread)
    assert 0.5 + 0.9 * (best - 0.5) - 0.01 <= found <= best + 0.03


def accuracies(told: Told) -> list[float]:
    found = location.measure(told, (1, 2), people=120, probes=(1, 20))
    shown = location.as_figures(found, "synthetic")
    assert all(figure.simulated for figure in shown)
    assert [figure.at for figure in shown] == [1, 20]
    return [figure.value for figure in shown]


def test_receipts_tell_where_somebody_is_and_cells_tell_little() -> None:
    off = accuracies(Told())
    steady = accuracies(Told(up="steady", down="steady"))
    assert off[1] > 0.6
    assert steady[0] < 0.32
    assert steady[1] < 0.36
    assert off[1] > steady[1] + 0.25


def test_what_is_simulated_has_the_lead_and_the_band_of_real_links() -> None:
    assert pytest.approx(policy.BAND * policy.SLOT) == location.BAND
    assert location.LEAD == link.LEAD


def test_a_uniform_delay_wears_off_with_more_probes() -> None:
    jitter = accuracies(Told(up="jitter", down="jitter"))
    assert jitter[1] > jitter[0] + 0.05


def test_cells_leave_on_their_tick_only() -> None:
    generator = np.random.default_rng(1)
    waits = location.delays(Told(down="steady", tick=5.0), 20.0, 400, generator)
    assert waits.max() > 4.0
    assert waits.min() > 0.0
    waits = location.delays(Told(up="jitter", batch=1.0), 20.0, 50, np.random.default_rng(1))
    assert 0.3 < np.median(waits) < 2.0


def measured(people: list[Probed], told: Told, count: int) -> figures.Figure:
    found = location.of_probes(people, told, (1,), probes=(count,))
    (figure,) = location.as_figures(found, "synthetic", simulated=False)
    return figure


def test_who_was_measured_is_found_as_well_as_can_be() -> None:
    """Delays normal with one spread: after k probes the optimum is Phi(sqrt k d / 2 s)."""
    generator = np.random.default_rng(1)
    apart, spread, count = 0.01, 0.02, 10
    people = [
        Probed(
            user, 0.02 + 0.005 * (user % 2), 0.1 + user % 2 * apart + spread * generator.normal(size=40), np.zeros(40)
        )
        for user in range(160)
    ]
    figure = measured(people, Told(), count)
    best = normal(math.sqrt(count) * apart / 2 / spread)
    assert 0.5 + 0.9 * (best - 0.5) <= figure.value <= best + 0.06  # of 48 people
    assert not figure.simulated
    assert "20 ms, 25 ms" in figure.note


def ticking(generator: np.random.Generator, place: float | None) -> list[Probed]:
    """Waits of up to a tick; receipts come at a place in the tick that tells of the way, or at a random one."""
    return [
        Probed(
            user,
            way := (0.01, 0.1)[user % 2],
            2 * way + 3 * generator.random(20),
            np.full(20, 2 * way + place if place is not None else 3 * generator.random() - 1.5),
        )
        for user in range(40)
    ]


def test_ticks_that_follow_the_way_tell_of_it_and_others_tell_little() -> None:
    steady = Told(up="steady", down="steady")
    generator = np.random.default_rng(2)
    assert measured(ticking(generator, 0.3), steady, 5).value > 0.95
    assert measured(ticking(generator, None), steady, 5).value < 0.68


def test_receipts_of_one_place_alone_say_nothing() -> None:
    with pytest.raises(ValueError, match="two places"):
        location.of_probes([Probed(1, 0.1, np.ones(9), np.zeros(9))], Told(), (1,), probes=(1,))
