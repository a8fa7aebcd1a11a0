"""Who says what to whom, and when: the input of the simulation.

Arrays in place of the plan's objects: a day of 3,000 people is a million events. `of_plan` reads a plan of
`lab.people`; `poisson` and `bursty` are two populations whose answers can be reasoned about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

KINDS = ("message", "typing", "receipt", "marker", "reaction", "correction")
"""Kinds of what one person sends another. Their index is their number in arrays. The simulation makes receipts by
itself, when something is delivered: a plan cannot know when."""
MESSAGE, TYPING, RECEIPT = 0, 1, 2


class Happens(Protocol):
    """What is read of `lab.people.Happening`."""

    @property
    def at(self) -> float: ...
    @property
    def user(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def peer(self) -> int: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True)
class Talk:
    """n events between users 0 to users-1, in ascending order of time."""

    users: int
    seconds: float
    at: NDArray[np.float64]
    """Seconds from the start."""
    sender: NDArray[np.int32]
    receiver: NDArray[np.int32]
    kind: NDArray[np.int8]
    size: NDArray[np.int32]
    """Characters; 0 for what has no text."""

    def __len__(self) -> int:
        return len(self.at)

    def only(self, keep: NDArray[np.bool_]) -> Talk:
        """The events that are marked."""
        return Talk(
            self.users,
            self.seconds,
            self.at[keep],
            self.sender[keep],
            self.receiver[keep],
            self.kind[keep],
            self.size[keep],
        )

    def mains(self) -> NDArray[np.int32]:
        """Of each user the one that most of its messages go to; -1 where there is none."""
        texts = self.kind == MESSAGE
        pair = self.sender[texts].astype(np.int64) * self.users + self.receiver[texts]
        pairs, counts = np.unique(pair, return_counts=True)
        mains = np.full(self.users, -1, np.int32)
        order = np.argsort(counts, kind="stable")  # the commonest is written last, and stays
        mains[pairs[order] // self.users] = pairs[order] % self.users
        return mains


def made_of(
    users: int,
    seconds: float,
    at: NDArray[np.float64],
    sender: NDArray[np.int32],
    receiver: NDArray[np.int32],
    kind: NDArray[np.int8],
    size: NDArray[np.int32],
) -> Talk:
    """Sorts by time, and leaves out what is outside of it."""
    order = np.argsort(at, kind="stable")
    order = order[(at[order] >= 0) & (at[order] < seconds)]
    return Talk(users, seconds, at[order], sender[order], receiver[order], kind[order], size[order])


def of_plan(events: Iterable[Happens], users: int, seconds: float) -> Talk:
    """What goes from one person to another in a plan; its receipts are left out, as the simulation makes them."""
    number = {kind: index for index, kind in enumerate(KINDS)}
    rows = [
        (event.at, event.user, event.peer, number[event.kind], event.size)
        for event in events
        if event.kind in number and event.kind != "receipt" and 0 <= event.peer < users and event.peer != event.user
    ]
    columns = np.array(rows, np.float64).reshape(-1, 5)
    return made_of(
        users,
        seconds,
        columns[:, 0],
        columns[:, 1].astype(np.int32),
        columns[:, 2].astype(np.int32),
        columns[:, 3].astype(np.int8),
        columns[:, 4].astype(np.int32),
    )


def lengths(rng: np.random.Generator, number: int) -> NDArray[np.int32]:
    """Characters of texts: log-normal with median 30 and a tail of hundreds, as in published corpora of messages."""
    return np.clip(np.exp(rng.normal(np.log(30), 1.0, number)), 1, 4000).astype(np.int32)


def poisson(
    rng: np.random.Generator, users: int, seconds: float, rate: float, *, focus: float = 0.8, typing: bool = False
) -> Talk:
    """Each user sends messages at `rate` a second, `focus` of them to one partner who does the same, the others to
    anybody. `users` is even."""
    if users % 2:
        raise ValueError("users come in pairs")
    number = rng.poisson(rate * seconds, users)
    sender = np.repeat(np.arange(users, dtype=np.int32), number)
    at = rng.random(len(sender)) * seconds
    partner = _pairs(rng, users)
    other = ((sender + rng.integers(1, users, len(sender))) % users).astype(np.int32)
    receiver = np.where(rng.random(len(sender)) < focus, partner[sender], other).astype(np.int32)
    return _with_typing(rng, users, seconds, at, sender, receiver, typing)


def bursty(
    rng: np.random.Generator,
    users: int,
    seconds: float,
    *,
    hourly: float = 3.0,
    turns: float = 25.0,
    gap: float = 8.0,
    contacts: int = 8,
    typing: bool = True,
) -> Talk:
    """Conversations: each user begins `hourly` an hour, with one of its `contacts` whose shares fall as 1/rank; it has
    a geometric number of messages, mean `turns`; who speaks changes at every other message on average; between two
    messages pass log-normal seconds of median `gap` and sigma 1 (heavy tail: mean 1.6 times the median)."""
    number = rng.poisson(hourly / 3600 * seconds, users)
    first = np.repeat(np.arange(users, dtype=np.int32), number)
    book = ((np.arange(users)[:, None] + rng.integers(1, users, (users, contacts))) % users).astype(np.int32)
    share = 1 / np.arange(1, contacts + 1)
    second = book[first, rng.choice(contacts, len(first), p=share / share.sum())]
    length = rng.geometric(1 / turns, len(first))
    talk = np.repeat(np.arange(len(first)), length)
    gaps = np.exp(rng.normal(np.log(gap), 1.0, len(talk)))
    since = np.cumsum(gaps)
    begin = np.cumsum(length) - length
    since -= np.repeat(since[begin], length)
    at = (rng.random(len(first)) * seconds)[talk] + since
    changed = np.cumsum(rng.random(len(talk)) < 0.5)
    turned = (changed - np.repeat(changed[begin], length)) % 2 == 1
    sender = np.where(turned, second[talk], first[talk]).astype(np.int32)
    receiver = np.where(turned, first[talk], second[talk]).astype(np.int32)
    return _with_typing(rng, users, seconds, at, sender, receiver, typing)


def _pairs(rng: np.random.Generator, users: int) -> NDArray[np.int32]:
    order = rng.permutation(users).astype(np.int32)
    partner = np.empty(users, np.int32)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner


def _with_typing(
    rng: np.random.Generator,
    users: int,
    seconds: float,
    at: NDArray[np.float64],
    sender: NDArray[np.int32],
    receiver: NDArray[np.int32],
    typing: bool,
) -> Talk:
    """A typing notice before each text: a fifth of a second a character, at least half a second."""
    size = lengths(rng, len(at))
    kind = np.zeros(len(at), np.int8)
    if typing:
        early = np.minimum(0.5 + 0.2 * size, 30.0)
        at = np.concatenate([at, at - early])
        sender, receiver = np.tile(sender, 2), np.tile(receiver, 2)
        kind = np.concatenate([kind, np.full(len(size), TYPING, np.int8)])
        size = np.concatenate([size, np.zeros(len(size), np.int32)])
    return made_of(users, seconds, at, sender, receiver, kind, size)
