"""`--link-profile` and its parameters: the same options for every command that opens a client's link."""

from __future__ import annotations

from typing import Annotated

import typer

from quietwire.core.errors import ConfigError
from quietwire.shaping.policy import SLOT, Policy, Profile

LinkProfile = Annotated[
    Profile,
    typer.Option(
        "--link-profile",
        envvar="QUIETWIRE_LINK_PROFILE",
        help="What a watcher of the network may see of our direction. The server is asked for the same in its own.",
    ),
]
LinkTick = Annotated[
    float, typer.Option("--link-tick", envvar="QUIETWIRE_LINK_TICK", help="steady: seconds between two cells.")
]
LinkCell = Annotated[
    int, typer.Option("--link-cell", envvar="QUIETWIRE_LINK_CELL", help="steady: bytes of a cell; best 512 k - 2.")
]

PROFILE = Profile.OFF
TICK = Policy().tick
CELL = Policy().cell
CELLS = range(62, 16_385)
"""Smaller ones carry hardly a stanza's start tag; larger ones are more than one TLS record."""


def link_policy(profile: Profile = PROFILE, tick: float = TICK, cell: int = CELL) -> Policy:
    """Raises ConfigError for parameters that cannot be kept."""
    if profile is not Profile.STEADY:
        return Policy(profile)
    if not 2 * SLOT <= tick <= 600:
        raise ConfigError("command line", "--link-tick", f"{2 * SLOT:g} to 600 seconds")
    if cell not in CELLS:
        raise ConfigError("command line", "--link-cell", f"{CELLS.start} to {CELLS.stop - 1} bytes")
    whole = Policy.slots(tick)
    least = min(whole, Policy.slots(Policy().fast_tick))
    fast = next(slots for slots in range(least, whole + 1) if whole % slots == 0)
    return Policy(profile, tick=round(whole * SLOT, 2), fast_tick=round(fast * SLOT, 2), cell=cell)
