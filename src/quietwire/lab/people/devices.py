"""What people have in their pockets and on their desks, and when it is online. Numbers are chosen."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from quietwire.lab.people.dice import Dice
from quietwire.lab.people.model import Device
from quietwire.lab.people.parameters import HABITS, Habit, Parameters
from quietwire.lab.people.rhythm import Calendar, Sleep

MAIN_PHONE: Final = 0.75
"""Share of people whose first device is a phone."""
AT_DESK: Final = 0.65
"""Probability that somebody who could take either takes the keyboard."""
STICKY: Final = 300.0
"""Seconds for which one stays with the device that one has used."""
OUTAGE: Final = 4 / 60
"""Hours of an outage, median."""
CLIENTS: Final = {
    form: tuple(name for name, habit in HABITS.items() if habit.form == form) for form in ("phone", "desktop", "web")
}


class Machine:
    """One device in the course of the plan. `spans`: (login, logout) in seconds, ascending, none touching another."""

    __slots__ = ("_begins", "device", "habit", "number", "spans")

    def __init__(self, number: int, device: Device, spans: Sequence[tuple[float, float]]) -> None:
        self.number = number
        self.device = device
        self.habit: Habit = HABITS[device.client]
        self.spans = list(spans)
        self._begins = [begin for begin, _ in spans]

    def span(self, at: float) -> tuple[float, float] | None:
        """The one that `at` is in."""
        index = bisect_right(self._begins, at) - 1
        return self.spans[index] if index >= 0 and at < self.spans[index][1] else None

    def during(self, begin: float, end: float) -> bool:
        """Whether it is online all the time."""
        span = self.span(begin)
        return span is not None and end < span[1]

    def next_on(self, at: float) -> float:
        """The first moment from `at` on at which it is; infinite if there is none."""
        if self.span(at) is not None:
            return at
        index = bisect_left(self._begins, at)
        return self._begins[index] if index < len(self._begins) else math.inf


class Owner:
    """A person with devices, one body and ten fingers: `free` is when they have finished what they were writing."""

    __slots__ = ("_dice", "_used", "_used_at", "free", "machines", "number", "sleep")

    def __init__(self, dice: Dice, number: int, sleep: Sleep, machines: Sequence[Machine]) -> None:
        self._dice = dice
        self.number = number
        self.sleep = sleep
        self.machines = list(machines)
        self.free = -math.inf
        self._used: Machine | None = None
        self._used_at = -math.inf

    def available(self, at: float, hour: float) -> float:
        """When, from `at` on, this one is awake and has a device online; infinite if never. `hour` is seconds."""
        for _ in range(8):
            up = self.sleep.until(at)
            if up > at:
                up += self._dice.exponential(0.3) * hour
            on = min(machine.next_on(up) for machine in self.machines)
            if on == at or math.isinf(on):
                return on
            at = on if on == up else on + self._dice.uniform(2.0, 20.0)
        return math.inf

    def takes(self, begin: float, end: float) -> Machine | None:
        """The device on which something is done from `begin` to `end`; None if none is online all the time."""
        can = [machine for machine in self.machines if machine.during(begin, end)]
        if not can:
            return None
        if self._used in can and begin - self._used_at < STICKY:
            chosen = self._used
        else:
            desk = [machine for machine in can if machine.device.form != "phone"]
            phones = [machine for machine in can if machine.device.form == "phone"]
            chosen = self._dice.of(desk if desk and (not phones or self._dice.chance(AT_DESK)) else phones)
        self._used, self._used_at = chosen, max(end, self._used_at)
        return chosen


def devices(dice: Dice, parameters: Parameters) -> list[Device]:
    """Of one person."""
    forms = ["phone" if dice.chance(MAIN_PHONE) else "desktop"]
    if dice.chance(parameters.second_device):
        forms.append("phone" if forms[0] != "phone" else "desktop" if dice.chance(0.7) else "web")
    if len(forms) > 1 and dice.chance(parameters.third_device / max(parameters.second_device, 1e-9)):
        forms.append("web" if "web" not in forms else "desktop")
    return [Device(form, dice.of(CLIENTS[form])) for form in forms]


def spans(
    dice: Dice, form: str, sleep: Sleep, calendar: Calendar, parameters: Parameters, begin: float, end: float
) -> list[tuple[float, float]]:
    """When a device is online between `begin` and `end`, at least once: who has only one is there."""
    if not parameters.background:
        return [(begin, end)]
    hour = calendar.hour
    if form == "phone":
        found = []
        at = begin
        for gone in dice.arrivals(parameters.outages / calendar.day, begin, end):
            if gone > at:
                found.append((at, gone))
                at = max(at, gone + dice.lognormal(OUTAGE, 1.0) * hour)
        found.append((at, end))
    elif form == "desktop":
        found = _desk(dice, sleep.days(), hour)
    else:
        found = [
            (at, at + max(0.02, dice.lognormal(0.4, 0.8)) * hour)
            for rises, sleeps in sleep.days()
            for at in dice.arrivals(3.0 / max(1.0, sleeps - rises), rises, sleeps)
        ]
    return merged([(max(begin, on), min(end, off)) for on, off in found], gap=min(2.0, 0.05 * hour)) or [(begin, end)]


def _desk(dice: Dice, days: list[tuple[float, float]], hour: float) -> list[tuple[float, float]]:
    """From some time after getting up to some time before going to bed, with breaks."""
    found = []
    for rises, sleeps in days:
        at = rises + dice.exponential(1.5) * hour
        while at < sleeps:
            off = min(sleeps, at + dice.lognormal(3.0, 0.7) * hour)
            found.append((at, off))
            at = off + dice.lognormal(0.75, 0.8) * hour
    return found


def merged(found: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Sorted, empty ones left out, what is nearer than `gap` made one."""
    whole: list[tuple[float, float]] = []
    for on, off in sorted(found):
        if off <= on:
            continue
        if whole and on - whole[-1][1] < gap:
            whole[-1] = whole[-1][0], max(off, whole[-1][1])
        else:
            whole.append((on, off))
    return whole
