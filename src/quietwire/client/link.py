"""The client's own link: what slixmpp writes goes through a shaper first (DESIGN §5), from the moment TLS is up.

`Link` stands in the place of the transport. It is the clock of one stream; what is written when is decided by the pure
shapers. Windows begin with each connection, so with each login and each resumption, which look alike to a watcher.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from quietwire.client.errors import LinkError
from quietwire.shaping import frames
from quietwire.shaping.jitter import Jitter
from quietwire.shaping.outbox import Outbox, SpacePadded
from quietwire.shaping.policy import SLOT, Policy, Profile
from quietwire.shaping.steady import Steady
from quietwire.shaping.uplink import uplink as fitted

LEAD: Final = 0.2
"""Seconds from the client's tick to the first of the server's (DESIGN §5): what it brings goes out with the same tick,
to whomever. Enough for a round trip of 0.15 s; on longer ways it may wait for the turn after."""
HEARD: Final = 9
"""Ticks of the server that are listened to, after the window, before the phase is fixed."""
ROUNDS: Final = 5
"""So often is listened again where a busy machine or a bad network blurred what came. Then our phase stays as it is."""
AGREE: Final = 2 / 3
"""Of what arrives, so much must come at one place in the tick: the rest was late, here or there."""
CALM: Final = 0.2
"""Seconds before a cell in which nothing is begun that takes long: encrypting or reading a message takes 10 to 50 ms of
the loop that writes the cell, and its delay would tell of the message."""
NEAR: Final = 0.15
"""Seconds, or a quarter of a tick if that is less, that arrivals at one place may lie apart."""


def uplink(policy: Policy) -> Policy:
    """`shaping.uplink`. Raises LinkError for cells that come too fast for servers even outside of windows."""
    try:
        return fitted(policy)
    except ValueError as error:
        raise LinkError(str(error)) from None


def lead(policy: Policy) -> float:
    """Seconds from our tick to the server's cell to us. Where in the server's band that cell is, is not known."""
    return LEAD + policy.band() * SLOT


class Ticks:
    """When the server's cells come, as a place in the tick: learnt from arrivals, which any watcher sees too. Pure."""

    def __init__(self, tick: float, after: float) -> None:
        """Arrivals before `after` are in the server's window."""
        self._tick = tick
        self._after = after
        self._until = after + HEARD * tick
        self._arrivals: list[float] = []
        self._rounds = ROUNDS

    def arrived(self, now: float) -> None:
        if self._after <= now < self._until:
            self._arrivals.append(now)

    def place(self, now: float) -> float | None:
        """Once, when enough was heard: seconds into the tick at which the server's cells come. None before that, and
        after ROUNDS for good, where they do not come at ticks: whoever shapes nothing writes at any time."""
        if not self._rounds or now < self._until:
            return None
        places = sorted(at % self._tick for at in self._arrivals)
        found = self._agreed(places)
        self._rounds = self._rounds - 1 if found is None else 0
        self._until = now + HEARD * self._tick
        self._arrivals.clear()
        return found

    def _agreed(self, places: list[float]) -> float | None:
        """The place at which enough of these lie."""
        if not HEARD - 1 <= len(places) <= HEARD + 1:
            return None

        def near(middle: float) -> int:
            half = self._tick / 2
            return sum(abs((place - middle + half) % self._tick - half) <= min(NEAR, half / 2) for place in places)

        best = max(places, key=near)
        return best if near(best) >= AGREE * len(places) else None


