"""How large must a server be, and what does steadiness cost: the frontier of cell and tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quietwire.lab.correlation.linking import RATE, Result, Say, Setting, link, strongest
from quietwire.lab.correlation.talk import poisson
from quietwire.lab.correlation.timings import Timings
from quietwire.lab.correlation.world import Shaping, simulate
from quietwire.lab.figures import Figure
from quietwire.shaping.cost import cost
from quietwire.shaping.policy import SLOT, Policy, Profile

CELLS = (408, 612, 740, 816, 904, 1022, 1250, 2046)
TICKS = (1.0, 1.5, 2.0, 2.2, 2.4, 2.75, 3.0, 3.5, 4.5, 6.0, 15.0)
"""Seconds."""
CALM = 1800.0
"""Seconds that latencies are taken over."""
THRESHOLDS = (0.5, 0.1, 0.01)
MB = 1e6


@dataclass(frozen=True)
class Point:
    """`day`: MB a day and direction, idle. Latencies in seconds, end to end, at four messages a minute. `late`: share
    of texts that had not arrived at the end. `top`, `low`, `high`: linking by the strongest attack; `chance`."""

    cell: int
    tick: float
    day: float
    p50: float
    p95: float
    late: float
    attack: str = ""
    top: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    chance: float = float("nan")

    def within(self, day: float = 35.0, p95: float = 5.0) -> bool:
        """The aims of DESIGN §5: at most so much a day, and so late."""
        return self.day <= day and self.p95 <= p95


def policy(cell: int, tick: float) -> Policy:
    """`steady` with the default windows, and the fast tick next to the default that goes into this tick."""
    base = Policy(Profile.STEADY)
    whole = base.slots(tick)
    fast = base.part(whole, base.slots(base.fast_tick))
    return replace(base, cell=cell, tick=tick, fast_tick=fast * SLOT)


def price(
    chosen: Policy, timings: Timings, users: int = 100, seed: int = 1, *, rate: float = RATE, follows: bool = True
) -> Point:
    """Without an attack: bytes by arithmetic, latency by simulation. Both ends ours, one server. `rate`: messages a
    second that each user sends, and gets."""
    rng = np.random.default_rng(seed)
    talk = poisson(rng, users, CALM, rate)
    world = simulate(talk, Shaping(chosen, chosen, follows=follows), timings, rng)
    early = (world.sent.kind == 0) & (world.sent.at < CALM - 120)
    latency = world.down_at[early] - world.sent.at[early]
    arrived = latency[np.isfinite(latency)]
    p50, p95 = np.quantile(arrived, [0.5, 0.95]) if len(arrived) else (np.inf, np.inf)
    late = 1 - len(arrived) / max(1, len(latency))
    if late > 0.05:
        p95 = np.inf
    return Point(chosen.cell, chosen.tick, cost(chosen).day / MB, float(p50), float(p95), late)


def frontier(
    setting: Setting,
    timings: Timings,
    cells: Sequence[int] = CELLS,
    ticks: Sequence[float] = TICKS,
    attacked: bool = True,
    follows: bool = True,
    say: Say = lambda *_: None,
) -> list[Point]:
    """All combinations. Linking is attacked where the cells keep up with the talk."""
    points = []
    grid = [(cell, tick) for cell in cells for tick in ticks]
    for number, (cell, tick) in enumerate(grid):
        say("frontier", number, len(grid))
        chosen = policy(cell, tick)
        point = price(chosen, timings, rate=setting.rate, follows=follows)
        if attacked and np.isfinite(point.p95):
            result = link(Shaping(chosen, chosen, follows=follows), setting, timings)
            attack, found = strongest(result, setting.messages[-1], setting.users)
            point = replace(
                point, attack=attack, top=found.value, low=found.low, high=found.high, chance=1 / (setting.users - 1)
            )
        points.append(point)
    say("frontier", len(grid), len(grid))
    return points


def figures(points: Sequence[Point], setting: Setting, system: str = "quietwire") -> list[Figure]:
    """One curve point each, over cost."""
    return [
        Figure(
            "server-network",
            "linking over the cost of steady links, top 1",
            f"{system} steady",
            point.top,
            point.low,
            point.high,
            point.chance,
            point.chance,
            "share",
            True,
            f"cell {point.cell}, tick {point.tick:g} s; {point.attack} attack among {setting.users} users "
            f"after {setting.messages[-1]} messages",
            None,
            "MB a day and direction",
            point.day,
            {"cell": point.cell, "tick": point.tick, "p50": point.p50, "p95": point.p95, "late": point.late},
        )
        for point in points
        if np.isfinite(point.top)
    ]


def large_enough(result: Result, messages: int, threshold: float, sizes: Sequence[int]) -> int | None:
    """The smallest of these numbers of users at which the strongest attack's top 1 is at most `threshold`."""
    for users in sorted(sizes):
        if users <= result.setting.users and strongest(result, messages, users)[1].value <= threshold:
            return users
    return None
