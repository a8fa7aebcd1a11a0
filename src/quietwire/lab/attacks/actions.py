"""What happened on this link, and when? Recognition of actions in the open world: most windows have none.

Each window of a flow (a burst, idle time, or a tick) gets one of the kinds of happening with its way, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from quietwire.lab import figures
from quietwire.lab.attacks import features as of
from quietwire.lab.attacks import models
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import NOTHING, Place, Windows, labels, spans
from quietwire.lab.figures import Figure, Tally

DECLARED: Final = frozenset({"login", "resume", "logout", "upload", "download"})
"""Kinds that no profile hides: that somebody is online at all, and what crosses the web port (the threat model)."""
CLOCK: Final = ("since the link began", "until the link ends")
"""What no shaping hides, as being online is declared: people do more at some times of a session than at others. An
attack that gets no further than these alone has learned nothing from what is sent."""
FEWEST: Final = 24
"""Windows that a kind must have to be a class, of at least `FEWEST_USERS` people: a recall of fewer says nothing."""
FEWEST_USERS: Final = 4
MOST: Final = 2500
"""Windows of one kind that are looked at. What is left out still counts in base rates."""


def collect(places: Sequence[Place], told: Told, seed: int = 1, most: int = MOST) -> Windows:
    """The windows of all links: of kinds that are common enough a sample, of rare ones all. Rare beyond `FEWEST` are
    left out. Raises ValueError if there are no two classes."""
    generator = np.random.default_rng([seed, 11])
    cut = [(place, spans(place.flow, _told(place, told), generator)) for place in places if len(place.flow)]
    truth = [labels(place.flow, where, place.happened, _told(place, told)) for place, where in cut]
    kinds = np.array([kind for kinds, _ in truth for kind in kinds])
    users = np.concatenate([np.full(len(where), place.user) for place, where in cut]) if cut else np.empty(0, np.int64)
    kept = np.zeros(len(kinds), bool)
    weights = np.concatenate([where.weight for _, where in cut]) if cut else np.empty(0)
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        if kind != NOTHING and (len(rows) < FEWEST or len(np.unique(users[rows])) < FEWEST_USERS):
            continue
        chosen = generator.permutation(rows)[:most]
        weights[chosen] *= weights[rows].sum() / weights[chosen].sum()
        kept[chosen] = True
    if len(np.unique(kinds[kept])) < 2:
        raise ValueError("fewer than two kinds of happening that are common enough")
    begin, parts, sizes = 0, [], []
    for (place, where), (_, rows) in zip(cut, truth, strict=True):
        mine = np.flatnonzero(kept[begin : begin + len(where)])
        parts.append(of.of_spans(place.flow, where, _told(place, told), mine))
        happened = place.happened.sizes
        sizes.append(np.where(rows[mine] >= 0, happened[rows[mine]] if len(happened) else -1, -1))
        begin += len(where)
    total = sum(len(place.happened.kinds) for place in places)
    laid = sum(int((rows >= 0).sum()) for _, rows in truth)
    clients = np.concatenate([np.full(len(where), place.client, object) for place, where in cut])[kept].astype(str)
    families = np.concatenate([np.full(len(where), place.family, object) for place, where in cut])[kept].astype(str)
    return Windows(
        np.concatenate(parts), of.names(), kinds[kept], users[kept].astype(np.int64), clients, families, weights[kept],
        np.concatenate(sizes).astype(np.int64), 1 - laid / total if total else 0.0,
    )  # fmt: skip


def _told(place: Place, told: Told) -> Told:
    """The web's connections are not shaped as links are."""
    return Told() if place.web else told


@dataclass(frozen=True)
class Trial:
    """One seed: what was guessed of those held out. `parts.held_out` are rows of the windows."""

    held_out: NDArray[np.intp]
    chances: NDArray[np.float64]
    """(N, C) as if all classes were equally common."""
    chosen: models.Chosen


@dataclass(frozen=True)
class Recognised:
    """Trials under all seeds. `classes` in order of their numbers, `NOTHING` among them if there is such a window."""

    windows: Windows
    classes: tuple[str, ...]
    numbers: NDArray[np.int64]
    trials: tuple[Trial, ...]
    important: tuple[tuple[str, float], ...] = field(default=())
    """Names of features, the attacker's best first, and the balanced accuracy that goes with each."""

    @property
    def chance(self) -> float:
        return 1 / len(self.classes)


