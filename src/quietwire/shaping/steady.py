"""`steady`: one cell of one size at each tick, with spaces where there is nothing to say. Pure (DESIGN §5).

What is put is whole stanzas, so wherever the queue ends spaces are legal (RFC 6120 §11.7), and counted by nobody
(XEP-0198). A stanza may lie in several cells; no space is ever put inside one.
"""

from __future__ import annotations

from collections.abc import Callable

from quietwire.shaping.outbox import Outbox
from quietwire.shaping.policy import Policy
from quietwire.shaping.schedule import Schedule


class Steady(Outbox):
    """A queue, and the next cell, which is made before its time comes: `fill()`, then in its slot `cell()`."""

    __slots__ = ("_empty", "_ready", "_size", "queue", "schedule")

    def __init__(self, policy: Policy, slot: int, phase: int) -> None:
        """`slot`, `phase`: see `Schedule`."""
        super().__init__()
        self.schedule = Schedule(policy, slot, phase)
        self.queue = bytearray()
        self._size = policy.cell
        self._empty = b" " * policy.cell
        self._ready = b""

    def admit(self) -> None:
        """Moves what was put to the queue."""
        self.queue += b"".join(self.parts)
        self.parts.clear()

    def waiting(self) -> int:
        """Bytes that no cell was written with yet."""
        return len(self.queue) + len(self._ready.rstrip(b" ")) + sum(map(len, self.parts))

    def fill(self) -> None:
        """Makes the next cell, unless the one before was not written: a stalled socket."""
        if self._ready:
            return
        self.admit()
        queue = self.queue
        if not queue:
            self._ready = self._empty
            return
        self._ready = bytes(queue[: self._size]).ljust(self._size)
        del queue[: self._size]

    def cell(self) -> bytes:
        """The next cell. Its size is the same whatever was put."""
        self.fill()
        ready, self._ready = self._ready, b""
        return ready


class Pacemaker:
    """Which streams write in a slot, in a fixed order: that of their arrival. Pure; `net` owns the clock.

    `write(stream)` puts a stream's cell on the wire, `fill(stream)` makes its next. In each slot all that are due are
    written first; then those are filled that are due in the next, so that what it takes to fill one shifts none.
    """

    __slots__ = ("_due", "_fill", "_write", "at")

    def __init__(self, write: Callable[[object], None], fill: Callable[[object], None]) -> None:
        self._write = write
        self._fill = fill
        self._due: dict[int, dict[object, Schedule]] = {}
        self.at = -1
        """The last slot that was served."""

    def __len__(self) -> int:
        return sum(map(len, self._due.values()))

    def add(self, stream: object, schedule: Schedule) -> None:
        """Enters the stream for its next slot. Adding it again changes when that is: after `Schedule.welcome()`."""
        self.remove(stream)
        self._enter(stream, schedule)

    def remove(self, stream: object) -> None:
        """A stream that has ended."""
        for streams in self._due.values():
            if streams.pop(stream, None) is not None:
                return

    def _enter(self, stream: object, schedule: Schedule) -> None:
        self._due.setdefault(schedule.next_after(self.at), {})[stream] = schedule

    def beat(self, slot: int) -> None:
        """Serves every slot up to this one. Slots that were missed, as the machine was busy or asleep, are served
        once a stream, never twice: no burst tells how long it took."""
        late: dict[object, Schedule] = {}
        for number in sorted(number for number in self._due if number <= slot):
            late.update(self._due.pop(number))
        self.at = slot
        for stream in late:
            self._write(stream)
        for stream, schedule in late.items():
            self._enter(stream, schedule)
        for stream in self._due.get(slot + 1, ()):
            self._fill(stream)
