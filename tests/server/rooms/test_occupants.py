from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.rooms.occupants import Occupant, Occupants, Visit, skeleton
from quietwire.server.rooms.ranks import Affiliation, Role

ROOM = parse_jid("den@conference.a.example")
ALICE = parse_jid("alice@a.example/x")
DESK = parse_jid("alice@a.example/desk")
BOB = parse_jid("bob@a.example/x")


def visit() -> Visit:
    return Visit({}, b"", (), 0.0)


def occupant(nick: str, bare: str = "alice@a.example") -> Occupant:
    return Occupant(ROOM.with_resource(nick), parse_jid(bare), Affiliation.NONE, Role.PARTICIPANT, b"")


def test_coming_and_going() -> None:
    occupants = Occupants()
    al, bo = occupant("al"), occupant("bo", "bob@a.example")
    occupants.enter(al, ALICE, visit())
    occupants.enter(bo, BOB, visit())
    assert occupants.everybody() == (ALICE, BOB)
    assert occupants.everybody() is occupants.everybody()
    assert occupants.by_nick["al"] is al
    assert occupants.by_jid[BOB] is bo
    assert occupants.of(ALICE.bare) == [al]
    assert list(occupants) == [al, bo]
    assert occupants.leave(ALICE) is al
    assert occupants.leave(ALICE) is None
    assert occupants.everybody() == (BOB,)
    assert len(occupants) == 1


def test_several_sessions_are_one_occupant() -> None:
    occupants = Occupants()
    al = occupant("al")
    occupants.enter(al, ALICE, visit())
    occupants.enter(al, DESK, visit())
    assert len(occupants) == 1
    assert al.primary == DESK
    occupants.leave(DESK)
    assert al.primary == ALICE
    assert occupants.by_nick["al"] is al


def test_a_new_name() -> None:
    occupants = Occupants()
    al = occupant("al")
    occupants.enter(al, ALICE, visit())
    occupants.rename(al, ROOM.with_resource("AL"))
    assert list(occupants.by_nick) == ["AL"]
    assert occupants.alike("al") is al


@pytest.mark.parametrize(("one", "other"), [("al", "AL"), ("al", " al "), ("a l", "a  l"), ("al", "ａｌ"), ("ß", "SS")])
def test_names_that_are_taken_for_each_other(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


def test_names_that_are_not() -> None:
    assert skeleton("al") != skeleton("all")
    assert skeleton(" \u3000 ") == ""
