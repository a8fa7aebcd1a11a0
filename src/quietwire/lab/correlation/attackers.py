"""Three ways to say which candidate gets what a sender sends. All have been trained on the same system.

The learner sees what the other two compute and more (features of the aligned pair), and chooses how to weigh it:
boosted trees and a logistic regression, whose log odds are added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from quietwire.lab.correlation.likelihood import Law, Likelihood, near
from quietwire.lab.correlation.sight import Array, Case, Watched, rates
from quietwire.lab.correlation.wavelet import Wavelet, bins

WRONG = 60
"""Other candidates of each known sender that a learner is shown."""
PLACES = np.linspace(0.05, 0.95, 10)
"""Quantiles of the delay that a sender's signal is spread over."""


class Attack(Protocol):
    @property
    def name(self) -> str: ...

    def scores(self, case: Case) -> Array:
        """(cuts, candidates): the higher, the likelier."""
        ...


class ByLikelihood:
    """Both directions of the candidates' links, as if they were independent."""

    name = "likelihood"

    def __init__(self, seen: Watched, down: Law, back: Law | None = None, known: Array | None = None) -> None:
        """`known`: rates of the candidates' links without the sender; else they are those that are seen."""
        self._channels = [Likelihood(down, seen.down, rates(seen.down, seen.seconds) if known is None else known)]
        if back is not None and seen.back is not None:
            self._channels.append(Likelihood(back, seen.back, rates(seen.back, seen.seconds)))

    def channels(self, case: Case) -> list[Array]:
        return [one.scores(case.at, case.sizes, case.cuts) for one in self._channels]

    def scores(self, case: Case) -> Array:
        return np.asarray(sum(self.channels(case)), np.float64)


class ByWavelet:
    """COLD on the links towards the candidates."""

    name = "wavelet"

    def __init__(self, seen: Watched, law: Law) -> None:
        """`law`: of which the delay is used."""
        delays = _quantiles(law)
        self.wavelet = Wavelet(seen.down, seen.seconds, bins(seen.seconds, delays[-1] - delays[0]), delays)

    def learn(self, known: Iterable[tuple[Case, Array]]) -> None:
        """Of known cases the correlations (candidates, scales) at the last cut."""
        right, wrong = [], []
        for case, found in known:
            right.append(found[case.right])
            wrong.append(np.delete(found, [case.right, case.own], axis=0))
        self.wavelet.learn(np.array(right), np.concatenate(wrong))

    def correlations(self, case: Case) -> Array:
        return self.wavelet.correlations(case.at, case.ends)

    def scores(self, case: Case) -> Array:
        return self.wavelet.scores(case.at, case.ends)


def _quantiles(law: Law) -> Array:
    mass = np.concatenate([[0.0], np.cumsum(law.density * np.diff(law.delay))])
    return np.asarray(np.interp(PLACES * mass[-1], mass, law.delay), np.float64)


class Features:
    """Of a sender and each candidate: what an alignment of their records shows."""

    def __init__(self, seen: Watched, down: Law, back: Law | None, known: Array | None = None) -> None:
        self.likelihood = ByLikelihood(seen, down, back, known)
        self.wavelet = ByWavelet(seen, down)
        self._side, self._law = seen.down, down
        self._rates = rates(seen.down, seen.seconds)
        self._reach = down.reach

    def of(self, case: Case) -> Array:
        """(cuts, candidates, features)."""
        side = self._side
        which, there = near(side.times, case.at, self._reach)
        width, parts = self._reach[1] - self._reach[0], []
        found = np.bincount(which * side.links + side.link[there], minlength=len(case.at) * side.links)
        found = found.reshape(len(case.at), side.links)
        rows = np.maximum(np.asarray(case.cuts), 1) - 1
        insides, mets = np.cumsum(found, axis=0)[rows], np.cumsum(found > 0, axis=0)[rows]
        channels = self.likelihood.channels(case)
        correlations = self.wavelet.correlations(case)
        for number, end in enumerate(case.ends):
            cut = max(case.cuts[number], 1)
            inside, met = insides[number], mets[number]
            total = np.bincount(side.link[: np.searchsorted(side.times, end + self._reach[1])], minlength=side.links)
            expected = self._rates * width * cut
            parts.append(
                np.column_stack(
                    [
                        *(np.maximum(channel[number], -1e3) for channel in channels),
                        *(np.maximum(channel[number], -1e3) / cut for channel in channels),
                        met / cut,
                        (inside - expected) / np.sqrt(expected + 1),
                        np.minimum(1.0, inside / (total + 1)),
                        np.log(self._rates + 1e-4),
                        np.log(total + 1.0) - np.log(cut),
                        np.full(side.links, np.log(cut)),
                        correlations[number],
                    ]
                )
            )
        return np.array(parts)


class ByLearning:
    """Features and models."""

    name = "learned"

    def __init__(self, features: Features) -> None:
        self._features = features
        self._models: list[Any] = []

    def learn(self, known: Iterable[tuple[Case, Array]], rng: np.random.Generator) -> None:
        """Of known cases their features, made on the world that they are of."""
        rows, labels = [], []
        for case, found in known:
            others = np.setdiff1d(np.arange(found.shape[1]), [case.right, case.own])
            chosen = np.append(case.right, rng.choice(others, min(WRONG, len(others)), replace=False))
            rows.append(found[:, chosen].reshape(-1, found.shape[2]))
            labels.append(np.tile(chosen == case.right, found.shape[0]))
        table, truth = np.concatenate(rows), np.concatenate(labels)
        seed = int(rng.integers(2**31))
        trees = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, learning_rate=0.1, l2_regularization=1.0, random_state=seed
        )
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, C=0.3))
        with threadpool_limits(1):  # threads that wait for each other on a busy machine take a hundred times as long
            self._models = [model.fit(table, truth) for model in (trees, linear)]

    def on(self, features: Features) -> ByLearning:
        """The same models on other links."""
        other = ByLearning(features)
        other._models = self._models
        return other

    def scores(self, case: Case) -> Array:
        found = self._features.of(case)
        flat = found.reshape(-1, found.shape[2])
        with threadpool_limits(1):
            odds = sum(np.asarray(model.decision_function(flat), np.float64) for model in self._models)
        return np.asarray(odds, np.float64).reshape(found.shape[:2])
