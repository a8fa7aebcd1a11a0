"""How good a list of pairs is, against who really has to do with whom."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Pair = frozenset[str]


@dataclass(frozen=True, slots=True)
class Score:
    """`said`: pairs that were named; `chance`: precision of pairs drawn at random, which is the share of true pairs
    among all.

    `area`: the probability that a true pair is ranked above one that is not (0.5: a coin)."""

    said: int
    true: int
    precision: float
    recall: float
    chance: float
    area: float

    @property
    def edges(self) -> int:
        """True pairs among those that were named, beyond what as many random ones would have hit."""
        return round(self.precision * self.said)


def of_set(said: Collection[Pair], truth: Collection[Pair], people: int) -> Score:
    """Pairs that an attack is sure of, all alike. `people`: among whom pairs are."""
    hit = len(set(said) & set(truth))
    every = people * (people - 1) // 2
    chance = len(set(truth)) / every if every else 0.0
    recall = hit / len(truth) if truth else 0.0
    others = every - len(truth)
    wrong = (len(set(said)) - hit) / others if others else 0.0
    return Score(
        len(set(said)), len(truth), hit / len(said) if said else 0.0, recall, chance, 0.5 + (recall - wrong) / 2
    )


def ranked(weights: Mapping[Pair, float], truth: Collection[Pair], people: int) -> Score:
    """Pairs with weights. Who attacks is told how many true pairs there are, and names as many, the surest first;
    pairs of the same weight count as their share, so that no order of the file helps."""
    truth = set(truth)
    every = people * (people - 1) // 2
    chance = len(truth) / every if every else 0.0
    groups: dict[float, list[Pair]] = {}
    for pair, weight in weights.items():
        if weight > 0:
            groups.setdefault(weight, []).append(pair)
    left, hit, said = float(len(truth)), 0.0, 0
    above_false, wins, true_seen = 0, 0.0, 0
    for weight in sorted(groups, reverse=True):
        pairs = groups[weight]
        good = sum(pair in truth for pair in pairs)
        taken = min(left, len(pairs))
        hit += good * taken / len(pairs)
        said += round(taken)
        left -= taken
        bad = len(pairs) - good
        wins += good * (every - len(truth) - above_false - bad / 2)
        above_false += bad
        true_seen += good
    wins += (len(truth) - true_seen) * (every - len(truth) - above_false) / 2
    possible = len(truth) * (every - len(truth))
    return Score(
        said,
        len(truth),
        hit / said if said else 0.0,
        hit / len(truth) if truth else 0.0,
        chance,
        wins / possible if possible else 0.5,
    )


def luck(weights: Mapping[Pair, float], truth: Collection[Pair], people: Sequence[str], rounds: int = 200) -> float:
    """How often the same weights would do as well if people had been given other names: the share of random renamings
    with an area at least as large. A large share means that the attack tells nothing. Pairs are not independent of each
    other; people are."""
    truth = set(truth)
    reached = ranked(weights, truth, len(people)).area
    chance = random.Random(len(weights))  # noqa: S311  the same answer each time
    others = list(people)
    as_good = 0
    for _ in range(rounds):
        chance.shuffle(others)
        renamed = dict(zip(people, others, strict=True))
        shuffled = {frozenset(renamed[name] for name in pair): weight for pair, weight in weights.items()}
        as_good += ranked(shuffled, truth, len(people)).area >= reached
    return as_good / rounds
