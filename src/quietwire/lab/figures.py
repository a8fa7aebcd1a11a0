"""Figures: what an attack learned, with its uncertainty. How they are estimated, kept and read back.

People differ more than their messages do, so users are drawn again and not messages (a cluster bootstrap: Field and
Welsh, "Bootstrapping clustered data", 2007), and with them the seeds of splits and models, of which there are five.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

VERSION: Final = 1
SEEDS: Final = (1, 2, 3, 4, 5)
"""Every figure is the mean over these, which decide who is held out and how a model begins."""
ROUNDS: Final = 1000
"""Of a bootstrap: the ends of a 95 % interval are then each the mean of some 25 draws away."""
LEVEL: Final = 0.95
WORST: Final = 0.1
"""The share of users for whom an attack works best."""

Adversary = Literal["live-server", "disk", "backup", "seizure", "server-network", "client-network", "peer-server"]
ADVERSARIES: Final[tuple[Adversary, ...]] = get_args(Adversary)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell of the report.

    `question`: what the adversary asks, in a few words and always the same ones; `system`: server with its profile, as
    the scenario's label has it. `value` with the 95 % interval `low` to `high` in `unit`; `chance`: what a guess gets
    that sees nothing, in the same unit; `base_rate`: how common that is which is looked for, as a share (0 where this
    means nothing). `simulated`: not all of it was measured on real links.

    `worst`: the same for the tenth of users who fare worst (None: not known). `over` and `at` make curves: the name
    and the value of what varies, for instance ``messages observed`` and 50. `detail`: further numbers by name.

    Raises ValueError for an adversary that DESIGN does not name, and for an interval that does not hold the value.
    """

    adversary: Adversary
    question: str
    system: str
    value: float
    low: float
    high: float
    chance: float
    base_rate: float
    unit: str
    simulated: bool
    note: str = ""
    worst: float | None = None
    over: str = ""
    at: float | None = None
    detail: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.adversary not in ADVERSARIES:
            raise ValueError(f"no such adversary: {self.adversary!r}")
        numbers = (self.value, self.low, self.high, self.chance, self.base_rate)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"{self.question}, {self.system}: a number that is none")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.question}, {self.system}: {self.value:g} is not in {self.low:g} to {self.high:g}")


def to_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    return [asdict(figure) for figure in figures]


