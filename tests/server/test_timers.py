from __future__ import annotations

import pytest

from quietwire.server.timers import Timers


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_in_order_of_time_then_of_setting() -> None:
    clock, told = Clock(), []
    timers = Timers(clock)
    for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 3.0)):
        timers.after(seconds, lambda name=name: told.append(name))  # type: ignore[misc]
    assert timers.next_at() == 101.0
    timers.fire(100.9)
    assert told == []
    timers.fire(103.0)
    assert (told, timers.next_at()) == (["a", "c", "b"], None)


def test_cancelled_timers_do_nothing() -> None:
    timers, told = Timers(Clock()), []
    first = timers.after(1, lambda: told.append(1))
    first.cancel()
    first.cancel()
    assert timers.next_at() is None
    second = timers.after(2, lambda: told.append(2))
    timers.after(1, second.cancel)
    timers.fire(200)
    assert told == []


def test_told_when_the_next_becomes_earlier() -> None:
    told: list[float | None] = []
    timers = Timers(Clock(), lambda: told.append(timers.next_at()))
    for seconds in (5, 7, 1):
        timers.after(seconds, lambda: None)
    assert told == [105.0, 101.0]


def test_every() -> None:
    clock, told = Clock(), []
    timers = Timers(clock)
    timers.every(10, lambda: told.append(clock.now))
    for clock.now in (105.0, 110.0, 119.0, 120.0):
        timers.fire(clock.now)
    assert told == [110.0, 120.0]


def test_an_action_that_sets_a_timer_for_now_waits_for_the_next_call() -> None:
    clock, told = Clock(), []
    timers = Timers(clock)
    timers.after(0, lambda: timers.after(0, lambda: told.append("later")) and None)
    timers.fire(clock.now)
    assert told == []
    timers.fire(clock.now)
    assert told == ["later"]


def test_one_that_fails_does_not_take_the_others_with_it() -> None:
    clock, told = Clock(), []
    timers = Timers(clock)
    timers.after(1, lambda: told.append(1))
    timers.after(1, lambda: 1 // 0)
    timers.after(1, lambda: told.append(2))
    with pytest.raises(ZeroDivisionError):
        timers.fire(101)
    assert (told, timers.next_at()) == ([1], 101.0)
    timers.fire(101)
    assert told == [1, 2]
