"""Is the owner of a link a member of a room, whose messages' times and sizes the watcher knows?

After Bahramali, Soltani, Houmansadr, Goeckel and Towsley, "Practical traffic analysis attacks on secure messaging
applications" (NDSS 2020). The event-based detector joins records that are close in time to events and counts which of
the room's messages have an event of the right size at the right time; the shape-based one correlates the traffic in
bins of time with what the room's would look like. Both thresholds are set by links of non-members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from quietwire.lab.correlation.sight import Array, Side

APART = 0.02
"""Seconds: records closer than this are one event. A message is one record here, so little is to be joined, and what
is joined wrongly has the wrong size."""


@dataclass(frozen=True)
class Room:
    """What the watcher knows of it, being a member or watching one: when the server sent each message out, its size."""

    at: Array
    sizes: Array


@dataclass(frozen=True)
class Rule:
    """When an event counts for a message of the room: a delay between `early` and `late`, a growth between `less` and
    `more` bytes."""

    early: float
    late: float
    less: float
    more: float


def learn(delays: Array, growths: Array) -> Rule:
    """A rule that 98 % of the pairs of known members follow in each respect."""
    early, late = np.quantile(delays, [0.01, 0.99])
    less, more = np.quantile(growths, [0.01, 0.99])
    return Rule(float(early) - 0.001, float(late) + 0.001, float(less) - 1, float(more) + 1)


def events(side: Side) -> tuple[NDArray[np.int32], Array, Array]:
    """Links, times of the first record, bytes: of each event, by link, then time."""
    order = np.lexsort((side.times, side.link))
    link, times, sizes = side.link[order], side.times[order], side.sizes[order].astype(np.float64)
    new = np.ones(len(link), bool)
    new[1:] = (link[1:] != link[:-1]) | (np.diff(times) > APART)
    first = np.flatnonzero(new)
    total = np.add.reduceat(sizes, first) if len(first) else sizes
    return link[first], times[first], total


def by_events(room: Room, side: Side, rule: Rule) -> Array:
    """(links,): share of the room's messages that an event can have been."""
    link, times, sizes = events(side)
    order = np.argsort(times, kind="stable")
    link, times, sizes = link[order], times[order], sizes[order]
    begin = np.searchsorted(times, room.at + rule.early)
    end = np.searchsorted(times, room.at + rule.late, side="right")
    count = np.zeros(side.links)
    for number, (first, last) in enumerate(zip(begin, end, strict=True)):
        grown = sizes[first:last] - room.sizes[number]
        fits = (grown >= rule.less) & (grown <= rule.more)
        count[np.unique(link[first:last][fits])] += 1
    return count / max(1, len(room.at))


def by_shape(room: Room, side: Side, rule: Rule, seconds: float) -> Array:
    """(links,): correlation of bytes in bins with the room's, each message of which is spread over its delays."""
    width = max((rule.late - rule.early) / 2, seconds / 4096, 0.05)
    bins = int(np.ceil((seconds + rule.late) / width)) + 1
    expected = np.zeros(bins)
    for step in np.linspace(rule.early, rule.late, 5):
        place = np.clip(((room.at + step) / width).astype(np.int64), 0, bins - 1)
        np.add.at(expected, place, room.sizes / 5)
    expected -= expected.mean()
    place = np.clip((side.times / width).astype(np.int64), 0, bins - 1)
    weights = side.sizes.astype(np.float64)
    products = np.bincount(side.link, weights * expected[place], side.links)
    # Sum over bins of the square of the bytes, and of the bytes, of each link.
    filled, where = np.unique(side.link.astype(np.int64) * bins + place, return_inverse=True)
    in_bin = np.bincount(where, weights) if len(filled) else np.zeros(0)
    squares = np.bincount(filled // bins, in_bin**2, side.links)
    total = np.bincount(side.link, weights, side.links)
    deviation = np.sqrt(np.maximum(squares - total**2 / bins, 1e-9))
    return np.asarray(products / deviation / np.sqrt(max((expected**2).sum(), 1e-9)), np.float64)


def expected_hits(messages: int, met: float, chance: float, false: float) -> tuple[float, float]:
    """True and false positives of the event-based detector in closed form: a member's messages are met with
    probability `met`, a stranger's with `chance`, each for itself. The lowest whole threshold with at most `false`
    false ones; for strangers who come by chance with Poisson events at rate r in w seconds, chance = 1 - exp(-rw)."""
    counts = np.arange(messages + 2)
    wrong = binom.sf(counts - 1, messages, chance)
    threshold = int(np.argmax(wrong <= false))
    return float(binom.sf(threshold - 1, messages, met)), float(wrong[threshold])
