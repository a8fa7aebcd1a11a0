"""Links that were captured at the same time: where each one's cells stand among those of the others.

A slot's cells leave one after another. What a cell costs to make or to write, and what a server or a worker did
meanwhile, shows less in a cell's own time than in its distance from its neighbours and in what happens to other links.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.flows import Flow

Floats = NDArray[np.float64]

OF_CELLS: Final = (
    "after the one before", "before the next", "after the slot's first", "place in the slot", "turn of the place",
    "lateness of the slot", "lateness of the slot before", "lateness of the slot after", "length of the slot",
    "length of the slot before", "length of the slot after", "lateness of the other way", "length of the other way",
    "lateness of the other way after", "length of the other way after", "until the other way",
)  # fmt: skip
"""What is known of a cell. Lateness: of a slot's first cell, after the clock. Length: from its first cell to its last.
The turn of a place: by how much it is another one than that of the same link's cell before. The other way: what the
server sends in a slot in which a client does, and what clients send where the server does."""
OF_LINKS: Final = ("mean", "spread", "at 0.1", "at 0.5", "at 0.9", "at 0.99")


def names() -> tuple[str, ...]:
    """Of the columns of `table`."""
    return tuple(f"{what} {way}, {how}" for way in ("up", "down") for what in OF_CELLS for how in OF_LINKS)


def table(flows: Sequence[Flow], slot: float) -> Floats:
    """(N, len(names())) numbers of links, all of which were there at the same time. `slot`: seconds of the clock."""
    link = np.repeat(np.arange(len(flows)), [len(flow) for flow in flows])
    times = np.concatenate([flow.times for flow in flows]) if len(link) else np.zeros(0)
    ways = np.concatenate([flow.ways for flow in flows]) if len(link) else np.zeros(0, np.int8)
    found = np.zeros((len(flows), 2, len(OF_CELLS), len(OF_LINKS)))
    if not len(times):
        return found.reshape(len(flows), len(names()))
    times = times - times.min()
    # The clock: cells come soon after a slot begins, so that what is opposite to their mean lies between two slots.
    usual = float(np.angle(np.exp(2j * np.pi * times / slot).mean()) / (2 * np.pi)) * slot
    times = times - (usual - slot / 2) + slot
    slots = int(times.max() // slot) + 3
    sides = [_Side(times[rows], slot, slots) for rows in (ways > 0, ways < 0)]
    for number, rows in enumerate((ways > 0, ways < 0)):
        if rows.any():
            cells = _of_cells(sides[number], sides[1 - number], link[rows])
            found[:, number] = _of_links(cells, link[rows], len(flows))
    return found.reshape(len(flows), len(names()))


class _Side:
    """All cells of one way, and the slots in which they are: when in it the first came, and the last."""

    def __init__(self, times: Floats, slot: float, slots: int) -> None:
        self.times = times
        self.slot = (times // slot).astype(np.int64)
        self.late = times - self.slot * slot
        self.count = np.bincount(self.slot, minlength=slots)
        first, last = np.full(slots, np.inf), np.full(slots, -np.inf)
        np.minimum.at(first, self.slot, self.late)
        np.maximum.at(last, self.slot, self.late)
        there = self.count > 0
        middle = float(np.median(first[there])) if there.any() else 0.0
        self.first = np.where(there, first, middle)  # nothing is known of an empty slot
        self.length = np.where(there, last - self.first, 0.0)


def _of_cells(own: _Side, other: _Side, link: NDArray[np.intp]) -> Floats:
    """(cells, len(OF_CELLS))."""
    count = len(own.times)
    order = np.argsort(own.times, kind="stable")
    times, slot = own.times[order], own.slot[order]
    new = np.concatenate([[True], slot[1:] != slot[:-1]])
    begins = np.maximum.accumulate(np.where(new, np.arange(count), 0))
    gaps = np.diff(times)
    before = np.where(new, 0.0, np.concatenate([[0.0], gaps]))
    after = np.where(np.concatenate([new[1:], [True]]), 0.0, np.concatenate([gaps, [0.0]]))
    place = (np.arange(count) - begins) / np.maximum(own.count[slot] - 1, 1)
    turn = np.zeros(count)
    mine = np.argsort(link[order], kind="stable")
    same = link[order][mine][1:] == link[order][mine][:-1]
    turn[mine[1:]] = np.where(same, np.abs(np.diff(place[mine])), 0.0)
    there = np.concatenate([np.sort(other.times), [np.inf]])
    until = there[np.searchsorted(there, times)] - times
    until[~np.isfinite(until)] = 0.0
    found = np.empty((count, len(OF_CELLS)))
    found[order] = np.stack(
        [
            before, after, times - times[begins], place, turn, own.first[slot], own.first[slot - 1],
            own.first[slot + 1], own.length[slot], own.length[slot - 1], own.length[slot + 1], other.first[slot],
            other.length[slot], other.first[slot + 1], other.length[slot + 1], until,
        ],
        axis=1,
    )  # fmt: skip
    return found


def _of_links(cells: Floats, link: NDArray[np.intp], links: int) -> Floats:
    """(links, len(OF_CELLS), len(OF_LINKS)); zeros for a link without cells."""
    found = np.zeros((links, len(OF_CELLS), len(OF_LINKS)))
    order = np.argsort(link, kind="stable")
    bounds = np.searchsorted(link[order], np.arange(links + 1))
    for number in range(links):
        rows = cells[order[bounds[number] : bounds[number + 1]]]
        if len(rows):
            quantiles = np.quantile(rows, (0.1, 0.5, 0.9, 0.99), axis=0)
            found[number] = np.stack([rows.mean(0), rows.std(0), *quantiles], axis=1)
    return found