def from_json(data: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Ignores fields it does not know. Raises ValueError or TypeError for what is no figure."""
    known = {each.name for each in fields(Figure)}
    return [Figure(**{name: value for name, value in item.items() if name in known}) for item in data]


def write(path: Path, figures: Iterable[Figure]) -> None:
    document = {"figures": VERSION, "all": to_json(figures)}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read(path: Path) -> list[Figure]:
    """Raises ValueError for a file of another kind."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("figures") != VERSION:
        raise ValueError(f"{path.name}: no figures of version {VERSION}")
    try:
        return from_json(document["all"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: {error}") from error


class Estimate(NamedTuple):
    """`worst`: of the worst tenth of users, None where there are too few of them."""

    value: float
    low: float
    high: float
    worst: float | None = None


class Tally(NamedTuple):
    """What was counted of the users held out under one seed.

    `users`: (U,) their numbers, the same in all seeds. `sums`: (2, U, …) whatever a statistic is computed from once it
    is summed over users (hits and trials, a confusion matrix, …), each half of a user's data apart: who is worst is
    decided on one half and measured on the other, since otherwise the unlucky would be taken for the exposed.
    """

    users: NDArray[np.int64]
    sums: Floats


Statistic = Callable[[Floats], Floats]
"""(B, …) sums -> (B,) values, NaN where there is nothing to compute it from."""


def tally(users: NDArray[np.int64], rows: Floats) -> Tally:
    """A tally of `rows` (N, …), one a trial, of `users` (N,). Every second trial of a user goes to the other half."""
    found, where = np.unique(users, return_inverse=True)
    order = np.argsort(where, kind="stable")
    begins = np.searchsorted(where[order], np.arange(len(found)))
    rank = np.empty(len(users), np.int64)
    rank[order] = np.arange(len(users)) - begins[where[order]]
    sums = np.zeros((2, len(found), *rows.shape[1:]))
    np.add.at(sums, (rank % 2, where), rows)
    return Tally(found.astype(np.int64), sums)


def estimate(
    tallies: Sequence[Tally], statistic: Statistic, *, seed: int = 1, rounds: int = ROUNDS, more_is_worse: bool = True
) -> Estimate:
    """The mean of a statistic over seeds, its 95 % interval and the worst tenth of users.

    One draw takes users with replacement, the same ones under every seed, and seeds with replacement. Raises ValueError
    if there is nothing to compute it from.
    """
    tallies = [each for each in tallies if len(each.users)]
    if not tallies:
        raise ValueError("nobody was held out: nothing to estimate from")
    each = np.array([float(statistic(one.sums.sum((0, 1))[None])[0]) for one in tallies])
    if np.isnan(each).all():
        raise ValueError("too little was held out: nothing to estimate from")
    value = float(np.nanmean(each))
    generator = np.random.default_rng(seed)
    everybody = np.unique(np.concatenate([one.users for one in tallies]))
    draws = generator.multinomial(len(everybody), np.full(len(everybody), 1 / len(everybody)), rounds)
    drawn = np.empty((len(tallies), rounds))
    for number, one in enumerate(tallies):
        weights = draws[:, np.searchsorted(everybody, one.users)].astype(np.float64)
        drawn[number] = statistic(np.tensordot(weights, one.sums.sum(0), 1))
    chosen = generator.integers(len(tallies), size=(rounds, len(tallies)))
    picked = drawn[chosen, np.arange(rounds)[:, None]]
    some = ~np.isnan(picked).all(1)
    low, high = _ends(np.nanmean(picked[some], 1), value)
    return Estimate(value, low, high, _worst(tallies, statistic, more_is_worse=more_is_worse))


def _ends(values: Floats, value: float) -> tuple[float, float]:
    """The interval's ends. They hold the value: with few users a draw may miss it on one side."""
    if not len(values):
        return value, value
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return min(float(low), value), max(float(high), value)


def _worst(tallies: Sequence[Tally], statistic: Statistic, *, more_is_worse: bool) -> float | None:
    found = []
    for one in tallies:
        if len(one.users) < 5:
            continue  # a tenth of fewer is nobody
        count = math.ceil(len(one.users) * WORST)
        for half in (0, 1):
            alone = statistic(one.sums[half])
            alone = np.where(np.isnan(alone), -np.inf, alone if more_is_worse else -alone)
            chosen = np.argsort(-alone, kind="stable")[:count]
            found.append(float(statistic(one.sums[1 - half][chosen].sum(0)[None])[0]))
    return float(np.nanmean(found)) if found and not np.isnan(found).all() else None


def bootstrap(
    users: NDArray[np.int64], statistic: Callable[[NDArray[np.intp]], float], *, seed: int = 1, rounds: int = 300
) -> Estimate:
    """For statistics that are no function of sums. `users`: (N,), whose each row is; `statistic(indices)` of rows, a
    user's all or none, with repetition; NaN where it cannot be computed."""
    generator = np.random.default_rng(seed)
    found, where = np.unique(users, return_inverse=True)
    order = np.argsort(where, kind="stable")
    rows = np.split(order, np.searchsorted(where[order], np.arange(1, len(found))))
    value = statistic(np.arange(len(users)))
    draws = [
        statistic(np.concatenate([rows[user] for user in generator.integers(len(found), size=len(found))]))
        for _ in range(rounds)
    ]
    values = np.array(draws)
    return Estimate(value, *_ends(values[~np.isnan(values)], value))


# -- statistics ------------------------------------------------------------------------------------------------------


def balanced_accuracy(confusions: Floats) -> Floats:
    """(B, C, C) confusion matrices, true classes in rows -> the mean recall of the classes that occur."""
    of_class = confusions.sum(2)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = np.einsum("bii->bi", confusions) / of_class
    there = of_class > 0
    count = there.sum(1)
    total = np.where(there, np.nan_to_num(recalls), 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def share(sums: Floats) -> Floats:
    """(B, 2) hits and trials -> hits a trial. A mean as well: sum and count."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.nan), np.float64)
