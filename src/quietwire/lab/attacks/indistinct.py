"""Can anybody tell? Two sets of whole sessions, and a classifier that tries to say which set one is of.

A two-sample test by a classifier (Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017): each
session is judged by models that have not seen it, and the area under the ROC is 0.5 where there is nothing to see. What
finds nothing proves nothing, so the same is done with leaks planted in the sessions at hand: cells late by 1 ms, cells
longer by a byte.

The interval of the area is about 0.5 +- 0.57 / sqrt(sessions of one set / 2): with 250 each it is 0.05 wide to either
side, so that half of all perfect links would fail; with 1,000 each 97 of a hundred pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from quietwire.lab import figures
from quietwire.lab.attacks import among, sessions
from quietwire.lab.attacks.models import Ranks
from quietwire.lab.figures import Estimate, Figure
from quietwire.lab.flows import Flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Sides = tuple[Sequence[Flow], Sequence[Flow]]
"""The two sets of one capture."""

BOUND: Final = 0.55
"""The upper bound of the area at most, for "cannot tell" (DESIGN §8)."""
FOUND: Final = 0.55
"""The lower bound of the area that a planted leak must at least reach."""
LINKS: Final = 500
"""Sessions at least, both sets together."""
FOLDS: Final = 5
MILLISECOND: Final = 0.001
SLOT: Final = 0.05
"""Seconds of the clock that all steady links keep."""


@dataclass(frozen=True)
class Told:
    """How well two sets are told apart: area under the ROC with its interval, sessions, and the best feature."""

    area: Estimate
    sessions: int
    best: str


@dataclass(frozen=True)
class Verdict:
    """`late` and `longer`: the same test with leaks planted in one half of the first set, against the other half."""

    between: Told
    late: Told
    longer: Told

    @property
    def enough(self) -> bool:
        return self.between.sessions >= LINKS

    @property
    def sees(self) -> bool:
        """Both planted leaks were found."""
        return min(self.late.area.low, self.longer.area.low) > FOUND

    @property
    def passed(self) -> bool:
        return self.between.area.high <= BOUND and self.sees and self.enough


def compare(left: Sequence[Flow], right: Sequence[Flow], *, slot: float = SLOT, seed: int = 1) -> Verdict:
    """Compares two sets of whole sessions, ten of each at least. Raises ValueError for fewer."""
    return compare_captures([(left, right)], slot=slot, seed=seed, together=False)


def compare_captures(
    captures: Sequence[Sides], *, slot: float = SLOT, seed: int = 1, together: bool = True
) -> Verdict:  # fmt: skip
    """The same for one or more captures. `together`: all links of a capture were there at the same time, and where each
    stands among the others is looked at too."""
    generator = np.random.default_rng([seed, 21])
    between = tell_captures(captures, slot=slot, seed=seed, together=together)
    # Leaks are planted in sessions of both sets: as many as the comparison has.
    halves = []
    for left, right in captures:
        mixed = [*left, *right]
        order = generator.permutation(len(mixed))
        bare = [mixed[row] for row in order[: len(mixed) // 2]]
        halves.append((bare, [mixed[row] for row in order[len(mixed) // 2 :]]))
    late = [(bare, sessions.late(leaky, MILLISECOND, generator)) for bare, leaky in halves]
    longer = [(bare, sessions.longer(leaky, 1, generator)) for bare, leaky in halves]
    return Verdict(
        between,
        tell_captures(late, slot=slot, seed=seed, together=together),
        tell_captures(longer, slot=slot, seed=seed, together=together),
    )


def tell(left: Sequence[Flow], right: Sequence[Flow], *, slot: float = SLOT, seed: int = 1) -> Told:
    """How well a classifier tells one set from the other. Raises ValueError for less than ten sessions in one."""
    return tell_captures([(left, right)], slot=slot, seed=seed, together=False)


def tell_captures(
    captures: Sequence[Sides], *, slot: float = SLOT, seed: int = 1, together: bool = True
) -> Told:  # fmt: skip
    """The same for one or more captures: see `compare_captures`."""
    lefts, rights = (sum(len(sides[side]) for sides in captures) for side in (0, 1))
    if min(lefts, rights) < 10:
        raise ValueError(f"{lefts} and {rights} sessions: ten of each at least, {LINKS} together to prove anything")
    names = sessions.names() + (among.names() if together else ())
    tables = []
    for left, right in captures:
        everything = [*left, *right]
        table = sessions.table(everything, slot)
        table = np.concatenate([table, among.table(everything, slot)], axis=1) if together else table
        # What another day does to all links alike is nothing to learn from.
        tables.append(table if len(captures) == 1 else rankdata(table, axis=0) / len(table))
    features = np.concatenate(tables)
    labels = np.concatenate([np.repeat([0, 1], [len(left), len(right)]) for left, right in captures])
    strata = np.repeat(np.arange(len(captures)), [len(left) + len(right) for left, right in captures])
    scores = crossed(features, labels, seed, strata=strata)
    users = np.arange(len(labels))
    area = figures.bootstrap(users, lambda rows: auc(labels[rows], scores[rows]), seed=seed, rounds=figures.ROUNDS)
    return Told(area, len(labels), _best(features, labels, names))


def auc(labels: Ints, scores: Floats) -> float:
    """The area under the ROC: Mann and Whitney's statistic."""
    ones = int(labels.sum())
    if not 0 < ones < len(labels):
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(labels) - ones)))


