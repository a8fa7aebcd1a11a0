from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from quietwire.lab.people.devices import Machine, Owner, devices, merged, spans
from quietwire.lab.people.dice import Dice
from quietwire.lab.people.model import Device
from quietwire.lab.people.parameters import HABITS, Parameters
from quietwire.lab.people.rhythm import Calendar, Sleep

DAY = 86_400.0
PHONE, DESK = Device("phone", "conversations"), Device("desktop", "gajim")


def dice(seed: int = 1) -> Dice:
    return Dice(np.random.default_rng(seed))


def owner(*machines: Machine, awake: bool = True) -> Owner:
    sleep = Sleep(dice(), Calendar(Parameters()), 0.0, 0.0, 3 * DAY, awake=awake)
    return Owner(dice(), 0, sleep, machines)


def test_a_device_is_online_in_its_spans() -> None:
    machine = Machine(0, PHONE, [(10.0, 20.0), (30.0, 40.0)])
    assert [machine.span(at) for at in (9.9, 10.0, 20.0, 35.0, 40.0)] == [
        None, (10.0, 20.0), None, (30.0, 40.0), None,
    ]  # fmt: skip
    assert (machine.during(11.0, 19.0), machine.during(11.0, 20.0), machine.during(15.0, 35.0)) == (True, False, False)
    assert [machine.next_on(at) for at in (0.0, 15.0, 25.0, 41.0)] == [10.0, 15.0, 30.0, math.inf]


def test_whoever_is_not_there_is_waited_for() -> None:
    who = owner(Machine(0, DESK, [(100.0, 200.0), (500.0, 600.0)]))
    assert who.available(150.0, 3600.0) == 150.0
    assert 502.0 <= who.available(300.0, 3600.0) <= 520.0
    assert math.isinf(who.available(700.0, 3600.0))


def test_who_sleeps_is_waited_for() -> None:
    who = owner(Machine(0, PHONE, [(0.0, 3 * DAY)]), awake=False)
    night = next(at for at in np.arange(0.0, DAY, 600.0) if who.sleep.until(at) > at)
    ready = who.available(night, 3600.0)
    assert who.sleep.until(night) < ready
    assert who.sleep.until(ready) == ready


def test_one_stays_with_the_device_that_one_has_used() -> None:
    phone, desk = Machine(0, PHONE, [(0.0, DAY)]), Machine(1, DESK, [(0.0, DAY)])
    who = owner(phone, desk)
    first = [who.takes(at, at + 1) for at in np.arange(0.0, 3000.0, 100.0)]
    assert len(set(first)) == 1
    spread = Counter(who.takes(at, at + 1) for at in np.arange(5000.0, DAY - 10, 400.0))
    assert spread[desk] > spread[phone] > 20
    assert owner(Machine(0, PHONE, [(0.0, 10.0)])).takes(5.0, 11.0) is None


def test_people_have_one_to_three_devices_of_different_forms() -> None:
    rolled = dice()
    found = [devices(rolled, Parameters()) for _ in range(3000)]
    count = Counter(len(one) for one in found)
    assert set(count) == {1, 2, 3}
    assert (count[2] + count[3]) / 3000 == pytest.approx(0.5, abs=0.04)
    assert count[3] / 3000 == pytest.approx(0.12, abs=0.03)
    for one in found:
        assert all(HABITS[device.client].form == device.form for device in one)
        assert len({device.form for device in one}) == len(one)
    assert {len(devices(rolled, Parameters(second_device=0.0))) for _ in range(100)} == {1}


@pytest.mark.parametrize("form", ["phone", "desktop", "web"])
def test_when_devices_are_online(form: str) -> None:
    parameters = Parameters()
    calendar = Calendar(parameters)
    shares = []
    for seed in range(30):
        sleep = Sleep(dice(seed), calendar, 0.0, 0.0, 8 * DAY)
        online = spans(dice(seed), form, sleep, calendar, parameters, 0.0, 7 * DAY)
        assert online == sorted(online)
        assert all(on < off for on, off in online)
        assert all(later[0] - off >= 2.0 for (_, off), later in itertools.pairwise(online))
        shares.append(sum(off - on for on, off in online) / (7 * DAY))
    low, high = {"phone": (0.95, 1.0), "desktop": (0.35, 0.7), "web": (0.02, 0.2)}[form]
    assert low < np.mean(shares) < high
    assert spans(dice(), form, sleep, calendar, Parameters(background=False), 3.0, 9.0) == [(3.0, 9.0)]


def test_merging() -> None:
    assert merged([(5.0, 6.0), (1.0, 2.0), (2.5, 3.0), (8.0, 7.0), (5.5, 9.0)], gap=1.0) == [(1.0, 3.0), (5.0, 9.0)]
    assert merged([], gap=1.0) == []
