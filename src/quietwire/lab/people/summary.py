"""What a plan looks like, in figures: to see whether it has the shape that it is to have."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab.people.model import KINDS, Plan
from quietwire.lab.people.rhythm import Calendar

TEXTS: Final = ("message", "room-message")
NIGHT: Final = (0.0, 6.0)
"""Local hours."""
QUANTILES: Final = (("p10", 10), ("median", 50), ("p90", 90), ("p99", 99), ("max", 100))


def summary(plan: Plan) -> dict[str, Any]:
    """Figures of a plan as JSON takes them. Times in seconds, sizes in characters (texts) and bytes (files).

    `burstiness` is that of the gaps between a person's texts, (s-m)/(s+m) of their deviation s and mean m: -1 for a
    clock, 0 for a Poisson process, towards 1 for bursts (K.-I. Goh, A.-L. Barabási, "Burstiness and memory in complex
    systems", EPL 81, 2008). `night` is the share of texts sent between midnight and six, in their authors' time.
    """
    calendar = Calendar(plan.parameters)
    users = len(plan.users)
    days = plan.seconds / calendar.day
    kinds = Counter(event.kind for event in plan.events)
    sent: list[list[float]] = [[] for _ in range(users)]
    hours: list[float] = []
    for event in plan.events:
        if event.kind in TEXTS:
            sent[event.user].append(event.at)
            hours.append(calendar.local(event.at, plan.users[event.user].timezone)[1])
    gaps = np.array([later - at for times in sent for at, later in itertools.pairwise(times)])
    forms = Counter(device.form for one in plan.users for device in one.devices)
    return {
        "seed": plan.seed,
        "digest": plan.digest,
        "family": plan.parameters.family,
        "users": users,
        "seconds": plan.seconds,
        "squeeze": plan.parameters.squeeze,
        "days": round(days, 6),
        "events": len(plan.events),
        "kinds": {kind: kinds[kind] for kind in KINDS if kinds[kind]},
        "texts_per_user_and_day": round(sum(map(len, sent)) / users / days, 3),
        "texts_per_user_and_minute": round(sum(map(len, sent)) / users / plan.seconds * 60.0, 4),
        "texts_per_user": _spread(np.array([len(times) for times in sent])),
        "gaps": _spread(gaps),
        "burstiness": burstiness(gaps),
        "burstiness_by_user": _median([burstiness(np.diff(times)) for times in sent if len(times) > 10]),
        "lengths": _spread(np.array([event.size for event in plan.events if event.kind in TEXTS])),
        "files": _spread(np.array([event.size for event in plan.events if event.kind == "upload"])),
        "night": round(sum(NIGHT[0] <= hour < NIGHT[1] for hour in hours) / len(hours), 4) if hours else None,
        "contacts": _spread(np.array([len(one.contacts) for one in plan.users])),
        "rooms": _spread(np.array([len(room.members) for room in plan.rooms])),
        "devices": dict(sorted(forms.items())),
        "clients": dict(sorted(Counter(device.client for one in plan.users for device in one.devices).items())),
        "timezones": len({one.timezone for one in plan.users}),
    }


def burstiness(gaps: NDArray[Any]) -> float | None:
    """None for less than two gaps."""
    if len(gaps) < 2:
        return None
    mean, deviation = float(gaps.mean()), float(gaps.std())
    return round((deviation - mean) / (deviation + mean), 3) if deviation + mean else None


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.median(known)), 3) if known else None


def _spread(values: NDArray[Any]) -> dict[str, float]:
    """Count, mean and quantiles."""
    if not len(values):
        return {"count": 0}
    found = {"count": float(len(values)), "mean": float(values.mean())}
    found |= {name: float(np.percentile(values, percent)) for name, percent in QUANTILES}
    return {name: round(value, 3) if math.isfinite(value) else value for name, value in found.items()}


def lines(figures: dict[str, Any]) -> list[str]:
    """The same for people."""
    kinds = sorted(figures["kinds"].items(), key=lambda pair: -pair[1])
    squeezed = f"; compressed {figures['squeeze']:g} times: {figures['days']:.2g} days of the calendar, hands at the "
    found = [
        f"{figures['users']} people for {figures['seconds']:g} s, family {figures['family']}, seed {figures['seed']}"
        + (squeezed + "speed of life" if figures["squeeze"] != 1 else ""),
        f"{figures['events']:,} happenings of {len(kinds)} kinds: "
        + ", ".join(f"{kind} {number:,}" for kind, number in kinds),
        f"{figures['texts_per_user_and_day']:g} texts a person and day, {figures['texts_per_user_and_minute']:g} a "
        + f"minute; by person: {_say(figures['texts_per_user'])}",
        f"gaps between a person's texts, s: {_say(figures['gaps'])}",
        f"burstiness {figures['burstiness']}, of the median person {figures['burstiness_by_user']} (0: Poisson)",
        f"characters of texts: {_say(figures['lengths'])}",
        f"bytes of files: {_say(figures['files'])}",
        f"texts between midnight and six, local: {_share(figures['night'])}",
        f"contacts: {_say(figures['contacts'])}",
        f"members of rooms: {_say(figures['rooms'])}",
        "devices: " + ", ".join(f"{form} {number}" for form, number in figures["devices"].items())
        + f"; {figures['timezones']} time zones",
        f"digest {figures['digest'][:16]}",
    ]  # fmt: skip
    return found


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _say(spread: dict[str, float]) -> str:
    if not spread["count"]:
        return "none"
    return ", ".join(f"{name} {value:,.4g}" for name, value in spread.items() if name != "count")
