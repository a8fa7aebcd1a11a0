from __future__ import annotations

import pytest

from quietwire.lab.attacks.told import GAP, Told


def test_a_scenario_tells_profiles_and_parameters() -> None:
    told = Told.of_scenario({"client": "steady", "server": "off", "links": {"tick": 6.0, "unheard of": 1}, "users": 3})
    assert (told.up, told.down, told.tick) == ("steady", "off", 6.0)
    assert told.paced


def test_a_scenario_without_profiles_is_off() -> None:
    assert Told.of_scenario({}) == Told()
    assert not Told().paced


@pytest.mark.parametrize(
    ("up", "down", "step"), [("steady", "steady", 2.2), ("steady", "off", 1.0), ("off", "steady", 1.0)]
)
def test_windows_of_links_that_are_paced_one_way_are_shorter(up: str, down: str, step: float) -> None:
    assert Told(up=up, down=down).step == step


def test_delays_make_bursts_longer() -> None:
    assert Told().gap == GAP
    assert Told(up="jitter", delay=0.3, batch=0.2).gap == pytest.approx(GAP + 0.5)
    assert Told(up="jitter").lag(1) == 0.3
    assert Told(up="jitter").lag(-1) == 0.0
