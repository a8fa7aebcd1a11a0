"""The clock of shaped links: one for all `steady` streams of an event loop, and the timers of `jitter`.

The pure objects of `shaping/` say what leaves and when; here is when that is.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from quietwire.shaping.jitter import Jitter
from quietwire.shaping.outbox import Outbox
from quietwire.shaping.policy import SLOT, Policy, Profile
from quietwire.shaping.schedule import Schedule
from quietwire.shaping.steady import Pacemaker, Steady, even

GUARD = 0.002
"""Seconds before a slot at which the loop stops doing anything else and sleeps until the slot begins: what it would be
busy with, a flood for one of the streams, then shifts no cell. At twenty slots a second that is 4 % of its time."""
BEFORE = 2
"""Slots from the turn of paced peers to the band: the first cells of it are made one slot before."""
_random = secrets.SystemRandom().random


class Host(Protocol):
    """The connection under a line (`stream.Connection`)."""

    def write(self, data: bytes) -> None:
        """To the transport, as it is."""
        ...

    def clear(self) -> bool:
        """The kernel has everything that was written."""
        ...

    def drained(self) -> None:
        """Nothing waits to be written any more."""
        ...

    def roomy(self) -> None:
        """The next cell is about to be made and is not full."""
        ...

    def end(self) -> None:
        """It was to be closed, and the last of it was written."""
        ...

    def abort(self) -> None:
        """Something broke."""
        ...


class Line(Protocol):
    """Stands between a connection that is shaped by time and its transport."""

    @property
    def paced(self) -> bool:
        """It has little room, and asks for more when there is: see `links.Link.space`."""
        ...

    @property
    def outbox(self) -> Outbox: ...

    def admit(self) -> None:
        """The turn has ended: what was put is to leave when its time comes."""
        ...

    def waiting(self) -> int:
        """Bytes that were not written."""
        ...

    def space(self) -> int:
        """Bytes that the next cell has room for."""
        ...

    def welcome(self) -> None:
        """A login or a resumption."""
        ...

    def finish(self) -> None:
        """Nothing more will be put: `Host.end` when everything was written."""
        ...

    def patience(self) -> float:
        """Seconds that the first cell after now may take to leave."""
        ...

    def turn(self) -> float:
        """Seconds until what the peer says is to be heard, where it is paced too."""
        ...

    def stop(self) -> bytes:
        """The connection is gone or gets another line. -> what was not written."""
        ...


class Pacer:
    """The slots of one event loop. `clock` is monotonic, seconds; `sleep` blocks."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self._sleep = sleep
        self._maker = Pacemaker(self._write, self._fill, self._filled)
        self._alarm: asyncio.TimerHandle | None = None
        self._wanted = -1
        """The slot that the alarm is for."""
        self._band = secrets.randbelow(1 << 32)
        """Where in any tick the band of this process lies: another process on this machine has another."""
        self.cells = self.written = 0
        """Cells, and their bytes, that were written."""
        self._seconds = 0.0
        self._since = clock()
        self.stalled = 0
        """Not written, since the peer takes nothing."""
        self.late = 0
        """Slots that were served after they were over: the machine was busy or asleep."""
        self.jittered = 0
        """Links with random delays."""

    @property
    def links(self) -> int:
        """Those that are steady."""
        return len(self._maker)

    def link_seconds(self) -> float:
        """How long steady links have been there, all together."""
        now = self.clock()
        self._seconds += len(self._maker) * (now - self._since)
        self._since = now
        return self._seconds

    def slot(self) -> int:
        """The one that it is now."""
        return int(self.clock() / SLOT)

    def phase(self, policy: Policy) -> int:
        """For a link that begins: random in the band that all links share (`Policy.band`)."""
        return self._band + secrets.randbelow(policy.band())

    def turn(self, schedule: Schedule) -> float:
        """Seconds until the next turn of paced peers: before the band, so that what they say goes out with it."""
        return schedule.turn(self.slot(), self._band - BEFORE) * SLOT - self.clock()

    def enter(self, line: SteadyLine) -> None:
        """From now on its cells are written; again after a change of its schedule."""
        self.link_seconds()
        if not len(self._maker):
            self._maker.at = self.slot()
        self._maker.add(line, line.outbox.schedule)
        self._arm()

    def leave(self, line: SteadyLine) -> None:
        self.link_seconds()
        self._maker.remove(line)
        if not len(self._maker) and self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self) -> None:
        slot = self._maker.next_at()
        if slot is None:
            return
        if self._alarm is not None:
            if self._wanted == slot:
                return
            self._alarm.cancel()
        self._wanted = slot
        # Not call_at: the loop's own clock may have stood still since its turn began.
        self._alarm = self.loop.call_later(max(slot * SLOT - self.clock() - GUARD, 0.0), self._beat)

    def _beat(self) -> None:
        self._alarm = None
        wait = self._wanted * SLOT - self.clock()
        if wait > 2 * GUARD:  # timers of the loop may be early by what its turn has lasted
            self._arm()
            return
        if wait > 0:
            self._sleep(wait)
        slot = max(self.slot(), self._wanted)
        self.late += slot - self._wanted
        try:
            self._maker.beat(slot)
        finally:
            self._arm()

    def _write(self, line: object) -> None:
        assert isinstance(line, SteadyLine)
        try:
            line.beat()
        except Exception:  # a transport that breaks while it is written to must not silence all others
            line.host.abort()

    def _fill(self, line: object) -> None:
        assert isinstance(line, SteadyLine)
        try:
            line.fill()
        except Exception:
            line.host.abort()

    def _filled(self, lines: list[object]) -> None:
        even(line.outbox for line in lines if isinstance(line, SteadyLine))


