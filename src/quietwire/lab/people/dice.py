"""Chance: distributions over one stream of uniform numbers.

Only the uniform numbers are numpy's: their stream is the part of it that does not change between versions, and drawing
them by the thousand and bending them here is faster than one call a number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeVar

import numpy as np

BLOCK: Final = 4096

T = TypeVar("T")


class Dice:
    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._block: Iterator[float] = iter(())

    def random(self) -> float:
        """Uniform in [0, 1)."""
        for value in self._block:
            return value
        self._block = iter(self._generator.random(BLOCK).tolist())
        return next(self._block)

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def below(self, number: int) -> int:
        """An integer from 0 to number-1."""
        return int(self.random() * number)

    def of(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def exponential(self, mean: float) -> float:
        return -mean * math.log1p(-self.random())

    def normal(self) -> float:
        """Of mean 0 and deviation 1 (Box and Muller 1958)."""
        return math.sqrt(-2.0 * math.log1p(-self.random())) * math.cos(2.0 * math.pi * self.random())

    def lognormal(self, median: float, sigma: float) -> float:
        return median * math.exp(sigma * self.normal())

    def lomax(self, tail: float, scale: float) -> float:
        """P(X > x) = (1 + x/scale) ** -tail: a power law shifted to begin at 0."""
        return scale * (math.pow(1.0 - self.random(), -1.0 / tail) - 1.0)

    def reciprocal(self, low: float, high: float) -> float:
        """Density proportional to 1/x between the two: a power law of exponent 1, cut off."""
        return low * math.pow(high / low, self.random())

    def poisson(self, mean: float) -> int:
        """Knuth's method, in pieces that do not underflow."""
        count = 0
        while mean > 0:
            piece = min(mean, 500.0)
            mean -= piece
            limit = math.exp(-piece)
            product = self.random()
            while product > limit:
                count += 1
                product *= self.random()
        return count

    def geometric(self, mean: float) -> int:
        """1, 2, …, of this mean, which is more than 1."""
        return 1 + int(math.log1p(-self.random()) / math.log(1.0 - 1.0 / mean))

    def arrivals(self, rate: float, begin: float, end: float) -> list[float]:
        """The times of a Poisson process, ascending."""
        return sorted(self.uniform(begin, end) for _ in range(self.poisson(rate * max(0.0, end - begin))))


class Wheel:
    """A choice by weights, which stay as they are."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._sums = list(accumulate(weights))

    def turn(self, dice: Dice) -> int:
        """An index."""
        return min(bisect_right(self._sums, dice.random() * self._sums[-1]), len(self._sums) - 1)
