"""What a policy costs on an idle link and adds in delay. Arithmetic, not measurements: those are the laboratory's."""

from __future__ import annotations

from dataclasses import dataclass

from quietwire.shaping.jitter import GARBAGE
from quietwire.shaping.policy import Policy, Profile

DAY = 86_400.0
RECORD = 5 + 16 + 1
"""What TLS 1.3 adds to a record: header, tag, type byte (RFC 8446 §5.2)."""
PACKET = 40
"""Headers of IP and TCP without options, and as much for the acknowledgement that comes back is not counted here."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one direction of one link: `day` bytes of an idle day on the wire; seconds of added latency for something that
    fits one cell and comes when nothing waits: median and 95th percentile, outside of windows."""

    day: float
    p50: float
    p95: float


def cost(policy: Policy, block: int = 0) -> Cost:
    """Cells, garbage and delays of the schedule alone; what padding adds to traffic depends on the traffic. `block`:
    the process pads all its records, also those of cells, to a multiple of so many bytes."""
    if policy.profile is Profile.JITTER:
        size = sum(GARBAGE) / 2 + (policy.block / 2 if policy.pad else 0)
        garbage = DAY / policy.garbage * (size + RECORD + PACKET) if policy.garbage else 0.0
        return Cost(garbage, policy.delay * 0.5 + policy.batch * 0.5, policy.delay * 0.95 + policy.batch * 0.5)
    if policy.profile is not Profile.STEADY:
        return Cost(0.0, 0.0, 0.0)
    windows = policy.window / policy.bulk_every if policy.bulk_every else 0.0
    rate = windows / policy.fast_tick + (1.0 - windows) / policy.tick
    # Two bytes are left for the type: where OpenSSL pads, one does not do.
    record = -(-(policy.cell + 2) // block) * block + RECORD - 1 if block else policy.cell + RECORD
    return Cost(DAY * rate * (record + PACKET), policy.tick * 0.5, policy.tick * 0.95)
