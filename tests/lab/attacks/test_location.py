from __future__ import annotations

import math

import numpy as np
import pytest

from quietwire.lab import figures
from quietwire.lab.attacks import location
from quietwire.lab.attacks.told import Told


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
    assert steady[1] < 0.45
    assert off[1] > steady[1] + 0.2


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
