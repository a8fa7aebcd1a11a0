"""Where is the recipient? From the times after which receipts come back, as who may write to somebody measures them.

Schnitzler, Kohls, Bitsikas and Pöpper, "Hope of Delivery: Extracting User Locations From Mobile Instant Messengers"
(NDSS 2023), told places apart with more than 80 % by the delays of delivery receipts. `of_probes`: from what people of
the test bed measured, whose taps make ways of several lengths. `measure`: simulated, where there is no such run: a road
of known length, and a last mile with a long tail; what shaping adds is its schedule, and every figure is marked so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from quietwire.lab import figures
from quietwire.lab.attacks import models
from quietwire.lab.attacks.models import Ranks
from quietwire.lab.attacks.probes import Probed
from quietwire.lab.attacks.told import Told
from quietwire.lab.figures import Figure, Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLACES: Final = {"same city": 20.0, "same country": 400.0, "same continent": 1500.0, "other continent": 8000.0}
"""Kilometres from the server."""
SPEED: Final = 200_000.0
"""Kilometres a second in glass."""
DETOUR: Final = 1.6
"""How much longer roads are than straight lines."""
LAST_MILE: Final = (0.012, 0.5)
"""Seconds, one way, the median, and the spread of its logarithm (one draw a message)."""
HOUSE: Final = (0.008, 0.6)
"""The same for what differs from one person's access to another's (one draw a person)."""
LEAD: Final = 0.2
"""Seconds by which a client's cell leaves before the server's band of cells reaches it, where both ends are ours."""
BAND: Final = 0.2
"""Seconds of the band in which the server's cells to clients leave. It hears such clients just before it, in turns."""
PROBES: Final = (1, 5, 20, 100)
MEASURED: Final = (1, 5, 13, 38)
"""The same of a run, whose people get 40: a late one may not be answered any more."""
PEOPLE: Final = 240


@dataclass(frozen=True)
class Located:
    """Under each number of probes: confusions of people held out under each seed."""

    curve: tuple[tuple[int, tuple[Tally, ...]], ...]
    classes: tuple[str, ...]


def delays(told: Told, kilometres: float, probes: int, generator: np.random.Generator) -> Floats:
    """Seconds from a probe at the server until its receipt is there, for one person: road, last mile, and shaping of
    both ways of that person's link. A client whose cells follow the server's has its phase from when those reach it,
    and is heard at the next turn. Simulated."""
    house = HOUSE[0] * math.exp(HOUSE[1] * generator.normal())
    road = kilometres * DETOUR / SPEED + house
    one_way = road + LAST_MILE[0] * np.exp(LAST_MILE[1] * generator.normal(size=(2, probes)))
    sent = generator.random(probes) * 3600
    phase = generator.random() * told.tick
    leaves = _leaves(sent, told.down, told, generator, phase)
    answered = leaves + one_way[0] + 0.002
    if not told.up == told.down == "steady":
        back = _leaves(answered, told.up, told, generator, generator.random() * told.tick) + one_way[1]
        return np.asarray(back - sent, np.float64)
    follows = phase + road + LAST_MILE[0] - LEAD - BAND
    arrived = _leaves(answered, told.up, told, generator, follows) + one_way[1]
    turn = phase - generator.random() * BAND
    return np.asarray(_leaves(arrived, told.up, told, generator, turn) - sent, np.float64)


def _leaves(times: Floats, profile: str, told: Told, generator: np.random.Generator, phase: float) -> Floats:
    """When what is there at these times is sent. `phase`: of its ticks, if it has any."""
    if profile == "steady":
        return np.asarray(np.ceil((times - phase) / told.tick) * told.tick + phase, np.float64)
    if profile == "jitter":
        late = times + generator.random(len(times)) * told.delay
        return np.ceil(late / told.batch) * told.batch if told.batch else late
    return times


def summary(waits: Floats) -> Floats:
    """What the attacker keeps of a person's delays."""
    return np.array([
        waits.min(), *np.quantile(waits, (0.1, 0.25, 0.5, 0.75, 0.9)), waits.max(), waits.mean(), waits.std(),
    ])  # fmt: skip


def measure(
    told: Told, seeds: Sequence[int] = figures.SEEDS, *, people: int = PEOPLE, probes: Sequence[int] = PROBES
) -> Located:
    """Trains on some people, measures on others. `people` of each place."""
    classes = tuple(PLACES)
    curve = []
    for count in probes:
        tallies = []
        for seed in seeds:
            generator = np.random.default_rng([seed, count, 31])
            where = np.repeat(list(PLACES.values()), people)
            waits = (delays(told, kilometres, count, generator) for kilometres in where)
            rows = np.stack([seen(one, np.zeros(count), told) for one in waits])
            labels = np.repeat(np.arange(len(classes)), people).astype(np.int64)
            tallies.append(judged(rows, labels, seed))
        curve.append((count, tuple(tallies)))
    return Located(tuple(curve), classes)


