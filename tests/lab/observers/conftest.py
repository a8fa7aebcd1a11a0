"""A talk whose truth is known: typing, texts, prompt receipts and markers, at seeded times."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Item:
    time: float
    sender: str
    kind: str
    level: int


Talk = list[Item]


@pytest.fixture
def make_talk() -> Callable[[int], Talk]:
    def make(each: int, seed: int = 3) -> Talk:
        rng = random.Random(seed)
        items: Talk = []
        for index, (who, other) in enumerate((("a", "b"), ("b", "a"))):
            for n in range(each):
                at = 100.0 + 2.0 * n + index + rng.uniform(0, 0.3)
                items.append(Item(at - rng.uniform(0.25, 0.5), who, "typing", 0))
                items.append(Item(at, who, "message", rng.choice((0, 0, 0, 1))))
                items.append(Item(at + rng.uniform(0.03, 0.05), other, "receipt", 0))
                if n % 2:
                    items.append(Item(at + rng.uniform(0.35, 0.5), other, "displayed", 0))
        return sorted(items, key=lambda item: item.time)

    return make
