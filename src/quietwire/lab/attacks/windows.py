"""Where an attacker looks: bursts of an unpaced link, ticks of a paced one, and idle time between. And what was there.

Windows are found without the truth; it is laid on them afterwards, for those who train and for those who count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.attacks.told import Told
from quietwire.lab.flows import Flow

NOTHING: Final = "nothing"
SLACK: Final = 0.75
"""Seconds between a happening and its record, at most, beside what shaping adds: busy machines, long roads."""
BEFORE: Final = 0.02
"""Seconds by which a record may come on the wrong side of its happening: clocks are read before or after a write."""
LATE: Final = 0.05
"""The same of a link that delays, beside its delay, on a machine that is not too busy."""
IDLE: Final = 1.0
"""Seconds of one window of idle time."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Happened:
    """The truth of one link as arrays, by time: epoch seconds, kind, way (+1 up, -1 down), size."""

    times: Floats
    kinds: tuple[str, ...]
    ways: NDArray[np.int8]
    sizes: Ints

    @staticmethod
    def of(rows: Sequence[tuple[float, str, int, int]]) -> Happened:
        """Rows of (time, kind, way, size) in any order."""
        ordered = sorted(rows, key=lambda row: row[0])
        return Happened(
            np.array([row[0] for row in ordered], np.float64),
            tuple(row[1] for row in ordered),
            np.array([row[2] for row in ordered], np.int8),
            np.array([row[3] for row in ordered], np.int64),
        )

    def label(self, number: int) -> str:
        return f"{self.kinds[number]} {'up' if self.ways[number] > 0 else 'down'}"


@dataclass(frozen=True)
class Spans:
    """Windows of one flow, by time: `start` and `end` in epoch seconds (end excluded), records first..last of it
    (last excluded); `idle`: there is no record in it, and it stands for `weight` such windows."""

    start: Floats
    end: Floats
    first: Ints
    last: Ints
    idle: NDArray[np.bool_]
    weight: Floats

    def __len__(self) -> int:
        return len(self.start)


def spans(flow: Flow, told: Told, generator: np.random.Generator) -> Spans:
    """The windows of a flow: `bursts` and samples of idle time, or on a paced link `ticks`."""
    if told.paced:
        return ticks(flow, told.step)
    busy = bursts(flow, told.gap)
    quiet = _idle(flow, busy, generator)
    joined = [
        np.concatenate([getattr(busy, name), getattr(quiet, name)])
        for name in ("start", "end", "first", "last", "idle", "weight")
    ]
    order = np.argsort(joined[0], kind="stable")
    return Spans(*(column[order] for column in joined))


def bursts(flow: Flow, gap: float) -> Spans:
    """Records with less than `gap` seconds between each and the next."""
    if not len(flow):
        return Spans(*(np.empty(0, kind) for kind in (float, float, np.int64, np.int64, bool, float)))
    first = np.concatenate([[0], np.flatnonzero(np.diff(flow.times) >= gap) + 1]).astype(np.int64)
    last = np.concatenate([first[1:], [len(flow)]]).astype(np.int64)
    count = len(first)
    start, end = flow.times[first], flow.times[last - 1] + 1e-6
    return Spans(start, end, first, last, np.zeros(count, bool), np.ones(count))


def singles(flow: Flow) -> Spans:
    """Each record by itself."""
    first = np.arange(len(flow), dtype=np.int64)
    end = flow.times + 1e-6
    return Spans(flow.times, end, first, first + 1, np.zeros(len(flow), bool), np.ones(len(flow)))


def ticks(flow: Flow, step: float) -> Spans:
    """Windows of one step, laid so that what the initiator sends first is a twentieth of a step into one."""
    if not len(flow):
        return bursts(flow, step)
    up = flow.times[flow.ways > 0]
    origin = (up[-1] if len(up) else flow.times[0]) - step * 0.05
    begin = origin - np.ceil((origin - flow.times[0]) / step + 1) * step
    count = int(np.ceil((flow.times[-1] - begin) / step)) + 1
    start = begin + np.arange(count) * step
    first = np.searchsorted(flow.times, start)
    last = np.searchsorted(flow.times, start + step)
    return Spans(start, start + step, first, last, np.zeros(count, bool), np.ones(count))


