"""Plans as files, and those by hand: a small one that has each kind of happening at least once, for tests and a first
look, and one in which half of all people measure how long the other half takes to answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from quietwire.lab.people.model import Happening, Person


def write(path: Path, events: Iterable[Happening]) -> None:
    """One line of JSON an event, the same bytes for the same plan."""
    lines = [json.dumps(asdict(event), separators=(",", ":"), sort_keys=True) + "\n" for event in events]
    path.write_text("".join(lines), encoding="utf-8")


def read(path: Path) -> tuple[Happening, ...]:
    """Raises OSError, and ValueError or TypeError for a line that is no event."""
    with path.open(encoding="utf-8") as file:
        return tuple(Happening(**json.loads(line)) for line in file)


def nobody_special(users: int) -> tuple[Person, ...]:
    """People for a plan by hand."""
    return tuple(Person(number, 0.0, 0, (), (), ()) for number in range(users))


def small(users: int, seconds: float) -> tuple[Happening, ...]:
    """All kinds, within `seconds`: each two neighbours talk, all meet in one room, one comes anew."""
    found: list[Happening] = []

    def add(share: float, user: int, kind: Any, peer: int = -1, size: int = 0, device: int = 0) -> None:
        spread = user / users / 30
        found.append(Happening((share + spread) * seconds, user, device, kind, peer, size))

    for user in range(users):
        other = user ^ 1 if user ^ 1 < users else 0
        for share, kind, peer, size in _DAY:
            add(share, user, kind, other if peer == "other" else 0 if peer == "room" else -1, size + 7 * user)
    add(0.03, 0, "login", device=1)
    add(0.75, 0, "resume", device=1)
    add(0.5, 0, "subscribe", users - 1) if users > 2 else None
    return tuple(sorted(found, key=lambda event: event.at))


PROBES: Final = 40
"""Messages to each who is measured."""
REST: Final = 0.35
"""Of the time, in which nobody does anything: logins are over, windows closed, phases settled."""
GOLDEN: Final = 0.6180339887


def probe(users: int, seconds: float) -> tuple[Happening, ...]:
    """Each user with an even number writes to the next one, so that none of what is between two messages is a
    multiple of a tick. Who is written to has asked for something at the beginning, so they are there."""
    found = [Happening(0.0, user, 0, "ping", -1, 0) for user in range(1, users, 2)]
    step = (1 - REST) * seconds / (PROBES + 1)
    for user in range(0, users - 1, 2):
        for number in range(PROBES):
            at = REST * seconds + step * (number + GOLDEN * (user + number) % 1)
            found.append(Happening(at, user, 0, "message", user + 1, 20))
    return tuple(sorted(found, key=lambda event: event.at))


_DAY: Sequence[tuple[float, str, str, int]] = (
    (0.00, "login", "", 0),
    (0.14, "roster", "", 0),
    (0.17, "archive-page", "", 0),
    (0.20, "bundle", "other", 0),
    (0.23, "profile", "other", 0),
    (0.26, "room-join", "room", 0),
    (0.32, "typing", "other", 0),
    (0.36, "message", "other", 60),
    (0.40, "receipt", "other", 0),
    (0.43, "marker", "other", 0),
    (0.46, "reaction", "other", 0),
    (0.50, "correction", "other", 80),
    (0.54, "room-typing", "room", 0),
    (0.57, "room-message", "room", 120),
    (0.60, "ping", "", 0),
    (0.63, "inactive", "", 0),
    (0.66, "active", "", 0),
    (0.69, "presence", "", 0),
    (0.72, "publish", "", 200),
    (0.75, "upload", "", 20_000),
    (0.80, "download", "", 30_000),
    (0.86, "resume", "", 0),
    (0.94, "logout", "", 0),
)

NAMED: Final[Mapping[str, Callable[[int, float], tuple[Happening, ...]]]] = {"small": small, "probe": probe}
"""(how many people, seconds) -> the plan."""