class Link(asyncio.Transport):
    """A transport on top of another one's TLS. Writes are shaped, everything else passes."""

    def __init__(
        self,
        inner: asyncio.Transport,
        policy: Policy,
        loop: asyncio.AbstractEventLoop,
        below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        """`policy`: not `off`, which needs no link of ours; for `steady` one that `uplink` has seen. `below(n)`: a
        random whole number under n, for the phase."""
        super().__init__()
        self._inner = inner
        self._policy = policy
        self._loop = loop
        self._steady: Steady | None = None
        self._ticks: Ticks | None = None
        self._outbox = self._shaper(below)
        self._due = 0
        """The slot of the next cell."""
        self._passed = asyncio.Event()
        """Set for a moment when a cell's time has passed."""
        self._put = self._written = 0
        """Bytes since the beginning. Spaces do not count."""
        self._marks: deque[tuple[int, Callable[[], None]]] = deque()
        self._timer: asyncio.Handle | None = None
        self._flushing = False
        self._over = False
        self._room = asyncio.Event()
        self._room.set()
        if self._steady is not None:
            self._prepare(0)
        elif isinstance(self._outbox, Jitter):
            self._outbox.begin(loop.time())
            self._alarm()

    def _shaper(self, below: Callable[[int], int]) -> Outbox:
        policy = self._policy
        if policy.profile is Profile.STEADY:
            self._steady = Steady(policy, self._slot(), below(policy.slots(policy.tick)))
            return self._steady
        if policy.profile is Profile.JITTER:
            return Jitter(policy, secrets.SystemRandom().random)
        return SpacePadded(policy.block)

    # -- for the adapter

    def waiting(self) -> int:
        """Bytes that were put and are not written."""
        return self._put - self._written

    def when_written(self, call: Callable[[], None]) -> None:
        """Calls back when everything that was put until now has been given to the kernel; never if that never is."""
        if self._over:
            return
        if self._written >= self._put:
            call()
        else:
            self._marks.append((self._put, call))

    async def room(self, taken: int = 0) -> None:
        """Returns when the queue has room again, counting `taken` bytes that are on their way into it; at once when the
        link is over."""
        while not self._over and self.waiting() + taken >= self._policy.queue:
            self._room.clear()
            await self._room.wait()

    async def window(self) -> None:
        """Returns when a window is open: for what is large and can wait. At once where there are none."""
        if self._steady is None:
            return
        slot = self._slot()
        await asyncio.sleep((self._steady.schedule.opens(slot) - slot) * SLOT)

    async def calm(self) -> None:
        """Returns when no cell is due soon, or one was just written: for work that would delay it. At once where there
        are none."""
        if self._steady is not None and not self._over and self._due * SLOT - self._loop.time() < CALM:
            await self._passed.wait()

    def delay(self) -> float:
        """Seconds that shaping may add to a question and its answer, both ways shaped alike."""
        policy = self._policy
        if policy.profile is Profile.STEADY:
            return (4 + self.waiting() / policy.cell) * policy.tick
        if policy.profile is Profile.JITTER:
            return 2 * (policy.delay + policy.batch)
        return 0.0

    def follow(self) -> None:
        """The server has begun to pace its direction as we do ours, with a window: listen for its ticks after that."""
        if self._steady is not None:
            self._ticks = Ticks(self._policy.tick, self._loop.time() + self._policy.window + 2 * self._policy.tick)

    def pack(self) -> None:
        """The server reads frames (`shaping/frames.py`): what is written from now on, each time one stanza, is packed
        if we are `steady`."""
        if self._steady is not None:
            self._steady.packer = frames.pack

    def heard(self) -> None:
        """Bytes have come."""
        if self._ticks is not None:
            self._ticks.arrived(self._loop.time())

    def over(self) -> None:
        """The connection is lost. Nothing that waits is written or confirmed."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._marks.clear()
        self._room.set()
        self._passed.set()

    # -- asyncio.Transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._over or not data:
            return
        steady = self._steady
        if steady is not None:
            before = steady.waiting()
            steady.parts.append(bytes(data))
            steady.admit()  # at once: what is counted is what is written, and that is less where it is packed
            self._put += steady.waiting() - before
            return
        self._put += len(data)
        self._outbox.parts.append(bytes(data))
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self.over()
        self._inner.close()

    def abort(self) -> None:
        self.over()
        self._inner.abort()

    def is_closing(self) -> bool:
        return self._over or self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self.waiting() + self._inner.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    # -- the clock

    def _slot(self) -> int:
        return int(self._loop.time() / SLOT)

    def _stalled(self) -> bool:
        # Beyond what the kernel and the transport under TLS take: the network is slower than the policy.
        return self._inner.get_write_buffer_size() > 0

    def _flush(self) -> None:
        """At the end of a turn: `padded` and `jitter`."""
        self._flushing = False
        if self._over:
            return
        if isinstance(self._outbox, Jitter):
            self._outbox.admit(self._loop.time())
            self._alarm()
            return
        self._inner.write(self._outbox.take())
        self._count(self._put)

    def _alarm(self) -> None:
        """`jitter`: for the next that leaves."""
        assert isinstance(self._outbox, Jitter)
        if self._timer is not None:
            self._timer.cancel()
        at = self._outbox.next_at()
        self._timer = None if at is None else self._loop.call_at(at, self._leave)

    def _leave(self) -> None:
        assert isinstance(self._outbox, Jitter)
        # The loop may be early by the clock's resolution: what it was called for is due.
        data = self._outbox.tick(max(self._loop.time(), self._outbox.next_at() or 0.0), not self._stalled())
        if data:
            self._inner.write(data)
        self._count(self._put - self._outbox.waiting())
        self._alarm()

    def _prepare(self, served: int) -> None:
        """`steady`: makes the next cell one slot before its time, so that making it shifts nothing. `served`: the last
        slot that had one, which a loop that is early by its clock's resolution may still be before."""
        assert self._steady is not None
        due = self._due = self._steady.schedule.next_after(max(served, self._slot()))
        self._timer = self._loop.call_at((due - 1) * SLOT, self._fill, due)

    def _fill(self, due: int) -> None:
        assert self._steady is not None
        self._steady.fill()
        self._timer = self._loop.call_at(due * SLOT, self._cell, due)

    def _cell(self, due: int) -> None:
        """One, however late it is: a machine that slept sends no burst."""
        assert self._steady is not None
        if not self._stalled():
            self._inner.write(self._steady.cell())
            self._count(self._put - self._steady.waiting())
        self._settle()
        self._prepare(due)
        self._passed.set()
        self._passed.clear()

    def _settle(self) -> None:
        """Moves our ticks before the server's, once, when it is known when those come."""
        assert self._steady is not None
        if self._ticks is None:
            return
        place = self._ticks.place(self._loop.time())
        if place is not None:
            self._steady.schedule.rephase(self._policy.slots(place - lead(self._policy)))

    def _count(self, written: int) -> None:
        self._written = written
        while self._marks and self._marks[0][0] <= written:
            self._marks.popleft()[1]()
        if self.waiting() < self._policy.queue:
            self._room.set()
