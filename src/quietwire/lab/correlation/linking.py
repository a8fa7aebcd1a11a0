"""Who gets what a sender sends: curves over messages observed and over the size of the server.

Each seed makes two worlds with the same shaping: on one the attackers are trained, on the other they are judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.correlation.attackers import Attack, ByLearning, ByLikelihood, Features
from quietwire.lab.correlation.cases import cases, laws, watched
from quietwire.lab.correlation.ranks import among_first, better, hits, separation
from quietwire.lab.correlation.sight import Case
from quietwire.lab.correlation.talk import Talk, bursty, of_plan, poisson
from quietwire.lab.correlation.timings import Timings
from quietwire.lab.correlation.wavelet import SCALES
from quietwire.lab.correlation.world import Churn, Shaping, World, simulate
from quietwire.lab.figures import SEEDS, Estimate, Figure, estimate, share, tally

Array = NDArray[np.float64]
Say = Callable[[str, int, int], None]
"""(what, done, of how many)"""

MESSAGES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
CANDIDATES = (10, 30, 100, 300, 1000, 3000)
RATE = 4 / 60
"""Messages a second of a user: four a minute (the issue)."""
FALSE = 1e-3
SQUEEZE = 8.0
"""How much of a life passes in a second of `life`: else hours would have to be simulated for each message."""
NEGATIVES = 400
"""Other candidates of each case that the threshold is set by."""
QUESTION = "linking: who receives"
SERVER = "linking: whose server receives"
ATTACKS = ("likelihood", "wavelet", "learned")


@dataclass(frozen=True)
class Setting:
    users: int = 3000
    messages: tuple[int, ...] = tuple(n for n in MESSAGES if n <= 50)
    """Ascending."""
    senders: int = 60
    """Who are judged, a seed; half as many train."""
    people: str = "poisson"
    """Or `bursty`, or `life`: of `lab.people`."""
    seeds: tuple[int, ...] = SEEDS
    attacks: tuple[str, ...] = ATTACKS
    churn: float = 0.3
    servers: int = 1
    links: Literal["users", "servers"] = "users"
    """Who the candidates are: other users, or the servers that the first one has links to."""
    rate: float = RATE
    focus: float = 0.8
    plan: Talk | None = None
    """In place of a population."""


@dataclass(frozen=True)
class Outcome:
    """Of one attack: a row a case of all seeds."""

    attack: str
    seed: NDArray[np.int64]
    user: NDArray[np.int64]
    before: NDArray[np.int64]
    """(cases, messages): candidates before the right one."""
    hit: NDArray[np.bool_]
    """(cases, messages): at one false alarm in a thousand."""
    others: int


@dataclass
class Result:
    shaping: Shaping
    setting: Setting
    outcomes: list[Outcome] = field(default_factory=list)
    latency: tuple[float, float] = (0.0, 0.0)
    """Median and 95th percentile of texts, in seconds, end to end."""


class TooQuiet(ValueError):
    """Nobody sends as many messages as are asked for."""


def population(setting: Setting, rng: np.random.Generator) -> Talk:
    """Long enough that nearly all senders have sent as many messages to their partner as are asked for."""
    if setting.plan is not None:
        return setting.plan
    most = setting.messages[-1]
    if setting.people == "poisson":
        seconds = 30.0 + (most + 3 * np.sqrt(most)) / (setting.rate * setting.focus)
        return poisson(rng, setting.users, seconds, setting.rate, focus=setting.focus)
    if setting.people == "life":
        from quietwire.lab.people import Parameters, plan

        seconds = max(3600.0, 120.0 * most)
        made = plan(int(rng.integers(2**31)), setting.users, seconds, Parameters(squeeze=SQUEEZE))
        return of_plan(made.events, setting.users, seconds)
    return bursty(rng, setting.users, max(1800.0, 240.0 * most))


def world(setting: Setting, shaping: Shaping, timings: Timings, seed: int) -> World:
    rng = np.random.default_rng(seed)
    churn = Churn(setting.churn) if setting.churn else None
    return simulate(population(setting, rng), shaping, timings, rng, churn=churn, servers=setting.servers)


def link(shaping: Shaping, setting: Setting, timings: Timings, say: Say = lambda *_: None) -> Result:
    """Trains and judges under each seed."""
    result = Result(shaping, setting)
    candidates = setting.servers if setting.links == "servers" else setting.users
    rows: dict[str, list[_Row]] = {name: [] for name in setting.attacks}
    latencies = []
    for number, seed in enumerate(setting.seeds):
        say(shaping.name, number, len(setting.seeds))
        rng = np.random.default_rng([seed, 7])
        judged = world(setting, shaping, timings, 2 * seed)
        latencies.append(judged.latency)
        asked = cases(judged, rng, setting.senders, setting.messages, setting.links)
        if not asked:
            raise TooQuiet(f"nobody sends {setting.messages[-1]} messages to one partner")
        chosen = rng.integers(0, candidates, NEGATIVES)
        for attack in prepared(setting, world(setting, shaping, timings, 2 * seed + 1), judged, rng):
            for case in asked:
                scores = attack.scores(case)
                before = better(scores, case.right, case.own, rng)
                wrong = scores[:, chosen[(chosen != case.right) & (chosen != case.own)]]
                rows[attack.name].append(_Row(seed, case.sender, before, scores[:, case.right], wrong))
    say(shaping.name, len(setting.seeds), len(setting.seeds))
    taken = np.concatenate(latencies)
    if len(taken):
        result.latency = float(np.median(taken)), float(np.quantile(taken, 0.95))
    result.outcomes = [_outcome(name, found, candidates - 2) for name, found in rows.items() if found]
    return result


def prepared(setting: Setting, known: World, judged: World, rng: np.random.Generator) -> list[Attack]:
    """The attacks that are asked for, trained on `known`, on the links of `judged`."""
    down, back = laws(known, rng, setting.links)
    seen = watched(judged, setting.links)
    attacks: list[Attack] = []
    if "likelihood" in setting.attacks:
        attacks.append(ByLikelihood(seen, down, back))
    if not {"wavelet", "learned"} & set(setting.attacks):
        return attacks
    lessons = cases(known, rng, max(20, setting.senders // 2), setting.messages, setting.links)
    found = known_features(Features(watched(known, setting.links), down, back), lessons)
    features = Features(seen, down, back)
    features.wavelet.learn([(case, each[-1, :, -SCALES:]) for case, each in found])
    if "wavelet" in setting.attacks:
        attacks.append(features.wavelet)
    if "learned" in setting.attacks:
        learner = ByLearning(features)
        learner.learn(found, rng)
        attacks.append(learner)
    return attacks


def known_features(features: Features, lessons: Sequence[Case]) -> list[tuple[Case, Array]]:
    return [(case, features.of(case)) for case in lessons]


@dataclass(frozen=True)
class _Row:
    seed: int
    user: int
    before: NDArray[np.int64]
    right: Array
    wrong: Array
    """(messages, some)."""


def _outcome(name: str, rows: Sequence[_Row], others: int) -> Outcome:
    wrong = np.concatenate([row.wrong for row in rows], axis=1)
    right = np.array([row.right for row in rows])
    hit = np.stack([hits(right[:, n], wrong[n], FALSE) for n in range(right.shape[1])], axis=1)
    return Outcome(
        name,
        np.array([row.seed for row in rows]),
        np.array([row.user for row in rows]),
        np.array([row.before for row in rows]),
        hit,
        others,
    )


def _estimated(outcome: Outcome, values: Array) -> Estimate:
    """The mean over cases, drawn again by user and seed. People of two seeds are different people."""
    rows = np.column_stack([values, np.ones(len(values))])
    offset = outcome.user + outcome.seed * 1_000_000
    return estimate([tally(offset, rows)], share)


def figures(result: Result, system: str = "quietwire") -> list[Figure]:
    """Top 1 and top 5 by messages and by candidates, separation, and hits at a fixed rate of false alarms."""
    setting, made = result.setting, []
    p50, p95 = result.latency
    name = f"{system} {result.shaping.name}" + (f", {setting.servers} servers" if setting.servers > 1 else "")
    every = setting.servers if setting.links == "servers" else setting.users
    sizes = sorted({n for n in CANDIDATES if n < every} | {every})

    def add(
        outcome: Outcome, asked: str, values: Array, chance: float, over: str, at: float, detail: dict[str, float]
    ) -> None:
        value, low, high, worst = _estimated(outcome, values)
        made.append(
            Figure(
                "server-network",
                asked,
                name,
                value,
                low,
                high,
                chance,
                chance,
                "share",
                True,
                f"{outcome.attack} attack, {setting.people} users, simulated from measured timings",
                worst,
                over,
                at,
                {**detail, "p50": p50, "p95": p95},
            )
        )

    question = SERVER if setting.links == "servers" else QUESTION
    for outcome in result.outcomes:
        for column, messages in enumerate(setting.messages):
            before = outcome.before[:, column]
            for users in sizes:
                # The server has `users` users: without the sender, one less may be the right one.
                for first in (1, 5):
                    values = among_first(before, outcome.others, users - 1, first)
                    add(
                        outcome,
                        f"{question}, top {first}",
                        values,
                        min(1.0, first / (users - 1)),
                        "messages observed",
                        messages,
                        {"users": users},
                    )
            add(outcome, f"{question}, AUC", separation(before, outcome.others), 0.5, "messages observed", messages, {})
            add(
                outcome,
                f"{question}, found at one false in a thousand",
                outcome.hit[:, column].astype(np.float64),
                FALSE,
                "messages observed",
                messages,
                {},
            )
    return made


def top(result: Result, attack: str, messages: int, users: int, first: int = 1) -> Estimate:
    """One point of the curves."""
    outcome = next(each for each in result.outcomes if each.attack == attack)
    before = outcome.before[:, result.setting.messages.index(messages)]
    return _estimated(outcome, among_first(before, outcome.others, users - 1, first))


def strongest(result: Result, messages: int, users: int) -> tuple[str, Estimate]:
    """The attack that does best there."""
    found = [(each.attack, top(result, each.attack, messages, users)) for each in result.outcomes]
    return max(found, key=lambda each: each[1].value)
