"""What each profile makes of the writes of many links at once: the objects of `shaping/` as array operations.

Tests hold them against those objects, write by write and cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietwire.shaping.policy import SLOT, Policy, Profile

TAG = 16
"""Bytes of the authentication tag, which the record's length counts (RFC 8446 §5.2)."""


@dataclass(frozen=True)
class Writes:
    """What is put into the outboxes of links 0 to links-1, sorted by link, then by time. Sizes in bytes."""

    links: int
    link: NDArray[np.int32]
    at: NDArray[np.float64]
    size: NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """What a watcher sees of one direction of all links, in ascending order of time. Sizes as in record headers."""

    links: int
    times: NDArray[np.float64]
    link: NDArray[np.int32]
    sizes: NDArray[np.int32]


@dataclass(frozen=True)
class Shaped:
    side: Side
    left: NDArray[np.float64]
    """Of each write, as it was given: when its last byte left."""
    size: NDArray[np.int32]
    """Of each write: of the record that it left in."""


@dataclass(frozen=True)
class Streams:
    """The steady streams of links 0 to n-1: slot of the first, place in the tick, from and to which time each runs."""

    opened: NDArray[np.int64]
    phase: NDArray[np.int64]
    closed: NDArray[np.int64]
    """The slot after the last."""


def record(sizes: NDArray[np.int64], block: int = 0) -> NDArray[np.int32]:
    """Bytes of plaintext -> length in the record's header. `block`: of TLS record padding; 512k-1 bytes of plaintext
    become 512(k+1) with the OpenSSL that was measured, hence 2 and not 1 beside the type byte."""
    padded = -(-(sizes + 2) // block) * block if block else sizes + 1
    return (padded + TAG).astype(np.int32)


def shaped(
    writes: Writes,
    policy: Policy,
    uniform: NDArray[np.float64],
    streams: Streams | None = None,
    late: NDArray[np.float64] | None = None,
    each: float = 0.0,
) -> Shaped:
    """`uniform`: from 0 to 1, of each write, for `jitter`; `streams`, `late`, `each`: of `steady`, see there."""
    if policy.profile is Profile.JITTER:
        return jitter(writes, policy, uniform)
    if policy.profile is Profile.STEADY:
        assert streams is not None
        return steady(writes, policy, streams, late, each)
    block = policy.block if policy.profile is Profile.PADDED else 0
    sizes = record(writes.size, block)
    return Shaped(_side(writes.links, writes.at, writes.link, sizes), writes.at, sizes)


def jitter(writes: Writes, policy: Policy, uniform: NDArray[np.float64]) -> Shaped:
    """`shaping.jitter.Jitter` of every link. `uniform`: from 0 to 1, of each write."""
    at = writes.at + uniform * policy.delay
    if policy.batch:
        at = np.ceil(at / policy.batch) * policy.batch
    left = _never_before(writes.link, at)
    # What leaves a link at one moment is one write.
    new = np.ones(len(left), bool)
    new[1:] = (writes.link[1:] != writes.link[:-1]) | (left[1:] != left[:-1])
    first = np.flatnonzero(new)
    sizes = record(np.add.reduceat(writes.size, first) if len(first) else writes.size)
    return Shaped(_side(writes.links, left[first], writes.link[first], sizes), left, sizes[np.cumsum(new) - 1])


def _never_before(link: NDArray[np.int32], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The running maximum inside each link, by comparing ranks: sums with an offset would lose digits."""
    if not len(at):
        return at
    order = np.argsort(at, kind="stable")
    rank = np.empty(len(at), np.int64)
    rank[order] = np.arange(len(at))
    highest = np.maximum.accumulate(rank + link.astype(np.int64) * len(at)) % len(at)
    return np.asarray(at[order][highest], np.float64)


def due(policy: Policy, opened: int, phase: int, closed: int) -> NDArray[np.int64]:
    """The slots in which `shaping.schedule.Schedule(policy, opened, phase)` writes, from max(opened, 0) + 1 on."""
    slow, fast = policy.slots(policy.tick), policy.slots(policy.fast_tick)
    window, bulk = policy.slots(policy.window), policy.slots(policy.bulk_every)
    phase %= slow
    start = max(opened, 0) + 1
    base = start + (phase - start) % slow
    parts = [np.arange(base, closed, slow)]
    begins = range(opened + max(0, (start - opened - window) // bulk * bulk), closed, bulk) if bulk else (opened,)
    for begin in begins:
        first = max(begin, start)
        parts.append(np.arange(first + (phase - first) % fast, min(begin + window, closed), fast))
    return np.unique(np.concatenate(parts)) if len(parts) > 1 else parts[0]


def steady(
    writes: Writes, policy: Policy, streams: Streams, late: NDArray[np.float64] | None = None, each: float = 0.0
) -> Shaped:
    """`shaping.steady.Steady` and its `Pacemaker` for every link.

    A cell is filled at the end of the slot before its own. With A(k) bytes put before the filling of cell k, D(k) =
    min(A(k), D(k-1) + cell) bytes have left after it: D(k) = cell·k + min(cell, min over j <= k of A(j) - cell·j).
    What does not leave before the link closes has `left` infinite.

    `late`: of each slot, seconds by which the beat is late, the same for every link; `each`: seconds that one write
    takes, since streams are served in a fixed order.
    """
    bounds = np.searchsorted(writes.link, np.arange(writes.links + 1))
    left = np.full(len(writes.at), np.inf)
    slots, links = [], []
    for link in range(writes.links):
        cells = due(policy, int(streams.opened[link]), int(streams.phase[link]), int(streams.closed[link]))
        slots.append(cells)
        links.append(np.full(len(cells), link, np.int32))
        begin, end = bounds[link], bounds[link + 1]
        if begin == end or not len(cells):
            continue
        ends = np.cumsum(writes.size[begin:end])
        before = np.searchsorted(writes.at[begin:end], (cells - 1) * SLOT, side="right")
        there = np.concatenate([[0], ends])[before]
        steps = np.arange(len(cells)) * policy.cell
        gone = steps + np.minimum(policy.cell, np.minimum.accumulate(there - steps))
        which = np.searchsorted(gone, ends)
        done = which < len(cells)
        left[begin:end][done] = cells[which[done]] * SLOT
    slot = np.concatenate(slots) if slots else np.zeros(0, np.int64)
    link_of = np.concatenate(links) if links else np.zeros(0, np.int32)
    order = np.lexsort((link_of, slot))
    slot, link_of = slot[order], link_of[order]
    times = np.asarray(slot * SLOT, np.float64)
    if late is not None:
        times = times + late[np.minimum(slot, len(late) - 1)]
    if each:
        fresh = np.flatnonzero(np.diff(slot, prepend=-1))
        times = times + each * (np.arange(len(slot)) - np.repeat(fresh, np.diff(fresh, append=len(slot))))
    size = record(np.array([policy.cell]))[0]
    side = _side(writes.links, times, link_of, np.full(len(slot), size, np.int32))
    return Shaped(side, left, np.full(len(left), size, np.int32))


def _side(links: int, times: NDArray[np.float64], link: NDArray[np.int32], sizes: NDArray[np.int32]) -> Side:
    order = np.argsort(times, kind="stable")
    return Side(links, times[order], link[order], sizes[order])
