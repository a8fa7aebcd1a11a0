"""Links whose truth is known because they were made here: what attacks are validated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from quietwire.lab.attacks.windows import Happened, Place
from quietwire.lab.flows import Flow, make

EPOCH = 1_760_000_000.0

Records = Sequence[tuple[float, int, int]]
"""(seconds after the happening, size, way)."""


def place(
    user: int,
    rows: Sequence[tuple[float, str, int, int]],
    records: Records,
    *,
    client: str = "",
    family: str = "",
) -> Place:
    """`rows`: (time, kind, way, size); `records` with times of the same clock."""
    ordered = sorted(records)
    flow = make(f"L{user}", [r[0] for r in ordered], [r[1] for r in ordered], [r[2] for r in ordered])
    return Place(flow, Happened.of(rows), user, client, family)


def lives(
    users: int,
    each: int,
    kinds: dict[str, Callable[[np.random.Generator], tuple[int, Records]]],
    *,
    seed: int = 1,
    background: Callable[[np.random.Generator], Records] | None = None,
    gap: float = 5.0,
) -> list[Place]:
    """`users` links on which kinds happen equally often, `each` happenings a link, some `gap` seconds apart. A kind
    gives (size, records); `background`, after every second happening, gives records that nothing caused."""
    generator = np.random.default_rng(seed)
    names = sorted(kinds)
    places = []
    for user in range(users):
        at, rows, records = EPOCH + 1.0, [], [(EPOCH, 100, 1)]
        for number in range(each):
            kind = names[int(generator.integers(len(names)))]
            size, shown = kinds[kind](generator)
            rows.append((at, kind, shown[0][2], size))
            records += [(at + 0.001 + after, length, way) for after, length, way in shown]
            at += gap * (0.8 + 0.4 * generator.random())
            if background is not None and number % 2:
                records += [(at + after, length, way) for after, length, way in background(generator)]
                at += gap
        places.append(place(user, rows, records))
    return places


def cells(
    generator: np.random.Generator,
    link: str,
    count: int,
    *,
    tick: float = 3.0,
    size: int = 1045,
    noise: float = 0.0004,
    both: bool = True,
) -> Flow:
    """A steady link: a cell each tick up, and 0.2 s later down, some time late in each slot."""
    phase = round(float(generator.random()) * tick / 0.05) * 0.05
    up = EPOCH + phase + tick * np.arange(count) + generator.gamma(4.0, noise / 4, count)
    down = up + 0.2 + generator.gamma(4.0, noise / 4, count) if both else np.empty(0)
    times = np.concatenate([up, down])
    ways = np.concatenate([np.ones(len(up), int), -np.ones(len(down), int)])
    return make(link, times, np.full(len(times), size), ways)
