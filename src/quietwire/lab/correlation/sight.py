"""What attackers on links see, and what they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Side(Protocol):
    """One direction of all links, in ascending order of time (`shapes.Side`)."""

    @property
    def links(self) -> int: ...
    @property
    def times(self) -> Array: ...
    @property
    def link(self) -> NDArray[np.int32]: ...
    @property
    def sizes(self) -> NDArray[np.int32]: ...


STEADY = 50
"""Records from which on the time from a link's first to its last is taken for that of its connection."""


def rates(side: Side, seconds: float) -> Array:
    """Of each link: records a second while it is there. Over all the time, a link that went away would seem slow, and
    what it carried before would seem to be somebody's."""
    number = np.bincount(side.link, minlength=side.links)
    first, last = np.full(side.links, seconds), np.zeros(side.links)
    first[side.link[::-1]] = side.times[::-1]  # what is written last stays
    last[side.link] = side.times
    there = np.where(number >= STEADY, np.maximum(last - first, 1.0), seconds)
    return np.asarray(number / there, np.float64)


@dataclass(frozen=True)
class Watched:
    """All links for some time."""

    seconds: float
    down: Side
    """Towards the candidates."""
    back: Side | None = None
    """From the candidates, where receipts come back."""


@dataclass(frozen=True)
class Case:
    """One sender's records, and how many of them had left when it had sent its partner so many messages."""

    sender: int
    right: int
    """The candidate it is: for training and judging only."""
    at: Array
    sizes: NDArray[np.int32]
    cuts: tuple[int, ...]
    ends: tuple[float, ...]
    """The moments of the cuts."""
    itself: int = -1
    """The candidate that is the sender's own, and never right; by default its number."""

    @property
    def own(self) -> int:
        return self.sender if self.itself < 0 else self.itself
