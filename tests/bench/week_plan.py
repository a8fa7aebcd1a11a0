"""What happens in the scripted week: who is friends with whom, who is in which room, who is there on which day. The
same for every server, from a seed. And the canaries: a word of its own for every field that a client can set."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Kept = Literal["own", "open", "room", "not"]
"""Who may read it while its owner is away: `own` nobody; `open` and `room` whoever has the server's key; `not`: it is
nowhere, since a server needs not keep it."""

FIELDS: dict[str, Kept] = {
    "account": "own",
    "password": "not",
    "resource": "own",  # of a sender, in the recipient's archive
    "status": "not",
    "parting status": "not",
    "capabilities node": "not",
    "client feature": "not",
    "client software": "own",
    "client device": "own",
    "contact": "own",
    "contact name": "own",
    "contact group": "own",
    "removed contact": "not",
    "request text": "own",
    "body": "own",
    "offline body": "own",
    "subject": "own",
    "thread": "own",
    "message id": "own",
    "origin id": "own",
    "nickname": "own",
    "payload": "own",
    "vcard name": "own",
    "vcard mail": "own",
    "vcard phone": "own",
    "vcard note": "own",
    "vcard photo": "own",
    "replaced vcard": "not",
    "vcard4 name": "own",
    "avatar": "own",
    "avatar id": "own",
    "private node": "own",
    "private item id": "own",
    "private item": "own",
    "retracted item": "not",
    "mood": "own",
    "bookmark room": "own",
    "bookmark name": "own",
    "bookmark nick": "own",
    "bookmark password": "own",
    "old bookmark": "own",
    "private storage": "own",
    "blocked": "own",
    "read marker": "own",
    "archive preference": "own",
    "open node": "open",
    "open item": "open",
    "device label": "open",
    "bundle": "open",
    "push service": "open",
    "push node": "open",
    "push secret": "open",
    "upload name": "not",
    "upload content": "not",
    "invited name": "open",
    "room": "room",
    "room title": "room",
    "room description": "room",
    "room password": "room",
    "room subject": "room",
    "room nick": "room",
    "room body": "room",
    "room message id": "room",
    "room member": "room",
    "room ban": "room",
    "ban reason": "room",
    "invitation reason": "own",
}  # fmt: skip
"""All fields of the week, in the order of the table."""

LETTERS = "bcdfghjklmnprstvw"


@dataclass(frozen=True)
class Canary:
    """A word that is in one field of one account (or room) and nowhere else."""

    text: str
    field: str
    owner: str


class Canaries:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.planted: list[Canary] = []
        self._texts: set[str] = set()

    def new(self, field_: str, owner: str = "") -> str:
        """Twelve small letters: they can stand in any field, and go through any preparation unchanged."""
        assert field_ in FIELDS, field_
        while (text := "zq" + "".join(self._chance.choices(LETTERS, k=10))) in self._texts:
            pass
        self._texts.add(text)
        self.planted.append(Canary(text, field_, owner))
        return text

    def write(self, path: Path) -> None:
        """As `quietwire audit disk --canary` reads them."""
        path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in self.planted))


@dataclass
class Room:
    name: str
    owner: str
    members: list[str]
    members_only: bool
    locked: bool = False
    """Has a password."""
    password: str = ""


@dataclass
class Plan:
    """`friends`: pairs of names; `there`: for each day the names who are online."""

    seed: int
    people: dict[str, str]
    """name -> password"""
    friends: list[tuple[str, str]]
    rooms: list[Room]
    there: list[list[str]]
    strangers: list[tuple[str, str]]
    """(who asks, who never answers)"""
    canaries: Canaries
    chance: random.Random
    sent: list[tuple[str, str]] = field(default_factory=list)
    """(from, to) of each message between two."""

    def legacy(self, name: str) -> bool:
        """Whether they have an old client."""
        return list(self.people).index(name) % 2 == 0

    def contacts(self, name: str) -> list[str]:
        return [b if a == name else a for a, b in self.friends if name in (a, b)]


def make_plan(accounts: int = 50, days: int = 7, seed: int = 1) -> Plan:
    """A graph of circles of friends with bridges between them: six friends on average, some with one, some with
    many."""
    chance = random.Random(seed)
    canaries = Canaries(chance)
    names = [canaries.new("account") for _ in range(accounts)]
    people = {name: canaries.new("password", name) for name in names}
    circle = {name: i // 8 for i, name in enumerate(names)}
    friends = [
        (a, b)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if chance.random() < (0.5 if circle[a] == circle[b] else 0.06)
    ]
    for i, name in enumerate(names):  # nobody is alone
        if not any(name in pair for pair in friends):
            other = names[i - 1]
            friends.append((min(name, other), max(name, other)))
    known = {frozenset(pair) for pair in friends}
    strangers = []
    for name in chance.sample(names, max(2, accounts // 5)):
        unknown = [n for n in names if n != name and frozenset((n, name)) not in known]
        if not unknown:
            continue  # in a small town
        other = chance.choice(unknown)
        strangers.append((name, other))
        known.add(frozenset((name, other)))
    rooms = []
    for number in range(max(2, accounts // 8)):
        owner = chance.choice(names)
        size = chance.randint(3, min(9, accounts - 1))
        members = chance.sample([n for n in names if n != owner], size)
        rooms.append(Room(canaries.new("room"), owner, members, number % 2 == 0, number % 3 == 1))
    there = [sorted(names)] + [sorted(chance.sample(names, accounts * 2 // 3)) for _ in range(days - 1)]
    return Plan(seed, people, friends, rooms, there, strangers, canaries, chance)
