"""Cases are cut where so many messages had left; laws are those of the profile."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.cases import CELLS, cases, laws, watched
from quietwire.lab.correlation.talk import MESSAGE, poisson
from quietwire.lab.correlation.timings import default
from quietwire.lab.correlation.world import Churn, Shaping, World, simulate
from quietwire.shaping.policy import Policy, Profile


def made(shaping: Shaping) -> World:
    rng = np.random.default_rng(1)
    return simulate(poisson(rng, 40, 600.0, 0.1), shaping, default(), rng, churn=Churn(0.2))


def test_cuts_are_where_the_partner_had_been_sent_so_many() -> None:
    world = made(Shaping())
    found = cases(world, np.random.default_rng(2), 10, (1, 5, 20))
    assert len(found) == 10
    sent = world.sent
    for case in found:
        assert case.right == sent.mains()[case.sender]
        assert (np.diff(case.at) >= 0).all()
        texts = (sent.sender == case.sender) & (sent.receiver == case.right) & (sent.kind == MESSAGE)
        for cut, number in zip(case.cuts, (1, 5, 20), strict=True):
            assert np.isin(case.at[:cut], world.up_at[texts]).sum() == number
        assert world.online[case.right].tolist() == [0.0, 600.0]
    assert watched(world).down is world.down


def test_laws_of_off_and_jitter() -> None:
    rng = np.random.default_rng(3)
    down, back = laws(made(Shaping()), rng)
    assert back is not None
    assert down.reach[1] < 0.06
    assert 0.02 <= down.miss < 0.7
    jitter = Policy(Profile.JITTER, delay=0.3)
    slow, _ = laws(made(Shaping(jitter, jitter)), rng)
    # From the uplink's record on only the downlink's delay is left.
    assert slow.reach[1] == pytest.approx(0.3, abs=0.04)


def test_of_cells_a_few_are_enough() -> None:
    policy = Policy(Profile.STEADY, tick=1.5, fast_tick=0.3)
    world = made(Shaping(policy, policy))
    case = cases(world, np.random.default_rng(2), 1, (1, 20))[0]
    assert len(case.at) == CELLS
    assert case.cuts[-1] == CELLS
