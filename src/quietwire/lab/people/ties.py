"""Who knows whom, how well, and who meets in which rooms. Sources: `parameters.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from quietwire.lab.people.dice import Dice, Wheel
from quietwire.lab.people.parameters import Parameters

STRONGEST: Final = 100.0
"""Weight of the strongest tie, where the weakest has 1: the cut-off of the power law. Chosen."""
ZONES: Final = (-8.0, -5.0, -3.0, 1.0, 2.0, 3.0, 5.5, 8.0, 9.0)
"""Time zones of those who do not live in that of UTC. Chosen."""
LARGEST_ROOM: Final = 200


@dataclass(frozen=True, slots=True)
class Society:
    """`ties`: (smaller number, larger number) -> weight, in a fixed order. `community[user]`, `zone[user]`.
    `activity[user]`: how much one says, relative."""

    community: tuple[int, ...]
    zone: tuple[float, ...]
    activity: tuple[float, ...]
    ties: dict[tuple[int, int], float]
    rooms: tuple[tuple[int, ...], ...]
    room_weights: tuple[float, ...]

    def contacts(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.community]
        for one, other in self.ties:
            found[one].append(other)
            found[other].append(one)
        return [sorted(each) for each in found]


def society(dice: Dice, users: int, parameters: Parameters) -> Society:
    """`users` is at least 2."""
    members = _communities(dice, users, parameters.community)
    home = {user: number for number, group in enumerate(members) for user in group}
    community = tuple(home[user] for user in range(users))
    zones = [dice.of(ZONES) if number and dice.chance(parameters.elsewhere) else 0.0 for number in range(len(members))]
    activity = tuple(dice.lognormal(1.0, parameters.spread) for _ in range(users))
    pairs = _pairs(dice, users, members, community, parameters)
    ties = {pair: min(STRONGEST, 1.0 + dice.lomax(parameters.tie_tail, 1.0)) for pair in pairs}
    rooms = _rooms(dice, users, members, parameters)
    return Society(
        community=community,
        zone=tuple(zones[number] for number in community),
        activity=activity,
        ties=ties,
        rooms=rooms,
        room_weights=tuple(dice.lognormal(1.0, 1.0) for _ in rooms),
    )


def _communities(dice: Dice, users: int, mean: float) -> list[list[int]]:
    """Heavy-tailed sizes from 3 on; the numbers of a community follow each other."""
    groups: list[list[int]] = []
    at = 0
    while at < users:
        size = 3 + int(dice.lomax(2.0, max(0.0, mean - 3.0)))
        if users - at - size < 3:
            size = users - at
        groups.append(list(range(at, at + size)))
        at += size
    return groups


def _pairs(
    dice: Dice, users: int, members: list[list[int]], community: tuple[int, ...], parameters: Parameters
) -> list[tuple[int, int]]:
    wanted = [
        min(users - 1, 1 + int(dice.lomax(parameters.degree_tail, max(0.0, parameters.contacts - 1.0)
                                          * (parameters.degree_tail - 1.0))))
        if parameters.degree_tail > 1 else min(users - 1, 1 + int(dice.lomax(parameters.degree_tail, 1.0)))
        for _ in range(users)
    ]  # fmt: skip
    known: list[list[int]] = [[] for _ in range(users)]
    sets: list[set[int]] = [set() for _ in range(users)]
    everybody = Wheel([float(number) for number in wanted])
    inside = [Wheel([float(wanted[user]) for user in group]) for group in members]

    def tie(one: int, other: int) -> None:
        known[one].append(other)
        known[other].append(one)
        sets[one].add(other)
        sets[other].add(one)

    for user in range(users):
        tries = 0
        while len(known[user]) < wanted[user] and tries < 4 * wanted[user] + 20:
            tries += 1
            group = community[user]
            if dice.chance(parameters.mixing):
                other = everybody.turn(dice)
            elif known[user] and dice.chance(parameters.closure):
                other = dice.of(known[dice.of(known[user])])
                if community[other] != group:
                    continue
            else:
                other = members[group][inside[group].turn(dice)]
            full = len(known[other]) >= wanted[other]
            if other != user and other not in sets[user] and (not full or tries > 2 * wanted[user] + 10):
                tie(user, other)
        if not known[user]:
            tie(user, (user + 1) % users)
    return sorted((one, other) for one in range(users) for other in known[one] if one < other)


def _rooms(dice: Dice, users: int, members: list[list[int]], parameters: Parameters) -> tuple[tuple[int, ...], ...]:
    """Most of a room's members are of one community."""
    found = []
    count = round(users * parameters.rooms)
    for _ in range(max(1, count) if parameters.rooms and parameters.room_share else 0):
        size = 3 + int(dice.lomax(1.8, 0.8 * max(0.0, parameters.room_size - 3.0)))
        size = max(2, min(size, users, LARGEST_ROOM))
        group = members[dice.below(len(members))]
        inside: dict[int, None] = {}
        for _ in range(20 * size):
            if len(inside) == size:
                break
            inside[dice.below(users) if dice.chance(parameters.mixing) else dice.of(group)] = None
        for user in range(users):  # a community smaller than the room
            if len(inside) >= min(size, 3):
                break
            inside[user] = None
        found.append(tuple(inside))
    return tuple(found)
