"""How many bits somebody learns: mutual information between a secret number and what is seen, from samples.

Two estimates that err on different sides. `saved`: a model of the secret's distribution given what is seen is trained,
and what counts is how many bits it saves on people held out; whatever the model, the expectation is no more than the
truth (Barber and Agakov, "The IM Algorithm", NIPS 2003). `about`: by distances to nearest neighbours, nearly without
bias (Kraskov, Stögbauer and Grassberger, "Estimating mutual information", 2004), less what it finds where there is
nothing, that is with the secret shuffled (Chothia and Guha, CSF 2011).
"""

from __future__ import annotations

import math
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


class Sum:
    """What is seen in one column is the text, encoded, and something which does not depend on it: envelopes for few or
    many devices, and what was merged with it, a receipt, an acknowledgement. How often each such remainder comes is
    learnt, and what is likely of the text follows by Bayes' rule."""

    name = "sum"

    WIDTHS: Final = (0.25, 1.0, 6.0, 50.0)
    """Of the kernels that spread a remainder, bytes: exact, near, unheard-of ones. Their shares are fitted."""
    NEAR: Final = 0.2
    """Of the kernel that spreads lengths, in their logarithm."""

    def __init__(self, column: int, encoded: str) -> None:
        """`encoded`: ``plain``, or ``base64``, as OMEMO has it."""
        self._column = column
        self._encoded = encoded

    def _long(self, secret: Floats) -> Floats:
        return np.ceil(secret / 3) * 4 if self._encoded == "base64" else secret

    def fit(self, seen: Floats, secret: Floats, seed: int) -> None:
        self._lengths = np.arange(1.0, max(2.0, secret.max() * 1.3) + 1)
        apart = (np.log(self._lengths)[:, None] - np.log(np.maximum(secret, 1.0))[None, :]) / self.NEAR
        prior = (np.exp(-(apart**2) / 2) / self._lengths[:, None]).sum(1) / len(secret)
        self._prior = prior / prior.sum() + 1e-3 / len(self._lengths)
        rest = np.round(seen[:, self._column] - self._long(secret))
        self._rest, self._counts = np.unique(rest, return_counts=True)
        self._shares = np.full(len(self.WIDTHS), 1 / len(self.WIDTHS))
        others = self._kernels(self._rest, leave_out=True)
        for _ in range(50):  # expectation, maximization
            part = others * self._shares + 1e-12
            self._shares = self._counts @ (part / part.sum(1, keepdims=True)) / len(rest)

    def _kernels(self, rest: Floats, leave_out: bool = False) -> Floats:
        """(N, kernels) chances of whole remainders; `leave_out`: one of each is not counted."""
        apart = rest[:, None] - self._rest[None, :]
        found = []
        for width in self.WIDTHS:
            reach = np.arange(-4 * math.ceil(width), 4 * math.ceil(width) + 1)
            whole = np.exp(-((reach / width) ** 2) / 2).sum()
            each = np.exp(-((apart / width) ** 2) / 2) @ self._counts - leave_out
            found.append(each / whole / max(1, self._counts.sum() - leave_out))
        return np.stack(found, 1)

    def _likely(self, seen: Floats) -> Floats:
        """(N, lengths), each row's sum is 1."""
        rest = np.round(seen[:, self._column])[:, None] - self._long(self._lengths)[None, :]
        values, where = np.unique(rest, return_inverse=True)
        density = self._kernels(values) @ self._shares + 1e-9
        joint = density[where].reshape(rest.shape) * self._prior
        return np.asarray(joint / joint.sum(1, keepdims=True), np.float64)

    def chances(self, seen: Floats, bins: Bins) -> Floats:
        likely = self._likely(seen)
        counts = likely @ np.eye(bins.count)[bins(self._lengths)] + 1e-3 / bins.count
        return np.asarray(counts / counts.sum(1, keepdims=True), np.float64)

    def median(self, seen: Floats) -> Floats:
        half = (self._likely(seen).cumsum(1) >= 0.5).argmax(1)
        return np.asarray(self._lengths[half], np.float64)


def saved(chances: Floats, secret: Ints, bins: int) -> Floats:
    """Bits that each sample's secret costs less with the model than its bare distribution among these samples. The
    mean is a lower estimate of the information."""
    counts = np.bincount(secret, minlength=bins).astype(np.float64)
    cost = -np.log2(chances[np.arange(len(secret)), secret].clip(1e-12))
    return np.asarray(entropy(counts) - cost, np.float64)
