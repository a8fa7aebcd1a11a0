"""Policies that cannot be kept are refused."""

from __future__ import annotations

import pytest

from quietwire.shaping.policy import Policy, Profile


def test_times_are_whole_slots() -> None:
    assert [Policy.slots(seconds) for seconds in (0.05, 0.3, 3.0, 30.0)] == [1, 6, 60, 600]


def test_a_fast_tick_is_a_whole_part_of_the_tick() -> None:
    parts = {(whole, least): Policy.part(whole, least) for whole, least in ((44, 4), (44, 5), (7, 4), (2, 9), (6, 0))}
    assert parts == {(44, 4): 4, (44, 5): 11, (7, 4): 7, (2, 9): 2, (6, 0): 1}


def test_the_band_is_a_small_part_of_the_tick() -> None:
    bands = {tick: Policy(Profile.STEADY, tick=tick, fast_tick=0.05).band() for tick in (0.05, 0.5, 1.0, 2.4, 30.0)}
    assert bands == {0.05: 1, 0.5: 1, 1.0: 2, 2.4: 4, 30.0: 4}


@pytest.mark.parametrize(
    "wrong", [{"tick": 3.1}, {"fast_tick": 0.01}, {"bulk_every": 10.0}], ids=lambda wrong: next(iter(wrong))
)
def test_a_schedule_that_cannot_be_kept_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(Profile.STEADY, **wrong)  # type: ignore[arg-type]
    assert Policy(Profile.OFF, **wrong)  # type: ignore[arg-type]
