"""Whole sessions as rows of numbers, and leaks planted in them: what `indistinct` compares, and is tested with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.attacks.features import deviations
from quietwire.lab.flows import Flow

Floats = NDArray[np.float64]

PLACES: Final = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0)
"""Quantiles of sizes, gaps and deviations."""
PARTS: Final = 8
"""Of a session, whose means are told apart."""
FIRST: Final = 16
"""Records that are told one by one."""
LATE: Final = (0.0005, 0.001, 0.002, 0.005)
"""Seconds: which share of records is later than that."""
SHARE: Final = 0.2
"""Of cells in which a leak is planted: those that carry something."""


def names() -> tuple[str, ...]:
    """Of the columns of `table`."""
    found = ["seconds", "records", "offset of the ways", "spread of it"]
    for way in ("up", "down"):
        found += [f"records {way}", f"bytes {way}", f"sizes {way}", f"usual size {way}", f"unusual sizes {way}"]
        found += [f"size {way} at {place:g}" for place in PLACES]
        found += [f"mean size {way}"]
        found += [f"gap {way} at {place:g}" for place in PLACES]
        found += [f"deviation {way} at {place:g}" for place in PLACES]
        found += [f"deviation {way} over {1000 * late:g} ms" for late in LATE]
        found += [f"mean deviation {way}", f"spread of deviation {way}", f"skew of deviation {way}"]
        found += [f"phase {way}", f"place in the tick {way}", f"likeness of neighbours {way}"]
        found += [f"deviation {way} in part {part + 1}" for part in range(PARTS)]
        found += [f"size {way} in part {part + 1}" for part in range(PARTS)]
    found += [f"first {what} {n + 1}" for n in range(FIRST) for what in ("size", "gap")]
    return tuple(found)


def table(flows: Sequence[Flow], slot: float) -> Floats:
    """(N, len(names())) numbers of sessions. `slot`: seconds of the clock that all cells keep."""
    return np.stack([_row(flow, slot) for flow in flows])


def _row(flow: Flow, slot: float) -> Floats:
    up, down = np.flatnonzero(flow.ways > 0), np.flatnonzero(flow.ways < 0)
    offset = spread = 0.0
    if len(up) and len(down):
        # From each record up until the next one down.
        after = np.searchsorted(flow.times[down], flow.times[up])
        there = after < len(down)
        waits = flow.times[down][after[there]] - flow.times[up][there]
        if len(waits):
            offset, spread = float(np.median(waits)), float(np.subtract(*np.quantile(waits, (0.75, 0.25))))
    row: list[float] = [flow.seconds, len(flow), offset, spread]
    for rows in (up, down):
        row += _of_way(flow.times[rows], flow.sizes[rows].astype(np.float64), slot)
    signed = flow.sizes[:FIRST].astype(np.float64) * flow.ways[:FIRST]
    gaps = np.diff(flow.times[: FIRST + 1])
    for number in range(FIRST):
        row += [signed[number] if number < len(signed) else 0.0, gaps[number] if number < len(gaps) else 0.0]
    return np.array(row, np.float64)


def _of_way(times: Floats, sizes: Floats, slot: float) -> list[float]:
    count = len(times)
    if count < 2:
        quiet = 5 + len(PLACES) * 3 + 1 + len(LATE) + 6 + 2 * PARTS
        return [float(count), float(sizes.sum()), *([0.0] * (quiet - 2))]
    values, often = np.unique(sizes, return_counts=True)
    usual = float(values[often.argmax()])
    late = deviations(times, slot)
    gaps = np.diff(times)
    tick = float(np.median(gaps))
    phase = np.angle(np.exp(2j * np.pi * times / slot).mean()) / (2 * np.pi) * slot
    spread = float(late.std())
    centred = late - late.mean()
    row = [float(count), float(sizes.sum()), float(len(values)), usual, float(np.mean(sizes != usual))]
    row += np.quantile(sizes, PLACES).tolist()
    row.append(float(sizes.mean()))
    row += np.quantile(gaps, PLACES).tolist()
    row += np.quantile(late, PLACES).tolist()
    row += [float(np.mean(late > limit)) for limit in LATE]
    row += [float(late.mean()), spread, float((centred**3).mean()) / max(spread**3, 1e-18)]
    row += [
        float(phase),
        float(times[0] % max(tick, 1e-9)),
        float((centred[1:] * centred[:-1]).mean()) / max(spread**2, 1e-18),
    ]
    row += [float(part.mean()) if len(part) else 0.0 for part in np.array_split(late, PARTS)]
    row += [float(part.mean()) if len(part) else 0.0 for part in np.array_split(sizes, PARTS)]
    return row


def late(flows: Sequence[Flow], seconds: float, generator: np.random.Generator, share: float = SHARE) -> list[Flow]:
    """The same sessions with a leak: a share of the cells that are sent up comes later by so much."""
    found = []
    for flow in flows:
        times = flow.times.copy()
        rows = np.flatnonzero(flow.ways > 0)
        times[rows[generator.random(len(rows)) < share]] += seconds
        order = np.argsort(times, kind="stable")
        found.append(Flow(flow.link, times[order], flow.sizes[order], flow.ways[order]))
    return found


def longer(flows: Sequence[Flow], size: int, generator: np.random.Generator, share: float = SHARE) -> list[Flow]:
    """The same sessions with a leak: a share of the cells that are sent up is longer by so many bytes."""
    found = []
    for flow in flows:
        sizes = flow.sizes.copy()
        rows = np.flatnonzero(flow.ways > 0)
        sizes[rows[generator.random(len(rows)) < share]] += size
        found.append(Flow(flow.link, flow.times, sizes, flow.ways))
    return found
