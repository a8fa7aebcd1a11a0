"""Token buckets: how fast a peer may speak. What is over the rate waits, nothing is refused. Pure.

A bucket holds `burst` tokens at most and gains `rate` a second. It may be overdrawn by one portion, since bytes that
have been read cannot be given back; then whoever reads waits until it is even again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rates:
    """What one stream may send, on average over `burst_seconds`. A rate of 0 is none: no limit."""

    bytes: float = 0.0
    """A second."""
    stanzas: float = 0.0
    """A second."""
    burst_seconds: float = 4.0
    """A quiet stream may spend this many seconds' worth at once: a client that comes back asks for much."""

    @property
    def unlimited(self) -> bool:
        return not self.bytes and not self.stanzas


class Bucket:
    """One quantity of one stream."""

    __slots__ = ("_at", "_burst", "_clock", "_left", "_rate")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        """`rate` in tokens a second, more than 0."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock()

    def spend(self, tokens: float) -> float:
        """-> seconds to wait before any more may be spent, 0 for none."""
        now = self._clock()
        # A clock that goes back gives nothing, and takes nothing.
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate) - tokens
        self._at = now
        return max(0.0, -self._left / self._rate)


class Meter:
    """Bytes and stanzas of one stream."""

    __slots__ = ("_bytes", "_stanzas")

    def __init__(self, rates: Rates, clock: Callable[[], float]) -> None:
        seconds = rates.burst_seconds
        self._bytes = Bucket(rates.bytes, rates.bytes * seconds, clock) if rates.bytes else None
        self._stanzas = Bucket(rates.stanzas, rates.stanzas * seconds, clock) if rates.stanzas else None

    def spend(self, size: int, stanzas: int) -> float:
        """-> seconds to read nothing for."""
        wait = self._bytes.spend(size) if self._bytes is not None else 0.0
        return max(wait, self._stanzas.spend(stanzas)) if self._stanzas is not None else wait
