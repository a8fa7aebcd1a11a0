"""Which client is this? From the first records of a connection, before anybody has said anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from quietwire.lab import figures
from quietwire.lab.attacks import actions, models
from quietwire.lab.attacks.windows import Place, Windows
from quietwire.lab.figures import Figure
from quietwire.lab.flows import Flow

FIRST: Final = 40
"""Records that a start-up is judged by: hellos, login, roster, presence."""
EACH: Final = 20
"""Records of each way that are looked at by themselves: cover of one way shifts nothing in the other."""
LONGEST: Final = 15.0
"""Seconds."""
QUESTION: Final = "which client somebody uses"
FEWEST: Final = 8
"""Connections of a client."""

Floats = NDArray[np.float64]


def names() -> tuple[str, ...]:
    """Of the columns of `of_start`."""
    return (
        "records", "records up", "bytes up", "bytes down", "seconds", "turns", "largest up", "largest down",
        *(f"size {n + 1}" for n in range(FIRST)),
        *(f"gap {n + 1}" for n in range(FIRST - 1)),
        *(f"total at {n + 1}" for n in range(0, FIRST, 4)),
        *(f"size {n + 1} {way}" for way in ("up", "down") for n in range(EACH)),
    )  # fmt: skip


def of_start(flow: Flow) -> Floats:
    """The start of a connection as a row of numbers."""
    count = int(np.searchsorted(flow.times, flow.times[0] + LONGEST, side="right"))
    count = min(count, FIRST)
    times, sizes, ways = flow.times[:count], flow.sizes[:count].astype(np.float64), flow.ways[:count]
    signed = sizes * ways
    up, down = sizes[ways > 0], sizes[ways < 0]
    row = np.zeros(len(names()))
    row[:8] = [
        count, len(up), up.sum(), down.sum(), times[-1] - times[0], np.count_nonzero(np.diff(ways)),
        up.max(initial=0.0), down.max(initial=0.0),
    ]  # fmt: skip
    row[8 : 8 + count] = signed
    row[8 + FIRST : 8 + FIRST + count - 1] = np.diff(times)
    total = np.full(FIRST, signed.sum())
    total[:count] = np.cumsum(signed)
    after = 8 + FIRST + FIRST - 1
    row[after : after + FIRST // 4] = total[::4]
    row[-2 * EACH : -2 * EACH + min(EACH, len(up))] = up[:EACH]
    row[-EACH : len(row) - EACH + min(EACH, len(down))] = down[:EACH]
    return row


def collect(places: Sequence[Place]) -> Windows:
    """A row a connection. Raises ValueError where there are not two clients with `FEWEST` connections each."""
    kept = [place for place in places if place.client and not place.web and len(place.flow) > 1]
    count = {client: sum(place.client == client for place in kept) for client in {place.client for place in kept}}
    kept = [place for place in kept if count[place.client] >= FEWEST]
    labels = np.array([place.client for place in kept])
    if len(set(labels.tolist())) < 2:
        raise ValueError(f"fewer than two clients with {FEWEST} connections each")
    none = np.full(len(kept), "")
    return Windows(
        np.stack([of_start(place.flow) for place in kept]), names(), labels,
        np.array([place.user for place in kept], np.int64), labels, none, np.ones(len(kept)),
        np.full(len(kept), -1, np.int64), 0.0,
    )  # fmt: skip


def recognise(windows: Windows, seeds: Sequence[int] = figures.SEEDS) -> actions.Recognised:
    """As for actions: on the start-ups of people never seen. Of few connections of a client, some are in each part."""
    return actions.recognise(
        windows, seeds, candidates=lambda: [models.Forest(), *models.models()], strata=windows.labels
    )


def alone(found: actions.Recognised, seeds: Sequence[int] = figures.SEEDS) -> tuple[str, float]:
    """The column that does best by itself for those who choose, and what it reaches on those held out: balanced
    accuracy. Where each of many tells all, mixing one of them shows nothing."""
    windows = found.windows
    chosen, held = np.zeros((2, windows.features.shape[1]))
    for seed in seeds:
        parts = models.split(windows.users, seed, strata=windows.labels)
        for column in np.flatnonzero(np.ptp(windows.features, axis=0) > 0):
            tree = DecisionTreeClassifier(max_leaf_nodes=4 * len(found.classes), random_state=seed)
            seen = windows.features[:, [column]]
            guessed = tree.fit(seen[parts.train], found.numbers[parts.train]).predict(seen)
            for sums, part in ((chosen, parts.choose), (held, parts.held_out)):
                sums[column] += models.accuracy(found.numbers[part], guessed[part]) / len(seeds)
    best = int(chosen.argmax())
    return windows.names[best], float(held[best])


def as_figures(
    found: actions.Recognised, system: str, *, simulated: bool, note: str = "", question: str = QUESTION
) -> list[Figure]:
    """Whom each client is taken for is in `detail`, as shares of its connections that were held out."""
    tallies = []
    for trial in found.trials:
        true, guessed = found.numbers[trial.held_out], trial.chances.argmax(1)
        rows = np.zeros((len(true), len(found.classes), len(found.classes)))
        rows[np.arange(len(true)), true, guessed] = 1
        tallies.append(figures.tally(found.windows.users[trial.held_out], rows))
    value = figures.estimate(tallies, figures.balanced_accuracy)
    confusion = np.sum([one.sums.sum((0, 1)) for one in tallies], 0)
    shares = confusion / np.maximum(1.0, confusion.sum(1, keepdims=True))
    taken = {
        f"recall {name}" if name == other else f"{name} taken for {other}": float(shares[number, guess])
        for number, name in enumerate(found.classes)
        for guess, other in enumerate(found.classes)
        if name == other or shares[number, guess] > 0
    }
    common = float(np.bincount(found.numbers).max() / len(found.numbers))
    name, reached = alone(found)
    taken[f"by {name} alone"] = reached
    best = ", ".join(name for name, _ in found.important[:3]) or "many that tell the same"
    told = "; ".join(
        part
        for part in (note, ", ".join(found.classes), f"best features: {best}", f"best alone: {name} ({reached:.2f})")
        if part
    )
    return [
        Figure(
            "client-network", question, system, value.value, value.low, value.high, found.chance,
            common, "balanced accuracy", simulated, told, value.worst, detail=taken,
        )
    ]  # fmt: skip
