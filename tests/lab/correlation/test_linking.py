"""Small servers: what is linked under each profile, and what becomes a figure."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.linking import Result, Setting, figures, link, population, strongest, top
from quietwire.lab.correlation.talk import poisson
from quietwire.lab.correlation.timings import default
from quietwire.lab.correlation.world import Shaping
from quietwire.shaping.policy import Policy, Profile

SMALL = Setting(users=60, messages=(1, 5, 20), senders=20, seeds=(1, 2))
JITTER = Policy(Profile.JITTER, delay=0.3)
STEADY = Policy(Profile.STEADY, cell=1022, tick=1.5, fast_tick=0.3)


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    shapings = {
        "off": Shaping(),
        "jitter": Shaping(JITTER, JITTER),
        "steady": Shaping(STEADY, STEADY),
        "server": Shaping(down=STEADY),
    }
    return {name: link(shaping, SMALL, default()) for name, shaping in shapings.items()}


@pytest.mark.parametrize("attack", ["likelihood", "wavelet", "learned"])
def test_without_shaping_twenty_messages_tell(results: dict[str, Result], attack: str) -> None:
    assert top(results["off"], attack, 20, 60).value >= 0.95


def test_delays_under_a_third_of_a_second_do_not_stop_linking(results: dict[str, Result]) -> None:
    assert strongest(results["jitter"], 20, 60)[1].value >= 0.95


def test_steady_on_both_sides_leaves_a_guess(results: dict[str, Result]) -> None:
    """A fifth of the candidates went away meanwhile: the guess is among the others."""
    for attack in ("likelihood", "wavelet", "learned"):
        assert top(results["steady"], attack, 20, 60).low <= 0.05
        assert top(results["steady"], attack, 20, 60).value <= 0.13


def test_steady_on_the_server_alone_does_not_stop_linking(results: dict[str, Result]) -> None:
    """The recipient's receipts come back on an uplink that is not shaped."""
    assert strongest(results["server"], 20, 60)[1].value >= 0.3


def test_figures_of_all_attacks_messages_and_sizes(results: dict[str, Result]) -> None:
    made = figures(results["off"])
    assert {figure.at for figure in made} == {1, 5, 20}
    tops = [figure for figure in made if figure.question == "linking: who receives, top 1"]
    assert {figure.detail["users"] for figure in tops} == {10, 30, 60}
    assert all(figure.simulated and figure.adversary == "server-network" for figure in made)
    full = [figure for figure in tops if figure.detail["users"] == 60 and figure.at == 20]
    assert {figure.chance for figure in full} == {1 / 59}
    assert all(figure.detail["p95"] < 0.1 for figure in made)
    ten = {(f.note, f.at): f.value for f in tops if f.detail["users"] == 10}
    sixty = {(f.note, f.at): f.value for f in tops if f.detail["users"] == 60}
    assert all(ten[key] >= sixty[key] - 1e-9 for key in sixty)
    false = [figure for figure in made if figure.question.endswith("one false in a thousand") and figure.at == 20]
    assert min(figure.value for figure in false) > 0.8


def test_the_same_seeds_give_the_same(results: dict[str, Result]) -> None:
    again = link(Shaping(), SMALL, default())
    for one, two in zip(again.outcomes, results["off"].outcomes, strict=True):
        assert np.array_equal(one.before, two.before)


def test_whose_server_receives() -> None:
    """Links between servers, of one to nine others: told by the records that leave at once."""
    setting = Setting(users=200, messages=(1, 5), senders=10, seeds=(1,), servers=10, links="servers")
    result = link(Shaping(), setting, default())
    made = figures(result)
    assert strongest(result, 5, 10)[1].value > 0.8
    assert {figure.question.partition(",")[0] for figure in made} == {"linking: whose server receives"}
    between = Policy(Profile.STEADY, cell=4094, tick=0.3, fast_tick=0.3)
    steady = link(Shaping(between=between), setting, default())
    assert top(steady, "likelihood", 5, 10).value < 0.6


def test_populations() -> None:
    rng = np.random.default_rng(1)
    plan = poisson(rng, 10, 5.0, 1.0)
    assert population(Setting(plan=plan), rng) is plan
    assert population(Setting(users=20, messages=(1, 9), people="bursty"), rng).seconds == 2160.0
    two = link(Shaping(), Setting(users=40, messages=(1, 10), senders=6, seeds=(1,), servers=2), default())
    assert figures(two)[0].system == "quietwire off, 2 servers"
