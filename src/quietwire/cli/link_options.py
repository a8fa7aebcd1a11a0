"""`--link-profile` and its parameters: the same options for every command that opens a client's link."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from quietwire.core.errors import ConfigError
from quietwire.shaping.bounds import BOUNDS
from quietwire.shaping.policy import LONGEST, SLOT, Policy, Profile
from quietwire.shaping.presets import PRESETS


class Preset(StrEnum):
    """Those of `shaping.presets` that are a client's."""

    DESKTOP = "desktop"
    PHONE = "phone"


LinkProfile = Annotated[
    Profile,
    typer.Option(
        "--link-profile",
        envvar="QUIETWIRE_LINK_PROFILE",
        help="What a watcher of the network may see of our direction. The server is asked for the same in its own.",
    ),
]
LinkPreset = Annotated[
    Preset,
    typer.Option("--link-preset", envvar="QUIETWIRE_LINK_PRESET", help="steady: for the link of a desktop or a phone."),
]
LinkTick = Annotated[
    float | None,
    typer.Option(
        "--link-tick",
        envvar="QUIETWIRE_LINK_TICK",
        help="steady: seconds between two cells (default: the preset's).",
    ),
]
LinkCell = Annotated[
    int | None,
    typer.Option(
        "--link-cell",
        envvar="QUIETWIRE_LINK_CELL",
        help="steady: bytes of a cell (default: the preset's).",
    ),
]

CELLS = range(BOUNDS["cell"][0], BOUNDS["cell"][1] + 1)


def link_policy(
    profile: Profile = Profile.OFF,
    preset: Preset = Preset.DESKTOP,
    tick: float | None = None,
    cell: int | None = None,
) -> Policy:
    """Raises ConfigError for parameters that cannot be kept."""
    policy = replace(PRESETS[preset], profile=Profile.OFF)
    if profile is not Profile.STEADY:
        return replace(policy, profile=profile)
    tick, cell = policy.tick if tick is None else tick, policy.cell if cell is None else cell
    if not 2 * SLOT <= tick <= LONGEST:
        raise ConfigError("command line", "--link-tick", f"{2 * SLOT:g} to {LONGEST:g} seconds")
    if cell not in CELLS:
        raise ConfigError("command line", "--link-cell", f"{CELLS.start} to {CELLS.stop - 1} bytes")
    whole = Policy.slots(tick)
    fast = Policy.part(whole, Policy.slots(policy.fast_tick))
    return replace(policy, profile=profile, tick=round(whole * SLOT, 2), fast_tick=round(fast * SLOT, 2), cell=cell)