def recognise(
    windows: Windows,
    seeds: Sequence[int] = figures.SEEDS,
    *,
    apart: NDArray[Any] | None = None,
    candidates: Any = models.models,
    strata: NDArray[Any] | None = None,
) -> Recognised:
    """Trains, chooses and guesses, once a seed. `apart`: groups (a value a window) one of which is held out as a whole,
    in turn: clients, families; users are held out too. `strata`: of `models.split`. Raises ValueError if there are too
    few users."""
    classes, numbers = np.unique(windows.labels, return_inverse=True)
    numbers = numbers.astype(np.int64)
    trials = []
    groups = [] if apart is None else sorted(set(apart.tolist()))
    for turn, seed in enumerate(seeds):
        parts = models.split(windows.users, seed, strata=strata)
        if groups:
            alone = apart == groups[turn % len(groups)]
            parts = models.Split(parts.train & ~alone, parts.choose & ~alone, alone & ~parts.train & ~parts.choose)
            if not parts.train.any() or not parts.choose.any() or not parts.held_out.any():
                continue
        chosen = models.chosen(windows.features, numbers, parts, seed, candidates())
        rows = np.flatnonzero(parts.held_out)
        trials.append(Trial(rows, _padded(chosen.chances(windows.features[rows]), len(classes)), chosen))
    if not trials:
        raise ValueError("too few users for whole groups to be held out")
    first = trials[0]
    lost = models.importance(first.chosen, windows.features[first.held_out], numbers[first.held_out], seeds[0])
    order = np.argsort(-lost, kind="stable")
    # Columns that tell the same lose the same: one name is enough.
    order = order[np.concatenate([[True], np.diff(lost[order]) != 0])][:5]
    important = tuple((windows.names[column], float(lost[column])) for column in order if lost[column] > 0)
    return Recognised(windows, tuple(classes.tolist()), numbers, tuple(trials), important)


