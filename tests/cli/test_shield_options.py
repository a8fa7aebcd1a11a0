"""Options of a shield's link: what they make, and what is refused with the option's name."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from quietwire.cli.config import Links
from quietwire.cli.shield_options import bounds, described, fitting, policy_of, price, tunnel_policy
from quietwire.core.errors import ConfigError
from quietwire.shaping.bounds import BOUNDS
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.presets import DESKTOP, PHONE


def test_what_is_not_said_is_the_presets() -> None:
    assert policy_of("steady", "desktop") == replace(DESKTOP, profile=Profile.STEADY)
    assert policy_of("padded", "phone", block=1024) == replace(PHONE, profile=Profile.PADDED, block=1024)
    assert policy_of("steady", "desktop", window=0.0, bulk_every=0.0).window == 0
    mixed = policy_of("jitter", "desktop", pad=True, garbage=2.0, delay=0.0)
    assert mixed == replace(DESKTOP, profile=Profile.JITTER, pad=True, garbage=2.0, delay=0.0)


@pytest.mark.parametrize("tick", [0.1, 0.35, 1.0, 1.7, 5.0, 30.0])
def test_any_tick_has_a_fast_one(tick: float) -> None:
    policy = policy_of("steady", "desktop", tick=tick)
    assert Policy.slots(policy.tick) % Policy.slots(policy.fast_tick) == 0
    assert policy.fast_tick >= min(0.2, tick)


def test_a_profile_says_what_it_costs() -> None:
    assert price(policy_of("steady", "desktop")) == "steady, 816 bytes every 2.2 s (0.2 s in windows), 35 MB a day"
    assert price(policy_of("padded", "desktop")) == "padded"
    assert price(policy_of("steady", "desktop", window=0.0)).startswith("steady, 816 bytes every 2.2 s, ")


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_what_is_no_number_or_out_of_bounds_is_refused_by_name(name: str, value: float) -> None:
    for wrong in (value, bounds(name)[1] + 1):
        with pytest.raises(ConfigError) as caught:
            policy_of("off", "desktop", **{name: wrong})
        assert caught.value.key == "--" + name.replace("_", "-")


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_are_those_of_the_configuration(name: str) -> None:
    least, most = BOUNDS[name]
    for value in (least, most):
        assert getattr(Links.model_validate({name: value}), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=name):
            Links.model_validate({name: value})


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        ("--fast-tick", {"fast_tick": 0.5}, "of 2.2 seconds: for instance 0.55"),
        ("--fast-tick", {"tick": 1.0, "fast_tick": 0.3}, "for instance 0.5"),
        ("--fast-tick", {"fast_tick": 9.0}, "for instance 2.2"),
        ("--bulk-every", {"bulk_every": 10.0}, "at least --window, which is 30 seconds"),
        ("--window", {"window": 30_000.0}, "at most --bulk-every, which is 21600 seconds"),
        ("--garbage", {"garbage": 0.01}, "at least 0.05 seconds"),
    ],
)
def test_what_does_not_go_together_names_what_was_given(key: str, given: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy_of("steady", "desktop", **given)
    assert caught.value.key == key
    assert said in caught.value.allowed


def test_ticks_are_whole_slots_and_what_is_said_is_what_is_kept() -> None:
    policy = policy_of("steady", "desktop", tick=1.03)
    assert policy.tick == 1.05
    assert "every 1.05 s" in price(policy)
    assert policy_of("steady", "desktop", tick=1.03, fast_tick=0.34).fast_tick == 0.35


@pytest.mark.parametrize("profile", ["off", "jitter"])
def test_a_tunnel_is_cells(profile: str) -> None:
    with pytest.raises(ConfigError, match="a tunnel is cells"):
        tunnel_policy(profile, "desktop")
    assert tunnel_policy("padded", "desktop").profile is Profile.PADDED


def test_a_client_is_slowed_down_in_windows_alone() -> None:
    said: list[str] = []
    fitted = fitting(policy_of("steady", "desktop"), said.append)
    assert (fitted.tick, round(fitted.fast_tick, 2), said) == (2.2, 0.55, [])
    wanted = policy_of("steady", "desktop", tick=0.1)
    assert fitting(wanted, said.append) == wanted
    assert said == [
        "816 bytes every 0.1 s are more than servers take from a client: what is over 3,000 bytes a second may be late"
        " there; --tick and --cell change it"
    ]


def test_the_help_says_what_it_is_and_what_is_usual() -> None:
    assert described("tick", "Seconds") == "Seconds. 0.05 to 86,400; if not given 2.2, phone 30, server 1."
    assert described("block", "Bytes") == "Bytes. 64 to 8,192; if not given 512."
