"""What a client may send to any server: stock servers read it only so fast, and what is over that is late. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from quietwire.shaping.policy import SLOT, Policy, Profile

STOCK_RATE: Final = 3000.0
"""Bytes a second that any server reads without a pause: ejabberd's limit as Debian installs it (Prosody: 10,000)."""
RECORD: Final = 40
"""What TLS adds to a cell, generously: servers may count it."""


def uplink(policy: Policy) -> Policy:
    """`policy` as a client may keep it with any server: in windows it stays under the rates of stock servers.

    Raises ValueError for cells that come too fast even outside of windows.
    """
    if policy.profile is not Profile.STEADY:
        return policy
    least = (policy.cell + RECORD) / STOCK_RATE
    whole, fast = policy.slots(policy.tick), policy.slots(policy.fast_tick)
    fits = (slots for slots in range(fast, whole + 1) if whole % slots == 0 and slots * SLOT >= least)
    slots = next(fits, None)
    if slots is None:
        raise ValueError(f"{policy.cell} bytes every {policy.tick:g} s are more than servers take from a client")
    return replace(policy, fast_tick=slots * SLOT)
