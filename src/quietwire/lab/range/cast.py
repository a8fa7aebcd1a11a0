"""Who and what a plan needs to be there before it begins: accounts, devices, friends, rooms, files. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quietwire.lab.people.model import Happening, Person

DOMAINS = ("a.example", "b.example")

TO_USERS = frozenset({"typing", "message", "receipt", "marker", "reaction", "correction", "profile", "bundle"})
"""Kinds whose `peer` is a user with whom one is friends."""
TO_ROOMS = frozenset({"room-join", "room-message", "room-typing"})

Device = tuple[int, int]
"""(user, device)."""


@dataclass(frozen=True, slots=True)
class Cast:
    """`friends`: pairs of users, the smaller number first, whose contact lists have each other from the beginning.
    `rooms`: room -> who is ever in it, in order of their first coming. `early`: devices that the plan takes to be
    online from the beginning. `domains`: users, and rooms, take turns between them."""

    devices: tuple[Device, ...]
    friends: frozenset[tuple[int, int]]
    rooms: Mapping[int, tuple[int, ...]]
    early: frozenset[Device]
    domains: tuple[str, ...] = DOMAINS[:1]

    @property
    def users(self) -> tuple[int, ...]:
        return tuple(sorted({user for user, _ in self.devices}))

    def domain(self, user: int) -> str:
        return self.domains[user % len(self.domains)]

    def account(self, user: int) -> str:
        """Bare address."""
        return f"u{user}@{self.domain(user)}"

    def room(self, number: int) -> str:
        return f"r{number}@conference.{self.domains[number % len(self.domains)]}"

    def contacts(self, user: int) -> tuple[int, ...]:
        return tuple(sorted(b if a == user else a for a, b in self.friends if user in (a, b)))

    def devices_of(self, user: int) -> tuple[int, ...]:
        return tuple(device for owner, device in self.devices if owner == user)

    def address(self, device: Device) -> str:
        """What a watcher knows a device by: on loopback all addresses are the same, so each has one of the range for
        trials (RFC 2544)."""
        number = self.devices.index(device) + 1
        return f"198.18.{number >> 8}.{number & 255}"

    def document(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "devices": [list(device) for device in self.devices],
            "friends": sorted(list(pair) for pair in self.friends),
            "rooms": {str(number): list(members) for number, members in self.rooms.items()},
            "early": sorted(list(device) for device in self.early),
            "domains": list(self.domains),
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Cast:
        return cls(
            devices=tuple((user, device) for user, device in document["devices"]),
            friends=frozenset((a, b) for a, b in document["friends"]),
            rooms={int(number): tuple(members) for number, members in document["rooms"].items()},
            early=frozenset((user, device) for user, device in document["early"]),
            domains=tuple(document["domains"]),
        )


def cast(events: Sequence[Happening], people: Sequence[Person], servers: int = 1) -> Cast:
    """Everybody of a plan: `people` with their devices and contacts, but for those whom the plan makes contacts. For a
    plan by hand `people` may say nothing more than that they are there: who writes to whom then tells the friends."""
    devices: set[Device] = {(one.number, device) for one in people for device in range(max(1, len(one.devices)))}
    friends = {_pair(one.number, other) for one in people for other in one.contacts}
    strangers = {_pair(one.number, other) for one in people for other in one.fresh}
    rooms: dict[int, list[int]] = {}
    first: dict[Device, str] = {}
    users = {one.number for one in people}
    for event in events:
        devices.add((event.user, event.device))
        first.setdefault((event.user, event.device), event.kind)
        pair = _pair(event.user, event.peer)
        if event.kind in TO_ROOMS:
            members = rooms.setdefault(event.peer, [])
            if event.user not in members:
                members.append(event.user)
        elif event.peer in users and event.peer != event.user:
            if event.kind == "subscribe" and pair not in friends:
                strangers.add(pair)
            elif event.kind in TO_USERS:
                friends.add(pair)
    return Cast(
        devices=tuple(sorted(devices)),
        friends=frozenset(friends - strangers),
        rooms={number: tuple(members) for number, members in sorted(rooms.items())},
        early=frozenset(device for device, kind in first.items() if kind != "login"),
        domains=DOMAINS[:servers],
    )


def _pair(a: int, b: int) -> tuple[int, int]:
    return min(a, b), max(a, b)
