from __future__ import annotations

import attack_worlds as worlds
import numpy as np

from quietwire.lab.attacks import run
from quietwire.lab.attacks.data import Data
from quietwire.lab.attacks.probes import Probed
from quietwire.lab.attacks.told import Told


def life() -> Data:
    def message(generator: np.random.Generator) -> tuple[int, worlds.Records]:
        size = 1 + int(generator.integers(200))
        return size, [(0.0, 300 + size, 1), (0.002, 90, -1)]

    kinds = {"message": message, "ping": lambda g: (0, [(0.0, 160, 1), (0.002, 130, -1)])}
    return Data("synthetic", Told(), tuple(worlds.lives(8, 30, kinds)), simulated=True)


def test_all_that_can_be_measured_is_and_the_rest_is_said() -> None:
    said: list[str] = []
    found = run.attack(life(), seeds=(1,), say=said.append)
    questions = {figure.question for figure in found}
    assert {
        "what happened", "whether anything happened", "how long a message is", "where the recipient is",
        "how long a message is, error of a guess",
    } <= questions  # fmt: skip
    assert all(figure.system == "synthetic" and figure.simulated for figure in found)
    assert said[0] == "synthetic: actions"
    assert any(text.startswith("synthetic: clients: left out: fewer than two clients") for text in said)


def test_one_attack_alone() -> None:
    found = run.attack(life(), ("length",), seeds=(1,))
    assert [figure.unit for figure in found] == ["bits", "characters"]


def test_where_somebody_is_comes_from_those_who_were_measured_if_there_are_any() -> None:
    ways = (0.01, 0.1)
    people = [Probed(user, ways[user % 2], np.full(40, 2 * ways[user % 2]), np.zeros(40)) for user in range(8)]
    found = run.attack(Data("probed", Told(), life().places, probed=tuple(people)), ("location",), seeds=(1,))
    assert [figure.at for figure in found] == [1, 5, 13, 38]
    assert all(figure.value == 1.0 and not figure.simulated for figure in found)
