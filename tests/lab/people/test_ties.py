from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.people.dice import Dice
from quietwire.lab.people.parameters import Parameters
from quietwire.lab.people.ties import STRONGEST, Society, society


def made(users: int, seed: int = 1, **parameters: float) -> Society:
    return society(Dice(np.random.default_rng(seed)), users, Parameters(**parameters))  # type: ignore[arg-type]


@pytest.mark.parametrize("users", [2, 3, 5, 40, 700])
def test_everybody_knows_somebody_and_nobody_themselves(users: int) -> None:
    made_of = made(users)
    contacts = made_of.contacts()
    assert all(contacts)
    for one, other in made_of.ties:
        assert 0 <= one < other < users
    for user, known in enumerate(contacts):
        assert all(user in contacts[other] for other in known)
    assert len(made_of.community) == len(made_of.zone) == len(made_of.activity) == users


def test_numbers_of_contacts_and_strengths_have_heavy_tails() -> None:
    made_of = made(3000)
    degrees = np.array([len(known) for known in made_of.contacts()])
    assert degrees.mean() == pytest.approx(12.0, rel=0.25)
    assert degrees.max() > 8 * degrees.mean()
    assert np.median(degrees) < degrees.mean()
    weights = np.array(list(made_of.ties.values()))
    assert (weights.min() >= 1.0, weights.max() <= STRONGEST) == (True, True)
    assert np.percentile(weights, 99) > 10 * np.median(weights)


def test_communities_hold_most_ties_and_triangles() -> None:
    made_of = made(1500)
    inside = np.mean([made_of.community[one] == made_of.community[other] for one, other in made_of.ties])
    assert inside > 0.5
    sizes = np.bincount(made_of.community)
    assert (sizes.min() >= 3, sizes.max() > 3 * np.median(sizes)) == (True, True)
    contacts = [set(known) for known in made_of.contacts()]
    closed = [len(contacts[one] & contacts[other]) for one, other in made_of.ties]
    chance = np.mean([len(known) for known in contacts]) ** 2 / 1500
    assert np.mean(closed) > 5 * chance


def test_communities_live_in_one_time_zone() -> None:
    made_of = made(1500)
    for number in set(made_of.community):
        assert len({zone for zone, where in zip(made_of.zone, made_of.community, strict=True) if where == number}) == 1
    assert 3 <= len(set(made_of.zone)) <= 10
    assert set(made(400, elsewhere=0.0).zone) == {0.0}


def test_rooms() -> None:
    made_of = made(1500)
    assert len(made_of.rooms) == len(made_of.room_weights) == 450
    for members in made_of.rooms:
        assert len(set(members)) == len(members) >= 2
    sizes = np.array([len(members) for members in made_of.rooms])
    assert sizes.mean() == pytest.approx(8.0, rel=0.35)
    assert sizes.max() > 4 * sizes.mean()
    assert made(50, rooms=0.0).rooms == made(50, room_share=0.0).rooms == ()
    assert all(len(members) == 2 for members in made(2).rooms)


def test_the_same_seed_the_same_society() -> None:
    assert made(200) == made(200)
    assert made(200) != made(200, seed=2)
