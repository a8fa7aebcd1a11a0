"""Policies that cannot be kept are refused."""

from __future__ import annotations

import pytest

from quietwire.shaping.policy import Policy, Profile


def test_times_are_whole_slots() -> None:
    assert [Policy.slots(seconds) for seconds in (0.05, 0.3, 3.0, 30.0)] == [1, 6, 60, 600]


@pytest.mark.parametrize(
    "wrong", [{"tick": 3.1}, {"fast_tick": 0.01}, {"bulk_every": 10.0}], ids=lambda wrong: next(iter(wrong))
)
def test_a_schedule_that_cannot_be_kept_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(Profile.STEADY, **wrong)  # type: ignore[arg-type]
    assert Policy(Profile.OFF, **wrong)  # type: ignore[arg-type]