def crossed(features: Floats, labels: Ints, seed: int, seeds: int = 2, strata: Ints | None = None) -> Floats:
    """A score for each session by models that have not seen it: ranks within its fold, the mean over `seeds`.

    In each fold the training part chooses the model by folds of its own. `strata`: numbers of captures, say. Each class
    of each is as common in every fold: else who recognises a capture has learnt which class more of it is left of in
    what is held out, the wrong way round.
    """
    total = np.zeros(len(labels))
    strata = np.zeros(len(labels), np.int64) if strata is None else strata
    for number in range(seeds):
        generator = np.random.default_rng([seed, number, 22])
        folds = _folds(labels, strata, FOLDS, generator)
        for fold in range(FOLDS):
            train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            score = _scores(features[train], labels[train], strata[train], features[held], seed + number)
            total[held] += (rankdata(score) - 0.5) / len(held)
    return total / seeds


def _folds(labels: Ints, strata: Ints, count: int, generator: np.random.Generator) -> Ints:
    """Numbers of folds, each class of each stratum as common in each."""
    found = np.empty(len(labels), np.int64)
    for one in (0, 1):
        begin = 0
        for stratum in np.unique(strata):
            rows = generator.permutation(np.flatnonzero((labels == one) & (strata == stratum)))
            found[rows] = (np.arange(len(rows)) + begin) % count
            begin += len(rows)
    return found


def _candidates(seed: int) -> list[Any]:
    return [
        LogisticRegression(C=0.03, max_iter=200),
        HistGradientBoostingClassifier(
            max_iter=40, learning_rate=0.1, max_leaf_nodes=6, min_samples_leaf=10, l2_regularization=1.0,
            early_stopping=False, random_state=seed,
        ),
        RandomForestClassifier(60, min_samples_leaf=4, random_state=seed),
    ]  # fmt: skip


def _scores(train: Floats, labels: Ints, strata: Ints, held: Floats, seed: int) -> Floats:
    """The candidate that does best on a third of the training part, trained on all of it."""
    scale = Ranks().fit(train)
    train, held = scale(train), scale(held)
    varying = np.ptp(train, axis=0) > 1e-9
    if not varying.any():
        return np.zeros(len(held))
    train, held = train[:, varying], held[:, varying]
    inner = _folds(labels, strata, 3, np.random.default_rng([seed, 23])) == 0
    best: tuple[float, Any] | None = None
    with threadpool_limits(1):
        for model in _candidates(seed):
            model.fit(train[~inner], labels[~inner])
            reached = auc(labels[inner], model.predict_proba(train[inner])[:, 1])
            if best is None or reached > best[0]:
                best = reached, model
        assert best is not None
        best[1].fit(train, labels)
        return np.asarray(best[1].predict_proba(held)[:, 1], np.float64)


def _best(features: Floats, labels: Ints, names: Sequence[str]) -> str:
    """The column that tells most by itself."""
    areas = [abs(auc(labels, features[:, column]) - 0.5) for column in range(features.shape[1])]
    return names[int(np.argmax(areas))]


def as_figures(found: Verdict, system: str, *, simulated: bool, note: str = "") -> list[Figure]:
    rows = (
        ("whether sessions can be told apart", found.between),
        ("whether sessions can be told apart, 1 ms planted", found.late),
        ("whether sessions can be told apart, a byte planted", found.longer),
    )
    return [
        Figure(
            "client-network", question, system, one.area.value, one.area.low, one.area.high, 0.5, 0.5, "area under ROC",
            simulated or one is not found.between,
            "; ".join(part for part in (note, f"{one.sessions} sessions", f"best feature: {one.best}") if part),
        )
        for question, one in rows
    ]  # fmt: skip
