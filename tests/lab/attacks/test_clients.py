from __future__ import annotations

import numpy as np
import pytest
from attack_worlds import EPOCH

from quietwire.lab.attacks import clients
from quietwire.lab.attacks.windows import Happened, Place
from quietwire.lab.flows import make


def start(user: int, client: str, hello: int, generator: np.random.Generator, *, web: bool = False) -> Place:
    count = 12
    times = EPOCH + np.cumsum(generator.exponential(0.01, count))
    sizes = 100 + generator.integers(0, 400, count)
    sizes[3] = hello + int(generator.integers(100))
    return Place(make(f"L{user}", times, sizes, [1, -1] * 6), Happened.of([]), user, client, web=web)


def world(apart: int, users: int = 120) -> list[Place]:
    generator = np.random.default_rng(1)
    return [start(user, "ab"[user % 2], 600 + apart * (user % 2), generator) for user in range(users)]


def test_clients_that_share_half_of_their_sizes_are_told_apart_as_well_as_can_be() -> None:
    windows = clients.collect(world(50))
    (figure,) = clients.as_figures(clients.recognise(windows, (1, 2)), "synthetic", simulated=True)
    best = 0.75  # half of all are sure, the others a toss
    assert 0.5 + 0.9 * (best - 0.5) - 0.03 <= figure.value <= best + 0.08
    assert figure.chance == 0.5
    assert "size 4" in figure.note or "largest down" in figure.note


def test_clients_that_are_alike_are_a_toss() -> None:
    (figure,) = clients.as_figures(clients.recognise(clients.collect(world(0)), (1, 2)), "synthetic", simulated=True)
    assert figure.low < 0.5 < figure.high or figure.value == pytest.approx(0.5, abs=0.06)


def test_web_connections_and_rare_clients_are_left_out() -> None:
    generator = np.random.default_rng(2)
    places = [*world(500, 40), start(77, "c", 9, generator), start(1, "a", 9, generator, web=True)]
    assert set(clients.collect(places).labels.tolist()) == {"a", "b"}
    assert len(clients.collect(places)) == 40
    with pytest.raises(ValueError, match="fewer than two clients"):
        clients.collect([place for place in places if place.client == "a"])


def test_what_comes_late_is_not_of_the_start() -> None:
    flow = make("L", [0.0, 1.0, 100.0], [10, 20, 4000], [1, -1, 1])
    row = dict(zip(clients.names(), clients.of_start(flow), strict=True))
    assert row["records"] == 2
    assert row["bytes up"] == 10