class SteadyLine:
    """One `steady` link. Entered at its pacer until `stop`."""

    __slots__ = ("_finishing", "_pacer", "_policy", "host", "outbox")

    paced = True
    shaper = Steady

    def __init__(self, pacer: Pacer, policy: Policy, host: Host) -> None:
        self._pacer = pacer
        self._policy = policy
        self.host = host
        self._finishing = False
        self.outbox = self.shaper(policy, pacer.slot(), pacer.phase(policy))
        pacer.enter(self)

    def beat(self) -> None:
        """Its slot has come."""
        host, outbox = self.host, self.outbox
        if not host.clear():
            self._pacer.stalled += 1
            return
        self._pacer.cells += 1
        self._pacer.written += self._policy.cell
        host.write(outbox.cell())
        if self._finishing and not outbox.waiting():
            self._pacer.leave(self)
            host.end()

    def fill(self) -> None:
        """The slot before."""
        host, outbox = self.host, self.outbox
        if not outbox.waiting() and host.clear():
            host.drained()
        if outbox.room() > 0 and not self._finishing:
            host.roomy()
        outbox.fill()

    def admit(self) -> None:
        self.outbox.admit()

    def waiting(self) -> int:
        return self.outbox.waiting()

    def space(self) -> int:
        return self.outbox.room()

    def welcome(self) -> None:
        self.outbox.schedule.welcome(self._pacer.slot())
        self._pacer.enter(self)

    def finish(self) -> None:
        self._finishing = True

    def patience(self) -> float:
        return self._policy.tick

    def turn(self) -> float:
        return self._pacer.turn(self.outbox.schedule)

    def stop(self) -> bytes:
        self._pacer.leave(self)
        return self.outbox.rest()


class JitterLine:
    """One link with random delays."""

    __slots__ = ("_finishing", "_host", "_pacer", "_policy", "_timer", "_wanted", "outbox")

    paced = False

    def __init__(self, pacer: Pacer, policy: Policy, host: Host) -> None:
        self._pacer = pacer
        self._policy = policy
        self._host = host
        self._finishing = False
        self._timer: asyncio.TimerHandle | None = None
        self._wanted = math.inf
        """What the timer is for."""
        self.outbox = Jitter(policy, _random)
        self.outbox.begin(pacer.clock())
        pacer.jittered += 1
        self._arm()

    def admit(self) -> None:
        if self.outbox.parts:
            self.outbox.admit(self._pacer.clock())
            self._arm()

    def _arm(self) -> None:
        at = self.outbox.next_at()
        if at is None or (self._timer is not None and self._wanted <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wanted = at
        self._timer = self._pacer.loop.call_later(max(at - self._pacer.clock(), 0.0), self._leave)

    def _leave(self) -> None:
        self._timer = None
        # The loop's timers go by milliseconds and may be early: who was woken for a write writes it.
        due = self.outbox.next_at()
        now = max(self._pacer.clock(), due if due is not None else -math.inf)
        data = self.outbox.tick(now, self._host.clear())
        if data:
            self._host.write(data)
        if not self.outbox.queue:
            if self._finishing:
                self._host.end()
                return
            self._host.drained()
        self._arm()

    def waiting(self) -> int:
        return self.outbox.waiting()

    def space(self) -> int:
        return 1 << 30

    def welcome(self) -> None: ...

    def finish(self) -> None:
        self._finishing = True
        self.outbox.end()
        self.admit()
        if not self.outbox.queue:
            self._host.end()

    def patience(self) -> float:
        return self._policy.delay + self._policy.batch

    def turn(self) -> float:
        return 0.0

    def stop(self) -> bytes:
        self._pacer.jittered -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.outbox.end()
        return self.outbox.rest()


def line_for(pacer: Pacer, policy: Policy, host: Host) -> Line | None:
    """None for profiles that know no time."""
    if policy.profile is Profile.STEADY:
        return SteadyLine(pacer, policy, host)
    if policy.profile is Profile.JITTER:
        return JitterLine(pacer, policy, host)
    return None
