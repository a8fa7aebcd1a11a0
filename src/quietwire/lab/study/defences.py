"""Defences tried on links that were recorded: padding, a random delay, grouping and garbage, alone and together. Pure.

A recorded link is changed as the defence would have changed it, on both sides, and attacked anew: what each costs and
what it hides is then seen on the very same lives. What is made so is marked as simulated. Where a profile exists too
(`padded`, `jitter`), it is played as well, and both must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.attacks.data import Data
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import BEFORE, SLACK, Happened, Place
from quietwire.lab.flows import Flow

TURN: Final = 0.001
"""Seconds: records of one way that are nearer were written in one turn, and wait together."""
ANSWER: Final = 0.1
"""Seconds, on loopback, within which a record answers one of the other way: what delays that delays it too."""
OVERHEAD: Final = 17
"""Bytes of a TLS 1.3 record that are not text: its type and the tag."""
RECORD: Final = 16_384
"""Bytes of text that a record holds at most (RFC 8446 §5.1)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Defence:
    """Zeros are none. `block`: each record is padded to a multiple of so many bytes. `delay`: each write waits for a
    random time up to so many seconds, order kept. `batch`: what leaves leaves at whole multiples of so many seconds,
    in one record. `garbage`: so many records of no meaning for each real one, at any time, as long as real ones of the
    same way of the link."""

    block: int = 0
    delay: float = 0.0
    batch: float = 0.0
    garbage: float = 0.0

    @property
    def told(self) -> Told:
        """What the attacker is told, and looks for windows with."""
        profile = "jitter" if self.delay or self.batch else "padded" if self.block else "off"
        return Told(profile, profile, block=self.block or Told().block, delay=self.delay, batch=self.batch)


@dataclass(frozen=True, slots=True)
class Price:
    """`bytes`: more of them than without, as a share; `p50`, `p95`: seconds that a write waits, for each side."""

    bytes: float
    p50: float
    p95: float


def defended(data: Data, defence: Defence, name: str, seed: int = 1) -> tuple[Data, Price]:
    """`data` under the name `name`, with all links but the web's as the defence would have made them."""
    generator = np.random.default_rng([seed, 23])
    places, waits = [], []
    before = after = 0
    for place in data.places:
        if place.web or not len(place.flow):
            places.append(place)
            continue
        flow, happened, waited = _changed(place, defence, generator)
        places.append(replace(place, flow=flow, happened=happened))
        waits.append(waited)
        before += int(place.flow.sizes.sum(dtype=np.int64))
        after += int(flow.sizes.sum(dtype=np.int64))
    every = np.concatenate(waits) if waits else np.zeros(1)
    price = Price(after / max(before, 1) - 1, float(np.median(every)), float(np.quantile(every, 0.95)))
    return replace(data, system=name, told=defence.told, places=tuple(places), simulated=True), price


def _changed(place: Place, defence: Defence, generator: np.random.Generator) -> tuple[Flow, Happened, Floats]:
    flow = place.flow
    leaves, waited = _leaving(flow, defence, generator)
    happened = _moved(place, leaves)
    times, sizes, ways = leaves, flow.sizes.astype(np.int64), flow.ways
    if defence.delay or defence.batch:
        times, sizes, ways = _joined(times, sizes, ways)
    if defence.garbage:
        fake = [_garbage(times, sizes, ways, way, defence.garbage, generator) for way in (1, -1)]
        times = np.concatenate([times, *(each[0] for each in fake)])
        sizes = np.concatenate([sizes, *(each[1] for each in fake)])
        ways = np.concatenate([ways, *(each[2] for each in fake)])
    if defence.block:
        # As TLS pads: text and type fill whole blocks, and the tag comes on top.
        sizes = -(-(sizes - OVERHEAD + 1) // defence.block) * defence.block + OVERHEAD - 1
    order = np.argsort(times, kind="stable")
    made = Flow(flow.link, times[order], sizes[order].astype(np.int32), ways[order].astype(np.int8))
    return made, happened, waited


def _leaving(flow: Flow, defence: Defence, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """When each record leaves, and how long each write waited for its own sake. An answer waits for what it answers
    as well: for one hop of it, since on a busy link not all that comes soon after something answers it."""
    leaves = np.empty(len(flow))
    waited: list[float] = []
    last = {1: -np.inf, -1: -np.inf}
    turn = {1: -np.inf, -1: -np.inf}
    own = {1: 0.0, -1: 0.0}
    for number, (time, way) in enumerate(zip(flow.times.tolist(), flow.ways.tolist(), strict=True)):
        if time - turn[way] >= TURN:
            caused = own[-way] if time - turn[-way] <= ANSWER else 0.0
            at = time + caused + (generator.random() * defence.delay if defence.delay else 0.0)
            if defence.batch:
                at = float(np.ceil(at / defence.batch) * defence.batch)
            last[way] = max(last[way], at)
            waited.append(last[way] - time - caused)
            own[way] = min(waited[-1], defence.delay + defence.batch)
        turn[way] = time
        leaves[number] = max(last[way], time)
    return leaves, np.array(waited)


def _moved(place: Place, leaves: Floats) -> Happened:
    """The truth at the times at which its records leave now. What had no record keeps its time."""
    flow, happened = place.flow, place.happened
    times = happened.times.copy()
    for number, time in enumerate(happened.times):
        way = happened.ways[number]
        low, high = (time - BEFORE, time + SLACK) if way > 0 else (time - SLACK, time + BEFORE)
        first, end = np.searchsorted(flow.times, (low, high))
        near = np.flatnonzero(flow.ways[first:end] == way)
        if len(near):
            times[number] = leaves[first + (near[0] if way > 0 else near[-1])]
    order = np.argsort(times, kind="stable")
    kinds = tuple(happened.kinds[each] for each in order)
    return Happened(times[order], kinds, happened.ways[order], happened.sizes[order])


def _joined(
    times: Floats, sizes: NDArray[np.int64], ways: NDArray[np.int8]
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int8]]:
    """What one way writes at one time becomes one record, or as few as hold it."""
    found: list[tuple[float, int, int]] = []
    for way in (1, -1):
        mine = ways == way
        at, where = np.unique(times[mine], return_inverse=True)
        text = np.bincount(where, sizes[mine] - OVERHEAD, len(at)).astype(np.int64)
        for time, size in zip(at.tolist(), text.tolist(), strict=True):
            found += [(time, RECORD + OVERHEAD, way)] * (size // RECORD)
            if size % RECORD or not size:
                found.append((time, size % RECORD + OVERHEAD, way))
    return (
        np.array([row[0] for row in found]), np.array([row[1] for row in found], np.int64),
        np.array([row[2] for row in found], np.int8),
    )  # fmt: skip


def _garbage(
    times: Floats,
    sizes: NDArray[np.int64],
    ways: NDArray[np.int8],
    way: int,
    share: float,
    generator: np.random.Generator,
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int8]]:
    mine = np.flatnonzero(ways == way)
    count = int(generator.poisson(share * len(mine))) if len(mine) else 0
    at = times.min() + generator.random(count) * (times.max() - times.min())
    return at, generator.choice(sizes[mine], count) if count else np.empty(0, np.int64), np.full(count, way, np.int8)


def names(chosen: Sequence[str]) -> str:
    """A column's name for what is done together."""
    return " + ".join(chosen)
