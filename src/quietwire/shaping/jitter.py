"""`jitter`: each write waits for a random time up to a bound, as first published; order is kept. Pure.

What arrives while something waits never leaves before it. What leaves together may be filled up to a whole number of
blocks, and garbage may leave, at random moments: the other parts of the published idea. The laboratory shows what each
is worth, alone and together.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from quietwire.shaping.outbox import Outbox, undeclared
from quietwire.shaping.policy import Policy

GARBAGE: Final = (64, 1024)
"""Bytes of spaces that mean nothing, at least and at most: as much as a ping or a long message, and uniform between."""


class Jitter(Outbox):
    """A queue of writes, each with the time when it leaves: (when, what, spaces besides)."""

    __slots__ = ("_batch", "_block", "_delay", "_every", "_garbage_at", "_spaced", "_uniform", "queue")

    def __init__(self, policy: Policy, uniform: Callable[[], float]) -> None:
        """`uniform`: a random number from 0 to 1, less than 1."""
        super().__init__()
        self._delay = policy.delay
        self._batch = policy.batch
        self._block = policy.block if policy.pad else 1
        self._every = policy.garbage
        self._garbage_at = math.inf
        self._spaced = policy.pad or policy.garbage > 0
        """Spaces may come before a stream header, where an XML declaration may not: see `steady`."""
        self._uniform = uniform
        self.queue: deque[tuple[float, bytes, int]] = deque()

    def begin(self, now: float) -> None:
        """From now on there is garbage, if there is to be any."""
        if self._every:
            self._garbage_at = now - math.log(1.0 - self._uniform()) * self._every

    def end(self) -> None:
        """No more garbage: nothing more will be put."""
        self._garbage_at = math.inf

    def admit(self, now: float) -> None:
        """Gives what was put in one turn its time."""
        self._enqueue(now, self.rest_of_turn(), 0)

    def rest_of_turn(self) -> bytes:
        """What was put and has no time yet."""
        if self._spaced:
            self.parts[:] = map(undeclared, self.parts)
        return super().take()

    def _enqueue(self, now: float, data: bytes, spaces: int) -> None:
        at = now + self._uniform() * self._delay
        if self._batch:
            at = math.ceil(at / self._batch) * self._batch
        if self.queue:
            at = max(at, self.queue[-1][0])
        self.queue.append((at, data, spaces))

    def waiting(self) -> int:
        """Bytes that have not left, without garbage."""
        return sum(len(data) for _, data, _ in self.queue) + sum(map(len, self.parts))

    def next_at(self) -> float | None:
        """When `tick` is due next, None if nothing is to be done."""
        at = min(self.queue[0][0] if self.queue else math.inf, self._garbage_at)
        return None if at == math.inf else at

    def tick(self, now: float, clear: bool = True) -> bytes:
        """All whose time has come, in one write. `clear`: the peer takes what it is sent; where it does not, no garbage
        is heaped up for it."""
        while self._garbage_at <= now:
            at = self._garbage_at
            self.begin(at)
            least, most = GARBAGE
            size = least + int(self._uniform() * (most - least + 1))
            if clear:
                self._enqueue(at, b"", size)
        due, spaces = [], 0
        while self.queue and self.queue[0][0] <= now:
            _, data, besides = self.queue.popleft()
            due.append(data)
            spaces += besides
        data = b"".join(due)
        size = len(data) + spaces
        return data.ljust(size + -size % self._block)

    def rest(self) -> bytes:
        """What has not left: the link gets another profile. Nothing is left here."""
        left = b"".join(data for _, data, _ in self.queue) + self.rest_of_turn()
        self.queue.clear()
        return left
