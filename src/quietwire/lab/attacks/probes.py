"""How long people took to answer somebody who wrote to them: from a run of the test bed with the plan ``probe``.

What is used is what who measures has: when each message left their device, and when its receipt was there. Who
answers what is told by the receipt's own text; the truth knows it by order, since a client answers in order.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Probed:
    """One who was measured. `way`: seconds one way of those who live where they live, the secret; `waits`: seconds from
    each message to its receipt, by time. `places`: where in the tick each receipt came, seconds from the middle
    of all that came in this run; zeros where nothing ticks."""

    user: int
    way: float
    waits: Floats
    places: Floats


def read(folder: Path, scenario: Mapping[str, Any], tick: float) -> list[Probed]:
    """Those who were measured in a run; nobody in one of another plan. `tick`: of what the measured ones send, 0 where
    it does not tick. Raises OSError, and ValueError for a line that is none of the truth."""
    roads = tuple(scenario.get("roads") or ())
    if scenario.get("plan") != "probe" or not roads:
        return []
    left: dict[str, float] = {}
    came: dict[str, float] = {}
    heard: defaultdict[int, list[str]] = defaultdict(list)
    answered: defaultdict[int, list[str]] = defaultdict(list)
    with (folder / "truth.jsonl").open(encoding="utf-8") as file:
        for line in file:
            try:
                row = json.loads(line)
                user, at, what, id = int(row["user"]), float(row["at"]), (row["kind"], row["way"]), str(row["id"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"truth.jsonl: {error!r}") from None
            match what, user % 2:
                case ("message", "up"), 0:
                    left[id] = at
                case ("message", "down"), 1:
                    heard[user].append(id)
                case ("receipt", "up"), 1:
                    answered[user].append(id)
                case ("receipt", "down"), 0:
                    came[id] = at
    pairs = {
        user: [(left[one], came[two]) for one, two in zip(ids, answered[user], strict=False)
               if one in left and two in came]
        for user, ids in sorted(heard.items())
    }  # fmt: skip
    middle = _middle([back for each in pairs.values() for _, back in each], tick)
    found = []
    for user, each in pairs.items():
        sent, back = np.array(each, np.float64).reshape(-1, 2).T
        places = (back - middle + tick / 2) % tick - tick / 2 if tick else np.zeros(len(back))
        found.append(Probed(user, float(roads[user % len(roads)]), back - sent, places))
    return found


def _middle(times: Sequence[float], tick: float) -> float:
    """The mean place of these times in the tick, on its circle."""
    if not tick or not times:
        return 0.0
    turned = np.exp(2j * np.pi * (np.array(times) % tick) / tick).mean()
    return float(np.angle(turned) * tick / 2 / np.pi)
