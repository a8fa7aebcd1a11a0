from __future__ import annotations

import heapq

import numpy as np
import pytest

from quietwire.lab.people.dice import Dice
from quietwire.lab.people.gaps import AGAIN, PATIENCE, course, size
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.summary import burstiness


def conversation(dice: Dice, parameters: Parameters) -> tuple[list[float], list[bool]]:
    """Times of its texts, and who of the followers was who spoke before."""
    after = course(dice, parameters)
    due, times, again = [0.0], [], []
    while due:
        at = heapq.heappop(due)
        times.append(at)
        for delay, same in after():
            assert 0 <= delay <= PATIENCE
            again.append(same)
            heapq.heappush(due, at + delay)
    return times, again


@pytest.mark.parametrize("family", ["hawkes", "sessions", "queue"])
def test_conversations_have_the_length_and_the_answers_that_they_are_to_have(family: str) -> None:
    dice = Dice(np.random.default_rng(3))
    parameters = Parameters(family=family, talk=5.0, answer=25.0)  # type: ignore[arg-type]
    lengths, gaps, again = [], [], []
    for _ in range(4000):
        times, same = conversation(dice, parameters)
        lengths.append(len(times))
        gaps.extend(np.diff(times))
        again.extend(same)
    assert np.mean(lengths) == pytest.approx(size(parameters), rel=0.12)
    assert 8 < np.median(gaps) < 45
    assert np.mean(again) == pytest.approx(AGAIN, abs=0.03)
    bursty = burstiness(np.array(gaps))
    assert bursty is not None
    assert (bursty > 0.4) == (family != "sessions")  # within a session the gaps are those of a Poisson process
    assert abs(bursty) < 0.05 or family != "sessions"


def test_poisson_is_one_text() -> None:
    parameters = Parameters(family="poisson")
    assert conversation(Dice(np.random.default_rng(1)), parameters) == ([0.0], [])
    assert size(parameters) == 1.0


def test_queues_wait_with_exponent_one() -> None:
    """What is not answered at once is spread evenly over the logarithm of time."""
    dice = Dice(np.random.default_rng(5))
    parameters = Parameters(family="queue")
    waits = [delay for _ in range(20_000) for delay, _ in course(dice, parameters)()]
    late = np.log10([wait for wait in waits if wait > 1000.0])
    low, high = np.histogram(late, bins=2, range=(3.0, np.log10(PATIENCE)))[0]
    assert low == pytest.approx(high, rel=0.2)
