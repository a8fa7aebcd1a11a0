"""From ranks to figures: first or among the first five of N, separation, and hits at a fixed rate of false alarms.

The right candidate is ranked among all others that were simulated, once. Among N it is first if none of those that are
better is among the N - 1 others: a draw without replacement, so that its probability is known for each N at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

Array = NDArray[np.float64]


def better(scores: Array, right: int, leave_out: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(cuts, candidates) -> of each cut, how many candidates come before the right one; equals in random order."""
    mine = scores[:, [right]]
    others = np.delete(scores, [right, leave_out], axis=1)
    equal = (others == mine).sum(axis=1)
    return np.asarray((others > mine).sum(axis=1) + rng.integers(0, equal + 1), np.int64)


def among_first(before: NDArray[np.int64], others: int, candidates: int, first: int) -> Array:
    """Of each rank (`before` so many of `others`) the probability to be one of the `first` of `candidates`."""
    return np.asarray(hypergeom.cdf(first - 1, others, before, candidates - 1), np.float64)


def separation(before: NDArray[np.int64], others: int) -> Array:
    """Of each rank the area under the ROC curve against all others."""
    return np.asarray(1 - before / others, np.float64)


def hits(right: Array, wrong: Array, false: float) -> NDArray[np.bool_]:
    """Which of the right pairs' scores are above the threshold that a share `false` of the wrong ones exceeds."""
    return np.asarray(right > np.quantile(wrong, 1 - false, method="higher"))
