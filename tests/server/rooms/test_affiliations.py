"""What follows from another affiliation or role."""

from __future__ import annotations

import pytest
from den import OPEN, ROOM, SEMI, Den, jid, said

from quietwire.core.errors import StanzaError
from quietwire.server.rooms import affiliations
from quietwire.server.rooms.ranks import Affiliation, Role

ALICE, BOB = jid("alice@a.example"), jid("bob@a.example")


def test_an_occupant_shows_it_at_once() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    affiliations.change(den.rooms, den.room, BOB, Affiliation.ADMIN)
    assert said(alice) == ["bo here admin/moderator jid=bob@a.example/x"]
    assert said(bob) == ["bo here admin/moderator jid=bob@a.example/x 110"]
    affiliations.change(den.rooms, den.room, BOB, Affiliation.NONE)
    assert said(alice) == ["bo here none/participant jid=bob@a.example/x"]


def test_of_others_those_hear_who_may_know_addresses() -> None:
    den = Den()
    alice, carol = den.full("carol", **SEMI)
    affiliations.change(den.rooms, den.room, BOB, Affiliation.MEMBER)
    assert said(alice) == ["room tells member jid=bob@a.example"]
    assert said(carol) == []
    affiliations.change(den.rooms, den.room, BOB, Affiliation.OUTCAST, reason="loud")
    assert said(alice) == ["room tells outcast jid=bob@a.example 'loud' 301"]


@pytest.mark.parametrize(
    ("new", "membersonly", "code"), [(Affiliation.OUTCAST, "0", "301"), (Affiliation.NONE, "1", "321")]
)
def test_who_may_not_stay_is_put_out(new: Affiliation, membersonly: str, code: str) -> None:
    den = Den()
    alice = den.make(membersonly=membersonly)
    affiliations.change(den.rooms, den.room, BOB, Affiliation.MEMBER)
    bob = den.enter("bob")
    den.quiet()
    affiliations.change(den.rooms, den.room, BOB, new)
    assert said(bob) == [f"bo gone {new.label}/none jid=bob@a.example/x 110 {code}"]
    assert said(alice) == [f"bo gone {new.label}/none jid=bob@a.example/x {code}"]
    assert BOB not in {occupant.bare for occupant in den.room.occupants}


def test_a_banned_account_loses_its_nickname() -> None:
    den = Den()
    den.make()
    affiliations.change(den.rooms, den.room, BOB, Affiliation.MEMBER, nick="Bob")
    assert den.room.standings.taken("Bob", ALICE)
    affiliations.change(den.rooms, den.room, BOB, Affiliation.ADMIN)
    assert den.room.standings.taken("Bob", ALICE)
    affiliations.change(den.rooms, den.room, BOB, Affiliation.OUTCAST)
    assert not den.room.standings.taken("Bob", ALICE)


def test_who_uses_a_nickname_that_is_reserved_now_is_put_out() -> None:
    den = Den()
    alice, carol = den.full("carol", **OPEN)
    affiliations.change(den.rooms, den.room, BOB, Affiliation.MEMBER, nick="ca")
    assert said(carol) == ["ca gone none/none jid=carol@a.example/x 'This nickname is reserved' 110 307"]
    assert said(alice)[0] == "ca gone none/none jid=carol@a.example/x 'This nickname is reserved' 307"


def test_a_new_moderator_sees_addresses() -> None:
    den = Den()
    _, bob, _ = den.full("bob", "carol", **SEMI)
    affiliations.set_role(den.rooms, den.room, den.room.occupants.by_nick["bo"], Role.MODERATOR)
    assert said(bob) == [
        "bo here none/moderator jid=bob@a.example/x 110",
        "al here owner/moderator jid=alice@a.example/x",
        "ca here none/participant jid=carol@a.example/x",
    ]


def test_a_room_has_room_for_so_many() -> None:
    den = Den(affiliations=2)
    den.make()
    affiliations.check_room_left(den.rooms, den.room)
    with pytest.raises(StanzaError, match="resource-constraint"):
        affiliations.check_room_left(den.rooms, den.room, 2)


def test_an_account_that_is_erased_is_forgotten() -> None:
    den = Den()
    den.make(persistentroom="1")
    affiliations.change(den.rooms, den.room, BOB, Affiliation.MEMBER)
    affiliations.erase(den.rooms, BOB)
    assert BOB not in den.room.standings
    affiliations.erase(den.rooms, jid("dave@a.example"))
    affiliations.change(den.rooms, den.room, BOB, Affiliation.ADMIN)
    affiliations.erase(den.rooms, jid("alice@a.example"))
    assert den.room.owners() == [BOB]
    affiliations.erase(den.rooms, BOB)
    assert jid(ROOM) not in den.rooms.rooms
    assert den.storage.store.scan("room", ROOM.encode()).result() == []
