"""What a window looks like: sizes, ways, gaps, cumulative shapes, what came before and after, and where it lies.

From published attacks on other protocols: the running total of signed sizes at fixed places (Panchenko et al.,
"Website Fingerprinting at Internet Scale", NDSS 2016), counts, shares, gaps and quantiles (Hayes and Danezis,
"k-fingerprinting", USENIX Security 2016). For paced links there are deviations from the slots that it was told of.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import Spans
from quietwire.lab.flows import Flow

FIRST: Final = 8
"""Records of a window that are told one by one."""
SHAPE: Final = 6
"""Places at which the running total is taken."""
LONG: Final = 1e4
"""Seconds that stand for never."""
AROUND: Final = (2.0, 15.0, 60.0)
"""Seconds of surroundings."""

Floats = NDArray[np.float64]

_OWN: Final = (
    "records", "records up", "records down", "bytes up", "bytes down", "largest up", "largest down", "smallest up",
    "smallest down", "share up", "seconds", "mean gap", "largest gap", "spread of gaps", "turns", "different sizes",
    "first way", "last size", "blocks up", "blocks down",
)  # fmt: skip
_CONTEXT: Final = (
    "since the window before", "until the window after", "bytes up before", "bytes down before", "first size before",
    "bytes up after", "bytes down after", "first size after", "bytes up after that", "bytes down after that",
    "since the link began", "until the link ends", "idle",
)  # fmt: skip
_SLOTS: Final = (
    "mean deviation up", "mean deviation down", "largest deviation up", "largest deviation down", "unusual sizes",
    "largest unusual size", "records missing up", "records missing down",
)  # fmt: skip


def names() -> tuple[str, ...]:
    """Of the columns of `of_spans`."""
    return (
        *_OWN,
        *(f"size {n + 1}" for n in range(FIRST)),
        *(f"gap {n + 1}" for n in range(FIRST - 1)),
        *(f"total at {n + 1}/{SHAPE}" for n in range(SHAPE)),
        *_CONTEXT,
        *(
            f"records {way} within {seconds:g} s {side}"
            for seconds in AROUND for side in ("before", "after") for way in ("up", "down")
        ),
        *_SLOTS,
    )  # fmt: skip


def of_spans(flow: Flow, where: Spans, told: Told, rows: NDArray[np.intp]) -> Floats:
    """(len(rows), len(names())) features of some windows of a flow. On a paced link a window's records are those of its
    tick and of the two that follow: what waits for a cell leaves in one of these."""
    times, sizes, ways = flow.times, flow.sizes.astype(np.float64), flow.ways.astype(np.float64)
    signed = sizes * ways
    up, down = np.where(ways > 0, sizes, 0.0), np.where(ways < 0, sizes, 0.0)
    sums = {
        "up": np.concatenate([[0.0], np.cumsum(up)]),
        "down": np.concatenate([[0.0], np.cumsum(down)]),
        "ups": np.concatenate([[0.0], np.cumsum(ways > 0)]),
        "downs": np.concatenate([[0.0], np.cumsum(ways < 0)]),
    }
    last = np.minimum(where.last[np.minimum(np.arange(len(where)) + 2, len(where) - 1)], len(flow))
    last = last if told.paced else where.last
    found = np.zeros((len(rows), len(names())))
    width = len(_OWN) + FIRST + FIRST - 1 + SHAPE
    for number, row in enumerate(rows):
        begin, end = int(where.first[row]), int(last[row])
        if end > begin:
            found[number, :width] = _own(times[begin:end], signed[begin:end], told.block)
    found[:, width : width + len(_CONTEXT)] = _context(flow, where, rows, sums, signed)
    column = width + len(_CONTEXT)
    for seconds in AROUND:
        starts, ends = where.start[rows], where.end[rows]
        for low, high in ((starts - seconds, starts), (ends, ends + seconds)):
            first, after = np.searchsorted(times, low), np.searchsorted(times, high)
            for way in ("ups", "downs"):
                found[:, column] = sums[way][after] - sums[way][first]
                column += 1
    if told.paced:
        found[:, column:] = _slots(flow, where.first[rows], last[rows], told)
    return found


def _log(seconds: Floats) -> Floats:
    return np.asarray(np.log10(np.clip(seconds, 1e-5, LONG)), np.float64)


def _own(times: Floats, signed: Floats, block: int) -> Floats:
    count = len(times)
    sizes = np.abs(signed)
    is_up = signed > 0
    up, down = sizes[is_up], sizes[~is_up]
    gaps = np.diff(times)
    ups = len(up)
    some = count > 1
    own = [
        count, ups, count - ups, up.sum(), down.sum(), up.max() if ups else 0.0, down.max() if ups < count else 0.0,
        up.min() if ups else 0.0, down.min() if ups < count else 0.0, ups / count, times[-1] - times[0],
        gaps.mean() if some else 0.0, gaps.max() if some else 0.0, gaps.std() if some else 0.0,
        np.count_nonzero(is_up[1:] != is_up[:-1]), len(set(signed.tolist())), 1.0 if is_up[0] else -1.0, signed[-1],
        np.ceil(up / block).sum(), np.ceil(down / block).sum(),
    ]  # fmt: skip
    row = np.zeros(len(_OWN) + FIRST + FIRST - 1 + SHAPE)
    row[: len(own)] = own
    row[len(own) : len(own) + min(count, FIRST)] = signed[:FIRST]
    begin = len(own) + FIRST
    row[begin : begin + min(count, FIRST) - 1] = gaps[: FIRST - 1]
    row[begin + FIRST - 1 :] = np.interp(np.linspace(0, count - 1, SHAPE), np.arange(count), np.cumsum(signed))
    return row


def _context(
    flow: Flow, where: Spans, rows: NDArray[np.intp], sums: dict[str, Floats], signed: Floats
) -> Floats:  # fmt: skip
    """Of the neighbouring windows that have records."""
    busy = np.flatnonzero(where.last > where.first)
    before = np.searchsorted(busy, rows) - 1
    after = np.searchsorted(busy, rows, side="right")
    columns = []
    there = {}
    for name, index in (("before", before), ("after", after), ("then", after + 1)):
        exists = (index >= 0) & (index < len(busy))
        there[name] = exists, busy[np.clip(index, 0, len(busy) - 1)] if len(busy) else np.zeros(len(rows), np.intp)
    exists, which = there["before"]
    columns.append(_log(np.where(exists, where.start[rows] - where.end[which], LONG)))
    exists, which = there["after"]
    columns.append(_log(np.where(exists, where.start[which] - where.end[rows], LONG)))
    for name in ("before", "after", "then"):
        exists, which = there[name]
        first, last = where.first[which], where.last[which]
        for way in ("up", "down"):
            columns.append(np.where(exists, sums[way][last] - sums[way][first], 0.0))
        if name != "then":
            columns.append(np.where(exists, signed[np.minimum(first, len(signed) - 1)], 0.0))
    columns.append(_log(where.start[rows] - flow.times[0] + 1e-3))
    columns.append(_log(flow.times[-1] - where.end[rows] + 1e-3))
    columns.append(where.idle[rows].astype(np.float64))
    return np.stack(columns, 1)


def _slots(flow: Flow, first: NDArray[np.int64], last: NDArray[np.int64], told: Told) -> Floats:
    """How a window's records differ from cells that come when they should."""
    found = np.zeros((len(first), len(_SLOTS)))
    for column, way in enumerate((1, -1)):
        of_way = np.flatnonzero(flow.ways == way)
        if not len(of_way):
            continue
        late = deviations(flow.times[of_way], told.slot)
        usual = np.bincount(flow.sizes[of_way]).argmax()
        odd = np.where(flow.sizes[of_way] != usual, np.abs(flow.sizes[of_way].astype(np.float64) - usual), 0.0)
        lows, highs = np.searchsorted(of_way, first), np.searchsorted(of_way, last)
        usually = np.median(highs - lows) if len(lows) else 0.0
        for row, (low, high) in enumerate(zip(lows, highs, strict=True)):
            if high > low:
                found[row, column] = late[low:high].mean()
                found[row, 2 + column] = late[low:high].max()
                found[row, 4] += np.count_nonzero(odd[low:high])
                found[row, 5] = max(found[row, 5], odd[low:high].max())
        found[:, 6 + column] = usually - (highs - lows)
    return found


def deviations(times: Floats, slot: float) -> Floats:
    """Seconds by which each record is later than its slot, less what is usual on this link: -slot/2 to slot/2."""
    phase = times / slot * 2 * np.pi
    usual = np.angle(np.exp(1j * phase).mean()) / (2 * np.pi)
    late = np.asarray((times / slot - usual + 0.5) % 1.0 - 0.5, np.float64) * slot
    return late - float(np.median(late))
