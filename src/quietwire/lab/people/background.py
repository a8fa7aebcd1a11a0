"""What devices do by themselves: logging in and fetching, pings, presence, client state."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from quietwire.lab.people.after import Put
from quietwire.lab.people.devices import Machine, Owner
from quietwire.lab.people.dice import Dice
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.rhythm import Calendar

PAGE: Final = 50
"""Texts of a page of an archive: the commonest page size of clients. Chosen."""
MOST_PAGES: Final = 20
"""That a client fetches by itself. Chosen."""
TOGETHER: Final = 30.0
"""Seconds without use after which the screen goes dark. Chosen."""
SHORTEST_AWAY: Final = 5.0
"""Seconds: also where a day is short, nobody is away at once."""


class Background:
    def __init__(self, dice: Dice, calendar: Calendar, parameters: Parameters, put: Put, seconds: float) -> None:
        self._dice = dice
        self._calendar = calendar
        self._parameters = parameters
        self._put = put
        self._seconds = seconds

    def of(
        self, owner: Owner, machine: Machine, rooms: Sequence[int], received: Sequence[float], used: Sequence[float],
    ) -> None:  # fmt: skip
        """`received`: times of what was said to the owner; `used`: times at which the device was in somebody's hands,
        ascending. `machine.spans` lie within the plan."""
        dice, parameters, number = self._dice, self._parameters, owner.number
        was_off = 0.0
        for index, (on, off) in enumerate(machine.spans):
            self._login(number, machine, rooms, on, self._missed(received, was_off, on) if index else 0)
            if off < self._seconds:
                self._put(off, number, machine, "logout", -1, 0)
            was_off = off
            self._pings(number, machine, on, off)
            if machine.habit.sm:
                for at in dice.arrivals(parameters.resumes / self._calendar.day, on + 5.0, off):
                    self._put(at, number, machine, "resume", -1, 0)
            for at in dice.arrivals(parameters.publishes / self._calendar.day, on, off):
                self._put(at, number, machine, "publish", -1, round(min(8000.0, dice.lognormal(400.0, 0.8))))
            begin, end = bisect_left(used, on), bisect_left(used, off)
            self._hands(owner, machine, on, off, used[begin:end])

    def _login(self, number: int, machine: Machine, rooms: Sequence[int], on: float, missed: int) -> None:
        dice, put = self._dice, self._put
        put(on, number, machine, "login", -1, 0)
        at = on + dice.uniform(0.3, 0.8)
        put(at, number, machine, "roster", -1, 0)
        at += dice.uniform(0.05, 0.4)
        put(at, number, machine, "presence", -1, 0)
        for _ in range(1 + min(MOST_PAGES - 1, missed // PAGE)):
            at += dice.uniform(0.1, 0.6)
            put(at, number, machine, "archive-page", -1, 0)
        for room in rooms:
            at += dice.uniform(0.03, 0.3)
            put(at, number, machine, "room-join", room, 0)
        if dice.chance(self._parameters.unknown):
            put(at + dice.uniform(0.2, 1.0), number, machine, "publish", -1, round(dice.uniform(2500.0, 6000.0)))

    def _missed(self, received: Sequence[float], begin: float, end: float) -> int:
        return bisect_left(received, end) - bisect_left(received, begin)

    def _pings(self, number: int, machine: Machine, on: float, off: float) -> None:
        if not machine.habit.ping or not self._parameters.pings:
            return
        every = machine.habit.ping / self._parameters.pings
        at = on + every
        while at < off:
            self._put(at, number, machine, "ping", -1, 0)
            at += every + self._dice.uniform(0.0, 0.2)

    def _hands(self, owner: Owner, machine: Machine, on: float, off: float, used: Sequence[float]) -> None:
        """Client state and presence, from when the device is used."""
        dice, habit, number = self._dice, machine.habit, owner.number
        times = sorted([*used, *self._checks(owner, machine, on, off)])
        if habit.csi:
            at = on + dice.uniform(1.0, 3.0)  # it came by itself: nobody looks
            if not times or times[0] > at + 5.0:
                self._put(at, number, machine, "inactive", -1, 0)
            index = 0
            while index < len(times):
                begin = end = times[index]
                while index < len(times) and times[index] - end < TOGETHER:
                    end = times[index]
                    index += 1
                begin = max(at + 0.2, begin - dice.uniform(0.5, 3.0))
                self._put(begin, number, machine, "active", -1, 0)
                at = max(begin, end) + dice.uniform(4.0, TOGETHER - 4.0)
                self._put(at, number, machine, "inactive", -1, 0)
        if habit.away:
            after = max(SHORTEST_AWAY, habit.away * 60.0 / self._parameters.squeeze)
            last = on
            for at in [*times, off]:
                if at - last > after:
                    self._put(last + after, number, machine, "presence", -1, 0)
                    if at < off:
                        self._put(at - 0.05, number, machine, "presence", -1, 0)
                last = at

    def _checks(self, owner: Owner, machine: Machine, on: float, off: float) -> list[float]:
        """Looks at the phone for nothing, pages turned back, presence changed by hand."""
        dice, parameters, day = self._dice, self._parameters, self._calendar.day
        found = []
        if machine.device.form == "phone":
            for at in dice.arrivals(parameters.checks / day, on, off):
                if not parameters.rhythm or owner.sleep.until(at) == at:
                    found.append(at)
        for at in dice.arrivals(parameters.scrolls / day / len(owner.machines), on, off):
            if owner.sleep.until(at) == at:
                found.append(at)
                turned = at
                for _ in range(dice.geometric(2.0)):
                    self._put(turned, owner.number, machine, "archive-page", -1, 0)
                    turned += dice.uniform(0.8, 6.0)
        for at in dice.arrivals(parameters.statuses / day / len(owner.machines), on, off):
            if owner.sleep.until(at) == at:
                found.append(at)
                self._put(at, owner.number, machine, "presence", -1, 0)
        return found
