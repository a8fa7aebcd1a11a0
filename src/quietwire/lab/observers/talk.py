"""What can be told from a row of sealed messages by times and size classes alone; used by all who see such a row.

The attacker knows the software (Kerckhoffs), so also these: envelopes are padded to size classes, and only texts can
be in a class above the smallest; a client answers a text with a receipt at once, without its user; people type before
they send and look after something arrived. That is enough to sort a conversation without opening anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CLASSES = (512, 1024, 2048, 4096, 8192, 16384)
"""Ciphertext sizes of the client's envelopes, in bytes (docs/protocols/traces.md, "What an attacker is told")."""
OVERHEAD = 410
"""Bytes of an envelope that are not text: element names, ids, time, sender."""

PROMPT = 0.4
"""Seconds within which an answer may be automatic."""
TYPED = 1.2
"""A typing notice comes at most so many seconds before its text in a lively talk."""
SEEN = 1.5
"""A displayed marker comes at most so many seconds after the text."""
BIN = 0.01


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed message: `level` is the index of its size class, or -1 where that cannot be told.

    `passing`: whether a hint outside the envelope says that it need not be stored, which only typing notices say;
    None where that cannot be told.
    """

    time: float
    sender: str
    level: int
    ref: str
    passing: bool | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    event: Sealed
    kind: str
    confidence: float


def characters(level: int) -> int:
    """The middle of the text lengths that fit an envelope of this size class."""
    level = max(0, min(level, len(CLASSES) - 1))
    longest = CLASSES[level] - 1 - OVERHEAD
    shortest = 1 if level == 0 else max(1, CLASSES[level - 1] - OVERHEAD)
    return (shortest + longest) // 2


def level_of(ciphertext: int) -> int:
    """Size class of so many bytes of ciphertext; -1 for more than the largest."""
    for level, size in enumerate(CLASSES):
        if ciphertext <= size:
            return level
    return -1


def latency(events: Sequence[Sealed]) -> tuple[float, float] | None:
    """The interval in which automatic answers come, in seconds: around the commonest gap to the other's next message.

    None if no gap is common: then there are no automatic answers to be seen.
    """
    gaps = []
    for n, event in enumerate(events):
        for later in events[n + 1 :]:
            gap = later.time - event.time
            if gap > PROMPT:
                break
            if later.sender != event.sender:
                gaps.append(gap)
                break
    if len(gaps) < 4:
        return None
    count = [sum(1 for gap in gaps if abs(gap - n * BIN) <= 2 * BIN) for n in range(int(PROMPT / BIN) + 1)]
    best = max(range(len(count)), key=lambda n: (count[n], -n))
    if count[best] < max(4, len(gaps) / 6):
        return None
    near = sorted(gap for gap in gaps if abs(gap - best * BIN) <= 4 * BIN)
    middle = near[len(near) // 2]
    spread = sorted(abs(gap - middle) for gap in near)[len(near) // 2]
    width = max(0.02, 5 * spread)
    return max(0.0, middle - width), middle + width


def sort_out(events: Sequence[Sealed]) -> list[Guess]:
    """Names the kind of every event: message, receipt, typing or displayed. `events` are in order of time."""
    kinds: dict[int, tuple[str, float]] = {n: ("message", 0.95) for n, event in enumerate(events) if event.level > 0}
    kinds |= {n: ("typing", 0.97) for n, event in enumerate(events) if event.passing}
    window = latency([event for event in events if not event.passing])
    if window is not None:
        _receipts(events, window, kinds)
    texts = [n for n, (kind, _) in kinds.items() if kind == "message"]
    _typing_and_markers(events, sorted(texts), kinds)
    # What fits nothing: while nothing is known of receipts it may be anything, and texts are the safest bet.
    if window is None:
        rest = ("message", 0.3)
    elif any(event.passing for event in events):
        rest = ("displayed", 0.4)
    else:
        rest = ("typing", 0.3)
    return [Guess(event, *kinds.get(n, rest)) for n, event in enumerate(events)]


def _receipts(events: Sequence[Sealed], window: tuple[float, float], kinds: dict[int, tuple[str, float]]) -> None:
    low, high = window
    for n, event in enumerate(events):
        if kinds.get(n, ("",))[0] in ("receipt", "typing"):
            continue
        fitting = []
        for m in range(n + 1, len(events)):
            gap = events[m].time - event.time
            if gap > high:
                break
            if gap >= low and events[m].sender != event.sender and m not in kinds:
                fitting.append((abs(gap - (low + high) / 2), m))
        if fitting:
            kinds[min(fitting)[1]] = ("receipt", 0.85)
            kinds[n] = ("message", 0.9)


def _typing_and_markers(events: Sequence[Sealed], texts: Sequence[int], kinds: dict[int, tuple[str, float]]) -> None:
    """Pairs what is left with the texts, nearest first: a notice before each, a marker of the other after it."""
    pairs = []
    for n, event in enumerate(events):
        if n in kinds:
            continue
        for text in texts:
            gap = events[text].time - event.time
            same = events[text].sender == event.sender
            if same and event.passing is None and 0.1 < gap <= TYPED:
                pairs.append((gap, n, text, "typing"))
            elif not same and 0.2 < -gap <= SEEN:
                pairs.append((-gap, n, text, "displayed"))
    taken: set[tuple[int, str]] = set()
    for _, n, text, kind in sorted(pairs):
        if n not in kinds and (text, kind) not in taken:
            taken.add((text, kind))
            kinds[n] = (kind, 0.6)
