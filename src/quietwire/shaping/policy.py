"""What a link's profile asks for. What it costs: `cost.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SLOT: float = 0.05
"""Seconds between two looks of the pacer: all times of `steady` are whole slots of one clock (DESIGN §5). Short against
any tick, long against what a turn of a busy loop takes."""
LONGEST: float = 300.0
"""Seconds: the longest tick that a client may choose for its own link, and that a server grants."""
BAND = 4
"""Slots of a tick in which all of a server's `steady` links lie. What clients write comes before it and goes out in it,
so that a text waits for one tick and not for two. A fast tick of 0.2 s: in windows links are spread over all of it."""


class Profile(StrEnum):
    """`off` as it comes; `padded` sizes; `jitter` random delays, as first published; `steady` sizes and times."""

    OFF = "off"
    PADDED = "padded"
    JITTER = "jitter"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Policy:
    """A profile with its parameters. Raises ValueError for a policy that cannot be kept.

    Times are seconds, sizes bytes. `steady` writes one cell at each tick; in a window, which begins with each login or
    resumption and once in `bulk_every` seconds, at each `fast_tick`. Windows come whether there is anything to say or
    not, and are never prolonged.
    """

    profile: Profile = Profile.OFF
    block: int = 512
    """`padded`, and `jitter` with `pad`: every record, or write, is a multiple of it."""
    delay: float = 0.3
    """`jitter`: each write waits for a uniformly distributed time up to this; order is kept."""
    batch: float = 0.0
    """`jitter`: what leaves leaves at whole multiples of this; 0: at once."""
    pad: bool = False
    """`jitter`: what leaves together is filled with spaces up to a multiple of `block`."""
    garbage: float = 0.0
    """`jitter`: spaces that mean nothing leave as well, at random moments, once in so many seconds on average; 0:
    none."""
    cell: int = 816
    """`steady`: each is one record. A process that pads its records for other links fills it up to their block."""
    tick: float = 2.2
    fast_tick: float = 0.2
    window: float = 30.0
    """Length of a window; 0 for none."""
    bulk_every: float = 21_600.0
    """From the beginning of one bulk window to that of the next; 0 for none."""
    queue: int = 262_144
    """Bytes that may wait for cells. More pushes back: 12 minutes of the default cells, or two windows."""

    def __post_init__(self) -> None:
        if self.garbage and not self.garbage >= SLOT:
            raise ValueError(f"garbage is 0, for none, or at least {SLOT:g} s")
        if self.profile is not Profile.STEADY:
            return
        if self.slots(self.fast_tick) < 1 or self.slots(self.tick) % self.slots(self.fast_tick):
            raise ValueError(
                f"tick ({self.tick:g} s) must be a whole multiple of fast_tick, which is at least {SLOT:g} s"
            )
        if self.bulk_every and self.bulk_every < self.window:
            raise ValueError("bulk_every is shorter than window")

    def band(self) -> int:
        """Slots of the tick in which a server's links lie; of a short tick an eighth."""
        return max(1, min(BAND, self.slots(self.tick) // 8))

    @staticmethod
    def slots(seconds: float) -> int:
        """Whole slots, the nearest."""
        return round(seconds / SLOT)

    @staticmethod
    def part(whole: int, least: int) -> int:
        """Slots of the fast tick that goes into a tick of `whole`: the fewest from `least` on, or all of them."""
        return next(slots for slots in range(max(1, min(whole, least)), whole + 1) if whole % slots == 0)
