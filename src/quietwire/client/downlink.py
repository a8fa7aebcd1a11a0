"""Asking the server to shape its direction of our link (docs/protocols/links.md). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.core.xml import build
from quietwire.shaping import frames
from quietwire.shaping.policy import Policy, Profile

NS: Final = "urn:quietwire:links:0"
REFUSED: Final = frozenset(("not-allowed", "not-acceptable", "feature-not-implemented"))
"""Conditions of a server that knows what was asked for, and does something else."""


@dataclass(frozen=True)
class Downlink:
    """What the server does."""

    profile: Profile = Profile.OFF
    tick: float = 0.0
    """Seconds, of `steady`."""
    frames: bool = False
    """It packs, and reads what we pack."""


def look() -> Element:
    """The payload of an iq get: what does it do?"""
    return build(f"{{{NS}}}link")


def ask(policy: Policy) -> Element:
    """The payload of an iq set to our own account: the same as we do. It holds for this connection, in which, under
    `steady`, frames may come from now on."""
    said: dict[Profile, dict[str, float]] = {
        Profile.PADDED: {"block": policy.block},
        Profile.JITTER: {"delay": policy.delay, "batch": policy.batch},
        Profile.STEADY: {
            "cell": policy.cell,
            "tick": policy.tick,
            "fast-tick": policy.fast_tick,
            "window": policy.window,
            "bulk-every": policy.bulk_every,
        },
    }
    values = {name: f"{value:g}" for name, value in said.get(policy.profile, {}).items()}
    if policy.profile is Profile.STEADY:
        values["frames"] = frames.VERSION
    return build(f"{{{NS}}}link", {"profile": str(policy.profile), **values})


def answered(iq: Element) -> Downlink:
    """`off` for what we do not understand."""
    link = iq.find(f"{{{NS}}}link")
    if link is None:
        return Downlink()
    try:
        profile = Profile(link.get("profile", ""))
        packs = profile is Profile.STEADY and link.get("frames") == frames.VERSION
        return Downlink(profile, float(link.get("tick", "0")[:20]), packs)
    except ValueError:
        return Downlink()
