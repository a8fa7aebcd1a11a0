"""Clients stay under what stock servers read, in windows and outside of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.presets import PRESETS
from quietwire.shaping.uplink import RECORD, STOCK_RATE, uplink


@pytest.mark.parametrize("profile", [Profile.OFF, Profile.PADDED, Profile.JITTER])
def test_what_has_no_cells_stays_as_it_is(profile: Profile) -> None:
    assert uplink(Policy(profile, fast_tick=0.05)) == Policy(profile, fast_tick=0.05)


@pytest.mark.parametrize("preset", PRESETS)
def test_windows_of_presets_are_slowed_down_no_more_than_needed(preset: str) -> None:
    policy = replace(PRESETS[preset], profile=Profile.STEADY)
    slowed = uplink(policy)
    assert (slowed.cell + RECORD) / slowed.fast_tick <= STOCK_RATE
    assert replace(slowed, fast_tick=policy.fast_tick) == policy
    whole = Policy.slots(policy.tick)
    between = range(Policy.slots(policy.fast_tick), Policy.slots(slowed.fast_tick))
    assert not [slots for slots in between if whole % slots == 0 and (policy.cell + RECORD) / (slots * 0.05) <= 3000]


def test_a_tick_that_is_slow_enough_is_kept() -> None:
    policy = Policy(Profile.STEADY, cell=256, tick=0.1, fast_tick=0.1)
    assert uplink(policy) == policy


def test_cells_that_are_too_many_even_outside_of_windows() -> None:
    with pytest.raises(ValueError, match="more than servers take"):
        uplink(Policy(Profile.STEADY, cell=4094, tick=0.4))
