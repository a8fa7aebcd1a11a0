"""`plan`: lives put together."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from quietwire.lab.people.after import After
from quietwire.lab.people.background import Background
from quietwire.lab.people.devices import Machine, Owner, devices, spans
from quietwire.lab.people.dice import Dice
from quietwire.lab.people.model import Happening, Kind, Person, Plan, PlanError, Room
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.rhythm import Calendar, Sleep
from quietwire.lab.people.talk import Talk
from quietwire.lab.people.ties import Society, society

MOST_USERS: Final = 100_000
"""Of a plan: more do not fit in memory with what they do."""
BEFORE: Final = 900.0
"""Seconds at least for which people have been talking at second 0."""
ALL_IN: Final = 10.0
"""Seconds at most in which those log in who are there at second 0."""
HANDS: Final[frozenset[Kind]] = frozenset({
    "typing", "message", "marker", "reaction", "correction", "room-message", "room-typing", "upload", "download",
    "subscribe",
})  # fmt: skip
"""Kinds for which somebody holds the device."""


def plan(seed: int, users: int, seconds: float, parameters: Parameters | None = None) -> Plan:
    """A plan for `users` people and `seconds` of their lives. The same arguments, the same plan. Raises PlanError."""
    if not 2 <= users <= MOST_USERS:
        raise PlanError(f"users: from 2 to {MOST_USERS:,}")
    if not 0 < seconds < math.inf:
        raise PlanError("seconds: more than 0")
    if seed < 0:
        raise PlanError("seed: at least 0")
    return _Life(seed, users, seconds, parameters or Parameters()).lived()


class _Life:
    def __init__(self, seed: int, users: int, seconds: float, parameters: Parameters) -> None:
        self._seed = seed
        self._seconds = seconds
        self._parameters = parameters
        # A stream of chance for each part: who sleeps when does not change with how long texts are.
        streams = np.random.SeedSequence(seed).spawn(7)
        self._dice = [Dice(np.random.Generator(np.random.PCG64(stream))) for stream in streams]
        self._calendar = Calendar(parameters)
        self._begin = -max(BEFORE, min(self._calendar.day / 4, seconds))
        self._society: Society = society(self._dice[0], users, parameters)
        self._owners = [self._owner(number) for number in range(users)]
        self._rooms: list[list[int]] = [[] for _ in range(users)]
        for number, members in enumerate(self._society.rooms):
            for member in members:
                self._rooms[member].append(number)
        self._events: list[Happening] = []
        self._clip()

    def _owner(self, number: int) -> Owner:
        dice, parameters, calendar = self._dice[1], self._parameters, self._calendar
        awake = not parameters.rhythm or parameters.family == "poisson"
        begin, end = self._begin, self._seconds
        zone = self._society.zone[number]
        sleep = Sleep(dice, calendar, zone, begin, end + calendar.day, awake=awake)
        machines = []
        for place, device in enumerate(devices(dice, parameters)):
            online = spans(dice, device.form, sleep, calendar, parameters, begin, end)
            if parameters.family == "poisson" and not place:
                online = [(begin, end)]
            machines.append(Machine(place, device, online))
        return Owner(self._dice[2], number, sleep, machines)

    def _clip(self) -> None:
        """What is online at second 0 logs in soon after it: `_shown` are the same devices as the plan shows them."""
        dice, parameters = self._dice[3], self._parameters
        soon = min(ALL_IN, self._seconds / 20)
        self._shown: list[list[Machine]] = []
        for owner in self._owners:
            shown = []
            for machine in owner.machines:
                clipped = []
                for begin, end in machine.spans:
                    arrives = dice.uniform(0.0, soon) if parameters.background else 0.0
                    on = begin if begin > 0 else arrives
                    if on + min(1.0, soon) < end:
                        clipped.append((on, end))
                shown.append(Machine(machine.number, machine.device, clipped))
            self._shown.append(shown)

    def _put(self, at: float, user: int, machine: Machine, kind: Kind, peer: int, size: int) -> None:
        """Enters a happening, if its device is online then."""
        if not 0.0 <= at < self._seconds:
            return
        shown = self._shown[user][machine.number]
        if kind != "logout" and shown.span(at) is None:
            return
        self._events.append(Happening(round(at, 6), user, machine.number, kind, peer, size))

    def lived(self) -> Plan:
        parameters = self._parameters
        fresh, meetings = self._meet() if parameters.consequences and parameters.background else ([], [])
        talk = Talk(
            self._dice[4], self._society, self._owners, self._calendar, parameters, self._begin, self._seconds
        )  # fmt: skip
        texts = talk.texts(meetings)
        after = After(
            self._dice[5], self._owners, self._calendar, parameters, self._put, [*fresh, *((b, a) for a, b in fresh)]
        )
        after.of(texts, list(self._society.rooms))
        if parameters.background:
            received: list[list[float]] = [[] for _ in self._owners]
            for text in texts:
                for user in self._society.rooms[text.peer] if text.room else (text.peer,):
                    received[user].append(text.at)
            self._by_themselves(received, after.looks)
        self._events.sort(key=lambda one: (one.at, one.user, one.device, one.kind, one.peer, one.size))
        return Plan(
            self._seed,
            self._seconds,
            parameters,
            self._people(fresh),
            tuple(Room(number, tuple(sorted(members))) for number, members in enumerate(self._society.rooms)),
            tuple(self._events),
        )

    def _by_themselves(self, received: list[list[float]], looks: list[tuple[float, int, Machine]]) -> None:
        used: dict[tuple[int, int], list[float]] = {}
        for event in self._events:
            if event.kind in HANDS:
                used.setdefault((event.user, event.device), []).append(event.at)
        for at, user, machine in looks:
            used.setdefault((user, machine.number), []).append(at)
        background = Background(self._dice[6], self._calendar, self._parameters, self._put, self._seconds)
        for owner, machines in zip(self._owners, self._shown, strict=True):
            for machine in machines:
                times = sorted(used.get((owner.number, machine.number), ()))
                background.of(owner, machine, self._rooms[owner.number], received[owner.number], times)

    def _meet(self) -> tuple[list[tuple[int, int]], list[tuple[float, int, int]]]:
        """New contacts, contacts of contacts: (asks, is asked), and (when they begin to talk, who, with whom)."""
        dice, parameters, hour = self._dice[3], self._parameters, self._calendar.hour
        contacts = self._society.contacts()
        known = set(self._society.ties)
        fresh: list[tuple[int, int]] = []
        meetings = []
        for owner in self._owners:
            for at in dice.arrivals(parameters.subscribes / self._calendar.day, 0.0, self._seconds):
                between = dice.of(contacts[owner.number])
                other = self._owners[dice.of(contacts[between])]
                pair = min(owner.number, other.number), max(owner.number, other.number)
                if other is owner or pair in known:
                    continue
                asks = owner.available(at, hour)
                grants = other.available(asks + dice.lognormal(parameters.notice, 1.0), hour)
                if grants >= self._seconds:
                    continue
                mine, yours = owner.takes(asks, asks + 1.0), other.takes(grants, grants + 1.0)
                if mine is None or yours is None:
                    continue
                known.add(pair)
                fresh.append((owner.number, other.number))
                self._put(asks, owner.number, mine, "subscribe", other.number, 0)
                self._put(grants, other.number, yours, "subscribe", owner.number, 0)
                self._put(grants + dice.uniform(0.2, 0.9), other.number, yours, "profile", owner.number, 0)
                self._put(grants + dice.uniform(0.2, 0.9), owner.number, mine, "profile", other.number, 0)
                meetings.append((grants + dice.lognormal(20.0, 0.8), owner.number, other.number))
        return fresh, meetings

    def _people(self, fresh: list[tuple[int, int]]) -> tuple[Person, ...]:
        later: list[list[int]] = [[] for _ in self._owners]
        for one, other in fresh:
            later[one].append(other)
            later[other].append(one)
        return tuple(
            Person(
                number=owner.number,
                timezone=self._society.zone[owner.number],
                community=self._society.community[owner.number],
                contacts=tuple(contacts),
                rooms=tuple(self._rooms[owner.number]),
                devices=tuple(machine.device for machine in owner.machines),
                fresh=tuple(sorted(later[owner.number])),
            )
            for owner, contacts in zip(self._owners, self._society.contacts(), strict=True)
        )
