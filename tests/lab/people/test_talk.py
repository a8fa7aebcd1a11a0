from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from people_world import DESK, PHONE, World

from quietwire.lab.people.talk import Talk, Text
from quietwire.lab.people.ties import Society

SECONDS = 86_400.0 * 3


def texts(world: World, ties: dict[tuple[int, int], float], rooms: tuple[tuple[int, ...], ...] = ()) -> list[Text]:
    users = len(world.owners)
    society = Society((0,) * users, (0.0,) * users, (1.0,) * users, ties, rooms, (1.0,) * len(rooms))
    talk = Talk(world.dice, society, world.owners, world.calendar, world.parameters, 0.0, world.seconds)
    return talk.texts([])


TRIANGLE = {(0, 1): 1.0, (0, 2): 3.0, (1, 2): 1.0}


@pytest.mark.parametrize("family", ["hawkes", "sessions", "queue", "poisson"])
def test_as_much_is_said_as_was_asked_for(family: str) -> None:
    world = World((PHONE,), (PHONE,), (DESK,), seconds=5 * SECONDS, family=family, messages=100.0, rhythm=False)
    said = texts(world, TRIANGLE, ((0, 1, 2),))
    assert len(said) / 3 / 15 == pytest.approx(100.0, rel=0.25)
    rooms = [text for text in said if text.room]
    assert len(rooms) / len(said) == pytest.approx(0.25, abs=0.12)
    assert {text.author for text in rooms} == {0, 1, 2}
    pairs = Counter(frozenset((text.author, text.peer)) for text in said if not text.room)
    assert pairs[frozenset((0, 2))] > pairs[frozenset((0, 1))]
    assert [text.at for text in said] == sorted(text.at for text in said)
    assert all(text.author != text.peer for text in said if not text.room)


def test_one_has_ten_fingers() -> None:
    """Nobody writes two texts at once, and a longer one takes longer, on a phone more so."""
    world = World((PHONE,), (DESK,), seconds=SECONDS, messages=600.0, rhythm=False)
    said = texts(world, {(0, 1): 1.0})
    for author in (0, 1):
        own = sorted((text.begun, text.at) for text in said if text.author == author)
        assert all(begun >= before for (_, before), (begun, _) in itertools.pairwise(own))
    seconds = [np.median([t.at - t.begun for t in said if t.author == who and 25 < t.length < 40]) for who in (0, 1)]
    assert 5 < seconds[1] < seconds[0] < 20
    assert all(text.at > text.begun for text in said)


def test_people_answer_each_other() -> None:
    said = texts(World((PHONE,), (PHONE,), seconds=SECONDS, messages=300.0, rhythm=False), {(0, 1): 1.0})
    turns = [one.author != other.author for one, other in itertools.pairwise(said)]
    assert np.mean(turns) > 0.55


def test_poisson_users_are_poisson() -> None:
    world = World((PHONE,), (PHONE,), seconds=SECONDS, family="poisson", messages=2000.0, room_share=0.0)
    said = texts(world, {(0, 1): 1.0})
    gaps = np.diff([text.at for text in said if text.author == 0])
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.06)
    assert all(text.begun == text.at for text in said)


def test_lengths_and_files() -> None:
    world = World((PHONE,), (PHONE,), seconds=SECONDS, messages=1000.0, rhythm=False, file_share=0.2, length=40.0)
    said = texts(world, {(0, 1): 1.0})
    plain = np.array([text.length for text in said if not text.file])
    assert np.median(plain) == pytest.approx(40, rel=0.1)
    assert np.percentile(plain, 99) > 6 * np.median(plain)
    files = np.array([text.file for text in said if text.file])
    assert len(files) / len(said) == pytest.approx(0.2, abs=0.03)
    assert np.median(files) == pytest.approx(200_000, rel=0.4)
    assert files.max() > 15 * np.median(files)
    assert all(80 <= text.length < 130 for text in said if text.file)


def test_new_contacts_talk() -> None:
    world = World((PHONE,), (PHONE,), (PHONE,), messages=0.001, rhythm=False)
    society = Society((0,) * 3, (0.0,) * 3, (1.0,) * 3, {(0, 1): 1.0}, (), ())
    talk = Talk(world.dice, society, world.owners, world.calendar, world.parameters, 0.0, world.seconds)
    said = talk.texts([(100.0, 2, 1)])
    assert (said[0].author, said[0].peer, said[0].begun) == (2, 1, 100.0)
