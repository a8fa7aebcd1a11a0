"""The profile of a shield's link, by options: what each is, how far it goes, and which of them go together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

import typer

from quietwire.core.errors import ConfigError
from quietwire.shaping.bounds import BOUNDS
from quietwire.shaping.cost import cost
from quietwire.shaping.policy import SLOT, Policy, Profile
from quietwire.shaping.presets import PRESETS
from quietwire.shaping.uplink import STOCK_RATE, uplink

Say = Callable[[str], None]
"""Tells the user one line."""
SIZES = ("cell", "block", "queue")
"""Parameters that are bytes; the others are seconds."""


def bounds(name: str) -> tuple[float, float]:
    """Of a parameter, as the configuration has them; a tick is a slot at least."""
    least, most = BOUNDS[name]
    return (SLOT if name in ("tick", "fast_tick") else least), most


def described(name: str, what: str) -> str:
    """The help of a parameter: what it is, its bounds, and what it is where nothing is said."""
    least, most = bounds(name)
    usual = {preset: getattr(policy, name) for preset, policy in PRESETS.items()}
    first = next(iter(usual.values()))
    said = (f", {preset} {number(value)}" for preset, value in usual.items() if value != first)
    return f"{what}. {number(least)} to {number(most)}; if not given {number(first)}{''.join(said)}."


def number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


Profiled = Annotated[str, typer.Option("--profile", help="steady, padded, jitter or off.")]
TunnelProfiled = Annotated[str, typer.Option("--profile", help="steady or padded: a tunnel is cells.")]
Preset = Annotated[str, typer.Option("--preset", help=f"Parameters that fit: {', '.join(PRESETS)}.")]
Cell = Annotated[int | None, typer.Option(help=described("cell", "steady, and any tunnel: bytes of a cell"))]
Tick = Annotated[float | None, typer.Option(help=described("tick", "steady: seconds between two cells"))]
FastTick = Annotated[
    float | None,
    typer.Option(
        help=described(
            "fast_tick", "steady: the same in windows, a whole part of --tick; `client` slows it to what servers read"
        )
    ),
]
Window = Annotated[
    float | None,
    typer.Option(help=described("window", "steady: seconds that windows last, in which cells come faster, 0 for none")),
]
BulkEvery = Annotated[
    float | None,
    typer.Option(
        help=described("bulk_every", "steady: seconds from one window to the next, besides those of logins; 0 for none")
    ),
]
Block = Annotated[
    int | None,
    typer.Option(help=described("block", "padded, and jitter with --pad: sizes are multiples of so many bytes")),
]
Delay = Annotated[
    float | None,
    typer.Option(help=described("delay", "jitter: each write waits for a random time up to so many seconds")),
]
Batch = Annotated[
    float | None,
    typer.Option(help=described("batch", "jitter: writes leave at multiples of so many seconds; 0 for at once")),
]
Pad = Annotated[bool | None, typer.Option("--pad", help="jitter: fill what leaves up to a multiple of --block.")]
Garbage = Annotated[
    float | None,
    typer.Option(
        help=described("garbage", "jitter: spaces leave at random, once in so many seconds on average; 0 for none")
    ),
]
Queue = Annotated[
    int | None,
    typer.Option(help=described("queue", "Bytes that may wait to leave before the other side is read from no more")),
]


def policy_of(profile: str, preset: str, **given: float | None) -> Policy:
    """Raises ConfigError."""
    if profile not in set(Profile):
        raise ConfigError("shield", "--profile", "one of " + ", ".join(Profile))
    if preset not in PRESETS:
        raise ConfigError("shield", "--preset", "one of " + ", ".join(PRESETS))
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name in (name for name in values if name in BOUNDS):
        least, most = bounds(name)
        if not least <= values[name] <= most:  # nor is what is no number
            raise wrong(name, f"{number(least)} to {number(most)} {'bytes' if name in SIZES else 'seconds'}")
    if 0 < values.get("garbage", 0) < SLOT:
        raise wrong("garbage", f"0 for none, or at least {SLOT:g} seconds")
    for name in {"tick", "fast_tick"} & values.keys():
        values[name] = _seconds(Policy.slots(values[name]))
    base = PRESETS[preset]
    if profile == Profile.STEADY:
        tick = values.get("tick", base.tick)
        if "fast_tick" not in values:
            values["fast_tick"] = _fast(tick, base.fast_tick)
        _check_windows({"window": base.window, "bulk_every": base.bulk_every, **values, "tick": tick}, values.keys())
    return dataclasses.replace(base, profile=Profile(profile), **values)


def wrong(name: str, allowed: str) -> ConfigError:
    return ConfigError("shield", "--" + name.replace("_", "-"), allowed)


def _check_windows(values: Mapping[str, float], given: Collection[str]) -> None:
    """Whether `Policy` keeps them together. Raises ConfigError, which names one that was `given`."""
    tick, fast, window, every = (values[name] for name in ("tick", "fast_tick", "window", "bulk_every"))
    if Policy.slots(tick) % Policy.slots(fast):
        raise wrong("fast_tick", f"a whole part of --tick, of {tick:g} seconds: for instance {_fast(tick, fast):g}")
    if every and every < window and "bulk_every" in given:
        raise wrong("bulk_every", f"0 for none, or at least --window, which is {window:g} seconds")
    if every and every < window:
        raise wrong("window", f"at most --bulk-every, which is {every:g} seconds")


def _seconds(slots: int) -> float:
    return round(slots * SLOT, 2)


def _fast(tick: float, wanted: float) -> float:
    """The fast tick next to the wanted one that goes into this tick."""
    return _seconds(Policy.part(Policy.slots(tick), Policy.slots(wanted)))


def fitting(policy: Policy, say: Say) -> Policy:
    """`policy` as any server takes it of a client; who wants more than fits gets it, and is told."""
    try:
        return uplink(policy)
    except ValueError as error:
        say(f"{error}: what is over {STOCK_RATE:,g} bytes a second may be late there; --tick and --cell change it")
        return policy


def tunnel_policy(profile: str, preset: str, **given: float | None) -> Policy:
    """Of a tunnel, which knows cells only. Raises ConfigError."""
    policy = policy_of(profile, preset, **given)
    if policy.profile not in (Profile.STEADY, Profile.PADDED):
        raise ConfigError("shield", "--profile", "steady or padded: a tunnel is cells")
    return policy


def price(policy: Policy) -> str:
    """What the profile costs, in a few words."""
    if policy.profile is not Profile.STEADY:
        return policy.profile
    windows = f" ({policy.fast_tick:g} s in windows)" if policy.window else ""
    return f"steady, {policy.cell} bytes every {policy.tick:g} s{windows}, {cost(policy).day / 1e6:.0f} MB a day"
