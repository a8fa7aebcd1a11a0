"""What can be told from a row of sealed messages by times and size classes alone; used by all who see such a row.

The attacker knows the software (Kerckhoffs), so also these: envelopes are padded to size classes, and only texts can
be in a class above the smallest; a client answers each text with a receipt at once and in order, without its user;
people type before they send and look after something arrived. From that the likeliest story is searched that explains
the whole row: a beam search, since each message's meaning depends on those before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

CLASSES = (512, 1024, 2048, 4096, 8192, 16384)
"""Ciphertext sizes of the client's envelopes, in bytes (docs/protocols/traces.md, "What an attacker is told")."""
OVERHEAD = 410
"""Bytes of an envelope that are not text: element names, ids, time, sender."""

BEAM = 60
"""Stories kept at each step. Two and a half times as many were hardly better on recorded talks."""
PROMPT = 0.08
"""Seconds to an automatic answer, before the row itself has told."""
UNANSWERED = 3.0
"""Seconds after which a text that got no receipt is given up."""
TYPED = (0.1, 1.2)
"""Seconds from a typing notice to its text in a lively talk."""
SEEN = (0.25, 2.0)
"""Seconds from a text to its displayed marker."""

UNANSWERED_COST = 4.0
UNSENT_COST = 2.5
"""Of a text without a receipt, and of a notice without a text. Charged at once and paid back when the other comes, so
that stories of all stages can be compared."""


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


@dataclass(frozen=True, slots=True)
class _Story:
    """An explanation of the row so far. By sender: open typing notice, texts without receipt, texts not yet seen."""

    weight: float
    kinds: tuple[str, ...]
    typing: dict[str, float]
    unanswered: dict[str, tuple[float, ...]]
    unseen: dict[str, tuple[float, ...]]
    gaps: tuple[tuple[str, float], ...] = ()

    @property
    def open(self) -> tuple[Any, ...]:
        parts = (self.typing, self.unanswered, self.unseen)
        return tuple(tuple(sorted((who, what) for who, what in part.items() if what)) for part in parts)


def sort_out(events: Sequence[Sealed]) -> list[Guess]:
    """Names the kind of every event: message, receipt, typing or displayed. `events` are in order of time."""
    if not events:
        return []
    prompt: dict[str, float] = {}
    best = _search(events, prompt)
    for _ in range(2):  # the delays that the likeliest story shows make the next one likelier
        for sender in {event.sender for event in events}:
            gaps = [gap for name, gap in best.gaps if name == sender]
            if len(gaps) >= 4:
                prompt[sender] = max(0.005, median(gaps))
        best = _search(events, prompt)
    return [Guess(event, kind, _confidence(event, kind, best)) for event, kind in zip(events, best.kinds, strict=True)]


def _confidence(event: Sealed, kind: str, story: _Story) -> float:
    if event.passing or (kind == "message" and event.level > 0):
        return 0.97
    answered = len(story.gaps) / max(1, story.kinds.count("message"))
    return round(0.5 + 0.4 * min(1.0, answered), 2) if kind in ("message", "receipt") else 0.6


def _search(events: Sequence[Sealed], prompt: dict[str, float]) -> _Story:
    stories = [_Story(0.0, (), {}, {}, {})]
    for event in events:
        best: dict[Any, _Story] = {}
        for story in stories:
            for new in _continue(_forget(story, event.time), event, prompt):
                # What is still open is all that matters for what follows.
                known = best.get(new.open)
                if known is None or known.weight < new.weight:
                    best[new.open] = new
        stories = sorted(best.values(), key=lambda story: -story.weight)[:BEAM]
    return stories[0]


def _forget(story: _Story, now: float) -> _Story:
    """Drops what is too old to be continued."""
    return replace(
        story,
        typing={who: time for who, time in story.typing.items() if now - time <= TYPED[1]},
        unanswered={who: _since(times, now - UNANSWERED) for who, times in story.unanswered.items()},
        unseen={who: _since(times, now - SEEN[1]) for who, times in story.unseen.items()},
    )


def _since(times: tuple[float, ...], oldest: float) -> tuple[float, ...]:
    return tuple(time for time in times if time >= oldest)


def _continue(story: _Story, event: Sealed, prompt: dict[str, float]) -> list[_Story]:
    """All that `event` can be in this story. Weights are log-likelihoods up to a constant."""
    now, me = event.time, event.sender
    weight, unanswered = story.weight, story.unanswered
    found = []
    if event.passing is not False and event.level <= 0:
        found.append(_with(story, weight - 1.0 - UNSENT_COST, "typing", unanswered, typing={**story.typing, me: now}))
    if event.passing:
        return found
    found.append(_as_text(story, event, weight, unanswered))
    if event.level > 0:
        return found[-1:]
    for other, times in unanswered.items():
        if other != me and times:
            gap = now - times[0]
            usual = prompt.get(me, PROMPT)
            off = abs(math.log(max(gap, 0.002) / usual))
            found.append(
                _with(
                    story,
                    weight + UNANSWERED_COST + 0.5 - 1.5 * off,
                    "receipt",
                    {**unanswered, other: times[1:]},
                    gaps=(*story.gaps, (me, gap)),
                )
            )
    found.append(_as_marker(story, event, weight, unanswered))
    return found


def _as_text(story: _Story, event: Sealed, weight: float, unanswered: dict[str, tuple[float, ...]]) -> _Story:
    now, me = event.time, event.sender
    typed = story.typing.get(me)
    announced = typed is not None and TYPED[0] <= now - typed <= TYPED[1]
    return _with(
        story,
        weight - UNANSWERED_COST + (UNSENT_COST - 0.3 if announced else -3.0),
        "message",
        {**unanswered, me: (*unanswered.get(me, ()), now)},
        typing={name: time for name, time in story.typing.items() if name != me or not announced},
        unseen={**story.unseen, me: (*story.unseen.get(me, ())[-3:], now)},
    )


def _as_marker(story: _Story, event: Sealed, weight: float, unanswered: dict[str, tuple[float, ...]]) -> _Story:
    now, me = event.time, event.sender
    for other, times in story.unseen.items():
        fitting = [time for time in times if SEEN[0] <= now - time <= SEEN[1]]
        if other != me and fitting:
            rest = tuple(time for time in times if time != fitting[-1])
            return _with(story, weight - 1.5, "displayed", unanswered, unseen={**story.unseen, other: rest})
    return _with(story, weight - 5.0, "displayed", unanswered)


def _with(
    story: _Story,
    weight: float,
    kind: str,
    unanswered: dict[str, tuple[float, ...]],
    *,
    typing: dict[str, float] | None = None,
    unseen: dict[str, tuple[float, ...]] | None = None,
    gaps: tuple[tuple[str, float], ...] | None = None,
) -> _Story:
    return _Story(
        weight,
        (*story.kinds, kind),
        story.typing if typing is None else typing,
        unanswered,
        story.unseen if unseen is None else unseen,
        story.gaps if gaps is None else gaps,
    )
