"""Options of a client's link."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from quietwire.cli.app import app
from quietwire.cli.link_options import Preset, link_policy
from quietwire.client.downlink import ask
from quietwire.core.errors import ConfigError
from quietwire.server.modules.links import wanted
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.presets import DESKTOP, PHONE


def test_the_defaults_are_the_presets() -> None:
    assert link_policy() == DESKTOP
    assert link_policy(Profile.STEADY) == replace(DESKTOP, profile=Profile.STEADY)
    assert link_policy(Profile.STEADY, Preset.PHONE) == replace(PHONE, profile=Profile.STEADY)
    assert link_policy(Profile.PADDED, tick=0.0) == Policy(Profile.PADDED)


@pytest.mark.parametrize("tick", [0.1, 0.35, 1.0, 1.7, 3.0, 5.0, 30.0, 300.0])
def test_any_tick_has_a_fast_one(tick: float) -> None:
    policy = link_policy(Profile.STEADY, tick=tick)
    assert policy.tick == pytest.approx(tick)
    assert Policy.slots(policy.tick) % Policy.slots(policy.fast_tick) == 0
    assert policy.fast_tick >= min(0.2, tick)


@pytest.mark.parametrize(("key", "value"), [("tick", 0.0), ("tick", 301.0), ("cell", 0), ("cell", 16_383)])
def test_what_cannot_be_kept_is_one_line(key: str, value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        link_policy(Profile.STEADY, **{key: value})  # type: ignore[arg-type]
    assert caught.value.key == f"--link-{key}"


@pytest.mark.parametrize(("tick", "cell"), [(0.1, None), (300.0, None), (None, 128), (None, 16_382)])
def test_a_server_of_ours_grants_what_can_be_chosen(tick: float | None, cell: int | None) -> None:
    policy = link_policy(Profile.STEADY, tick=tick, cell=cell)
    assert wanted(ask(policy).attrib, DESKTOP) == policy


def test_help_says_where_defaults_are_from() -> None:
    shown = CliRunner().invoke(app, ["send", "--help"], env={"COLUMNS": "200"}).output
    assert shown.count("(default: the preset's)") == 2