def judged(rows: Floats, labels: Ints, seed: int) -> Tally:
    """Trains on half of the people (rows), chooses between trees and a straight line on a fifth, and tells where the
    others are."""
    part = np.random.default_rng([seed, 32]).random(len(labels))
    train, choose, held = part < 0.5, (part >= 0.5) & (part < 0.7), part >= 0.7
    rows = Ranks().fit(rows[train])(rows)
    trees = HistGradientBoostingClassifier(
        max_iter=50, learning_rate=0.08, max_leaf_nodes=6, min_samples_leaf=15, early_stopping=False, random_state=seed
    )
    guesses = []
    with threadpool_limits(1):
        for model in (trees, LogisticRegression(max_iter=500)):
            model.fit(rows[train], labels[train])
            guesses.append(np.asarray(model.predict(rows), np.int64))
    reached = [float(np.mean(guess[choose] == labels[choose])) for guess in guesses]
    guessed = guesses[int(np.argmax(reached))][held]
    true = labels[held]
    confusion = np.zeros((len(true), labels.max() + 1, labels.max() + 1))
    confusion[np.arange(len(true)), true, guessed] = 1
    return figures.tally(np.flatnonzero(held).astype(np.int64), confusion)


class Straight:
    """A straight line on ranks."""

    name = "line"

    def fit(self, features: Floats, labels: Ints, seed: int) -> None:
        self._ranks = Ranks().fit(features)
        with threadpool_limits(1):
            self._model = LogisticRegression(max_iter=500, class_weight="balanced").fit(self._ranks(features), labels)

    def chances(self, features: Floats) -> Floats:
        return np.asarray(self._model.predict_proba(self._ranks(features)), np.float64)


def seen(waits: Floats, places: Floats, told: Told) -> Floats:
    """What the attacker keeps of some probes of one person. Behind ticks a wait is anything up to a tick more than the
    way takes: both ends of what was seen tell of it, and so does the place in the tick at which receipts come."""
    ends = [waits.max() - told.tick, (waits.min() + waits.max() - told.tick) / 2] if told.paced else [0.0, 0.0]
    return np.array([*summary(waits), *ends, *np.quantile(places, (0.0, 0.1, 0.5)), places.mean()])


def of_probes(
    people: Sequence[Probed], told: Told, seeds: Sequence[int] = figures.SEEDS, *, probes: Sequence[int] = MEASURED
) -> Located:
    """Trains on some people who were measured, tells of others where they are. As many probes in a row are one guess.
    Raises ValueError for too few people."""
    ways = sorted({one.way for one in people})
    curve = []
    for count in probes:
        rows, labels, users = [], [], []
        for one in people:
            for begin in range(0, len(one.waits) - count + 1, count):
                part = slice(begin, begin + count)
                rows.append(seen(one.waits[part], one.places[part], told))
                labels.append(ways.index(one.way))
                users.append(one.user)
        if len(set(labels)) < 2:
            raise ValueError(f"{count} receipts each of people in two places are not there")
        where, who, features = np.array(labels), np.array(users), np.stack(rows)
        tallies = []
        for seed in seeds:
            parts = models.split(who, seed, strata=where)
            chosen = models.chosen(features, where, parts, seed, [models.Forest(), Straight(), models.Network(32)])
            guessed = chosen.chances(features[parts.held_out]).argmax(1)
            confusion = np.zeros((len(guessed), len(ways), len(ways)))
            confusion[np.arange(len(guessed)), where[parts.held_out], guessed] = 1
            tallies.append(figures.tally(who[parts.held_out], confusion))
        curve.append((count, tuple(tallies)))
    return Located(tuple(curve), tuple(f"{way * 1000:g} ms" for way in ways))


def as_figures(found: Located, system: str, note: str = "", *, simulated: bool = True) -> list[Figure]:
    networks = "networks are simulated" if simulated else "ways made by the test bed"
    result = []
    for count, tallies in found.curve:
        value = figures.estimate(tallies, figures.balanced_accuracy, rounds=200)
        told = "; ".join(part for part in (note, networks, ", ".join(found.classes)) if part)
        result.append(
            Figure(
                "peer-server", "where the recipient is", system, value.value, value.low, value.high,
                1 / len(found.classes), 1 / len(found.classes), "balanced accuracy", simulated, told, over="receipts",
                at=count,
            )
        )  # fmt: skip
    return result
