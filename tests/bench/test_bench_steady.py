from __future__ import annotations

import tomllib
from pathlib import Path

from configs import Setup, quietwire_config
from meter import Meter
from steady import arguments, settings, told

from quietwire.cli.config import Config
from quietwire.shaping.presets import DESKTOP


def test_the_settings_are_ours() -> None:
    text = quietwire_config(Path("f"), 1, Path("c"), Path("k"), Setup(links=settings("steady", 5.0)))
    policy = Config.model_validate(tomllib.loads(text)).links.policy()
    assert (policy.profile, policy.window, policy.tick, policy.cell) == ("steady", 5.0, DESKTOP.tick, DESKTOP.cell)


def test_what_is_told() -> None:
    meter = Meter([])
    meter.wall, meter.server = 10.0, 1.5
    result = told("steady", 2000, 1000, 101_000, meter, DESKTOP.cell * 6670)
    assert result["kb_per_session"] == 50.0
    assert result["cpu_share"] == 0.15
    assert result["cells_per_s"] == 667.0


def test_by_default_it_is_what_the_design_asks_for() -> None:
    options = arguments().parse_args([])
    assert (options.n, options.profiles) == (2000, "off,steady")
