from __future__ import annotations

import random
from itertools import combinations

import pytest

from quietwire.lab.audit import score

PEOPLE = [f"p{i}" for i in range(20)]
EVERY = [frozenset(pair) for pair in combinations(PEOPLE, 2)]
TRUE = set(random.Random(1).sample(EVERY, 38))


def test_who_knows_all_is_perfect() -> None:
    told = score.of_set(TRUE, TRUE, len(PEOPLE))
    assert (told.precision, told.recall, told.area) == (1, 1, 1)
    assert told.chance == pytest.approx(38 / 190)
    assert score.ranked(dict.fromkeys(TRUE, 2.0), TRUE, len(PEOPLE)).precision == 1


def test_who_knows_nothing_is_at_chance() -> None:
    assert score.of_set([], TRUE, len(PEOPLE)).area == 0.5
    assert score.ranked({}, TRUE, len(PEOPLE)).area == 0.5
    told = score.ranked(dict.fromkeys(EVERY, 1.0), TRUE, len(PEOPLE))
    assert told.precision == pytest.approx(told.chance)
    assert told.area == pytest.approx(0.5)


def test_random_weights_are_at_chance() -> None:
    chance = random.Random(2)
    areas = [score.ranked({pair: chance.random() for pair in EVERY}, TRUE, len(PEOPLE)).area for _ in range(60)]
    assert sum(areas) / len(areas) == pytest.approx(0.5, abs=0.03)


def test_the_area_is_that_of_all_comparisons() -> None:
    chance = random.Random(3)
    weights = {pair: chance.randrange(4) + (pair in TRUE) for pair in EVERY if chance.random() < 0.6}
    value = {pair: weights.get(pair, 0) for pair in EVERY}
    wins = [
        (value[good] > value[bad]) + (value[good] == value[bad]) / 2
        for good in TRUE
        for bad in EVERY
        if bad not in TRUE
    ]
    assert score.ranked(weights, TRUE, len(PEOPLE)).area == pytest.approx(sum(wins) / len(wins))


def test_no_more_pairs_are_named_than_there_are() -> None:
    told = score.ranked({pair: 2.0 if pair in TRUE else 1.0 for pair in EVERY}, TRUE, len(PEOPLE))
    assert (told.said, told.precision, told.recall, told.area) == (38, 1, 1, 1)


def test_luck_tells_a_signal_from_noise() -> None:
    chance = random.Random(4)
    noise = {pair: chance.random() for pair in EVERY}
    signal = {pair: chance.random() + (pair in TRUE) / 2 for pair in EVERY}
    assert score.luck(noise, TRUE, PEOPLE, 60) > 0.05
    assert score.luck(signal, TRUE, PEOPLE, 60) == 0
