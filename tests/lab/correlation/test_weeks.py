"""Contacts are recovered from links that are not shaped, and not from steady ones."""

from __future__ import annotations

import numpy as np

from quietwire.lab.correlation.timings import default
from quietwire.lab.correlation.weeks import AWAKE, Weeks, disclose, talk_of_day
from quietwire.lab.correlation.world import Shaping
from quietwire.shaping.policy import Policy, Profile

SMALL = Weeks(users=60, contacts=4, daily=20.0, width=10.0, weeks=(1 / 7, 3 / 7), judged=15, seeds=(1,))


def test_a_day_has_its_messages_with_lasting_contacts() -> None:
    rng = np.random.default_rng(1)
    book = ((np.arange(60)[:, None] + rng.integers(1, 60, (60, 4))) % 60).astype(np.int32)
    talk = talk_of_day(rng, book, 20.0)
    assert 0.7 < len(talk) / (60 * 20) < 1.3
    assert talk.seconds == AWAKE
    known = {(user, int(peer)) for user in range(60) for peer in book[user]}
    met = set(zip(talk.sender.tolist(), talk.receiver.tolist(), strict=True))
    assert all((one, two) in known or (two, one) in known for one, two in met)


def test_days_recover_contacts_and_steady_links_hide_them() -> None:
    precision = {}
    steady = Policy(Profile.STEADY, cell=1022, tick=3.0)
    for shaping in (Shaping(), Shaping(steady, steady)):
        found = disclose(shaping, SMALL, default())
        assert all(figure.simulated for figure in found)
        for figure in found:
            if figure.question.endswith("recall"):
                precision[(shaping.name, figure.note.split(";")[0], figure.at)] = figure.value
    assert precision["off", "normalised", 3.0] > 0.8
    assert precision["off", "least squares", 3.0] > 0.5
    assert max(value for (name, _, _), value in precision.items() if name.startswith("steady")) < 0.3
