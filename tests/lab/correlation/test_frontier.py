"""Smaller cells and slower ticks cost less and delay more; steadiness at any price leaves a guess."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quietwire.lab.correlation.frontier import figures, frontier, large_enough, policy, price
from quietwire.lab.correlation.linking import Setting, link
from quietwire.lab.correlation.timings import default
from quietwire.lab.correlation.world import Shaping
from quietwire.shaping.cost import cost
from quietwire.shaping.policy import Policy, Profile

SMALL = Setting(users=40, messages=(1, 10), senders=10, seeds=(1,), attacks=("likelihood",))


def test_the_price_is_that_of_the_policy_and_latency_grows_with_the_tick() -> None:
    points = [price(policy(1022, tick), default(), users=40) for tick in (0.6, 3.0, 15.0)]
    assert [point.day for point in points] == [cost(policy(1022, tick)).day / 1e6 for tick in (0.6, 3.0, 15.0)]
    assert [point.p50 for point in points] == sorted(point.p50 for point in points)
    # Two hops of a uniform wait each, and the slot in which a cell is filled before it is written.
    assert points[0].p50 == pytest.approx(0.6 + 0.1, abs=0.25)
    assert points[0].late == 0.0
    assert points[0].within(day=1000.0)
    assert not points[2].within()


def test_who_writes_before_the_servers_band_spares_a_wait() -> None:
    apart, before = (price(policy(1062, 3.0), default(), users=40, rate=1 / 60, follows=each) for each in (False, True))
    assert before.p50 < apart.p50 - 0.5


def test_cells_that_do_not_keep_up_are_said_to() -> None:
    point = price(policy(510, 30.0), default(), users=40)
    assert point.late > 0.05
    assert point.p95 == float("inf")


def test_points_become_figures() -> None:
    points = frontier(SMALL, default(), cells=(1022,), ticks=(1.5, 60.0))
    assert len(points) == 2
    made = figures(points, SMALL)
    assert len(made) == 1
    assert made[0].at == points[0].day
    assert made[0].value < 0.3
    assert made[0].detail["tick"] == 1.5


def test_how_large_a_server_must_be() -> None:
    calm = Policy(Profile.STEADY, tick=1.5, fast_tick=0.3)
    steady = link(Shaping(calm, calm), replace(SMALL, senders=20), default())
    off = link(Shaping(), SMALL, default())
    assert large_enough(steady, 10, 0.5, (5, 10, 40)) == 5
    assert large_enough(off, 10, 0.5, (5, 10, 40)) is None
