"""A small world in which what one part does can be seen: people who are awake, with what devices they are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quietwire.lab.people.devices import Machine, Owner
from quietwire.lab.people.dice import Dice
from quietwire.lab.people.model import Device, Happening, Kind
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.rhythm import Calendar, Sleep

PHONE, DESK = Device("phone", "conversations"), Device("desktop", "profanity")


class World:
    def __init__(self, *devices: Sequence[Device], seconds: float = 10_000.0, **parameters: object) -> None:
        self.parameters = Parameters(**{"unknown": 0.0, "file_share": 0.0, **parameters})  # type: ignore[arg-type]
        self.calendar = Calendar(self.parameters)
        self.dice = Dice(np.random.default_rng(1))
        self.seconds = seconds
        sleep = Sleep(self.dice, self.calendar, 0.0, 0.0, seconds, awake=True)
        self.owners = [
            Owner(
                self.dice, number, sleep, [Machine(place, device, [(0.0, seconds)]) for place, device in enumerate(own)]
            )
            for number, own in enumerate(devices)
        ]
        self.events: list[Happening] = []

    def put(self, at: float, user: int, machine: Machine, kind: Kind, peer: int, size: int) -> None:
        self.events.append(Happening(at, user, machine.number, kind, peer, size))

    def of(self, *kinds: str, user: int | None = None) -> list[Happening]:
        found = [event for event in self.events if event.kind in kinds and user in (None, event.user)]
        return sorted(found, key=lambda event: event.at)
