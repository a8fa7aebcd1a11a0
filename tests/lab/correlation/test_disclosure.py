"""The closed form of the paper, met by playing its rounds; and the three methods on rounds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.disclosure import (
    in_rounds,
    least_squares,
    normalised,
    recovered,
    rounds_found,
    rounds_needed,
    simple,
)
from quietwire.lab.correlation.shapes import Side


@pytest.mark.parametrize(
    ("contacts", "users", "batch", "confidence"), [(20, 1000, 50, 2.0), (10, 500, 100, 3.0), (5, 2000, 20, 2.0)]
)
def test_rounds_needed_are_those_of_the_paper_within_a_tenth(
    contacts: int, users: int, batch: int, confidence: float
) -> None:
    found = rounds_found(np.random.default_rng(1), contacts, users, batch, confidence)
    assert found == pytest.approx(rounds_needed(contacts, users, batch, confidence), rel=0.1)


def test_rounds_by_hand() -> None:
    # One contact, nobody else: it stands out at once. Twice the confidence: four times the rounds.
    assert rounds_needed(1, 100, 1, 2.0) == 0.0
    assert rounds_needed(10, 100, 20, 4.0) == pytest.approx(4 * rounds_needed(10, 100, 20, 2.0))
    noise = 99 / 1e4 * 19
    assert rounds_needed(10, 100, 20, 2.0) == pytest.approx((20 * (noise**0.5 + (noise + 0.09) ** 0.5)) ** 2)


def test_rounds_of_records() -> None:
    side = Side(2, np.array([0.5, 1.5, 9.0, 10.5]), np.array([0, 1, 1, 0], np.int32), np.ones(4, np.int32))
    assert in_rounds(side, 20.0, 10.0).tolist() == [[1, 2], [1, 0]]
    assert in_rounds(side, 20.0, 10.0, delay=1.0).tolist() == [[1, 2], [0, 0]]


def rounds(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Thirty users. 0 writes to 1 and 2; 3 writes to 4 in most rounds in which 0 sends: a companion, no contact."""
    rng = np.random.default_rng(seed)
    sent = (rng.random((number, 30)) < 0.2).astype(float)
    sent[:, 3] = np.where(rng.random(number) < 0.8, sent[:, 0], sent[:, 3])
    got = rng.poisson(0.3, (number, 30)).astype(float)
    choice = rng.integers(1, 3, number)
    got[np.arange(number), choice] += sent[:, 0]
    got[:, 4] += sent[:, 3]
    return sent, got


def test_all_find_contacts_and_only_least_squares_is_not_misled_by_a_companion() -> None:
    sent, got = rounds(1, 4000)
    for scores in (simple(sent, got, 0), normalised(sent, got, 0)):
        assert set(np.argsort(-scores)[:3].tolist()) == {1, 2, 4}
        assert 4 in np.argsort(-scores)[:2].tolist()
    solved = least_squares(sent, got, np.array([0, 3]))
    assert set(np.argsort(-solved[0])[:2].tolist()) == {1, 2}
    assert np.argmax(solved[1]) == 4
    assert abs(solved[0, 4]) < 4 < solved[0, 1]


def test_who_always_sends_tells_nothing() -> None:
    sent, got = rounds(2, 50)
    sent[:, 0] = 1
    assert not simple(sent, got, 0).any()
    assert not normalised(sent, got, 0).any()


def test_what_counts_as_recovered() -> None:
    scores = np.zeros(200)
    scores[[1, 2]] = 5.0
    scores[7] = 9.0
    one = recovered(scores, np.array([1, 2]), 0)
    assert one.precision == 0.5
    assert one.found == 1.0
    assert recovered(scores, np.array([1, 2]), 7).precision == 1.0
    assert recovered(np.zeros(200), np.array([3, 4]), 0).found <= 0.5
