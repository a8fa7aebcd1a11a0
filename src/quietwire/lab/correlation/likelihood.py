"""An attacker who knows the law of the delays: the ratio of likelihoods, record by record.

A record of the sender at t, and the records y of a candidate's link, which without the sender come at rate r: if the
candidate is whom it went to, then one of them came from it, with the density f of the delay; if not, all are others'.
The ratio of the two likelihoods is sum f(y - t) / r, which is exact for Poisson users (Danezis, "The traffic analysis
of continuous-time mixes", PET 2004, gives it for many messages whose delays overlap). A share `miss` of the sender's
records goes elsewhere: miss + (1 - miss) · sum. Sizes multiply f by the probability of the growth, and r by that of
such a size. The logarithms of all records are added.

f is a histogram made of a run of which all is known, or given, as in the calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.sight import Array, Side

POINTS = 33
"""Quantiles of the delay that bins lie about."""
SHARP = 1e-4
"""Seconds: delays that are always the same get a bin of twice this."""
TAIL = 0.005
"""Of the delays at each end this share is given up: a window that held them all would hold too much else."""
STRONGEST = 1e6
"""No single record is believed more than this: a histogram of some thousand pairs cannot know more."""


@dataclass(frozen=True)
class Law:
    """From a sender's record to one on another link: delay and growth, as histograms."""

    delay: Array
    """Edges in seconds."""
    density: Array
    """Of each bin, a second."""
    growth: Array
    """Edges in bytes; none if sizes are not looked at."""
    share: Array
    """Of each bin of growth, the probability."""
    miss: float
    """Share of the sender's records that cause none there."""
    common: Array
    """Of each bin of delay, how common others' records are there, over what it would be if they came at any time: not
    1 where all leave at the same moments."""

    @property
    def reach(self) -> tuple[float, float]:
        return float(self.delay[0]), float(self.delay[-1])


def uniform_law(bound: float, miss: float = 0.0) -> Law:
    """Delays between 0 and `bound`, sizes that say nothing."""
    return Law(np.array([0.0, bound]), np.array([1 / bound]), np.zeros(0), np.ones(1), miss, np.ones(1))


def learn(delays: Array, growths: NDArray[np.int64], miss: float) -> Law:
    """The law of pairs that are known. At least one pair."""
    edges = _edges(delays, POINTS, SHARP)
    counts = np.histogram(delays, edges)[0] + 0.1
    by_size = _edges(growths.astype(np.float64), 9, 0.5)
    sizes = np.histogram(growths, by_size)[0] + 0.1
    return Law(edges, counts / counts.sum() / np.diff(edges), by_size, sizes / sizes.sum(), miss, np.ones(len(counts)))


def surrounded(law: Law, at: Array, side: Side, seconds: float) -> Law:
    """The same law, with what is common around unrelated records at `at`."""
    which, seen = near(side.times, at, law.reach)
    counts = np.histogram(side.times[seen] - at[which], law.delay)[0]
    flat = len(at) * len(side.times) / seconds * np.diff(law.delay)
    return replace(law, common=(counts + 1) / (flat + 1))


def _edges(values: Array, points: int, sharp: float) -> Array:
    marks = np.quantile(values, np.linspace(TAIL, 1 - TAIL, points))
    return np.unique(np.concatenate([marks - sharp, marks + sharp]))


def near(times: Array, at: Array, reach: tuple[float, float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs (index into `at`, index into ascending `times`) with a delay in reach."""
    begin = np.searchsorted(times, at + reach[0], side="left")
    number = np.maximum(0, np.searchsorted(times, at + reach[1], side="left") - begin)
    which = np.repeat(np.arange(len(at)), number)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(number) - number, number)
    return which, np.repeat(begin, number) + offset


class Likelihood:
    """One law, applied to one direction of all candidates' links."""

    def __init__(self, law: Law, side: Side, rates: Array) -> None:
        """`rates`: of each candidate's link, records a second as it would be without the sender."""
        self.law, self._side = law, side
        self._rates = np.maximum(rates, 1e-9)
        self._sizes = np.sort(side.sizes)

    def ratios(self, at: Array, sizes: NDArray[np.int32]) -> Array:
        """(records of the sender, candidates): logarithms of the ratios."""
        law, side = self.law, self._side
        which, seen = near(side.times, at, law.reach)
        lag = side.times[seen] - at[which]
        bins = np.clip(np.searchsorted(law.delay, lag, side="right") - 1, 0, len(law.density) - 1)
        weight = (law.density / law.common)[bins] / self._rates[side.link[seen]]
        if len(law.growth):
            grown = side.sizes[seen].astype(np.int64) - sizes[which]
            place = np.searchsorted(law.growth, grown, side="right") - 1
            fits = (place >= 0) & (place < len(law.share))
            place = np.clip(place, 0, len(law.share) - 1)
            weight = np.where(fits, weight * law.share[place] / self._common(sizes)[which, place], 0.0)
        total = np.bincount(which * side.links + side.link[seen], weight, len(at) * side.links)
        total = np.minimum(total, STRONGEST).reshape(len(at), side.links)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(law.miss + (1 - law.miss) * total), np.float64)

    def _common(self, sizes: NDArray[np.int32]) -> Array:
        """(records of the sender, bins of growth): how common a record of such a size is on all links."""
        below = np.searchsorted(self._sizes, sizes[:, None] + self.law.growth[None, :]) / max(1, len(self._sizes))
        return np.maximum(np.diff(below, axis=1), 1e-4)

    def scores(self, at: Array, sizes: NDArray[np.int32], cuts: Sequence[int]) -> Array:
        """(cuts, candidates): after the first so many records of the sender."""
        total = np.cumsum(np.concatenate([np.zeros((1, self._side.links)), self.ratios(at, sizes)]), axis=0)
        return np.asarray(total[np.asarray(cuts)], np.float64)
