"""How many bits somebody learns: mutual information between a secret number and what is seen, from samples.

Two estimates that err on different sides. `saved`: a model of the secret's distribution given what is seen is trained,
and what counts is how many bits it saves on people held out; whatever the model, the expectation is no more than the
truth (Barber and Agakov, "The IM Algorithm", NIPS 2003). `about`: by distances to nearest neighbours, nearly without
bias (Kraskov, Stögbauer and Grassberger, "Estimating mutual information", 2004), less what it finds where there is
nothing, that is with the secret shuffled (Chothia and Guha, CSF 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_selection import mutual_info_regression
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHUFFLES: Final = 5


def edges(secret: Floats, bins: int) -> Floats:
    """Inner edges of bins that are about equally full; fewer where values repeat."""
    places = np.quantile(secret, np.linspace(0, 1, bins + 1)[1:-1])
    return np.unique(places)


def entropy(counts: Floats) -> float:
    """Bits, with Miller's correction."""
    total = counts.sum()
    p = counts[counts > 0] / total
    return float(-(p * np.log2(p)).sum() + (len(p) - 1) / (2 * total * np.log(2)))


def about(seen: Floats, secret: Floats, seed: int, shuffles: int = SHUFFLES, nearest: int = 4) -> float:
    """Bits that one of the columns of `seen` (N, F) shares with a whole number, the most of them; not under 0."""
    if not seen.shape[1]:
        return 0.0
    generator = np.random.default_rng(seed)
    # Whole numbers are spread over their unit, which says no more and no less than they do.
    whole = (seen == np.round(seen)).all(0)
    spread = seen + np.where(whole, generator.random(seen.shape), 0.0)
    most = []
    for number in range(shuffles + 1):
        right = secret if number == 0 else generator.permutation(secret)
        shared = mutual_info_regression(
            spread,
            right + generator.random(len(right)),
            n_neighbors=nearest,
            random_state=seed,
            discrete_features=False,
        )
        most.append(float(shared.max()) / np.log(2))
    return float(max(0.0, most[0] - np.mean(most[1:])))


@dataclass(frozen=True)
class Bins:
    """A partition of a number by inner edges."""

    edges: Floats

    def __call__(self, values: Floats) -> Ints:
        return np.searchsorted(self.edges, values, side="right").astype(np.int64)

    @property
    def count(self) -> int:
        return len(self.edges) + 1


class Tree:
    """A regression on everything that is seen, and how far it was off, near each of its guesses."""

    name = "regression"

    def fit(self, seen: Floats, secret: Floats, seed: int) -> None:
        half = np.random.default_rng(seed).random(len(secret)) < 0.6
        model: Any = HistGradientBoostingRegressor(
            max_iter=100, learning_rate=0.1, max_leaf_nodes=31, min_samples_leaf=8, random_state=seed,
            early_stopping=False,
        )  # fmt: skip
        with threadpool_limits(1):
            self._model = model.fit(seen[half], secret[half])
            guessed = self._model.predict(seen[~half])
        # Residuals among the nearest guesses: spread and shape may depend on where one is.
        order = np.argsort(guessed, kind="stable")
        self._guessed, self._off = guessed[order], (secret[~half] - guessed)[order]
        self._near = min(len(order), max(30, min(300, len(order) // 8)))

    def _around(self, seen: Floats) -> Floats:
        """(N, near) values that are about as likely each."""
        with threadpool_limits(1):
            guessed = self._model.predict(seen)
        middle = np.searchsorted(self._guessed, guessed)
        low = np.clip(middle - self._near // 2, 0, len(self._off) - self._near)
        return np.asarray(guessed[:, None] + self._off[low[:, None] + np.arange(self._near)], np.float64)

    def chances(self, seen: Floats, bins: Bins) -> Floats:
        places = bins(self._around(seen))
        counts = np.zeros((len(seen), bins.count))
        np.add.at(counts, (np.arange(len(seen))[:, None], places), 1)
        counts += 1.0 / bins.count
        return np.asarray(counts / counts.sum(1, keepdims=True), np.float64)

    def median(self, seen: Floats) -> Floats:
        return np.asarray(np.median(self._around(seen), axis=1), np.float64)


class Lookup:
    """How often each secret was there where the same was seen, in one column of it: exact sizes. What was seen rarely
    counts less than what is usual, by `prior` samples."""

    name = "lookup"

    def __init__(self, column: int, prior: float) -> None:
        self._column = column
        self._prior = prior

    def fit(self, seen: Floats, secret: Floats, seed: int) -> None:
        values = np.unique(seen[:, self._column])
        if len(values) <= 256:
            self._places = Bins((values[1:] + values[:-1]) / 2)
        else:  # too many to be seen twice: neighbours share a row
            self._places = Bins(edges(seen[:, self._column], 64))
        self._where = self._places(seen[:, self._column])
        self._secret = secret

    def chances(self, seen: Floats, bins: Bins) -> Floats:
        counts = np.zeros((self._places.count, bins.count))
        np.add.at(counts, (self._where, bins(self._secret)), 1)
        usual = counts.sum(0) + 0.5
        counts += self._prior * usual / usual.sum()
        return np.asarray((counts / counts.sum(1, keepdims=True))[self._places(seen[:, self._column])], np.float64)


class Near:
    """Secrets of those samples that are nearest in one column of what was seen."""

    name = "nearest"

    def __init__(self, column: int, nearest: int) -> None:
        self._column = column
        self._nearest = nearest

    def fit(self, seen: Floats, secret: Floats, seed: int) -> None:
        order = np.argsort(seen[:, self._column], kind="stable")
        self._seen, self._secret = seen[order, self._column], secret[order]

    def _ends(self, seen: Floats) -> tuple[Ints, Ints]:
        values = seen[:, self._column]
        # The middle of those that are equal, and as many to either side.
        left, right = np.searchsorted(self._seen, values), np.searchsorted(self._seen, values, side="right")
        half = np.maximum(self._nearest, right - left) / 2
        middle = (left + right) / 2
        low = np.clip(middle - half, 0, None).astype(np.int64)
        high = np.clip(middle + half, None, len(self._seen)).astype(np.int64)
        return low, np.maximum(high, low + 1)

    def median(self, seen: Floats) -> Floats:
        low, high = self._ends(seen)
        return np.array([np.median(self._secret[a:b]) for a, b in zip(low, high, strict=True)], np.float64)

    def chances(self, seen: Floats, bins: Bins) -> Floats:
        low, high = self._ends(seen)
        totals = np.zeros((len(self._secret) + 1, bins.count))
        totals[np.arange(1, len(totals)), bins(self._secret)] = 1
        totals = totals.cumsum(0)
        counts = totals[high] - totals[low] + 2.0 * totals[-1] / max(1, len(self._secret))
        counts += 1e-3
        return np.asarray(counts / counts.sum(1, keepdims=True), np.float64)


def saved(chances: Floats, secret: Ints, bins: int) -> Floats:
    """Bits that each sample's secret costs less with the model than its bare distribution among these samples. The
    mean is a lower estimate of the information."""
    counts = np.bincount(secret, minlength=bins).astype(np.float64)
    cost = -np.log2(chances[np.arange(len(secret)), secret].clip(1e-12))
    return np.asarray(entropy(counts) - cost, np.float64)
