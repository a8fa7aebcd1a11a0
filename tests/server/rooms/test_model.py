from __future__ import annotations

from dataclasses import replace

from quietwire.core.jid import parse_jid
from quietwire.server.rooms.config import RoomConfig
from quietwire.server.rooms.model import MAX_ROLES, Room
from quietwire.server.rooms.occupants import Occupant
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.standings import Standing

ALICE, BOB, CAROL = (parse_jid(f"{name}@a.example") for name in ("alice", "bob", "carol"))


def a_room(**config: object) -> Room:
    room = Room(parse_jid("den@conference.a.example"), replace(RoomConfig(), **config), bytes(32))  # type: ignore[arg-type]
    room.stand(ALICE, Standing(Affiliation.OWNER))
    room.stand(BOB, Standing(Affiliation.MEMBER, nick="Bob"))
    return room


def test_who_belongs_to_it() -> None:
    room = a_room()
    assert room.affiliation(ALICE) is Affiliation.OWNER
    assert room.affiliation(CAROL) is Affiliation.NONE
    assert room.owners() == [ALICE]
    assert room.with_affiliation(Affiliation.MEMBER) == [BOB]
    assert room.standings.reserved("BOB ") == (BOB, Standing(Affiliation.MEMBER, "Bob"))
    assert room.standings.reserved("Alice") is None


def test_occupant_ids_are_the_same_in_a_room_and_different_in_two() -> None:
    here = a_room()
    there = Room(here.jid, here.config, b"another secret of thirty-two by.")
    assert here.occupant_id(ALICE) == here.occupant_id(ALICE)
    assert here.occupant_id(ALICE) != here.occupant_id(BOB)
    assert here.occupant_id(ALICE) != there.occupant_id(ALICE)
    assert len(here.occupant_id(ALICE)) <= 128
    assert here.occupant_id(ALICE).encode() in here.tag(ALICE)


def test_a_role_given_by_hand_is_remembered() -> None:
    room = a_room(moderated=True)
    assert room.role_for(CAROL) is Role.VISITOR
    room.remember_role(CAROL, Role.PARTICIPANT)
    room.remember_role(ALICE, Role.VISITOR)
    assert room.role_for(CAROL) is Role.PARTICIPANT
    assert room.role_for(ALICE) is Role.MODERATOR
    for n in range(MAX_ROLES):
        room.remember_role(parse_jid(f"u{n}@a.example"), Role.VISITOR)
    assert len(room.roles) == MAX_ROLES


def test_who_may_know_of_it() -> None:
    hidden, listed, open_ = a_room(), a_room(public=True), a_room(members_only=False)
    for room, stranger in ((hidden, False), (listed, True), (open_, True)):
        assert room.knows(BOB)
        assert room.knows(CAROL) is stranger
        room.stand(CAROL, Standing(Affiliation.OUTCAST))
        assert not room.knows(CAROL)
    listed.locked = True
    assert listed.knows(ALICE)
    assert not listed.knows(BOB)


def test_who_sees_real_addresses() -> None:
    visitor = Occupant(parse_jid("den@conference.a.example/c"), CAROL, Affiliation.NONE, Role.VISITOR, b"")
    moderator = Occupant(parse_jid("den@conference.a.example/a"), ALICE, Affiliation.OWNER, Role.MODERATOR, b"")
    assert a_room().sees_jids(visitor)
    assert not a_room(whois="moderators").sees_jids(visitor)
    assert a_room(whois="moderators").sees_jids(moderator)


def test_its_name() -> None:
    assert a_room().name() == "den"
    assert a_room(name="The Den").name() == "The Den"
    assert a_room().address() == "den@conference.a.example"