def _padded(chances: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    found = np.zeros((len(chances), classes))
    found[:, : chances.shape[1]] = chances
    return found


def _of_classes(found: Recognised, wanted: NDArray[np.bool_]) -> tuple[list[Tally], Any]:
    """Confusions of the wanted classes only: as if the attacker knew that it is one of them."""
    chosen = np.flatnonzero(wanted)
    place = np.full(len(found.classes), -1)
    place[chosen] = np.arange(len(chosen))
    tallies = []
    for trial in found.trials:
        true = found.numbers[trial.held_out]
        mine = wanted[true]
        guessed = trial.chances[mine][:, chosen].argmax(1)
        rows = np.zeros((int(mine.sum()), len(chosen), len(chosen)))
        rows[np.arange(len(rows)), place[true[mine]], guessed] = 1
        tallies.append(figures.tally(found.windows.users[trial.held_out][mine], rows))
    return tallies, chosen


def clock_alone(windows: Windows, seeds: Sequence[int] = figures.SEEDS) -> Recognised:
    """The same by an attacker who sees `CLOCK` only."""
    return recognise(windows.columns(CLOCK), seeds, candidates=lambda: [models.Trees(), models.Network()])


def as_figures(
    found: Recognised,
    system: str,
    *,
    simulated: bool,
    note: str = "",
    held_out: str = "",
    clock: Recognised | None = None,
) -> list[Figure]:
    """Balanced accuracy of all classes, of those that are not declared, detection of anything at all (ROC), and the
    precision of each kind at its base rate. `held_out`: what else than users was. `clock`: `clock_alone` of the same
    windows, whose values and upper ends go into `detail`."""
    if clock is not None:
        alone = {each.question: each for each in as_figures(clock, system, simulated=simulated, held_out=held_out)}
        return [
            replace(
                figure,
                detail={
                    **figure.detail,
                    "clock alone": alone[figure.question].value,
                    "clock alone, high": alone[figure.question].high,
                },
            )
            for figure in as_figures(found, system, simulated=simulated, note=note, held_out=held_out)
        ]
    classes = np.array(found.classes)
    kinds = np.array([one.split(" ")[0] for one in found.classes])
    best = ", ".join(name for name, _ in found.important[:3]) or "none"
    models_used = "/".join(sorted({trial.chosen.model.name for trial in found.trials}))
    told = "; ".join(
        part
        for part in (
            note, f"best features: {best}", f"model: {models_used}", f"a {held_out} held out" if held_out else ""
        )
        if part
    )  # fmt: skip
    weights = found.windows.weights
    busy = float(weights[found.windows.labels != NOTHING].sum() / weights.sum())
    suffix = f", unknown {held_out}" if held_out else ""
    result = []
    for question, wanted in (
        ("what happened", np.ones(len(classes), bool)),
        ("what happened, what is declared left out", ~np.isin(kinds, sorted(DECLARED))),
    ):
        if wanted.sum() < 2:
            continue
        tallies, chosen = _of_classes(found, wanted)
        value = figures.estimate(tallies, figures.balanced_accuracy)
        confusion = np.sum([one.sums.sum((0, 1)) for one in tallies], 0)
        of_class = np.maximum(confusion.sum(1), 1)
        recalls = {
            f"recall {classes[one]}": float(confusion[number, number] / of_class[number])
            for number, one in enumerate(chosen)
        }
        result.append(
            Figure(
                "client-network", question + suffix, system, value.value, value.low, value.high,
                1 / int(wanted.sum()), busy, "balanced accuracy", simulated, told, value.worst,
                detail=recalls | _precisions(found, wanted) | {"unseen": found.windows.unseen},
            )
        )  # fmt: skip
    if NOTHING in found.classes and not held_out:
        result.append(_anything(found, system, busy, simulated=simulated, note=told))
    return result


def _precisions(found: Recognised, wanted: NDArray[np.bool_]) -> dict[str, float]:
    """Of what the attacker calls a kind, how much is: with each window as often as it stands in the world."""
    chosen = np.flatnonzero(wanted)
    hits, called = np.zeros(len(found.classes)), np.zeros(len(found.classes))
    rates = np.array([found.windows.weights[found.numbers == one].sum() for one in range(len(found.classes))])
    rates /= rates.sum()
    for trial in found.trials:
        true = found.numbers[trial.held_out]
        mine = wanted[true]
        # One who knows base rates guesses with them.
        guessed = chosen[(trial.chances[mine][:, chosen] * rates[chosen]).argmax(1)]
        weight = found.windows.weights[trial.held_out][mine]
        called += np.bincount(guessed, weight, len(called))
        hits += np.bincount(guessed, weight * (guessed == true[mine]), len(hits))
    return {f"precision {found.classes[one]}": float(hits[one] / called[one]) if called[one] else 0.0 for one in chosen}


def _anything(found: Recognised, system: str, busy: float, *, simulated: bool, note: str) -> Figure:
    """Did anything that is not declared happen? The area under the ROC, pooled in each seed."""
    nothing = found.classes.index(NOTHING)
    hidden = np.array([one.split(" ")[0] not in DECLARED for one in found.classes])
    scores, truths, users, weights, sets = [], [], [], [], []
    for number, trial in enumerate(found.trials):
        true = found.numbers[trial.held_out]
        mine = hidden[true]
        scores.append(1 - trial.chances[mine][:, nothing] / trial.chances[mine][:, hidden].sum(1).clip(1e-12))
        truths.append(true[mine] != nothing)
        users.append(found.windows.users[trial.held_out][mine])
        weights.append(found.windows.weights[trial.held_out][mine])
        sets.append(np.full(int(mine.sum()), number))
    score, truth, user = np.concatenate(scores), np.concatenate(truths), np.concatenate(users)
    weight, which = np.concatenate(weights), np.concatenate(sets)

    def area(rows: NDArray[np.intp]) -> float:
        areas = []
        for number in range(len(scores)):
            mine = rows[which[rows] == number]
            if len(mine) and 0 < truth[mine].sum() < len(mine):
                areas.append(float(roc_auc_score(truth[mine], score[mine], sample_weight=weight[mine])))
        return float(np.mean(areas)) if areas else float("nan")

    value = figures.bootstrap(user, area, rounds=200)
    order = np.argsort(-score, kind="stable")
    false = np.cumsum(weight[order] * ~truth[order]) / max(weight[~truth].sum(), 1e-12)
    hits = np.concatenate([[0.0], np.cumsum(weight[order] * truth[order]) / max(weight[truth].sum(), 1e-12)])
    curve = {
        f"found at {rate:g} false": float(hits[int(np.searchsorted(false, rate, side="right"))])
        for rate in (0.001, 0.01, 0.1)
    }
    return Figure(
        "client-network", "whether anything happened", system, value.value, value.low, value.high, 0.5, busy,
        "area under ROC", simulated, note, detail=curve,
    )  # fmt: skip
