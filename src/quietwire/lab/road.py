"""The road between a client and its server, worse than loopback: delay, jitter, loss and bandwidth. Pure.

What TCP makes of a road is what a tap can make without being root: order is kept, and a lost segment is not gone but
late, by the time until it is sent again, and what came after it waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

RETRANSMISSION = 0.2
"""Seconds, at least, until a segment is sent again (RFC 6298 §2.4 says 1; Linux takes 200 ms)."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """One direction of a link. Seconds, a share of writes, bytes a second; 0 is none. Raises ValueError."""

    delay: float = 0.0
    jitter: float = 0.0
    """Added to `delay`, uniformly distributed from 0 on."""
    loss: float = 0.0
    rate: float = 0.0
    burst: float = 16_384.0
    """Bytes that pass at once after a quiet time, where there is a rate."""

    def __post_init__(self) -> None:
        if min(self.delay, self.jitter) < 0 or not 0 <= self.loss < 1 or self.burst <= 0:
            raise ValueError("delay and jitter are at least 0, loss is a share under 1, burst is more than 0")
        if self.rate != 0 and self.rate < 1:
            raise ValueError("rate is at least a byte a second, or 0 for none")

    @property
    def any(self) -> bool:
        return bool(self.delay or self.jitter or self.loss or self.rate)


class Road:
    """Says of each write when it arrives."""

    def __init__(self, impairment: Impairment, uniform: Callable[[], float]) -> None:
        """`uniform`: a random number from 0 up to 1."""
        self._it = impairment
        self._uniform = uniform
        self._free = 0.0
        self._last = 0.0

    def release(self, now: float, size: int) -> float:
        """When `size` bytes that are sent `now` (seconds of any steady clock) arrive; never before earlier ones."""
        it = self._it
        at = now
        if it.rate:
            # A bucket: its level is how far `_free` lies behind.
            self._free = max(self._free, now - it.burst / it.rate) + size / it.rate
            at = max(now, self._free)
        at += it.delay + it.jitter * self._uniform()
        while it.loss and self._uniform() < it.loss:
            at += max(RETRANSMISSION, 2 * it.delay + it.jitter)
        # Never the same time twice: a heap of timers keeps no order among equals.
        self._last = at if at > self._last else math.nextafter(self._last, math.inf)
        return self._last
