"""What the watchers of networks do with record sizes: find the records that carry messages, and their size classes.

The attacker has the software and knows its sizes (docs/protocols/traces.md, "What an attacker is told"), but not the
addresses and device numbers in a stanza: how big the smallest message is follows from the commonest size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quietwire.lab.observers.talk import CLASSES
from quietwire.lab.trace import Direction, LinkEvent, LinkTrace, Open, Record

SMALLEST = 1200
"""Bytes: a message for three devices is never smaller, and what keeps a link going never as big."""
ACK_REQUEST = 26
"""Bytes of ``<r xmlns='urn:xmpp:sm:3'/>``, which may share a record with a stanza (XEP-0198)."""
HINT = 3
"""Bytes by which ``no-store`` is longer than ``store`` (XEP-0334)."""
TELLING = 3
"""Records that are longer by the hint, before it is believed that there are such."""
STEPS = tuple(-(-size // 3) * 4 for size in CLASSES[:3])
"""Base64 characters of the size classes that occur in a talk."""
TOGETHER = 0.1
"""Seconds within which a message leaves a server that came in."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message on a wire."""

    time: float
    link: str
    level: int
    passing: bool | None
    id: int


def opens(trace: LinkTrace) -> dict[str, Open]:
    return {event.link: event for event in trace.events if isinstance(event, Open)}


def app_records(events: Iterable[LinkEvent], links: Iterable[str], direction: Direction) -> list[Record]:
    wanted = set(links)
    return [
        event
        for event in events
        if isinstance(event, Record) and event.type == "app" and event.link in wanted and event.direction == direction
    ]


def messages(records: Sequence[Record]) -> list[Seen]:
    """The records that carry messages. A record of two becomes two."""
    sizes = Counter(record.size for record in records if record.size >= SMALLEST)
    if not sizes:
        return []
    common = max(sizes, key=lambda size: (sizes[size], -size))
    shifts = (0, HINT, ACK_REQUEST, HINT + ACK_REQUEST)
    base = min(common - shift for shift in shifts if sizes[common - shift] >= 3 or not shift)
    # With padded records all sizes are of one raster, and what is smaller than it cannot be seen.
    exact = len({size % 16 for size in sizes}) > 1
    hints = {base + step - STEPS[0] + shift for step in STEPS for shift in (HINT, HINT + ACK_REQUEST)}
    # A client whose hints are all alike shows no second raster: then nothing tells a typing notice from the rest.
    exact = exact and sum(sizes[size] for size in hints) >= TELLING
    found = []
    for record in records:
        rest = record.size - base
        if rest < -HINT or rest > STEPS[2] - STEPS[0] + base:
            continue  # too small, or a bundle of keys or the like
        level = min(range(len(STEPS)), key=lambda n: abs(rest - (STEPS[n] - STEPS[0])))
        off = rest - (STEPS[level] - STEPS[0])
        twice = abs(rest - base) < abs(off)
        passing = (off in (HINT, HINT + ACK_REQUEST)) if exact else None
        for _ in range(2 if twice else 1):
            found.append(Seen(record.time, record.link, 0 if twice else level, None if twice else passing, record.id))
    return found


def just_before(seen: Seen, others: Sequence[Seen]) -> Seen | None:
    """The last of `others` within `TOGETHER` before `seen`."""
    near = [other for other in others if 0 <= seen.time - other.time <= TOGETHER]
    return max(near, key=lambda other: other.time, default=None)


def together(left: Sequence[Seen], right: Sequence[Seen]) -> float:
    """Share of the rarer side's messages that the other side has at the same moment."""
    if not left or not right:
        return 0.0
    few, many = sorted((left, right), key=len)
    hits = sum(1 for one in few if any(abs(one.time - other.time) <= TOGETHER / 4 for other in many))
    return hits / len(few)
