"""Correlation of wavelet coefficients, as in COLD.

After Ilyas, Shafiq, Liu and Radha, "Who are you talking to? Breaching privacy in encrypted IM networks" (ICNP 2013):
the traffic of each link becomes a signal of records in bins of time, its Haar coefficients at each scale a vector, and
the correlation of the vectors of two links, weighted by scale, says how likely they talk. Here the weights are learnt:
by scale, how far the correlations of known pairs lie above those of others, over their variance (Fisher). The
transform is taken over blocks, so that the first blocks serve for the first messages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.sight import Array, Side

Coefficients = NDArray[np.float32]
SCALES = 6
BLOCK = 2**SCALES
MOST = 8192
"""Bins of a signal: 100 MB for 3,000 links."""


def bins(seconds: float, spread: float) -> float:
    """Width in seconds: a quarter of what delays differ by, no finer than `MOST` bins allow."""
    return max(spread / 4, seconds / MOST, 1e-3)


def haar(signals: Coefficients) -> Coefficients:
    """(…, blocks, BLOCK) -> the same shape: detail coefficients from the finest scale to the coarsest, then the mean's.
    Orthonormal (Mallat 1989)."""
    parts = []
    rest = signals
    for _ in range(SCALES):
        even, odd = rest[..., 0::2], rest[..., 1::2]
        parts.append((even - odd) / np.float32(np.sqrt(2)))
        rest = (even + odd) / np.float32(np.sqrt(2))
    return np.concatenate([*parts, rest], axis=-1)


def scale_of() -> NDArray[np.int64]:
    """Of each place in a block its scale; that of the mean counts with the coarsest."""
    scales = np.concatenate([np.full(BLOCK >> (scale + 1), scale) for scale in range(SCALES)])
    return np.append(scales, SCALES - 1)


def signals(side: Side, seconds: float, width: float) -> Coefficients:
    """(links, blocks, BLOCK): records in each bin, less the link's mean."""
    blocks = max(1, int(np.ceil(seconds / width / BLOCK)))
    place = np.floor(side.times / width).astype(np.int64)
    inside = (place >= 0) & (place < blocks * BLOCK)
    counts = np.zeros(side.links * blocks * BLOCK, np.float32)
    np.add.at(counts, side.link[inside] * (blocks * BLOCK) + place[inside], np.float32(1))
    found = counts.reshape(side.links, blocks, BLOCK)
    found -= found.mean(axis=(1, 2), keepdims=True)
    return found


class Wavelet:
    """Signals of one direction of all candidates' links, transformed once."""

    def __init__(self, side: Side, seconds: float, width: float, delays: Array) -> None:
        """`delays`: quantiles of the delay, over which the sender's signal is spread: where its records are expected
        on the candidate's link."""
        self._width, self._seconds, self._delays = width, seconds, delays
        self._theirs = haar(signals(side, seconds, width))
        place = scale_of()
        self._scales = [np.flatnonzero(place == scale) for scale in range(SCALES)]
        self._norms = self._sums(self._theirs**2)
        self.weights = np.ones(SCALES)

    def _sums(self, values: Coefficients) -> Array:
        """(links, blocks, BLOCK) -> (links, blocks, SCALES), summed over the blocks so far."""
        by_scale = np.stack([values[..., chosen].sum(-1) for chosen in self._scales], axis=-1)
        return np.cumsum(by_scale, axis=-2, dtype=np.float64)

    def correlations(self, at: Array, ends: Sequence[float]) -> Array:
        """(ends, candidates, SCALES): with the sender's records up to each of these moments, at least one block."""
        expected = _One((at[:, None] + self._delays).ravel())
        mine = haar(signals(expected, self._seconds, self._width))[0] / np.float32(len(self._delays))
        products = self._sums(self._theirs * mine)
        norms = self._sums((mine**2)[None])[0]
        blocks = np.clip(np.ceil(np.asarray(ends) / self._width / BLOCK).astype(np.int64), 1, products.shape[1]) - 1
        below = np.sqrt(self._norms[:, blocks] * norms[blocks]) + 1e-9
        return np.moveaxis(products[:, blocks] / below, 0, 1)

    def learn(self, right: Array, wrong: Array) -> None:
        """Weights from the correlations (pairs, SCALES) of known pairs and of others."""
        gap = np.maximum(right.mean(0) - wrong.mean(0), 0.0)
        self.weights = gap / (right.var(0) + wrong.var(0) + 1e-6) + 1e-9

    def scores(self, at: Array, ends: Sequence[float]) -> Array:
        """(ends, candidates)."""
        return np.asarray(self.correlations(at, ends) @ self.weights, np.float64)


class _One:
    """A single link's records."""

    def __init__(self, at: Array) -> None:
        self.links, self.times = 1, at
        self.link = np.zeros(len(at), np.int32)
        self.sizes = np.ones(len(at), np.int32)
