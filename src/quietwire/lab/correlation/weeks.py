"""Weeks of conversation for statistical disclosure: people with lasting contacts, on simulated links.

Rounds are kept, not records: four weeks of 300 people. A `steady` link carries the same cells in each round whatever is
said; it is simulated in the same way, for as long as memory allows (`MOST_CELLS`), and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.disclosure import in_rounds, least_squares, normalised, recovered, simple
from quietwire.lab.correlation.talk import MESSAGE, Talk, made_of
from quietwire.lab.correlation.timings import Timings
from quietwire.lab.correlation.world import Shaping, simulate
from quietwire.lab.figures import SEEDS, Figure, estimate, share, tally
from quietwire.shaping.policy import Profile

DAY = 86_400.0
AWAKE = 8 * 3600.0
"""Seconds a day in which people talk: nights are left out, as nothing happens in them for anybody."""
MOST_CELLS = 4e6
QUESTION = "contacts by statistical disclosure"
METHODS = ("simple", "normalised", "least squares")


@dataclass(frozen=True)
class Weeks:
    users: int = 300
    contacts: int = 8
    daily: float = 25.0
    """Messages a user sends."""
    width: float = 10.0
    """Seconds a round."""
    weeks: tuple[float, ...] = (0.2, 1.0, 2.0, 4.0)
    judged: int = 40
    seeds: tuple[int, ...] = SEEDS


def talk_of_day(rng: np.random.Generator, book: NDArray[np.int32], daily: float) -> Talk:
    """Short exchanges: each is 1 to some messages with one contact, shares as 1/rank, answered in turn."""
    users, contacts = book.shape
    begun = rng.poisson(daily / 5, users)
    first = np.repeat(np.arange(users, dtype=np.int32), begun)
    shares = 1 / np.arange(1, contacts + 1)
    second = book[first, rng.choice(contacts, len(first), p=shares / shares.sum())]
    length = rng.geometric(1 / 5, len(first))
    talk = np.repeat(np.arange(len(first)), length)
    since = np.cumsum(np.exp(rng.normal(np.log(15), 1.0, len(talk))))
    start = np.cumsum(length) - length
    since -= np.repeat(since[start], length)
    at = (rng.random(len(first)) * AWAKE)[talk] + since
    turned = (np.arange(len(talk)) - np.repeat(start, length)) % 2 == 1
    sender = np.where(turned, second[talk], first[talk]).astype(np.int32)
    receiver = np.where(turned, first[talk], second[talk]).astype(np.int32)
    size = np.clip(np.exp(rng.normal(np.log(30), 1.0, len(at))), 1, 4000).astype(np.int32)
    return made_of(users, AWAKE, at, sender, receiver, np.full(len(at), MESSAGE, np.int8), size)


def disclose(
    shaping: Shaping,
    setting: Weeks,
    timings: Timings,
    system: str = "quietwire",
    say: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Figure]:
    """Contacts recovered over weeks, by each method."""
    days = [max(1, round(weeks * 7)) for weeks in setting.weeks]
    steady = Profile.STEADY in (shaping.up.profile, shaping.down.profile)
    if steady:
        tick = min(p.tick for p in (shaping.up, shaping.down) if p.profile is Profile.STEADY)
        days = [day for day in days if day * setting.users * AWAKE / tick <= MOST_CELLS] or days[:1]
    rows: dict[tuple[str, int], list[tuple[int, float, float, float]]] = {}
    for number, seed in enumerate(setting.seeds):
        say(f"disclosure, {shaping.name}", number, len(setting.seeds))
        rng = np.random.default_rng([seed, 3])
        shift = rng.integers(1, setting.users, (setting.users, setting.contacts))
        book = ((np.arange(setting.users)[:, None] + shift) % setting.users).astype(np.int32)
        sent, got = [], []
        met = np.zeros((setting.users, setting.users), bool)
        judged = rng.permutation(setting.users)[: setting.judged]
        for day in range(1, days[-1] + 1):
            talk = talk_of_day(rng, book, setting.daily)
            world = simulate(talk, shaping, timings, rng)
            texts = talk.kind == MESSAGE
            met[talk.sender[texts], talk.receiver[texts]] = True
            arrived = np.isfinite(world.down_at)
            delay = float(np.median(world.down_at[arrived] - world.up_at[arrived])) if arrived.any() else 0.0
            sent.append(in_rounds(world.up, AWAKE, setting.width))
            got.append(in_rounds(world.down, AWAKE, setting.width, delay))
            if day not in days:
                continue
            up, down = np.concatenate(sent), np.concatenate(got)
            solved = least_squares(up, down, judged)
            for place, user in enumerate(judged):
                contacts = np.flatnonzero(met[user])
                if not len(contacts):
                    continue
                for method, scores in zip(
                    METHODS, (simple(up, down, user), normalised(up, down, user), solved[place]), strict=True
                ):
                    one = recovered(scores, contacts, int(user))
                    about = len(contacts) / (setting.users - 1)
                    row = seed * 1_000_000 + int(user), one.precision, one.found, about
                    rows.setdefault((method, day), []).append(row)
    say(f"disclosure, {shaping.name}", len(setting.seeds), len(setting.seeds))
    return [
        figure
        for (method, day), found in sorted(rows.items())
        for figure in _figures(f"{system} {shaping.name}", method, day, found, setting)
    ]


def _figures(
    system: str, method: str, day: int, found: Sequence[tuple[int, float, float, float]], setting: Weeks
) -> list[Figure]:
    made = []
    users = np.array([row[0] for row in found])
    about = float(np.mean([row[3] for row in found]))
    for column, question, chance in ((1, "precision = recall", about), (2, "found at one false in a hundred", 0.01)):
        rows = np.column_stack([[row[column] for row in found], np.ones(len(found))])
        value, low, high, worst = estimate([tally(users, rows)], share)
        made.append(
            Figure(
                "server-network",
                f"{QUESTION}, {question}",
                system,
                value,
                low,
                high,
                chance,
                about,
                "share",
                True,
                f"{method}; {setting.users} users, rounds of {setting.width:g} s in {AWAKE / 3600:g} hours a day",
                worst,
                "days observed",
                float(day),
            )
        )
    return made
