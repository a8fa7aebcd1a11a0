"""What texts cause: typing before them, receipts, markers, reactions, corrections, files, keys and pictures after."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final

from quietwire.lab.people.devices import Machine, Owner
from quietwire.lab.people.dice import Dice
from quietwire.lab.people.model import Kind
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.rhythm import Calendar
from quietwire.lab.people.talk import WORD, Text

Put = Callable[[float, int, Machine, Kind, int, int], None]
"""(at, user, device, kind, peer, size)."""

ENGAGED: Final = 90.0
"""Seconds after one's last sign in a conversation for which it is open on one's screen. Chosen."""
DELIVERY: Final = (0.12, 0.6)
"""Median and sigma of the seconds until a device has a text and answers for it. Chosen."""
GLANCE: Final = 0.2
"""Probability that somebody looks at a text in a room soon. Chosen."""
NOTED: Final = 1.2
"""Seconds of writing under which no client says that somebody writes. Chosen."""


class After:
    """`new`: pairs (user, contact) that have not talked before the plan."""

    def __init__(
        self, dice: Dice, owners: list[Owner], calendar: Calendar, parameters: Parameters, put: Put,
        new: Iterable[tuple[int, int]],
    ) -> None:  # fmt: skip
        self._dice = dice
        self._owners = owners
        self._hour = calendar.hour
        self._parameters = parameters
        self._put = put
        self._new = set(new)
        self._met: set[tuple[int, int, int]] = set()
        self._seen: set[tuple[int, int, int]] = set()
        self.looks: list[tuple[float, int, Machine]] = []
        """(when, who, on what) somebody looked without any happening."""

    def of(self, texts: list[Text], rooms: list[tuple[int, ...]]) -> None:
        """All consequences of texts, which are in the order of time."""
        pairs: dict[tuple[int, int], list[Text]] = {}
        for text in texts:
            self._say(text)
            if text.room:
                for member in rooms[text.peer]:
                    if member != text.author and self._dice.chance(GLANCE):
                        self._look(self._owners[member], text.at + self._noticing(), text)
            else:
                pairs.setdefault((min(text.author, text.peer), max(text.author, text.peer)), []).append(text)
        if self._parameters.consequences:
            for pair, said in pairs.items():
                for reader, author in (pair, pair[::-1]):
                    self._read(self._owners[reader], author, said)

    def _say(self, text: Text) -> None:
        dice, put, machine, parameters = self._dice, self._put, text.machine, self._parameters
        who = text.author
        room = text.room
        if parameters.consequences:
            if text.file:
                put(text.begun, who, machine, "upload", -1 if room else text.peer, text.file)
            elif machine.habit.typing and text.at - text.begun > NOTED:
                put(text.begun, who, machine, "room-typing" if room else "typing", text.peer, 0)
            if not room and parameters.background and self._first(self._met, who, machine, text.peer):
                put(max(text.begun, text.at - dice.uniform(0.2, 0.9)), who, machine, "bundle", text.peer, 0)
        put(text.at, who, machine, "room-message" if room else "message", text.peer, text.length)
        if not room and parameters.consequences and not text.file and dice.chance(parameters.correction_share):
            later = text.at + 1.5 + dice.lognormal(8.0, 0.7)
            put(later, who, machine, "correction", text.peer, max(1, text.length + dice.below(9) - 4))

    def _first(self, known: set[tuple[int, int, int]], who: int, machine: Machine, peer: int) -> bool:
        """Whether this device has to fetch something of this contact: asked once a device and contact."""
        key = who, machine.number, peer
        if key in known:
            return False
        known.add(key)
        return (who, peer) in self._new or self._dice.chance(self._parameters.unknown)

    def _noticing(self) -> float:
        return self._dice.lognormal(self._parameters.notice, self._parameters.notice_spread)

    def _reading(self, text: Text) -> float:
        words = text.length / WORD
        return 0.4 + self._dice.lognormal(0.8, 0.5) + min(20.0, words / (self._parameters.reading_speed / 60.0))

    def _look(self, owner: Owner, at: float, text: Text) -> None:
        ready = owner.available(at, self._hour)
        machine = owner.takes(ready, ready + 1.0) if ready < 1e12 else None
        if machine is not None:
            self.looks.append((ready, owner.number, machine))
            if text.file:
                self._put(ready + self._dice.uniform(0.3, 2.0), owner.number, machine, "download", -1, text.file)

    def _read(self, reader: Owner, author: int, said: list[Text]) -> None:
        """Everything that `reader` does about what `author` said, in the order of time."""
        writes = [text.begun for text in said if text.author == reader.number]
        last = -1e18  # the reader's last sign in this conversation
        covered = -1e18  # a marker that is already to come
        for text in said:
            if text.author == reader.number:
                last = max(last, text.at)
                continue
            got = self._receive(reader, text)
            if text.at <= covered:
                continue  # seen together with an earlier one
            at = text.at + got
            if at - last < ENGAGED:
                seen = at + self._reading(text)
            else:
                seen = at + max(self._noticing(), self._reading(text))
            answer = bisect_left(writes, at)
            if answer < len(writes):  # one answers what one has seen
                seen = min(seen, max(at, writes[answer] - self._dice.uniform(0.3, 2.5)))
            seen = reader.available(seen, self._hour)
            machine = reader.takes(seen, seen + 1.0) if seen < 1e12 else None
            if machine is None:
                continue
            covered = last = seen
            self._seen_it(reader, machine, text, seen)

    def _receive(self, reader: Owner, text: Text) -> float:
        """Receipts of all devices that are there, or of the first that comes. Seconds until the first has it."""
        dice, number = self._dice, reader.number
        first = 1e18
        there = [machine for machine in reader.machines if machine.during(text.at, text.at + 1.0)]
        for machine in there or reader.machines:
            on = machine.next_on(text.at)
            if on > 1e12 or (not there and on > min(one.next_on(text.at) for one in reader.machines)):
                continue
            lag = on - text.at + dice.lognormal(*DELIVERY) + (0.0 if there else dice.uniform(0.8, 2.0))
            if machine.habit.receipts:
                self._put(text.at + lag, number, machine, "receipt", text.author, 0)
            background = self._parameters.background
            if background and self._first(self._seen, number, machine, text.author):
                self._put(text.at + lag + dice.uniform(0.1, 0.5), number, machine, "profile", text.author, 0)
            first = min(first, lag)
        return first if first < 1e12 else 0.0

    def _seen_it(self, reader: Owner, machine: Machine, text: Text, at: float) -> None:
        dice, put, number = self._dice, self._put, reader.number
        if machine.habit.markers:
            put(at, number, machine, "marker", text.author, 0)
        else:
            self.looks.append((at, number, machine))
        if text.file:
            put(at + dice.uniform(0.3, 2.0), number, machine, "download", text.author, text.file)
        if dice.chance(self._parameters.reaction_share):
            put(at + 1.0 + dice.lognormal(2.5, 0.6), number, machine, "reaction", text.author, 0)
