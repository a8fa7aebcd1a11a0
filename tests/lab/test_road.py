from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.lab.road import RETRANSMISSION, Impairment, Road


def certain(value: float) -> Road:
    return Road(Impairment(delay=0.1, jitter=0.2), lambda: value)


def test_delay_and_jitter_add_up() -> None:
    assert certain(0.0).release(5.0, 1) == 5.1
    assert certain(0.5).release(5.0, 1) == pytest.approx(5.2)


def test_a_good_road_takes_no_time() -> None:
    assert Road(Impairment(), lambda: 0.0).release(3.0, 1_000_000) == 3.0
    assert not Impairment().any
    assert Impairment(rate=1.0).any


def test_a_rate_lets_a_burst_pass_and_then_so_many_bytes_a_second() -> None:
    road = Road(Impairment(rate=1000.0, burst=500.0), lambda: 0.0)
    assert road.release(10.0, 500) == 10.0
    assert road.release(10.0, 1000) == pytest.approx(11.0)
    assert road.release(10.0, 1000) == pytest.approx(12.0)
    assert road.release(100.0, 500) == 100.0


def test_what_is_lost_comes_late_and_what_follows_waits() -> None:
    draws = iter([0.0, 0.0, 0.9, 0.0, 0.9])  # jitter, lost, sent again; then jitter, not lost
    road = Road(Impairment(delay=0.01, loss=0.5), lambda: next(draws))
    first = road.release(0.0, 10)
    assert first == pytest.approx(0.01 + RETRANSMISSION)
    assert road.release(0.001, 10) > first


def test_it_says_what_cannot_be() -> None:
    for wrong in ({"delay": -1.0}, {"loss": 1.0}, {"burst": 0.0}, {"rate": 0.5}, {"rate": -1.0}):
        with pytest.raises(ValueError):
            Impairment(**wrong)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20_000)), max_size=40),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 0.9),
    st.just(0.0) | st.floats(1, 1e5),
)
def test_order_is_kept_and_nothing_arrives_before_it_was_sent(
    writes: list[tuple[float, int]], delay: float, jitter: float, loss: float, rate: float
) -> None:
    road = Road(Impairment(delay, jitter, loss, rate), random.Random(1).random)
    now, arrivals = 0.0, []
    for gap, size in writes:
        now += gap
        at = road.release(now, size)
        assert at >= now + delay
        arrivals.append(at)
    assert all(a < b for a, b in itertools.pairwise(arrivals))
