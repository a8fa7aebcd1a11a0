"""The script of the demo: who types, says, reacts and corrects what, and when. Seeded: the same seed, the same talk.

Every text holds a canary: a made-up word that occurs nowhere else, so that finding half of one in a trace or on a
disk proves that a text was readable there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Action = Literal["typing", "say", "reply", "correct", "react", "displayed", "cut"]
People = tuple[str, str]

CANARY_LETTERS = 20
"""Searched for by halves: ten letters hit by chance in base64 text once in 64^10 positions."""

TYPING_LEAD = (0.25, 0.7)
"""Seconds between the first key and the message. Short, since 20 seconds must hold a whole talk."""
READING = (0.35, 0.9)
"""Seconds from a message to its being seen."""

_WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so said what up its about "
    "than into them can only other time new some could these two may first then do any like my now over such our man "
    "me even most made after also did many off before must well back through years where much your way down should"
)


@dataclass(frozen=True, slots=True)
class Step:
    """`at`: seconds from the start. `about` names the step it refers to, `text` what is said (or the reaction)."""

    at: float
    who: str
    do: Action
    ref: str
    about: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    steps: tuple[Step, ...]
    seconds: float

    @property
    def canaries(self) -> list[str]:
        return [word for step in self.steps if step.do in _TEXTUAL for word in step.text.split() if _is_canary(word)]


_TEXTUAL = ("say", "reply", "correct")


def _is_canary(word: str) -> bool:
    return len(word) == CANARY_LETTERS


def canary(rng: random.Random) -> str:
    """A made-up word of `CANARY_LETTERS` letters."""
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(CANARY_LETTERS // 2))


def text(rng: random.Random) -> str:
    """Words around a canary; most texts are short, few are long, as in a chat: 20 to about 420 characters."""
    length = rng.choice((20, 30, 45, 60, 60, 90, 120, 200, 400))
    words = [canary(rng)]
    while sum(map(len, words)) + len(words) < length:
        words.insert(rng.randrange(len(words) + 1), rng.choice(_WORDS.split()))
    return " ".join(words)


def script(people: People, *, seconds: float, each: int, seed: int) -> Script:
    """A talk of `seconds` in which both say at least `each` messages.

    It also holds a reply, a correction and a reaction by each, typing notices before each message, displayed markers
    after half of them, and one cut of the second person's link in the middle. Receipts are the clients' own doing.
    Raises ValueError where the time is too short for so much.
    """
    rng = random.Random(seed)  # noqa: S311  a script, not a secret
    room = seconds - 2.0  # the last marker is still within the time
    if room / each < 0.4:
        raise ValueError("not enough time for so many messages")
    steps: list[Step] = []
    for index, who in enumerate(people):
        other = people[1 - index]
        slot = room / each
        for n in range(each):
            ref = f"{who}-{n}"
            at = 1.0 + slot * (n + rng.uniform(0.15, 0.85))
            lead = min(rng.uniform(*TYPING_LEAD), slot * 0.5)
            steps.append(Step(at - lead, who, "typing", f"{ref}-typing"))
            if n in (each // 4, each // 2) and (seen := _latest(steps, other, at - 1.0)):
                steps.append(Step(at, who, "reply", ref, about=seen.ref, text=text(rng)))
            else:
                steps.append(Step(at, who, "say", ref, text=text(rng)))
            if rng.random() < 0.5:
                steps.append(Step(at + rng.uniform(*READING), other, "displayed", f"{ref}-displayed", about=ref))
            if n == each // 3:
                about = f"{who}-{n}"
                steps.append(Step(at + 0.3, who, "correct", f"{ref}-fixed", about=about, text=text(rng)))
            if n == 2 * each // 3:
                steps.append(Step(at + 0.6, other, "react", f"{ref}-liked", about=ref, text="👍"))
    if not any(step.do == "reply" for step in steps):
        first = next(step for step in steps if step.do == "say" and step.who == people[0])
        steps.append(Step(first.at + 0.9, people[1], "reply", f"{people[1]}-late", about=first.ref, text=text(rng)))
    steps.append(Step(1.0 + room / 2, people[1], "cut", "cut"))
    return Script(tuple(sorted(steps, key=lambda step: step.at)), seconds)


def _latest(steps: list[Step], who: str, before: float) -> Step | None:
    said = [step for step in steps if step.who == who and step.do == "say" and step.at < before]
    return max(said, key=lambda step: step.at, default=None)
