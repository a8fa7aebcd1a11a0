"""The detectors on links that were made by hand, and against the closed form of the event-based one."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.groups import Room, Rule, by_events, by_shape, events, expected_hits, learn
from quietwire.lab.correlation.shapes import Side

RULE = Rule(0.0, 0.5, -10.0, 100.0)


def made(rng: np.random.Generator, rate: float, met: float, links: int, members: int) -> tuple[Room, Side, float]:
    """Poisson links; the first `members` get each of 20 messages with probability `met`."""
    seconds, number = 900.0, 20
    at = np.sort(rng.random(number) * 890)
    count = rng.poisson(rate * seconds, links)
    times = [rng.random(int(count.sum())) * seconds]
    link = [np.repeat(np.arange(links), count)]
    got = rng.random((members, number)) < met
    who, which = np.nonzero(got)
    times.append(at[which] + rng.random(len(which)) * 0.5)
    link.append(who)
    every, owner = np.concatenate(times), np.concatenate(link).astype(np.int32)
    order = np.argsort(every)
    side = Side(links, every[order], owner[order], np.full(len(every), 1500, np.int32))
    return Room(at, np.full(number, 1450.0)), side, seconds


def test_records_close_together_are_one_event() -> None:
    side = Side(
        2,
        np.array([1.0, 1.01, 1.015, 3.0, 3.01]),
        np.array([0, 0, 1, 0, 0], np.int32),
        np.array([5, 6, 7, 8, 9], np.int32),
    )
    link, times, sizes = events(side)
    assert link.tolist() == [0, 0, 1]
    assert times.tolist() == [1.0, 3.0, 1.015]
    assert sizes.tolist() == [11.0, 17.0, 7.0]


@pytest.mark.parametrize(("rate", "met"), [(0.1, 0.95), (0.3, 0.9), (0.6, 0.8)])
def test_event_based_detection_is_its_closed_form_within_a_tenth(rate: float, met: float) -> None:
    rng = np.random.default_rng(1)
    hers, others = [], []
    for _ in range(6):
        room, side, _ = made(rng, rate, met, 1200, 200)
        # Without sizes and without joining records: the form is about times alone.
        scores = np.zeros(1200)
        for at in room.at:
            near = slice(*np.searchsorted(side.times, [at, at + 0.5]))
            scores[np.unique(side.link[near])] += 1 / len(room.at)
        hers.append(scores[:200])
        others.append(scores[200:])
    chance = 1 - np.exp(-rate * 0.5)
    both = 1 - (1 - met) * (1 - chance)
    right, wrong = expected_hits(20, both, chance, 0.01)
    threshold = round(20 * np.quantile(np.concatenate(others), 0.99)) + 0.5
    assert (np.concatenate(others) * 20 >= threshold).mean() == pytest.approx(wrong, abs=0.008)
    assert (np.concatenate(hers) * 20 >= threshold).mean() == pytest.approx(right, rel=0.1)
    # The detector itself, which joins what is close together, comes near.
    scores = by_events(room, side, RULE)
    assert scores[:200].mean() == pytest.approx(hers[-1].mean(), rel=0.1)


def test_both_detectors_find_members_of_a_quiet_server() -> None:
    rng = np.random.default_rng(2)
    room, side, seconds = made(rng, 0.05, 0.98, 1000, 50)
    for scores in (by_events(room, side, RULE), by_shape(room, side, RULE, seconds)):
        threshold = np.quantile(scores[50:], 0.999)
        assert (scores[:50] > threshold).mean() > 0.9


def test_wrong_sizes_are_no_hits() -> None:
    room, side, _ = made(np.random.default_rng(3), 0.01, 1.0, 50, 50)
    assert by_events(room, side, RULE).mean() > 0.8
    assert by_events(room, side, Rule(0.0, 0.5, -10.0, 10.0)).mean() < 0.05


def test_a_rule_holds_most_of_what_was_seen() -> None:
    rule = learn(np.linspace(0.1, 0.3, 500), np.linspace(60, 80, 500))
    assert (rule.early, rule.late) == pytest.approx((0.1, 0.3), abs=0.01)
    assert (rule.less, rule.more) == pytest.approx((59, 81), abs=1)


def test_closed_form_by_hand() -> None:
    # Two messages; strangers are met by half: with at most a quarter false, both must be met.
    assert expected_hits(2, 0.9, 0.5, 0.25) == pytest.approx((0.81, 0.25))
