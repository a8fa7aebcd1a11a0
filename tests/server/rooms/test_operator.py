"""What the operator may do with rooms."""

from __future__ import annotations

import pytest
from den import OPEN, ROOM, SERVICE, Den, jid, said

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JIDError
from quietwire.server.rooms import operator

LAIR = jid(f"lair@{SERVICE}")
ALICE, BOB = jid("alice@a.example"), jid("bob@a.example")


def test_a_room_of_the_operators_making() -> None:
    den = Den(create="nobody", rooms=1)
    room = operator.create(den.rooms, "Lair", BOB, name="The Lair", public=True, open=True)
    assert room.jid == LAIR
    assert operator.listing(den.rooms) == [operator.Summary(LAIR.text, "The Lair", True, False, True, 0, 1)]
    assert operator.listing(den.restart().rooms) == operator.listing(den.rooms)
    with pytest.raises(StanzaError, match="conflict"):
        operator.create(den.rooms, "lair", BOB)
    with pytest.raises(StanzaError, match="resource-constraint"):
        operator.create(den.rooms, "another", BOB)
    with pytest.raises(JIDError):
        operator.create(den.rooms, "a b", BOB)


def test_members() -> None:
    den = Den()
    operator.create(den.rooms, "lair", BOB)
    operator.affiliate(den.rooms, LAIR, ALICE, "admin")
    operator.affiliate(den.rooms, LAIR, jid("carol@a.example"), "outcast")
    assert operator.members(den.rooms, LAIR) == [
        ("bob@a.example", "owner"),
        ("alice@a.example", "admin"),
        ("carol@a.example", "outcast"),
    ]
    with pytest.raises(StanzaError, match="bad-request"):
        operator.affiliate(den.rooms, LAIR, ALICE, "king")
    den.rooms.limits = type(den.rooms.limits)(affiliations=3)
    with pytest.raises(StanzaError, match="resource-constraint"):
        operator.affiliate(den.rooms, LAIR, jid("dave@a.example"), "member")


def test_the_end_of_a_room() -> None:
    den = Den()
    (alice,) = den.full(**OPEN)
    operator.destroy(den.rooms, jid(ROOM), "spam")
    assert said(alice) == ["al gone owner/none jid=alice@a.example/x destroy 'spam' 110"]
    for action in (operator.destroy, operator.members):
        with pytest.raises(StanzaError, match="item-not-found"):
            action(den.rooms, jid(ROOM))
