"""Rooms on simulated servers: how well members are told from others, by what reaches their links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.groups import Room, Rule, by_events, by_shape, learn
from quietwire.lab.correlation.shapes import record
from quietwire.lab.correlation.talk import poisson
from quietwire.lab.correlation.timings import Timings
from quietwire.lab.correlation.world import Churn, Copies, Shaping, World, simulate
from quietwire.lab.figures import SEEDS, Figure, estimate, share, tally
from quietwire.shaping.policy import Profile

FALSE = 1e-3
SPACING = 2e-5
"""Seconds between two copies of a message that goes to all members."""
QUESTION = "group membership, true positives at one false in a thousand"


@dataclass(frozen=True)
class Gathering:
    users: int = 1000
    rooms: int = 10
    members: int = 20
    seconds: float = 900.0
    """Fifteen minutes, as in the paper."""
    rate: float = 2 / 60
    """Messages a second in a room."""
    own: float = 2 / 60
    """Messages a second of a user to others."""
    seeds: tuple[int, ...] = SEEDS


@dataclass(frozen=True)
class Seen:
    world: World
    rooms: list[Room]
    members: list[NDArray[np.int32]]
    copies: Copies
    number: NDArray[np.int64]
    """Of each copy its message, numbered over all rooms."""


def gather(setting: Gathering, shaping: Shaping, timings: Timings, rng: np.random.Generator) -> Seen:
    """Users who talk to each other, and some of them in rooms."""
    rooms, members, at, link, size, number = [], [], [], [], [], []
    total = 0
    both = {shaping.up.profile, shaping.down.profile} == {Profile.STEADY}
    for _ in range(setting.rooms):
        times = np.sort(rng.random(rng.poisson(setting.rate * setting.seconds) + 1) * setting.seconds * 0.97)
        texts = (timings.shrunk if both else timings.up)["message"].draw(rng, len(times)).astype(np.int64)
        who = rng.choice(setting.users, setting.members, replace=False).astype(np.int32)
        rooms.append(Room(times, record(texts).astype(np.float64)))
        members.append(who)
        at.append((times[:, None] + SPACING * np.arange(len(who))).ravel())
        link.append(np.tile(who, len(times)))
        grown = (timings.brought if both else timings.grown)["message"].draw(rng, len(times) * len(who))
        size.append(np.repeat(texts, len(who)) + grown.astype(np.int64))
        number.append(np.repeat(total + np.arange(len(times)), len(who)))
        total += len(times)
    copies = Copies(np.concatenate(at), np.concatenate(link), np.concatenate(size).astype(np.int64))
    talk = poisson(rng, setting.users, setting.seconds, setting.own)
    world = simulate(talk, shaping, timings, rng, churn=Churn(0.1), copies=copies)
    return Seen(world, rooms, members, copies, np.concatenate(number))


def rule_of(seen: Seen) -> Rule:
    """What the watcher learns from rooms that it knows the members of."""
    arrived = np.isfinite(seen.world.copies_at)
    sent = np.concatenate([room.at for room in seen.rooms])[seen.number[arrived]]
    sizes = np.concatenate([room.sizes for room in seen.rooms])[seen.number[arrived]]
    return learn(seen.world.copies_at[arrived] - sent, seen.world.copies_size[arrived] - sizes)


def members_found(
    shaping: Shaping,
    setting: Gathering,
    timings: Timings,
    system: str = "quietwire",
    say: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Figure]:
    """Both detectors. Thresholds are set on all strangers of all rooms of a seed."""
    rows: dict[str, list[tuple[int, float]]] = {"event-based": [], "shape-based": []}
    for place, seed in enumerate(setting.seeds):
        say(f"groups, {shaping.name}", place, len(setting.seeds))
        rng = np.random.default_rng([seed, 5])
        rule = rule_of(gather(setting, shaping, timings, rng))
        seen = gather(setting, shaping, timings, rng)
        side = seen.world.down
        for name in rows:
            hers, others, users = [], [], []
            for room, members in zip(seen.rooms, seen.members, strict=True):
                if name == "event-based":
                    scores = by_events(room, side, rule)
                else:
                    scores = by_shape(room, side, rule, setting.seconds)
                hers.append(scores[members])
                users.append(members)
                others.append(np.delete(scores, members))
            # Whole hits make many equal: those are told apart by lot, as a threshold between them would.
            hers = [one + 1e-9 * rng.random(len(one)) for one in hers]
            others = [one + 1e-9 * rng.random(len(one)) for one in others]
            threshold = np.quantile(np.concatenate(others), 1 - FALSE, method="higher")
            found = np.concatenate(hers) > threshold
            who = np.concatenate(users) + seed * 1_000_000
            rows[name] += list(zip(who.tolist(), found.astype(float).tolist(), strict=True))
    say(f"groups, {shaping.name}", len(setting.seeds), len(setting.seeds))
    made = []
    for name, each in rows.items():
        values = np.column_stack([[one[1] for one in each], np.ones(len(each))])
        value, low, high, worst = estimate([tally(np.array([one[0] for one in each]), values)], share)
        made.append(
            Figure(
                "client-network",
                QUESTION,
                f"{system} {shaping.name}",
                value,
                low,
                high,
                FALSE,
                setting.members / setting.users,
                "share",
                True,
                f"{name} detector, {setting.seconds / 60:g} minutes, {setting.rate * 60:g} messages a minute",
                worst,
                "messages observed",
                setting.rate * setting.seconds,
            )
        )
    return made
