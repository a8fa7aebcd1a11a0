"""What a client may send to any server: stock servers read it only so fast, and what is over that is late. Pure."""

from __future__ import annotations

import math
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
    least = math.ceil((policy.cell + RECORD) / STOCK_RATE / SLOT)
    whole = policy.slots(policy.tick)
    if least > whole:
        raise ValueError(f"{policy.cell} bytes every {policy.tick:g} s are more than servers take from a client")
    return replace(policy, fast_tick=policy.part(whole, max(least, policy.slots(policy.fast_tick))) * SLOT)
