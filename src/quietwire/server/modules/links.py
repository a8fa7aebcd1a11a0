"""A client's choice for its own link: docs/protocols/links.md. It holds for the connection that it came on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from quietwire.core.errors import ConfigError, StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server.links import Link
from quietwire.server.module import Context, IqGet, IqSet, Module, Reload, Setting
from quietwire.shaping import frames
from quietwire.shaping.cost import cost
from quietwire.shaping.policy import LONGEST, SLOT, Policy, Profile
from quietwire.shaping.presets import PRESETS

NS: Final = "urn:quietwire:links:0"
LINK: Final = f"{{{NS}}}link"
ALL: Final = " ".join(Profile)
MEGABYTES: Final = 200.0
_TIMES: Final = {
    "delay": ("delay", 0.0, 60.0),
    "batch": ("batch", 0.0, 60.0),
    "tick": ("tick", 2 * SLOT, LONGEST),
    "fast-tick": ("fast_tick", 2 * SLOT, LONGEST),
    "window": ("window", 0.0, 600.0),
    "bulk-every": ("bulk_every", 0.0, 864_000.0),
}
"""Attribute -> (of a policy, least, most), seconds."""
_SIZES: Final = {"block": (64, 8_192), "cell": (128, 16_382)}
"""Attribute -> (least, most), bytes."""
_SAID: Final = {
    Profile.OFF: (),
    Profile.PADDED: ("block",),
    Profile.JITTER: ("delay", "batch"),
    Profile.STEADY: ("cell", "tick", "fast-tick", "window", "bulk-every"),
}
"""What an answer says of each."""


@dataclass(slots=True)
class State:
    profiles: frozenset[Profile]
    megabytes: float


def make_state(settings: Mapping[str, Any]) -> State:
    try:
        profiles = frozenset(Profile(word) for word in str(settings.get("profiles", ALL)).split())
    except ValueError:
        raise ConfigError("[modules.links]", "profiles", f"some of: {ALL}") from None
    return State(profiles, float(settings.get("megabytes", MEGABYTES)))


def on_reload(context: Context, settings: Mapping[str, Any]) -> None:
    fresh = make_state(settings)
    context.state.profiles, context.state.megabytes = fresh.profiles, fresh.megabytes


def _own(context: Context) -> Link:
    session = context.session
    if session is None or context.account is not session.account:
        raise StanzaError("service-unavailable")
    link: Link | None = context.ports["links"](session)
    if link is None:
        raise StanzaError("service-unavailable")
    return link


async def on_get(context: Context, iq: Iq) -> Iq:
    link = _own(context)
    return iq.result(told(link.policy, link.packs))


async def on_set(context: Context, iq: Iq) -> Iq:
    link, state = _own(context), context.state
    policy = wanted(iq.payload.attrib, link.policy)
    if policy.profile not in state.profiles:
        raise StanzaError("not-allowed", "this server lets clients choose: " + " ".join(sorted(state.profiles)))
    if cost(policy).day > state.megabytes * 1e6:
        raise StanzaError("not-acceptable", f"more than {state.megabytes:g} MB a day")
    if policy != link.policy and not link.shape(policy):
        raise StanzaError("feature-not-implemented", "this link cannot be shaped")
    if iq.payload.attrib.get("frames") == frames.VERSION and policy.profile is Profile.STEADY:
        link.pack()
    return iq.result(told(policy, link.packs))


def wanted(attributes: Mapping[str, str], now: Policy) -> Policy:
    """What is asked for; what is not said is as the preset has it, or as it is `now`. Raises StanzaError."""
    preset = attributes.get("preset")
    base = now if preset is None else PRESETS.get(preset)
    if base is None:
        raise StanzaError("bad-request", "presets: " + " ".join(PRESETS))
    given: dict[str, Any] = {"queue": now.queue}
    try:
        given["profile"] = Profile(attributes.get("profile", ""))
        for name, (key, least, most) in _TIMES.items():
            if name in attributes:
                given[key] = _within(name, float(attributes[name][:20]), least, most)
        for name, limits in _SIZES.items():
            if name in attributes:
                given[name] = _within(name, int(attributes[name][:20]), *limits)
        return replace(base, **given)
    except ValueError:
        raise StanzaError("bad-request", "no such profile, or numbers that do not go together") from None


def _within(name: str, value: Any, least: float, most: float) -> Any:
    if not math.isfinite(value) or not least <= value <= most:
        raise StanzaError("not-acceptable", f"{name}: {least:g} to {most:g}")
    return value


def told(policy: Policy, packs: bool) -> Element:
    """What is in force."""
    values = {name: getattr(policy, name.replace("-", "_")) for name in _SAID[policy.profile]}
    said = {"profile": str(policy.profile), **{name: f"{value:g}" for name, value in values.items()}}
    return build(LINK, {**said, "frames": frames.VERSION} if packs else said)


MODULE = Module(
    name="links",
    xep=None,
    features=(NS,),
    handlers=(
        IqGet(LINK, on_get),
        IqSet(LINK, on_set),
        Setting("profiles", ALL, "What a client may choose for its own link (docs/protocols/links.md)."),
        Setting("megabytes", MEGABYTES, "A day and direction, idle; a client that asks for more is refused."),
        Reload(on_reload),
    ),
    keeps=(),
    emits="what goes on the wire of a client's own link when, as that client chose; one reply per request",
    needs=("links",),
    state=make_state,
)
