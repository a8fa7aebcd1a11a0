from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.people.dice import Dice
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.rhythm import HOURS, Calendar, Sleep

DAY = 86_400.0


def dice(seed: int = 1) -> Dice:
    return Dice(np.random.default_rng(seed))


def test_local_time() -> None:
    calendar = Calendar(Parameters(start_hour=9.0))
    assert calendar.local(0.0, 0.0) == (0, 9.0)
    assert calendar.local(3600.0 * 16, -8.0) == (0, 17.0)
    assert calendar.local(3600.0 * 16, 5.5) == (1, 6.5)
    assert calendar.local(-3600.0 * 10, 0.0) == (-1, 23.0)
    assert calendar.second(1, 6.5, 5.5) == pytest.approx(3600.0 * 16)


def test_a_compressed_day_has_24_hours_too() -> None:
    calendar = Calendar(Parameters(start_hour=0.0, squeeze=60.0))
    assert calendar.day == 1440.0
    assert calendar.local(720.0, 0.0) == (0, 12.0)
    assert calendar.second(2, 6.0, 0.0) == pytest.approx(2880 + 360)


def test_nights_are_of_a_nights_length_once_a_day() -> None:
    calendar = Calendar(Parameters())
    for seed in range(20):
        sleep = Sleep(dice(seed), calendar, 2.0, 0.0, 10 * DAY)
        asleep = [at for at in np.arange(DAY, 9 * DAY, 600.0) if sleep.until(at) > at]
        assert 5 / 24 < len(asleep) * 600.0 / (8 * DAY) < 11 / 24
        for at in asleep:
            up = sleep.until(at)
            assert sleep.until(up) == up
        for rises, sleeps in sleep.days():
            assert rises < sleeps
            assert sleep.until((rises + sleeps) / 2) == (rises + sleeps) / 2


def test_who_never_sleeps() -> None:
    sleep = Sleep(dice(), Calendar(Parameters()), 0.0, 0.0, 5 * DAY, awake=True)
    assert all(sleep.until(at) == at for at in np.arange(0.0, 5 * DAY, 900.0))
    assert sleep.days() == []


def test_most_is_said_in_the_evening() -> None:
    assert sum(HOURS) == pytest.approx(24.0)
    calendar = Calendar(Parameters(start_hour=0.0))
    sleep = Sleep(dice(3), calendar, 0.0, 0.0, DAY)
    by_hour = {hour: sleep.activity(3600.0 * hour + sleep.late * 3600.0 + 60) for hour in (3, 10, 20)}
    assert by_hour[3] < by_hour[10] < by_hour[20]
