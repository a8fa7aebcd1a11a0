"""Active attackers: one who probes, one who floods, and one who waits and intersects.

- `probe`: sends bursts to somebody of whom only the address is known, and looks which link they come out of.
- `flood`: fills the queue of one, and looks whether the links of others, or that one's, change.
- `intersect`: notes who is connected whenever a pseudonym shows itself. Nothing that shapes links helps; being
  connected all the time does. With users who are there with probability p, each for itself, 1 + (N-1)·p^k are left
  after k times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from quietwire.lab.correlation.likelihood import Likelihood, learn, surrounded
from quietwire.lab.correlation.ranks import better
from quietwire.lab.correlation.shapes import Side, record
from quietwire.lab.correlation.sight import rates
from quietwire.lab.correlation.talk import poisson
from quietwire.lab.correlation.timings import Timings
from quietwire.lab.correlation.world import Churn, Copies, Shaping, World, simulate
from quietwire.lab.figures import SEEDS, Figure, bootstrap, estimate, share, tally
from quietwire.shaping.policy import SLOT, Profile

Array = NDArray[np.float64]
Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Probing:
    users: int = 1000
    targets: int = 30
    bursts: int = 10
    size: int = 3
    """Messages a burst, half a second apart."""
    every: float = 30.0
    """Seconds, on average."""
    own: float = 2 / 60
    seeds: tuple[int, ...] = SEEDS


def probe(
    shaping: Shaping, setting: Probing, timings: Timings, system: str = "quietwire", say: Say = lambda *_: None
) -> list[Figure]:
    """Top 1 among all links, by likelihood, after each of some bursts."""
    cuts = tuple(n for n in (1, 3, setting.bursts) if n <= setting.bursts)
    rows: list[tuple[int, Array]] = []
    for place, seed in enumerate(setting.seeds):
        say(f"probing, {shaping.name}", place, len(setting.seeds))
        rng = np.random.default_rng([seed, 11])
        known, sent, targets, copies = _probed(shaping, setting, timings, rng)
        arrived = np.isfinite(known.copies_at)
        per = setting.bursts * setting.size
        delay = known.copies_at[arrived] - copies.at[arrived]
        grown = known.copies_size[arrived].astype(np.int64) - record(copies.size[arrived])
        law = learn(delay, grown, max(0.02, 1 - float(arrived.mean())))
        at = np.sort(sent.ravel())
        law = surrounded(law, at, known.down, known.seconds)
        judged, sent, targets, copies = _probed(shaping, setting, timings, rng)
        attack = Likelihood(law, judged.down, rates(judged.down, judged.seconds))
        for number, target in enumerate(targets):
            mine = slice(number * per, (number + 1) * per)
            scores = attack.scores(copies.at[mine], record(copies.size[mine]), [n * setting.size for n in cuts])
            before = better(scores, int(target), int(targets[number - 1]), rng)
            rows.append((seed * 1_000_000 + int(target), (before == 0).astype(np.float64)))
    say(f"probing, {shaping.name}", len(setting.seeds), len(setting.seeds))
    users = np.array([row[0] for row in rows])
    made = []
    for column, bursts in enumerate(cuts):
        values = np.column_stack([[row[1][column] for row in rows], np.ones(len(rows))])
        value, low, high, worst = estimate([tally(users, values)], share)
        made.append(
            Figure(
                "server-network",
                "probing: whose link is it, top 1",
                f"{system} {shaping.name}",
                value,
                low,
                high,
                1 / setting.users,
                1 / setting.users,
                "share",
                True,
                f"bursts of {setting.size} messages among {setting.users} links",
                worst,
                "bursts sent",
                float(bursts),
            )
        )
    return made


def _probed(
    shaping: Shaping, setting: Probing, timings: Timings, rng: np.random.Generator
) -> tuple[World, Array, NDArray[np.int32], Copies]:
    seconds = setting.every * (setting.bursts + 2)
    targets = rng.choice(setting.users, setting.targets, replace=False).astype(np.int32)
    begins = setting.every * (np.arange(setting.bursts) + rng.random((setting.targets, setting.bursts)) * 0.8)
    sent = (begins[:, :, None] + 0.5 * np.arange(setting.size)).reshape(setting.targets, -1)
    both = {shaping.up.profile, shaping.down.profile} == {Profile.STEADY}
    size = (timings.shrunk if both else timings.up)["message"].draw(rng, sent.size).astype(np.int64)
    if both:
        size += timings.brought["message"].draw(rng, sent.size).astype(np.int64)
    copies = Copies(sent.ravel(), np.repeat(targets, sent.shape[1]), size)
    talk = poisson(rng, setting.users, seconds, setting.own)
    world = simulate(talk, shaping, timings, rng, copies=copies, churn=Churn(0.1))
    return world, sent, targets, copies


@dataclass(frozen=True)
class Flooding:
    users: int = 200
    rate: float = 300.0
    """Messages a second, in half of the stretches, drawn by lot: what comes at regular times would beat with ticks."""
    stretch: float = 10.0
    stretches: int = 60
    own: float = 2 / 60
    seeds: tuple[int, ...] = SEEDS


def flood(
    shaping: Shaping, setting: Flooding, timings: Timings, system: str = "quietwire", say: Say = lambda *_: None
) -> list[Figure]:
    """Two questions to the links in stretches with a flood and without: do those of others change (which tells that
    the server is busy), and does the one that it goes to (which tells whose it is)? As AUC over stretches, of number of
    records or of their mean place in their slots, of more or of less: what tells more in one half of the stretches is
    tried on the other. The interval is by stretches: all links of a server share its hurry."""
    found: dict[str, list[tuple[int, bool, bool, Array]]] = {"others": [], "the flooded": []}
    for place, seed in enumerate(setting.seeds):
        say(f"flooding, {shaping.name}", place, len(setting.seeds))
        rng = np.random.default_rng([seed, 13])
        seconds = setting.stretch * setting.stretches
        flooded, tried = (rng.permutation(setting.stretches) % 2 == 1 for _ in range(2))
        at = np.arange(0, seconds, 1 / setting.rate)[:-1] + rng.random() / setting.rate
        at = at[flooded[(at // setting.stretch).astype(np.int64)]]
        copies = Copies(at, np.zeros(len(at), np.int32), np.full(len(at), 300, np.int64))
        talk = poisson(rng, setting.users, seconds, setting.own)
        world = simulate(talk, shaping, timings, rng, copies=copies)
        moments = range(seed * 1_000_000, seed * 1_000_000 + setting.stretches)
        for name, links in (("others", range(1, setting.users)), ("the flooded", range(1))):
            for user in links:
                features = _stretches(world.down, user, setting)
                found[name] += zip(moments, flooded.tolist(), tried.tolist(), features, strict=True)
    say(f"flooding, {shaping.name}", len(setting.seeds), len(setting.seeds))
    made = []
    for name, rows in found.items():
        drawn, truth, held = (np.array([row[part] for row in rows]) for part in range(3))
        table = np.array([row[3] for row in rows])
        areas = [_auc(truth[~held], column[~held]) for column in table.T]
        best = int(np.argmax(np.abs(np.array(areas) - 0.5)))
        chosen = table[held, best] * (1 if areas[best] >= 0.5 else -1)

        def area(rows: NDArray[np.intp], truth: NDArray[np.bool_] = truth[held], chosen: Array = chosen) -> float:
            return _auc(truth[rows], chosen[rows])

        value, low, high, _ = bootstrap(drawn[held], area, rounds=100)
        made.append(
            Figure(
                "server-network",
                f"flooding one: do the links of {name} change, AUC",
                f"{system} {shaping.name}",
                value,
                low,
                high,
                0.5,
                0.5,
                "AUC",
                True,
                f"{setting.rate:g} messages a second to one of {setting.users}; by {FEATURES[best]}",
            )
        )
    return made


FEATURES = ("number of records", "mean place of the records in their slots")


def _auc(truth: NDArray[np.bool_], values: Array) -> float:
    if truth.all() or not truth.any():
        return float("nan")
    return float(roc_auc_score(truth, values))


def _stretches(side: Side, user: int, setting: Flooding) -> Array:
    """(stretches, 2)."""
    times = side.times[side.link == user]
    which = np.minimum((times // setting.stretch).astype(np.int64), setting.stretches - 1)
    count = np.bincount(which, minlength=setting.stretches).astype(np.float64)
    place = (times + SLOT / 2) % SLOT
    mean = np.bincount(which, place, setting.stretches) / np.maximum(count, 1)
    return np.column_stack([count, mean])


@dataclass(frozen=True)
class Waiting:
    users: int = 3000
    always: float = 0.4
    """Share of users who are connected all the time: phones that keep their link."""
    there: float = 0.35
    """Share of waking time that the others are, in sessions of an hour on average."""
    daily: int = 6
    """Times a day that the pseudonym shows itself, when its owner is connected."""
    days: tuple[int, ...] = (1, 2, 3, 5, 7, 14, 30)
    judged: int = 60
    """Owners, half of them always connected."""
    seeds: tuple[int, ...] = SEEDS


HOURS = 16
"""Waking, a day."""


def intersect(setting: Waiting, say: Say = lambda *_: None) -> list[Figure]:
    """The chance to name the owner among those who are left, for owners who come and go and for those who stay."""
    rows: dict[tuple[bool, int], list[tuple[int, float]]] = {}
    for place, seed in enumerate(setting.seeds):
        say("intersection", place, len(setting.seeds))
        rng = np.random.default_rng([seed, 17])
        always = rng.random(setting.users) < setting.always
        for stays in (False, True):
            owners = rng.choice(np.flatnonzero(always == stays), setting.judged // 2, replace=False)
            left = np.ones((len(owners), setting.users), bool)
            for day in range(1, setting.days[-1] + 1):
                online = sessions(rng, always, setting.there)
                for number, owner in enumerate(owners):
                    moments = np.flatnonzero(online[:, owner])
                    if len(moments):
                        chosen = rng.choice(moments, min(setting.daily, len(moments)), replace=False)
                        left[number] &= online[chosen].all(axis=0)
                if day in setting.days:
                    rows.setdefault((stays, day), []).extend(
                        (seed * 1_000_000 + int(owner), 1 / float(left[number].sum()))
                        for number, owner in enumerate(owners)
                    )
    say("intersection", len(setting.seeds), len(setting.seeds))
    made = []
    for (stays, day), found in sorted(rows.items()):
        values = np.column_stack([[one[1] for one in found], np.ones(len(found))])
        value, low, high, worst = estimate([tally(np.array([one[0] for one in found]), values)], share)
        made.append(
            Figure(
                "server-network",
                "intersection: who owns the pseudonym, top 1",
                "any profile, " + ("owner always connected" if stays else "owner comes and goes"),
                value,
                low,
                high,
                1 / setting.users,
                1 / setting.users,
                "share",
                True,
                f"{setting.users} users, {setting.always:.0%} always connected, seen {setting.daily} times a day",
                worst,
                "days observed",
                float(day),
            )
        )
    return made


def sessions(rng: np.random.Generator, always: NDArray[np.bool_], there: float) -> NDArray[np.bool_]:
    """(quarters of waking hours, users): who is connected. Others come and go with sessions of an hour on average."""
    quarters, users = HOURS * 4, len(always)
    online = np.empty((quarters, users), bool)
    now = rng.random(users) < there
    leave, come = 0.25, 0.25 * there / (1 - there)
    for quarter in range(quarters):
        online[quarter] = now | always
        draw = rng.random(users)
        now = np.where(now, draw >= leave, draw < come)
    return online


def left_over(users: int, there: float, times: int) -> float:
    """Expected number of candidates after so many independent moments, in closed form."""
    return 1 + (users - 1) * there**times
