from __future__ import annotations

import math

import attack_worlds as worlds
import numpy as np
import pytest

from quietwire.lab.attacks import actions, models
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import NOTHING, Happened, Place

QUICK = (1, 2)


def normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def value(found: actions.Recognised) -> float:
    return actions.as_figures(found, "synthetic", simulated=True)[0].value


def near(reached: float, best: float, chance: float) -> bool:
    """Within 10 % of the optimum, counted from chance on, and not above what luck allows."""
    return chance + 0.9 * (best - chance) <= reached <= best + 0.03


def test_gaussian_gaps_are_told_apart_as_well_as_can_be() -> None:
    """Two kinds that differ in the time until the answer, normal with one spread: the optimum is Phi(d / 2 s)."""
    apart, spread = 0.004, 0.002

    def kind(mean: float) -> object:
        return lambda g: (0, [(0.0, 200, 1), (max(0.0001, mean + spread * g.normal()), 300, -1)])

    places = worlds.lives(20, 150, {"ping": kind(0.012), "roster": kind(0.012 + apart)})  # type: ignore[arg-type, dict-item]
    found = actions.recognise(only_kinds(actions.collect(places, Told())), QUICK)
    best = normal(apart / 2 / spread)
    assert near(value(found), best, 0.5), (value(found), best)
    assert found.important[0][0] in ("gap 1", "mean gap", "largest gap", "seconds")


def only_kinds(windows: actions.Windows) -> actions.Windows:
    return windows.only(windows.labels != NOTHING)


def test_overlapping_sizes_are_told_apart_as_well_as_can_be() -> None:
    """Four kinds, each uniform over 100 sizes that it shares half of with its neighbours: who is in doubt tosses."""

    def kind(number: int) -> object:
        return lambda g: (0, [(0.0, 500 + 50 * number + int(g.integers(100)), 1)])

    names = ("message", "ping", "presence", "typing")
    places = worlds.lives(20, 300, {name: kind(n) for n, name in enumerate(names)})  # type: ignore[misc]
    found = actions.recognise(only_kinds(actions.collect(places, Told())), QUICK)
    # Outer kinds: half of their sizes are theirs alone; inner: none is. Each doubt is one half: 1/2 + 1/4, and 1/2.
    best = (0.75 + 0.5 + 0.5 + 0.75) / 4
    assert near(value(found), best, 0.25), (value(found), best)


def test_the_open_world_has_base_rates_and_nothing_is_a_class() -> None:
    kinds = {
        "message": lambda g: (80, [(0.0, 900 + int(g.integers(300)), 1), (0.002, 90, -1)]),
        "ping": lambda g: (0, [(0.0, 160, 1), (0.002, 130, -1)]),
    }
    places = worlds.lives(12, 80, kinds, background=lambda g: [(0.0, 40, -1)])
    windows = actions.collect(places, Told())
    found = actions.recognise(windows, QUICK)
    all_, hidden, anything = actions.as_figures(found, "synthetic", simulated=True, note="made here")
    assert found.classes == ("message up", NOTHING, "ping up")
    assert all_.value == pytest.approx(1.0, abs=0.02)
    assert all_.chance == pytest.approx(1 / 3)
    assert all_.detail["recall ping up"] == pytest.approx(1.0, abs=0.03)
    assert all_.detail["precision message up"] == pytest.approx(1.0, abs=0.03)
    assert anything.value > 0.98
    assert anything.detail["found at 0.01 false"] > 0.9
    # 80 happenings in 80 * 5 + 40 * 5 seconds, so of some 500 idle seconds and 120 bursts.
    assert 0.08 < anything.base_rate < 0.2
    assert "made here" in hidden.note
    assert all_.simulated


def test_constant_cells_give_chance() -> None:
    generator = np.random.default_rng(3)
    places = []
    for user in range(20):
        flow = worlds.cells(generator, f"L{user}", 120)
        rows = [
            (float(at), str(generator.choice(["message", "typing", "ping"])), int(generator.choice([1, -1])), 10)
            for at in generator.uniform(flow.times[0] + 20, flow.times[-1], 40)
        ]
        places.append(Place(flow, Happened.of(rows), user))
    told = Told(up="steady", down="steady")
    windows = actions.collect(places, told)
    found = actions.recognise(windows, QUICK, candidates=lambda: [models.Trees(30), models.Network()])
    figures = actions.as_figures(found, "steady", simulated=True)
    assert figures[0].value == pytest.approx(figures[0].chance, abs=0.05)
    assert figures[0].low <= figures[0].chance + 0.02
    assert figures[-1].value == pytest.approx(0.5, abs=0.05)


