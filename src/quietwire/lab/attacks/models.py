"""Classifiers that an attacker chooses from, on people it keeps apart for this; and who is held out.

Gradient-boosted trees; nearest neighbours by the leaves of a random forest (Hayes and Danezis, "k-fingerprinting",
USENIX Security 2016); a small network. One core trains all three in less than a minute; more threads would be no
faster where others compute too, and sums of several threads are not the same each time.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LARGEST: Final = 12_000
"""Rows to train with: more cost minutes and change the second digit."""


class Classifier(Protocol):
    """`classes` are numbers 0 to C-1, all of which occur when it is trained."""

    def fit(self, features: Floats, labels: Ints, seed: int) -> None: ...

    def chances(self, features: Floats) -> Floats:
        """(N, C) of each class, as if all were equally common."""
        ...


class Trees:
    """Gradient-boosted trees, classes weighted alike."""

    name = "trees"

    def __init__(self, rounds: int = 60) -> None:
        self._rounds = rounds
        self._model: Any = None

    def fit(self, features: Floats, labels: Ints, seed: int) -> None:
        model = HistGradientBoostingClassifier(
            max_iter=self._rounds, learning_rate=0.12, max_leaf_nodes=15, min_samples_leaf=10, l2_regularization=1.0,
            early_stopping=False, class_weight="balanced", random_state=seed,
        )  # fmt: skip
        with threadpool_limits(1):
            self._model = model.fit(features, labels)

    def chances(self, features: Floats) -> Floats:
        with threadpool_limits(1):
            return np.asarray(self._model.predict_proba(features), np.float64)


class Neighbours:
    """Who shares most leaves of a random forest."""

    name = "neighbours"

    def __init__(self, trees: int = 80, nearest: int = 6, rows: int = 6000) -> None:
        self._trees = trees
        self._nearest = nearest
        self._rows = rows
        self._forest: Any = None
        self._leaves: NDArray[np.int32] = np.empty((0, 0), np.int32)
        self._votes: Floats = np.empty((0, 0))

    def fit(self, features: Floats, labels: Ints, seed: int) -> None:
        kept = _at_most(labels, self._rows, seed)
        features, labels = features[kept], labels[kept]
        self._forest = RandomForestClassifier(
            self._trees, class_weight="balanced_subsample", min_samples_leaf=2, random_state=seed
        ).fit(features, labels)
        self._leaves = self._forest.apply(features).astype(np.int32)
        self._votes = np.eye(labels.max() + 1)[labels] / np.bincount(labels)

    def chances(self, features: Floats) -> Floats:
        leaves = self._forest.apply(features).astype(np.int32)
        found = np.empty((len(leaves), self._votes.shape[1]))
        nearest = min(self._nearest, len(self._leaves))
        for begin in range(0, len(leaves), 64):  # 64 rows against all: what fits a cache
            some = leaves[begin : begin + 64]
            same = np.zeros((len(some), len(self._leaves)), np.int16)
            for tree in range(some.shape[1]):
                same += some[:, tree, None] == self._leaves[None, :, tree]
            closest = np.argpartition(-same, nearest - 1, axis=1)[:, :nearest]
            found[begin : begin + 64] = self._votes[closest].sum(1)
        # A hair of the forest's own opinion parts equals.
        found += 1e-3 * found.sum(1, keepdims=True) * self._forest.predict_proba(features)
        return np.asarray(found / found.sum(1, keepdims=True), np.float64)


class Forest:
    """A random forest to the last sample: for few rows, of which nearest neighbours and boosting want more."""

    name = "forest"

    def __init__(self, trees: int = 300) -> None:
        self._forest = RandomForestClassifier(trees, class_weight="balanced_subsample")

    def fit(self, features: Floats, labels: Ints, seed: int) -> None:
        self._forest.set_params(random_state=seed).fit(features, labels)

    def chances(self, features: Floats) -> Floats:
        return np.asarray(self._forest.predict_proba(features), np.float64)


class Network:
    """One hidden layer, on ranks of values: sizes and gaps reach over many orders of magnitude."""

    name = "network"

    def __init__(self, width: int = 64, rows: int = 8000) -> None:
        self._width = width
        self._rows = rows
        self._model: Any = None
        self._scale = Ranks()

    def fit(self, features: Floats, labels: Ints, seed: int) -> None:
        rows = _balanced(labels, self._rows, seed)
        scaled = self._scale.fit(features)
        self._model = MLPClassifier(
            (self._width,), alpha=1e-3, batch_size=128, max_iter=40, n_iter_no_change=5, tol=1e-3, random_state=seed,
            learning_rate_init=3e-3,
        )  # fmt: skip
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # that it could go on learning is no news
            self._model.fit(scaled(features[rows]), labels[rows])

    def chances(self, features: Floats) -> Floats:
        return np.asarray(self._model.predict_proba(self._scale(features)), np.float64)


class Ranks:
    """Each value by its place among those of training, -1 to 1, and constant columns 0."""

    def __init__(self, places: int = 101) -> None:
        self._places = np.linspace(0, 1, places)
        self._edges: Floats = np.empty((0, 0))

    def fit(self, features: Floats) -> Ranks:
        self._edges = np.quantile(features, self._places, axis=0)
        return self

    def __call__(self, features: Floats) -> Floats:
        found = np.empty_like(features)
        for column in range(features.shape[1]):
            edges = self._edges[:, column]
            # The middle of the places that equal values take.
            low = np.searchsorted(edges, features[:, column], side="left")
            high = np.searchsorted(edges, features[:, column], side="right")
            inner = np.interp(features[:, column], edges, self._places)
            middle = (low + high) / 2 / len(edges)
            found[:, column] = np.where(high > low, middle, inner) * 2 - 1
        return found


def models() -> list[Any]:
    return [Trees(), Neighbours(), Network()]


def _at_most(labels: Ints, rows: int, seed: int) -> NDArray[np.intp]:
    """Rows of training, fewer of common classes, all of rare ones."""
    if len(labels) <= rows:
        return np.arange(len(labels))
    generator = np.random.default_rng(seed)
    counts = np.bincount(labels)
    # The largest number of each class with which the sum stays within bounds.
    each = rows // max(1, len(counts))
    while np.minimum(counts, each).sum() < rows:
        each += max(1, each // 10)
    kept = [generator.permutation(np.flatnonzero(labels == one))[:each] for one in range(len(counts))]
    return np.sort(np.concatenate(kept))


def _balanced(labels: Ints, rows: int, seed: int) -> NDArray[np.intp]:
    """As many rows of each class, drawn again where it has fewer."""
    generator = np.random.default_rng(seed)
    classes = np.unique(labels)
    each = min(rows // len(classes), int(np.bincount(labels).max()))
    found = []
    for one in classes:
        of_class = np.flatnonzero(labels == one)
        found.append(generator.choice(of_class, each, replace=len(of_class) < each))
    return np.concatenate(found)


class Split(NamedTuple):
    """Rows to train with, to choose with, and held out. No group is in two of them."""

    train: Flags
    choose: Flags
    held_out: Flags


def split(
    groups: Ints, seed: int, shares: tuple[float, float] = (0.2, 0.3), strata: NDArray[Any] | None = None
) -> Split:
    """Parts whole groups (users), `shares` of which choose and are held out: at least one each. `strata`: a value a
    row, each of which is to be in all parts, as far as there is enough of it. Raises ValueError for less than three
    groups."""
    found = np.unique(groups)
    if len(found) < 3:
        raise ValueError(f"{len(found)} users: to train, to choose and to hold out take three at least")
    mixed = np.random.default_rng([seed, 77]).permutation(found)
    if strata is not None:
        mixed = _dealt(mixed, groups, strata)
    choose = max(1, round(shares[0] * len(found)))
    held = max(1, round(shares[1] * len(found)))
    return Split(
        np.isin(groups, mixed[choose + held :]),
        np.isin(groups, mixed[:choose]),
        np.isin(groups, mixed[choose : choose + held]),
    )


def _dealt(groups: Ints, of_rows: Ints, strata: NDArray[Any]) -> Ints:
    """The groups in such an order that each stratum is spread evenly over it; a group is in that of its first row."""
    known, first = np.unique(of_rows, return_index=True)
    stratum = strata[first][np.searchsorted(known, groups)]
    place = np.empty(len(groups))
    for one in np.unique(stratum):
        mine = np.flatnonzero(stratum == one)
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return groups[np.argsort(place, kind="stable")]


@dataclass(frozen=True)
class Chosen:
    """The best model, and what each reached on those who choose: balanced accuracy."""

    model: Any
    present: Ints
    """The classes that occurred in training."""
    classes: int
    reached: Mapping[str, float]

    def chances(self, features: Floats) -> Floats:
        """(N, classes); 0 for a class that it was never shown."""
        found = np.zeros((len(features), self.classes))
        if len(features):
            found[:, self.present] = self.model.chances(features)
        return found


def chosen(
    features: Floats, labels: Ints, parts: Split, seed: int, candidates: Sequence[Any] | None = None
) -> Chosen:  # fmt: skip
    """Trains all candidates on `parts.train` and takes the one that does best on `parts.choose`. The rows of
    `parts.held_out` are not looked at."""
    train = np.flatnonzero(parts.train)
    train = train[_at_most(labels[train], LARGEST, seed)]
    present, known = np.unique(labels[train], return_inverse=True)
    reached: dict[str, float] = {}
    best: Any = None
    for candidate in models() if candidates is None else candidates:
        candidate.fit(features[train], known, seed)
        guessed = present[candidate.chances(features[parts.choose]).argmax(1)]
        reached[candidate.name] = accuracy(labels[parts.choose], guessed)
        if best is None or reached[candidate.name] > reached[best.name]:
            best = candidate
    return Chosen(best, present, int(labels.max()) + 1, reached)


def accuracy(labels: Ints, guessed: NDArray[np.intp]) -> float:
    """Balanced: the mean recall of the classes that occur."""
    return float(np.mean([np.mean(guessed[labels == one] == one) for one in np.unique(labels)])) if len(labels) else 0.0


ALIKE: Final = 0.9
"""Rank correlation from which on two columns tell the same."""


def importance(model: Chosen, features: Floats, labels: Ints, seed: int, rows: int = 400) -> Floats:
    """Balanced accuracy lost when a column is mixed, and with it all that tell the same, by column (Breiman, "Random
    Forests", 2001; together, since what stands in two columns would else seem to matter in neither)."""
    generator = np.random.default_rng(seed)
    kept = _at_most(labels, rows, seed)
    features, labels = features[kept], labels[kept]
    whole = accuracy(labels, model.chances(features).argmax(1))
    lost = np.zeros(features.shape[1])
    ranks = Ranks().fit(features)(features)
    ranks -= ranks.mean(0)
    length = np.sqrt((ranks**2).sum(0))
    varies = length > 1e-9
    alike = np.abs(ranks.T @ ranks) > ALIKE * np.outer(length, length)
    done: dict[tuple[int, ...], float] = {}
    for column in np.flatnonzero(varies):
        group = np.flatnonzero(alike[column] & varies)
        key = tuple(group.tolist())
        if key not in done:
            mixed = features.copy()
            mixed[:, group] = mixed[generator.permutation(len(mixed))][:, group]
            done[key] = whole - accuracy(labels, model.chances(mixed).argmax(1))
        lost[column] = done[key]
    return lost
