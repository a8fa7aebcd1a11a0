"""A plan as values: who there is, and what they do when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from quietwire.lab.people.parameters import Parameters

Kind = Literal[
    "login", "resume", "logout", "ping", "active", "inactive", "typing", "message", "receipt", "marker", "reaction",
    "correction", "presence", "subscribe", "room-join", "room-message", "room-typing", "archive-page", "roster",
    "profile", "bundle", "publish", "upload", "download",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class PlanError(ValueError):
    """Arguments of which no plan can be made: one line."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that one device does.

    `at`: seconds from the start. `peer`: a user, or a room where the kind begins with ``room-``, or -1. `size`:
    characters of a text, bytes of a file or of what is published, else 0.

    What others cause is in it too: a receipt is the recipient's happening, at the moment at which its device would
    have the message on a link that delays nothing. ``resume``: the link breaks and the device is back at once with its
    old session; ``logout`` and a later ``login`` stand for everything longer.
    """

    at: float
    user: int
    device: int
    kind: Kind
    peer: int
    size: int


@dataclass(frozen=True, slots=True)
class Device:
    """`form`: ``phone``, ``desktop`` or ``web``. `client`: one of `parameters.HABITS`."""

    form: str
    client: str


@dataclass(frozen=True, slots=True)
class Person:
    """`timezone`: hours east of UTC. `contacts` are mutual; `fresh`: those that come to be so within the plan."""

    number: int
    timezone: float
    community: int
    contacts: tuple[int, ...]
    rooms: tuple[int, ...]
    devices: tuple[Device, ...]
    fresh: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    number: int
    members: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    seed: int
    seconds: float
    parameters: Parameters
    users: tuple[Person, ...]
    rooms: tuple[Room, ...]
    events: tuple[Happening, ...]
    """Sorted by time."""

    @property
    def digest(self) -> str:
        """Of everything in it: two plans with the same digest are the same."""
        hash = hashlib.sha256(json.dumps(self.head(), sort_keys=True).encode())
        for one in self.events:
            hash.update(f"{one.at:.6f} {one.user} {one.device} {one.kind} {one.peer} {one.size}\n".encode())
        return hash.hexdigest()

    def head(self) -> dict[str, Any]:
        """All but the events, as JSON takes it."""
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "parameters": asdict(self.parameters),
            "users": [asdict(one) for one in self.users],
            "rooms": [asdict(one) for one in self.rooms],
        }