def test_cells_that_tell_are_recognised() -> None:
    """The same with a leak: what carries a message is a millisecond late."""
    generator = np.random.default_rng(3)
    places = []
    for user in range(12):
        flow = worlds.cells(generator, f"L{user}", 200)
        up = np.flatnonzero(flow.ways > 0)
        chosen = generator.choice(up[5:-5:3], 40, replace=False)
        flow.times[chosen] += 0.001
        rows = [(float(flow.times[one]) - 0.05, "message", 1, 10) for one in chosen]
        places.append(Place(flow, Happened.of(rows), user))
    windows = actions.collect(places, Told(up="steady", down="steady"))
    found = actions.recognise(windows, QUICK, candidates=lambda: [models.Trees(30)])
    assert value(found) > 0.6
    assert any("deviation" in name for name, _ in found.important)


def test_what_the_clock_alone_tells_is_told_apart_from_what_cells_tell() -> None:
    """People who say something in the first half of a session only: cells add nothing to that."""
    generator = np.random.default_rng(3)
    places = []
    for user in range(16):
        flow = worlds.cells(generator, f"L{user}", 100)
        middle = (flow.times[0] + flow.times[-1]) / 2
        rows = [(float(at), "message", 1, 10) for at in generator.uniform(flow.times[0], middle, 25)]
        places.append(Place(flow, Happened.of(rows), user))
    windows = actions.collect(places, Told(up="steady", down="steady"))
    found = actions.recognise(windows, (1,), candidates=lambda: [models.Trees(30)])
    clock = actions.clock_alone(windows, (1,))
    figure = actions.as_figures(found, "steady", simulated=True, clock=clock)[0]
    assert figure.value > 0.65
    assert figure.value <= figure.detail["clock alone"] + 0.03


def test_whole_clients_are_held_out() -> None:
    """Two clients send other sizes for the same, so what is learned of one is worth nothing for the other."""

    def life(shift: int, seed: int) -> list[Place]:
        kinds = {
            "message": lambda g: (0, [(0.0, 300 + shift, 1)]),
            "ping": lambda g: (0, [(0.0, 300 - shift, 1)]),
        }
        return worlds.lives(8, 40, kinds, seed=seed)

    places = [Place(p.flow, p.happened, p.user, "one") for p in life(100, 1)]
    places += [Place(p.flow, p.happened, p.user + 8, "two") for p in life(-100, 2)]
    windows = only_kinds(actions.collect(places, Told()))
    known = actions.recognise(windows, QUICK)
    unknown = actions.recognise(windows, QUICK, apart=windows.clients)
    assert value(known) < 0.75  # the same sizes mean either
    assert value(unknown) < 0.1
    figure = actions.as_figures(unknown, "synthetic", simulated=True, held_out="client")[0]
    assert figure.question == "what happened, unknown client"


def test_the_same_seed_gives_the_same_figures() -> None:
    kinds = {
        "message": lambda g: (0, [(0.0, 300 + int(g.integers(50)), 1)]),
        "ping": lambda g: (0, [(0.0, 320 + int(g.integers(50)), 1)]),
    }
    found = [
        actions.as_figures(
            actions.recognise(actions.collect(worlds.lives(8, 40, kinds), Told()), (1,)), "synthetic", simulated=True
        )
        for _ in range(2)
    ]
    assert found[0] == found[1]


def test_rare_kinds_are_no_class_and_too_few_users_are_said() -> None:
    kinds = {"message": lambda g: (0, [(0.0, 300, 1)])}
    with pytest.raises(ValueError, match="common enough"):
        actions.collect(worlds.lives(2, 3, kinds), Told())
    windows = only_kinds(actions.collect(worlds.lives(4, 30, kinds | {"ping": lambda g: (0, [(0.0, 9, 1)])}), Told()))
    with pytest.raises(ValueError, match="three"):
        actions.recognise(windows.only(windows.users < 2), (1,), candidates=lambda: [models.Trees()])
