"""Populations have the rates, partners and shapes they are said to have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from quietwire.lab.correlation.talk import MESSAGE, TYPING, bursty, of_plan, poisson


@dataclass(frozen=True)
class Happening:
    at: float
    user: int
    kind: str
    peer: int
    size: int = 0


def test_a_plan_gives_what_goes_from_one_to_another() -> None:
    plan = [
        Happening(3.0, 1, "message", 0, 12),
        Happening(1.0, 0, "typing", 1),
        Happening(2.0, 0, "ping", -1),
        Happening(2.5, 0, "receipt", 1),
        Happening(4.0, 0, "message", 7, 1),  # a room
        Happening(99.0, 0, "message", 1, 1),  # after the end
    ]
    talk = of_plan(plan, 3, 10.0)
    assert talk.at.tolist() == [1.0, 3.0]
    assert talk.kind.tolist() == [TYPING, MESSAGE]
    assert (talk.sender.tolist(), talk.receiver.tolist(), talk.size.tolist()) == ([0, 1], [1, 0], [0, 12])


def test_poisson_users_send_at_their_rate_mostly_to_their_partner() -> None:
    talk = poisson(np.random.default_rng(1), 100, 1000.0, 0.1, focus=0.8)
    assert len(talk) == pytest.approx(10_000, rel=0.05)
    assert np.var(np.bincount(talk.sender)) == pytest.approx(100, rel=0.4)
    mains = talk.mains()
    assert (mains[mains] == np.arange(100)).all()
    assert (talk.receiver == mains[talk.sender]).mean() == pytest.approx(0.8, abs=0.02)
    assert (np.diff(talk.at) >= 0).all()
    assert (talk.sender != talk.receiver).all()
    with pytest.raises(ValueError, match="pairs"):
        poisson(np.random.default_rng(1), 3, 1.0, 1.0)


def test_bursty_users_talk_in_conversations_with_typing_before_each_text() -> None:
    talk = bursty(np.random.default_rng(2), 200, 3600.0)
    texts = talk.only(talk.kind == MESSAGE)
    assert len(texts) == pytest.approx(200 * 3 * 25, rel=0.2)
    gaps = np.concatenate([np.diff(texts.at[texts.sender == user]) for user in range(50)])
    assert gaps.std() > 2 * gaps.mean()  # a Poisson user's would be equal
    assert (talk.kind == TYPING).sum() == pytest.approx(len(texts), rel=0.05)


def test_the_same_seed_gives_the_same() -> None:
    one, two = (bursty(np.random.default_rng(5), 50, 600.0) for _ in range(2))
    assert np.array_equal(one.at, two.at)
    assert np.array_equal(one.receiver, two.receiver)
    assert bursty(np.random.default_rng(5), 50, 600.0, hourly=0.0).mains().tolist() == [-1] * 50
