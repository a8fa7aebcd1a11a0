"""Options of a client's link."""

from __future__ import annotations

import pytest

from quietwire.cli.link_options import CELL, TICK, link_policy
from quietwire.core.errors import ConfigError
from quietwire.shaping.policy import Policy, Profile


def test_the_defaults_are_the_policys() -> None:
    assert link_policy() == Policy()
    assert link_policy(Profile.STEADY, TICK, CELL) == Policy(Profile.STEADY)
    assert link_policy(Profile.PADDED, 0.0, 0) == Policy(Profile.PADDED)


@pytest.mark.parametrize("tick", [0.1, 0.35, 1.0, 1.7, 3.0, 5.0, 30.0, 600.0])
def test_any_tick_has_a_fast_one(tick: float) -> None:
    policy = link_policy(Profile.STEADY, tick)
    assert policy.tick == pytest.approx(tick)
    assert Policy.slots(policy.tick) % Policy.slots(policy.fast_tick) == 0
    assert policy.fast_tick >= min(0.3, tick)


@pytest.mark.parametrize(
    ("tick", "cell", "key"), [(0.0, CELL, "--link-tick"), (601.0, CELL, "--link-tick"), (TICK, 0, "--link-cell")]
)
def test_what_cannot_be_kept_is_one_line(tick: float, cell: int, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        link_policy(Profile.STEADY, tick, cell)
    assert caught.value.key == key
