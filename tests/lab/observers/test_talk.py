from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quietwire.lab.observers.talk import CLASSES, Sealed, characters, level_of, sort_out


def sealed(talk: list[Any], *, hints: bool) -> list[Sealed]:
    return [
        Sealed(i.time, i.sender, i.level, str(n), (i.kind == "typing") if hints else None) for n, i in enumerate(talk)
    ]


@pytest.mark.parametrize(("hints", "least"), [(True, 0.95), (False, 0.8)])
def test_a_lively_talk_is_sorted_by_times_and_classes(
    make_talk: Callable[[int], list[Any]], hints: bool, least: float
) -> None:
    talk = make_talk(20)
    guesses = sort_out(sealed(talk, hints=hints))
    assert [guess.event.ref for guess in guesses] == [str(n) for n in range(len(talk))]
    right = sum(guess.kind == item.kind for guess, item in zip(guesses, talk, strict=True))
    assert right / len(talk) >= least


def test_what_the_hint_and_the_size_say_is_certain() -> None:
    row = [Sealed(1.0, "a", 0, "x", True), Sealed(9.0, "a", 1, "y", False), Sealed(20.0, "a", 1, "z", None)]
    assert [guess.kind for guess in sort_out(row)] == ["typing", "message", "message"]
    assert all(guess.confidence > 0.9 for guess in sort_out(row))


def test_a_marker_is_not_taken_for_a_receipt() -> None:
    row = [
        Sealed(1.0, "a", 1, "1", False),
        Sealed(1.05, "b", 0, "2", False),
        Sealed(1.6, "b", 0, "3", False),
    ]
    assert [guess.kind for guess in sort_out(row)] == ["message", "receipt", "displayed"]


def test_nothing_gives_nothing() -> None:
    assert sort_out([]) == []


def test_size_classes() -> None:
    assert [level_of(size) for size in (1, 512, 513, 16384, 16385)] == [0, 0, 1, 5, -1]
    lengths = [characters(level) for level in range(len(CLASSES))]
    assert lengths == sorted(lengths)
    assert lengths[0] == (1 + 101) // 2
    assert characters(-1) == lengths[0]
    assert characters(99) == lengths[-1]
