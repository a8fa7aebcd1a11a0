"""When receipts go alone, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.gathered import EACH, ENVELOPE, HOLD, MOST, classes, gather, larger
from quietwire.lab.correlation.talk import MESSAGE, Talk

SHORT, FULL, LONG = 30, 210, 400
"""Characters: room for receipts, room for none, of a larger class."""


def talk(*said: tuple[float, int, int, int]) -> Talk:
    """(at, sender, receiver, characters)."""
    at, sender, receiver, size = (np.array(column) for column in zip(*said, strict=True))
    kinds = np.full(len(said), MESSAGE, np.int8)
    return Talk(3, 100.0, at, sender.astype(np.int32), receiver.astype(np.int32), kinds, size.astype(np.int32))


def alone(talk: Talk, read: dict[int, float], tick: float = 3.0) -> list[tuple[float, int]]:
    """`read`: when each of these texts was read."""
    at, about = gather(talk, np.array(list(read)), np.array(list(read.values())), tick)
    return sorted(zip(at.tolist(), about.tolist(), strict=True))


def test_sizes_are_classes() -> None:
    assert classes(np.array([1, 216, 217, 5000], np.int32)).tolist() == [512, 512, 1024, 8192]
    assert larger(np.array([SHORT, LONG], np.int32)).tolist() == [0, 512]


def test_a_receipt_goes_inside_of_the_next_text_to_that_person() -> None:
    said = talk((1.0, 0, 1, SHORT), (6.0, 1, 0, SHORT))
    assert alone(said, {0: 2.0}) == []
    assert alone(said, {0: 2.0, 1: 7.0}) == [(16.0, 1)]


@pytest.mark.parametrize(
    "other", [(6.0, 1, 2, SHORT), (6.0, 2, 0, SHORT), (1.5, 1, 0, SHORT), (12.0, 1, 0, SHORT), (6.0, 1, 0, FULL)],
    ids=["to another", "of another", "before", "too late", "full"],
)  # fmt: skip
def test_else_it_waits_and_goes_alone(other: tuple[float, int, int, int]) -> None:
    said = talk((1.0, 0, 1, SHORT), other)
    assert alone(said, {0: 2.0}) == [(2.0 + HOLD, 0)]


def test_a_larger_class_has_room_too() -> None:
    assert alone(talk((1.0, 0, 1, SHORT), (6.0, 1, 0, LONG)), {0: 2.0}) == []


def test_those_that_wait_go_together() -> None:
    said = talk(*((float(number), 0, 1, SHORT) for number in range(4)))
    assert alone(said, {0: 1.0, 1: 2.0, 2: 4.0, 3: 11.0}) == [(1.0 + HOLD, 0), (11.0 + HOLD, 3)]
    assert alone(said, {0: 1.0, 1: 30.0}, tick=20.0) == [(21.0, 0), (50.0, 1)]


def test_what_does_not_fit_all_waits_on() -> None:
    room = 511 - ENVELOPE - 2 * EACH
    fits, not_quite = (
        talk((1.0, 0, 1, 1), (2.0, 0, 1, 1), (6.0, 1, 0, room)),
        talk((1.0, 0, 1, 1), (2.0, 0, 1, 1), (6.0, 1, 0, room + 1)),
    )
    assert alone(fits, {0: 2.0, 1: 3.0}) == []
    assert alone(not_quite, {0: 2.0, 1: 3.0}) == [(2.0 + HOLD, 0)]


def test_one_too_many_sends_the_others() -> None:
    said = talk(*((float(number), 0, 1, SHORT) for number in range(MOST + 1)))
    read = {number: 10.0 + number / 10 for number in range(MOST + 1)}
    assert alone(said, read) == [(10.8, 0), (10.8 + HOLD, MOST)]