def _idle(flow: Flow, busy: Spans, generator: np.random.Generator) -> Spans:
    """Samples of the silences between bursts, one for each two bursts at most."""
    begins, ends = busy.end[:-1], busy.start[1:]
    room = np.maximum(ends - begins - 2 * IDLE, 0.0)
    total = room.sum()
    count = min(int(total / IDLE), max(4, len(busy) // 2))
    if count <= 0:
        return Spans(*(np.empty(0, kind) for kind in (float, float, np.int64, np.int64, bool, float)))
    which = np.sort(generator.choice(len(room), size=count, p=room / total))
    start = begins[which] + IDLE * 0.5 + generator.random(count) * room[which]
    at = busy.last[which]
    weight = np.full(count, total / IDLE / count)
    return Spans(start, start + IDLE, at, at, np.ones(count, bool), weight)


def carriers(flow: Flow, happened: Happened, told: Told, label: str) -> tuple[Ints, Ints]:
    """Records that carry what has this label, and rows of it in the truth: the largest of its way between when it was
    given to a link that delays and when that must have sent it. Several may be in one record."""
    records, rows = [], []
    for number, time in enumerate(happened.times):
        if happened.label(number) != label:
            continue
        way = int(happened.ways[number])
        first, last = np.searchsorted(flow.times, (time - BEFORE, time + told.lag(way) + LATE))
        mine = first + np.flatnonzero(flow.ways[first:last] == way)
        if len(mine):
            records.append(int(mine[np.argmax(flow.sizes[mine])]))
            rows.append(number)
    return np.array(records, np.int64), np.array(rows, np.int64)


def labels(flow: Flow, where: Spans, happened: Happened, told: Told) -> tuple[list[str], Ints]:
    """What happened first in each window, `NOTHING` if nothing did, and the row of it in the truth (-1).

    On a link with bursts a happening belongs to the burst of its record: the first one of its way after it was
    given to the link, or the last before it was understood.
    """
    found = [NOTHING] * len(where)
    rows = np.full(len(where), -1, np.int64)
    for number, time in enumerate(happened.times):
        way = int(happened.ways[number])
        index = _tick_of(where, time) if told.paced else _burst_of(flow, where, time, way, told.lag(way))
        if index >= 0 and rows[index] < 0:
            found[index] = happened.label(number)
            rows[index] = number
    return found, rows


def _tick_of(where: Spans, time: float) -> int:
    index = int(np.searchsorted(where.start, time, side="right")) - 1
    return index if index >= 0 and time < where.end[index] else -1


def _burst_of(flow: Flow, where: Spans, time: float, way: int, lag: float) -> int:
    reach = SLACK + lag
    low, high = (time - BEFORE, time + reach) if way > 0 else (time - reach, time + BEFORE)
    first, last = np.searchsorted(flow.times, (low, high))
    near = np.flatnonzero(flow.ways[first:last] == way)
    if not len(near):
        return -1
    record = first + (near[0] if way > 0 else near[-1])
    index = int(np.searchsorted(where.first, record, side="right")) - 1
    while index >= 0 and where.idle[index]:
        index -= 1
    return index if index >= 0 and where.first[index] <= record < where.last[index] else -1


@dataclass(frozen=True)
class Place:
    """One link as an attack has it: whose it is, which client, which generator of life, whether it is the web's."""

    flow: Flow
    happened: Happened
    user: int
    client: str = ""
    family: str = ""
    web: bool = False


@dataclass(frozen=True)
class Windows:
    """Windows of many links: features (N, F) and, apart, the truth of each."""

    features: Floats
    names: tuple[str, ...]
    labels: NDArray[np.str_]
    users: Ints
    clients: NDArray[np.str_]
    families: NDArray[np.str_]
    weights: Floats
    """How many windows of the world each stands for."""
    sizes: Ints
    """Characters or bytes of what happened, -1 for nothing."""
    unseen: float
    """Share of happenings that fell into no window, or into one in which something else had happened first."""

    def __len__(self) -> int:
        return len(self.labels)

    def columns(self, wanted: Sequence[str]) -> Windows:
        """The same windows with some of what is seen."""
        kept = [self.names.index(name) for name in wanted]
        return replace(self, features=self.features[:, kept], names=tuple(wanted))

    def only(self, rows: NDArray[np.bool_]) -> Windows:
        return Windows(
            self.features[rows],
            self.names,
            self.labels[rows],
            self.users[rows],
            self.clients[rows],
            self.families[rows],
            self.weights[rows],
            self.sizes[rows],
            self.unseen,
        )
