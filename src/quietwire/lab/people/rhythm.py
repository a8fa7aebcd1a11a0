"""Day and night: when somebody sleeps, and how much is said at which hour.

That people talk by a daily pattern of their own, with a quiet night and most in the evening: T. Aledavood et al.,
"Daily rhythms in mobile telephone communication", PLoS ONE 10, 2015; S. A. Golder, D. Wilkinson, B. A. Huberman,
"Rhythms of social interaction: messaging within a massive online network", Communities and Technologies 2007. That
early and late people differ by hours: T. Roenneberg, A. Wirz-Justice, M. Merrow, "Life between clocks: daily temporal
patterns of human chronotypes", Journal of Biological Rhythms 18, 2003. That bursts do not come from the rhythm alone:
H.-H. Jo, M. Karsai, J. Kertész, K. Kaski, "Circadian pattern and burstiness in mobile phone communication", New Journal
of Physics 14, 2012. The values are chosen.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from quietwire.lab.people.dice import Dice
from quietwire.lab.people.parameters import Parameters

_SHAPE: Final = (
    2, 1, 1, 1, 1, 2, 4, 8, 12, 14, 15, 16, 18, 17, 15, 15, 16, 19, 22, 24, 25, 23, 16, 7,
)  # fmt: skip
"""How much is said in each local hour, relative. Chosen, after the shapes in the studies."""
HOURS: Final = tuple(value * 24 / sum(_SHAPE) for value in _SHAPE)
"""The same with a mean of 1."""
BUSIEST: Final = max(HOURS)
WEEKEND: Final = 1.5
"""Hours by which everything is later on Saturday and Sunday. Chosen."""


class Calendar:
    """Hours of a plan: `squeeze` makes them short."""

    def __init__(self, parameters: Parameters) -> None:
        self.hour = parameters.day / 24
        self.day = parameters.day
        self._start = parameters.start_hour

    def local(self, at: float, timezone: float) -> tuple[int, float]:
        """(days since that Monday, hour of the day) at second `at`."""
        hours = self._start + at / self.hour + timezone
        day = int(hours // 24)
        return day, hours - 24 * day

    def second(self, day: int, hour: float, timezone: float) -> float:
        """The other way."""
        return (24 * day + hour - timezone - self._start) * self.hour


class Sleep:
    """The nights of one person, from `begin` to `end` (seconds)."""

    def __init__(
        self, dice: Dice, calendar: Calendar, timezone: float, begin: float, end: float, *, awake: bool = False
    ) -> None:
        """`awake`: this one never sleeps."""
        self.timezone = timezone
        self._calendar = calendar
        self._begins: list[float] = []
        self._ends: list[float] = []
        self.late = dice.normal()
        """Hours by which this one is later than others; deviation of 1. Chosen."""
        if awake:
            return
        length = min(10.0, max(5.5, 7.7 + 0.7 * dice.normal()))
        day = calendar.local(begin, timezone)[0] - 1
        while True:
            weekend = WEEKEND if day % 7 in (4, 5) else 0.0
            falls = 23.3 + self.late + weekend + 0.4 * dice.normal()
            start = calendar.second(day, falls, timezone)
            if start > end:
                break
            self._begins.append(start)
            self._ends.append(start + max(4.0, length + 0.5 * dice.normal()) * calendar.hour)
            day += 1

    def until(self, at: float) -> float:
        """When the night ends in which `at` is; `at` if it is in none."""
        index = bisect_right(self._begins, at) - 1
        return self._ends[index] if index >= 0 and self._ends[index] > at else at

    def days(self) -> list[tuple[float, float]]:
        """(getting up, going to bed)."""
        return list(zip(self._ends[:-1], self._begins[1:], strict=True))

    def activity(self, at: float) -> float:
        """How much this one says at that time, relative to a mean of about 1."""
        _, hour = self._calendar.local(at, self.timezone)
        return HOURS[int((hour - self.late) % 24)]
