"""Statistical disclosure: whom somebody talks with, from who gets something in the rounds in which that one sends.

After Danezis, "Statistical disclosure attacks" (SEC 2003). A round is a stretch of time. What links get in rounds in
which Alice sends, less what they get in others, is what comes from her. `normalised` divides each link's difference by
its standard error; `least_squares` solves for all senders at once (Pérez-González and Troncoso, "Understanding
statistical disclosure: a least squares approach", PETS 2012), so that what other senders cause is not taken for hers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quietwire.lab.correlation.sight import Array, Side

RIDGE = 1.0
"""Added to the diagonal: senders who were silent have no row."""


def rounds_needed(contacts: int, users: int, batch: int, confidence: float) -> float:
    """Rounds after which Alice's contacts stand out, in closed form (Danezis 2003, §3.2). In each she sends one message
    to one of `contacts`, and batch - 1 others go to anybody of `users`. A contact's count has mean t/m and variance
    t(m-1)/m² besides the noise of t(batch-1) draws of 1/N each; `confidence` standard deviations of contacts and as
    many of the noise fit between the two means."""
    noise = (users - 1) / users**2 * (batch - 1)
    own = (contacts - 1) / contacts**2
    return (contacts * confidence * (math.sqrt(noise) + math.sqrt(noise + own))) ** 2


def rounds_found(
    rng: np.random.Generator, contacts: int, users: int, batch: int, confidence: float, repeats: int = 400
) -> float:
    """The same by playing the rounds: when the measured means are that many measured deviations apart. The first
    `contacts` users are hers."""
    expected = rounds_needed(contacts, users, batch, confidence)
    steps = np.unique(np.linspace(0.5 * expected, 1.6 * expected, 12).astype(np.int64))
    own, others = np.zeros((2, repeats, len(steps), users))
    before = 0
    for number, step in enumerate(steps):
        more = int(step - before)
        own[:, number, :contacts] = rng.multinomial(more, np.full(contacts, 1 / contacts), repeats)
        others[:, number] = rng.multinomial(more * (batch - 1), np.full(users, 1 / users), repeats)
        before = int(step)
    counts = np.cumsum(own + others, axis=1)
    hers, rest = counts[:, :, :contacts], counts[:, :, contacts:]
    gap = hers.mean(axis=(0, 2)) - rest.mean(axis=(0, 2))
    apart = gap / (hers.std(axis=(0, 2)) + rest.std(axis=(0, 2)))
    return float(np.interp(confidence, apart, steps))


def in_rounds(side: Side, seconds: float, width: float, delay: float = 0.0) -> Array:
    """(rounds, links): records in each round of `width` seconds, `delay` later."""
    rounds = max(1, math.ceil(seconds / width))
    number = np.floor((side.times - delay) / width).astype(np.int64)
    inside = (number >= 0) & (number < rounds)
    place = number[inside] * side.links + side.link[inside]
    counts = np.bincount(place, minlength=rounds * side.links)
    return counts.reshape(rounds, side.links).astype(np.float64)


def simple(sent: Array, got: Array, sender: int) -> Array:
    """(users,): of each what it gets more in rounds in which the sender sends, a message of hers."""
    active = sent[:, sender] > 0
    if active.all() or not active.any():
        return np.zeros(got.shape[1])
    gain = got[active].mean(axis=0) - got[~active].mean(axis=0)
    return np.asarray(gain / sent[active, sender].mean(), np.float64)


def normalised(sent: Array, got: Array, sender: int) -> Array:
    """The same in standard errors."""
    active = sent[:, sender] > 0
    if active.all() or not active.any():
        return np.zeros(got.shape[1])
    gain = got[active].mean(axis=0) - got[~active].mean(axis=0)
    error = np.sqrt(got[active].var(axis=0) / active.sum() + got[~active].var(axis=0) / (~active).sum())
    return np.asarray(gain / np.maximum(error, 1e-9), np.float64)


def least_squares(sent: Array, got: Array, senders: NDArray[np.int64]) -> Array:
    """(senders, users): messages a record of the sender, all senders solved for together, in standard errors.

    What a link gets is never explained by what the same user sends: receipts answer it, and would explain all. Taking
    regressor j out of a solution B with inverse Gram matrix C leaves B(s,j) - C(s,j) B(j,j) / C(j,j), and the variance
    C(s,s) - C(s,j)² / C(j,j)."""
    there = sent - sent.mean(axis=0)
    rows = sparse.csr_matrix(sent)
    gram = np.asarray((rows.T @ rows).todense(), np.float64)
    gram -= len(sent) * np.outer(sent.mean(axis=0), sent.mean(axis=0))
    inverse = np.linalg.inv(gram + RIDGE * np.eye(len(gram)))
    cross = np.asarray(rows.T @ got - len(sent) * np.outer(sent.mean(axis=0), got.mean(axis=0)), np.float64)
    solved = inverse @ cross
    own = np.diag(inverse)
    found = solved[senders] - inverse[senders] * (np.diag(solved) / own)
    variance = np.maximum(own[senders][:, None] - inverse[senders] ** 2 / own, 1e-12)
    # Residual variance by link, from the solution for all senders.
    left = ((got - got.mean(axis=0) - there @ solved) ** 2).sum(axis=0) + np.diag(solved) ** 2 / own
    error = np.sqrt(variance * np.maximum(left / max(1, len(sent) - len(gram)), 1e-12))
    return np.asarray(found / error, np.float64)


@dataclass(frozen=True)
class Recovered:
    """Of one user's contacts."""

    precision: float
    """Of those that are named, as many as there are; equals recall."""
    found: float
    """Share of the contacts whose score is above a threshold that one stranger in `strangers` exceeds."""


def recovered(scores: Array, contacts: NDArray[np.int64], user: int, false: float = 1e-2) -> Recovered:
    """`scores` of all users; a user's own is left out."""
    others = np.setdiff1d(np.arange(len(scores)), [user])
    ties = scores + 1e-12 * np.cos(np.arange(len(scores)) * 12.9898)  # equal ones in an order that is no one's
    named = others[np.argsort(-ties[others], kind="stable")[: len(contacts)]]
    strangers = np.setdiff1d(others, contacts)
    threshold = np.quantile(ties[strangers], 1 - false, method="higher")
    return Recovered(
        float(np.isin(named, contacts).mean()) if len(contacts) else 0.0,
        float((ties[contacts] > threshold).mean()) if len(contacts) else 0.0,
    )
