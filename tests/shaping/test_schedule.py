"""The slots of one stream, against a plain restatement of the rule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.schedule import Schedule

POLICY = Policy(Profile.STEADY, tick=3.0, fast_tick=0.3, window=6.0, bulk_every=60.0)
FAST, SLOW, WINDOW, BULK = 6, 60, 120, 1200


def slots(schedule: Schedule, start: int, end: int) -> list[int]:
    found, at = [], start
    while (at := schedule.next_after(at)) < end:
        found.append(at)
    return found


def windows(first: int, end: int, *welcomes: int) -> list[range]:
    opened = [range(first, first + WINDOW)]
    for at in welcomes:
        begin = first + ((at - first) // WINDOW + 1) * WINDOW
        opened.append(range(begin, begin + WINDOW))
    return opened + [range(begin, begin + WINDOW) for begin in range(first, end, BULK)]


def expected(first: int, phase: int, opened: list[range], start: int, end: int) -> list[int]:
    return [
        slot
        for slot in range(start + 1, end)
        if slot % SLOW == phase % SLOW or (slot % FAST == phase % FAST and any(slot in window for window in opened))
    ]


@given(st.integers(0, 10_000), st.integers(0, 5_000))
def test_ticks_and_windows(first: int, phase: int) -> None:
    schedule = Schedule(POLICY, first, phase)
    assert schedule.period == SLOW
    end = first + 3 * BULK
    assert slots(schedule, first, end) == expected(first, phase, windows(first, end), first, end)


@given(st.integers(0, 10_000), st.integers(0, 59), st.integers(0, 2_000))
def test_a_welcome_opens_the_next_window_of_the_row(first: int, phase: int, after: int) -> None:
    schedule = Schedule(POLICY, first, phase)
    at = first + after
    schedule.welcome(at)
    end = at + 2 * BULK
    assert slots(schedule, at, end) == expected(first, phase, windows(first, end, at), at, end)


@given(st.integers(0, 1_000), st.integers(0, WINDOW - 1), st.integers(0, WINDOW - 1))
def test_when_in_a_window_somebody_was_welcome_does_not_show(phase: int, one: int, other: int) -> None:
    seen = []
    for at in (one, other):
        schedule = Schedule(POLICY, 0, phase)
        schedule.welcome(at)
        schedule.welcome(at)
        seen.append(slots(schedule, WINDOW, 5_000))
    assert seen[0] == seen[1]


def test_without_windows() -> None:
    schedule = Schedule(Policy(Profile.STEADY, tick=3.0, window=0.0, bulk_every=0.0), 7, 3)
    schedule.welcome(10)
    assert slots(schedule, 7, 200) == [63, 123, 183]
    assert schedule.opens(50) == 50


def test_when_the_next_window_opens() -> None:
    schedule = Schedule(POLICY, 0, 0)
    assert [schedule.opens(slot) for slot in (0, 119, 120, 1_000, 1_250, 1_320)] == [0, 119, 1_200, 1_200, 1_250, 2_400]
    schedule.welcome(130)
    assert schedule.opens(150) == 240


def test_another_place() -> None:
    schedule = Schedule(Policy(Profile.STEADY, tick=3.0, window=0.0, bulk_every=0.0), 0, 3)
    schedule.rephase(64)
    assert slots(schedule, 0, 130) == [4, 64, 124]


@given(st.integers(0, 10_000), st.integers(-500, 500), st.integers(0, 2 * BULK))
def test_turns_come_with_ticks_and_in_windows_with_fast_ones(first: int, phase: int, after: int) -> None:
    at = first + after
    turn = Schedule(POLICY, first, 0).turn(at, phase)
    every = FAST if any(at in window for window in windows(first, first + 3 * BULK)) else SLOW
    assert turn % every == phase % every
    assert 0 < turn - at <= every
