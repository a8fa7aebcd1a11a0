"""Members of rooms are told by timing, unless links are steady."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.gathering import Gathering, gather, members_found, rule_of
from quietwire.lab.correlation.timings import default
from quietwire.lab.correlation.world import Shaping
from quietwire.shaping.policy import Policy, Profile

SMALL = Gathering(users=200, rooms=6, members=10, seconds=600.0, seeds=(1, 2))
STEADY = Policy(Profile.STEADY, cell=1022, tick=3.0)


def test_copies_reach_all_members_who_are_there() -> None:
    seen = gather(SMALL, Shaping(), default(), np.random.default_rng(1))
    assert len(seen.copies.at) == sum(len(room.at) * 10 for room in seen.rooms)
    arrived = np.isfinite(seen.world.copies_at)
    assert arrived.mean() > 0.85
    rule = rule_of(seen)
    assert 0 <= rule.early + 0.001 < rule.late < 0.2
    assert 100 < rule.more < 600


@pytest.mark.parametrize(("shaping", "least", "most"), [(Shaping(), 0.8, 1.0), (Shaping(STEADY, STEADY), 0.0, 0.05)])
def test_true_positives_at_one_false_in_a_thousand(shaping: Shaping, least: float, most: float) -> None:
    found = members_found(shaping, SMALL, default())
    assert {figure.note.split(" ")[0] for figure in found} == {"event-based", "shape-based"}
    best = max(figure.value for figure in found)
    assert least <= best <= most
    assert all(figure.chance == 1e-3 and figure.base_rate == 0.05 for figure in found)
