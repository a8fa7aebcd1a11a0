"""What the best attacker reaches where it can be computed: Poisson users, delays uniform up to a bound.

A sender's n messages are at least the bound D apart. On the link of whoever gets them come, in the D seconds after
each, that message and k others, k Poisson with mean a = rD; on any other link k others. With `f = 1/D` the ratio of
likelihoods is the product of K_i / a over the messages, K_i being what was counted after message i: whoever has an
empty window is out. Which product is largest decides; equal ones are chosen from at random. For N candidates, if the
sum of logarithms is s with probability p1(s) for the right one and p0(s) for each other, with distribution F0,

    P(first) = sum over s of p1(s) · (F0(s)^N - F0(s-)^N) / (N · p0(s)),

since the chance to be drawn among those who are equal, E[1/(1 + ties)], sums to that. The distributions of sums are
convolutions, on a lattice of 1/512 nats; log 1 = 0 lies on it, so the exact ties of rare traffic stay ties.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import poisson

from quietwire.lab.correlation.shapes import Side

LATTICE = 512
Array = NDArray[np.float64]


def top_one(load: float, messages: int, candidates: int) -> float:
    """`load`: a, records of others that come to a link within the bound, on average. At least one message."""
    most = int(load + 12 * np.sqrt(load) + 12)
    count = np.arange(1, most + 1)
    place = np.round(np.log(count) * LATTICE).astype(np.int64)
    right = np.bincount(place, poisson.pmf(count - 1, load)).astype(np.float64)
    wrong = np.bincount(place, poisson.pmf(count, load)).astype(
        np.float64
    )  # what is missing to 1 had an empty window: it is out
    p1, p0 = _power(right, messages), _power(wrong, messages)
    out = max(0.0, 1.0 - float(p0.sum()))
    below = out + np.concatenate([[0.0], np.cumsum(p0)[:-1]])
    others = candidates - 1
    # (F^N - F-^N) / (N p0), as a mean of powers: exact for p0 = 0 as well.
    upper, lower = np.minimum(1.0, below + p0), np.minimum(1.0, below)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (upper**candidates - lower**candidates) / (candidates * (upper - lower))
    share = np.where(upper - lower > 1e-12, mean, lower**others)
    return float((p1 * share).sum())


def _power(mass: Array, times: int) -> Array:
    """The distribution of the sum of so many."""
    result, square = np.ones(1), mass
    while times:
        if times & 1:
            result = np.maximum(fftconvolve(result, square), 0.0)
        times >>= 1
        if times:
            square = np.maximum(fftconvolve(square, square), 0.0)
    return np.asarray(result, np.float64)


def drawn(
    rng: np.random.Generator, rate: float, bound: float, messages: int, candidates: int
) -> tuple[Array, Side, float]:
    """A case for which `top_one(rate * bound, ...)` is the answer: the sender's times, the candidates' links (the
    right one is 0), and how long it lasts. The sender's gaps are `bound` plus an exponential one of mean 4 bounds."""
    at = np.cumsum(bound + rng.exponential(4 * bound, messages))
    seconds = float(at[-1] + 2 * bound)
    number = rng.poisson(rate * seconds, candidates)
    link = np.concatenate([np.repeat(np.arange(candidates), number), np.zeros(messages, np.int64)])
    times = np.concatenate([rng.random(int(number.sum())) * seconds, at + rng.random(messages) * bound])
    order = np.argsort(times, kind="stable")
    return at, Side(candidates, times[order], link[order].astype(np.int32), np.ones(len(times), np.int32)), seconds
