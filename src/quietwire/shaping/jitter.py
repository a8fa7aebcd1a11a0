"""`jitter`: each write waits for a random time up to a bound, as first published; order is kept. Pure.

What arrives while something waits never leaves before it. The laboratory shows what this is worth by itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from quietwire.shaping.outbox import Outbox
from quietwire.shaping.policy import Policy


class Jitter(Outbox):
    """A queue of writes, each with the time when it leaves."""

    __slots__ = ("_batch", "_delay", "_uniform", "queue")

    def __init__(self, policy: Policy, uniform: Callable[[], float]) -> None:
        """`uniform`: a random number from 0 to 1."""
        super().__init__()
        self._delay = policy.delay
        self._batch = policy.batch
        self._uniform = uniform
        self.queue: deque[tuple[float, bytes]] = deque()

    def admit(self, now: float) -> None:
        """Gives what was put in one turn its time."""
        at = now + self._uniform() * self._delay
        if self._batch:
            at = math.ceil(at / self._batch) * self._batch
        if self.queue:
            at = max(at, self.queue[-1][0])
        self.queue.append((at, super().take()))

    def waiting(self) -> int:
        """Bytes that have not left."""
        return sum(len(data) for _, data in self.queue) + sum(map(len, self.parts))

    def next_at(self) -> float | None:
        """When the next write leaves, None if there is none."""
        return self.queue[0][0] if self.queue else None

    def tick(self, now: float) -> bytes:
        """All whose time has come, in one write."""
        due = []
        while self.queue and self.queue[0][0] <= now:
            due.append(self.queue.popleft()[1])
        return b"".join(due)
