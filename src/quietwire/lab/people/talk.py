"""Who says what to whom: conversations of all ties and rooms, played side by side in the order of time."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from quietwire.lab.people.devices import Machine, Owner
from quietwire.lab.people.dice import Dice, Wheel
from quietwire.lab.people.gaps import Course, course, size
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.rhythm import BUSIEST, Calendar
from quietwire.lab.people.ties import Society

WORD: Final = 5
"""Characters, as typists count them."""
SHORTEST: Final = 0.8
"""Seconds that the shortest text takes."""
LONGEST: Final = 240.0
"""Seconds after which even a long text is sent: the rest was pasted."""
LINK: Final = (80, 130)
"""Characters of the address of an uploaded file."""


@dataclass(frozen=True, slots=True)
class Text:
    """`begun`: when the writing began, `at`: when it was sent. `peer` is a user, or with `room` a room. `file`: bytes
    of the file that it is the address of, else 0."""

    at: float
    begun: float
    author: int
    machine: Machine
    peer: int
    room: bool
    length: int
    file: int


class _Conversation:
    __slots__ = ("course", "members", "room", "wheel")

    def __init__(self, course: Course, members: Sequence[int], room: int, wheel: Wheel | None) -> None:
        self.course = course
        self.members = members
        self.room = room
        self.wheel = wheel

    def other(self, dice: Dice, author: int) -> int:
        if self.wheel is None:
            return self.members[1] if author == self.members[0] else self.members[0]
        for _ in range(8):
            chosen = self.members[self.wheel.turn(dice)]
            if chosen != author:
                return chosen
        return author


class Talk:
    """`begin` is before second 0: whoever looks at second 0 sees conversations that are under way."""

    def __init__(
        self, dice: Dice, society: Society, owners: Sequence[Owner], calendar: Calendar, parameters: Parameters,
        begin: float, end: float,
    ) -> None:  # fmt: skip
        self._dice = dice
        self._society = society
        self._owners = owners
        self._calendar = calendar
        self._parameters = parameters
        self._span = begin, end
        self._count = itertools.count()
        self._heap: list[tuple[float, int, int, _Conversation]] = []
        self._plain = parameters.family == "poisson"

    def texts(self, fresh: Sequence[tuple[float, int, int]]) -> list[Text]:
        """All of them, in the order of `at`. `fresh`: (from when on, a new contact, the other), who then talk."""
        self._begin_all()
        for at, one, other in fresh:
            self._push(at, one, _Conversation(course(self._dice, self._parameters), (one, other), -1, None))
        found: list[Text] = []
        while self._heap:
            at, _, author, conversation = heapq.heappop(self._heap)
            if at < self._span[1]:
                self._compose(at, author, conversation, found)
        found.sort(key=lambda text: (text.at, text.author))
        return found

    def _push(self, at: float, author: int, conversation: _Conversation) -> None:
        heapq.heappush(self._heap, (at, next(self._count), author, conversation))

    def _begin_all(self) -> None:
        """First texts: Poisson processes whose rates follow ties, people's activity and their day."""
        society, parameters = self._society, self._parameters
        users = len(society.community)
        texts = parameters.messages * users / self._calendar.day
        share = parameters.room_share if society.rooms else 0.0
        activity = society.activity
        strength = [0.0] * users
        for (one, other), weight in society.ties.items():
            strength[one] += weight
            strength[other] += weight
        # Each divides what they have to say among those whom they know.
        rates = [
            weight * (activity[one] / strength[one] + activity[other] / strength[other])
            for (one, other), weight in society.ties.items()
        ]
        scale = texts * (1.0 - share) / sum(rates) / size(parameters)
        for pair, rate in zip(society.ties, rates, strict=True):
            share_of_first = activity[pair[0]] / (activity[pair[0]] + activity[pair[1]])
            for at in self._times(rate * scale):
                author = pair[0] if self._dice.chance(share_of_first) else pair[1]
                self._start(at, author, pair, -1, None)
        if not share:
            return
        rates = [
            weight * sum(activity[user] for user in members)
            for weight, members in zip(society.room_weights, society.rooms, strict=True)
        ]
        scale = texts * share / sum(rates) / size(parameters)
        for number, (members, rate) in enumerate(zip(society.rooms, rates, strict=True)):
            wheel = Wheel([activity[user] / (place + 1.0) for place, user in enumerate(members)])
            for at in self._times(rate * scale):
                self._start(at, members[wheel.turn(self._dice)], members, number, wheel)

    def _times(self, rate: float) -> list[float]:
        return self._dice.arrivals(rate * (BUSIEST if self._rhythmic else 1.0), *self._span)

    @property
    def _rhythmic(self) -> bool:
        return self._parameters.rhythm and not self._plain

    def _start(self, at: float, author: int, members: Sequence[int], room: int, wheel: Wheel | None) -> None:
        if self._rhythmic and not self._dice.chance(self._owners[author].sleep.activity(at) / BUSIEST):
            return
        self._push(at, author, _Conversation(course(self._dice, self._parameters), members, room, wheel))

    def _compose(self, at: float, author: int, conversation: _Conversation, found: list[Text]) -> None:
        """Somebody begins to write, or cannot yet."""
        dice, owner, parameters = self._dice, self._owners[author], self._parameters
        length = min(parameters.longest, max(1, round(dice.lognormal(parameters.length, parameters.length_spread))))
        file = self._file() if parameters.consequences and dice.chance(parameters.file_share) else 0
        if file:
            length = LINK[0] + dice.below(LINK[1] - LINK[0])
        if self._plain:
            machine = owner.takes(at, at)
            sent = at
        else:
            ready = owner.available(max(at, owner.free), self._calendar.hour)
            if ready > at + 0.001:
                if not math.isinf(ready):
                    self._push(ready, author, conversation)
                return
            machine, sent = self._write(owner, at, length, file)
        if machine is None:
            if not self._plain:
                self._push(at + dice.uniform(5.0, 60.0), author, conversation)
            return
        owner.free = sent
        room = conversation.room >= 0
        peer = conversation.room if room else conversation.other(dice, author)
        found.append(Text(sent, at, author, machine, peer, room, length, file))
        for delay, same in conversation.course():
            self._push(sent + delay, author if same else conversation.other(dice, author), conversation)

    def _write(self, owner: Owner, at: float, length: int, file: int) -> tuple[Machine | None, float]:
        """(device, when it is sent)."""
        parameters = self._parameters
        machine = owner.takes(at, at + SHORTEST)
        if machine is None:
            return None, at
        speed = parameters.phone_speed if machine.device.form == "phone" else parameters.desk_speed
        seconds = SHORTEST + length / WORD / (speed / 60.0) * self._dice.lognormal(1.0, 0.4)
        sent = at + (self._dice.uniform(3.0, 12.0) if file else min(LONGEST, seconds))
        return (machine, sent) if machine.during(at, sent + 0.5) else (None, at)

    def _file(self) -> int:
        """Bytes. The body and the tail of `parameters`."""
        dice, parameters = self._dice, self._parameters
        size = dice.lognormal(parameters.file_size, parameters.file_spread)
        if dice.chance(0.1):
            size = parameters.file_size * 4.0 + dice.lomax(parameters.file_tail, parameters.file_size * 4.0)
        return min(parameters.largest_file, max(200, round(size)))
