from __future__ import annotations

import random
from collections import Counter

import pytest

from quietwire.lab.workload import CANARY_LETTERS, READING, script, text

TALK = script(("alice", "bob"), seconds=20, each=21, seed=1)


def test_the_same_seed_gives_the_same_talk() -> None:
    assert script(("alice", "bob"), seconds=20, each=21, seed=1) == TALK
    assert script(("alice", "bob"), seconds=20, each=21, seed=2) != TALK


@pytest.mark.parametrize("seed", range(20))
def test_every_talk_holds_what_it_must(seed: int) -> None:
    talk = script(("alice", "bob"), seconds=20, each=21, seed=seed)
    counts = Counter((step.who, step.do) for step in talk.steps)
    for who in ("alice", "bob"):
        assert counts[who, "say"] + counts[who, "reply"] >= 20
        assert counts[who, "typing"] >= 20
        assert counts[who, "displayed"] >= 3
        assert counts[who, "correct"] == counts[who, "react"] == 1
    assert counts["alice", "reply"] + counts["bob", "reply"] >= 1
    assert counts["bob", "cut"] == 1
    times = [step.at for step in talk.steps]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 20
    assert len({step.ref for step in talk.steps}) == len(talk.steps)


@pytest.mark.parametrize("seed", range(20))
def test_references_point_to_what_was_said_before(seed: int) -> None:
    talk = script(("alice", "bob"), seconds=20, each=21, seed=seed)
    said = {step.ref: step for step in talk.steps if step.do in ("say", "reply")}
    for step in talk.steps:
        if step.about:
            about = said[step.about]
            assert about.at < step.at
            assert (about.who == step.who) == (step.do == "correct")
            if step.do == "displayed":
                assert step.at - about.at >= READING[0]


def test_canaries_are_one_a_text_and_all_different() -> None:
    texts = [step.text for step in TALK.steps if step.do in ("say", "reply", "correct")]
    assert len(TALK.canaries) == len(texts) == len(set(TALK.canaries))
    assert all(len(word) == CANARY_LETTERS for word in TALK.canaries)


def test_lengths_vary() -> None:
    rng = random.Random(5)
    lengths = [len(text(rng)) for _ in range(200)]
    assert min(lengths) == CANARY_LETTERS
    assert 350 < max(lengths) < 450


def test_too_short_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time"):
        script(("alice", "bob"), seconds=5, each=20, seed=1)
