"""`steady`: one cell of one size at each tick, with spaces where there is nothing to say. Pure (DESIGN §5).

What is put is whole stanzas, so wherever the queue ends spaces are legal (RFC 6120 §11.7), and counted by nobody
(XEP-0198). A stanza may lie in several cells; no space is ever put inside one. Spaces may stand before a stream header
as well, where an XML declaration may not: it is left out, as RFC 6120 §11.5 lets us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from quietwire.shaping.outbox import Outbox, undeclared
from quietwire.shaping.policy import Policy
from quietwire.shaping.schedule import Schedule


class Steady(Outbox):
    """A queue, and the next cell, which is made before its time comes: `fill()`, then in its slot `cell()`."""

    __slots__ = ("_ready", "_size", "_used", "packer", "queue", "schedule")

    def __init__(self, policy: Policy, slot: int, phase: int) -> None:
        """`slot`, `phase`: see `Schedule`."""
        super().__init__()
        self.schedule = Schedule(policy, slot, phase)
        self.queue = bytearray()
        self.packer: Callable[[bytes], bytes] | None = None
        """`frames.pack`, once the other end has said that it reads frames."""
        self._size = policy.cell
        self._ready = b""
        self._used = 0
        """Bytes of `_ready` that are not filling."""

    def admit(self) -> None:
        """Moves what was put to the queue."""
        packer = self.packer
        for part in self.parts if packer is None else map(packer, self.parts):
            self.queue += undeclared(part)
        self.parts.clear()

    def waiting(self) -> int:
        """Bytes that no cell was written with yet."""
        return len(self.queue) + self._used + sum(map(len, self.parts))

    def room(self) -> int:
        """Bytes that the next cell has room for."""
        if self.packer is not None:
            self.admit()  # what was put takes less than it is long
        return self._size - len(self.queue) - sum(map(len, self.parts))

    def fill(self) -> None:
        """Makes the next cell, unless the one before was not written: a stalled socket."""
        if self._ready:
            return
        self.admit()
        queue, size = self.queue, self._size
        self._used = min(len(queue), size)
        # Who has nothing to say gets spaces of its own, made in the same way: one piece of memory for all of these is
        # at hand in the processor, and their cells are written some microseconds faster (docs/findings.md).
        self._ready = bytes(queue[:size]).ljust(size)
        del queue[:size]
        if not queue:
            self.queue = bytearray()  # after a flood the memory goes back

    def copied(self) -> bytes:
        """The next cell once more: see `even`."""
        return bytes(memoryview(self._ready))

    def replace(self, cell: bytes) -> None:
        """With what `copied` gave."""
        self._ready = cell

    def cell(self) -> bytes:
        """The next cell. Its size is the same whatever was put."""
        self.fill()
        ready, self._ready = self._ready, b""
        self._used = 0
        return ready

    def rest(self) -> bytes:
        """What no cell was written with: the link gets another profile. Nothing is left here."""
        self.admit()
        data = self._ready[: self._used] + self.queue
        self._ready, self._used = b"", 0
        self.queue = bytearray()
        return bytes(data)


def even(streams: Iterable[Steady]) -> None:
    """Puts all next cells anew into memory, one after another. Where a cell lies, and what was done to make it, shows
    in how long the processor takes to get at it when it is written: a microsecond, which a kernel's clock sees."""
    copies = [(stream, stream.copied()) for stream in streams]
    for stream, cell in copies:
        stream.replace(cell)


class Pacemaker:
    """Which streams write in a slot, in a fixed order: that of their arrival. Pure; `net` owns the clock.

    `write(stream)` puts a stream's cell on the wire, `fill(stream)` makes its next. In each slot all that are due are
    written first; then those are filled that are due in the next, so that what it takes to fill one shifts none, and
    `filled(streams)` is told of all of them.
    """

    __slots__ = ("_arrivals", "_due", "_fill", "_filled", "_places", "_write", "at")

    def __init__(
        self,
        write: Callable[[object], None],
        fill: Callable[[object], None],
        filled: Callable[[list[object]], None] = lambda streams: None,
    ) -> None:
        self._write = write
        self._fill = fill
        self._filled = filled
        self._due: dict[int, list[object]] = {}
        self._places: dict[object, tuple[int, int, Schedule]] = {}
        """(number of its arrival, slot in which it is due, schedule)."""
        self._arrivals = 0
        self.at = -1
        """The last slot that was served."""

    def __len__(self) -> int:
        return len(self._places)

    def add(self, stream: object, schedule: Schedule) -> None:
        """Enters the stream for its next slot. Adding it again changes when that is, after `Schedule.welcome()`, and
        leaves it its place in the order."""
        former = self._places.get(stream)
        if former is None:
            self._arrivals += 1
            self._enter(stream, self._arrivals, schedule)
        else:
            self._leave(stream, former[1])
            self._enter(stream, former[0], schedule)

    def remove(self, stream: object) -> None:
        """A stream that has ended. It may be removed while a slot is served."""
        place = self._places.pop(stream, None)
        if place is not None:
            self._leave(stream, place[1])

    def next_at(self) -> int | None:
        """The slot for which `beat` is to be called next, at its time; None while there are no streams."""
        if not self._due:
            return None
        due = min(self._due)
        return due if due <= self.at + 1 else due - 1  # the one before, to fill

    def _enter(self, stream: object, number: int, schedule: Schedule) -> None:
        slot = schedule.next_after(self.at)
        self._places[stream] = number, slot, schedule
        self._due.setdefault(slot, []).append(stream)

    def _leave(self, stream: object, slot: int) -> None:
        streams = self._due.get(slot)
        if streams is None:  # that slot is being served
            return
        streams.remove(stream)
        if not streams:
            del self._due[slot]

    def beat(self, slot: int) -> None:
        """Serves every slot up to this one. Slots that were missed, as the machine was busy or asleep, are served
        once a stream, never twice: no burst tells how long it took. A slot that was served is not served again."""
        if slot <= self.at:
            return
        places, late = self._places, []
        for number in sorted(number for number in self._due if number <= slot):
            late += self._due.pop(number)
        late.sort(key=lambda stream: places[stream][0])
        self.at = slot
        for stream in late:
            if stream in places:
                self._write(stream)
        for stream in late:
            place = places.get(stream)
            if place is not None and place[1] <= slot:  # not if it was added again meanwhile
                self._enter(stream, place[0], place[2])
        for stream in tuple(self._due.get(slot + 1, ())):
            if stream in places:
                self._fill(stream)
        self._filled(self._due.get(slot + 1, []))
