"""What of a room is in the store, and comes back."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest
from den import OPEN, ROOM, Den, jid, said

from quietwire.server.rooms import affiliations, operator, persistence
from quietwire.server.rooms.config import RoomConfig
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.rooms.standings import Standing

VCARD = "<vCard xmlns='vcard-temp'><FN>Den</FN></vCard>"


def rows(den: Den) -> dict[bytes, bytes]:
    return dict(den.storage.store.scan("room", ROOM.encode()).result())


def test_a_room_that_is_not_persistent_leaves_nothing() -> None:
    den = Den()
    alice = den.make()
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    alice.write(f"<message type='groupchat' to='{ROOM}'><subject>Cats</subject></message>")
    den.ask(alice, "set", VCARD)
    assert rows(den) == {}
    assert jid(ROOM) not in den.restart().rooms.rooms


def test_a_room_comes_back_as_it_was() -> None:
    den = Den()
    alice = den.make(persistentroom="1", roomname="The Den", roomsecret="cauldron")
    den.admin(
        alice,
        "affiliation='member' jid='bob@a.example' nick='Bob'",
        "<item affiliation='outcast' jid='carol@a.example'><reason>loud</reason></item>",
    )
    alice.write(f"<message type='groupchat' to='{ROOM}'><subject>Cats</subject></message>")
    den.ask(alice, "set", VCARD)
    before, after = den.room, den.restart().room
    assert after.config == before.config
    assert after.secret == before.secret
    assert after.standings == before.standings
    assert after.standings.get(jid("carol@a.example")) == Standing(Affiliation.OUTCAST, reason="loud")
    assert after.subject == before.subject
    assert after.vcard == before.vcard
    assert not after.locked


def test_every_change_is_written_in_its_turn() -> None:
    den = Den()
    alice = den.make(persistentroom="1")
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    bob, _ = den.room.standings.row(jid("bob@a.example"))
    assert b"member:" + bob in rows(den)
    den.admin(alice, "affiliation='none' jid='bob@a.example'")
    assert b"member:" + bob not in rows(den)
    den.configure(alice, roomname="Cats")
    assert den.restart().room.config.name == "Cats"
    den.ask(alice, "set", VCARD)
    den.ask(alice, "set", "<vCard xmlns='vcard-temp'/>")
    assert b"vcard" not in rows(den)


def kinds(den: Den) -> list[tuple[str, int]]:
    """How many rows of each kind there are."""
    return sorted(Counter(key.partition(b":")[0].decode() for key in rows(den)).items())


def test_a_room_that_becomes_persistent_or_ceases_to_be() -> None:
    den = Den()
    alice = den.make()
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    den.configure(alice, persistentroom="1")
    assert kinds(den) == [("config", 1), ("empty", 6), ("member", 2)]
    den.configure(alice, persistentroom="0")
    assert rows(den) == {}
    den.configure(alice, persistentroom="1")
    assert kinds(den) == [("config", 1), ("empty", 6), ("member", 2)]


def test_no_row_of_a_member_has_an_address_or_a_nickname_in_it() -> None:
    den = Den()
    alice = den.make(persistentroom="1")
    den.admin(
        alice,
        "affiliation='member' jid='bob@a.example' nick='Bobby'",
        "<item affiliation='outcast' jid='carol@a.example'><reason>loud</reason></item>",
    )
    everything = b"".join(key + value for key, value in rows(den).items())
    for word in (b"alice", b"bob", b"Bobby", b"carol", b"loud"):
        assert word not in everything


def test_members_cannot_be_counted() -> None:
    """Their rows are a power of two, whatever comes and goes and wherever the server is started anew."""
    den = Den()
    den.make(persistentroom="1")
    seen = []
    for number in [*range(40), *range(40)]:
        bare = jid(f"user{number}@b.example")
        there = bare in den.room.standings
        affiliations.change(den.rooms, den.room, bare, Affiliation.NONE if there else Affiliation.MEMBER)
        counts = dict(kinds(den))
        seen.append(counts["member"] + counts.get("empty", 0))
        assert counts["member"] == len(den.room.standings)
        if number % 13 == 0:
            again = den.restart().room
            assert (again.rows, again.empty) == (den.room.rows, den.room.empty)
            assert again.rows == seen[-1]
    assert set(seen) == {8, 16, 32, 64}
    assert sum(one != other for one, other in pairwise(seen)) < 10  # and a count about a power of two does not flicker


def test_it_lasts_without_anybody_in_it() -> None:
    den = Den()
    alice = den.make(persistentroom="1", **OPEN)
    alice.leave()
    other = den.restart()
    assert said(other.enter("bob"))[0].startswith("bo here none/participant")


@pytest.mark.parametrize("config", [None, b"\x02{}", b"\x01{", b"\x01[]", b"\x01{}"])
def test_a_room_that_cannot_be_read_is_nobodys(config: bytes | None) -> None:
    den = Den()
    alice = den.make(persistentroom="1", **OPEN)
    den.say(alice, "for us")
    if config is None:
        den.storage.store.delete("room", ROOM.encode(), b"config")
    else:
        den.storage.store.put("room", ROOM.encode(), b"config", config)
    other = den.restart()
    assert "not-allowed" in said(other.enter("bob"))[0]
    assert other.rooms.rooms == {}
    operator.create(other.rooms, "den", jid("bob@a.example"))
    other.enter("bob")
    assert other.room.standings.count(Affiliation.MEMBER) == 1
    assert "for us" not in "".join(said(other.guest("bob")))
    assert sum(key.startswith(b"member:") for key in rows(den)) == 1, "none of the former room's"
    assert den.restart().rooms.unread == set()


def test_rows_that_cannot_be_read() -> None:
    config = b'\x01{"secret": "00", "config": {}}'
    assert persistence.read(ROOM, [(b"subject", b"\x01{}")]) is None
    assert persistence.read(ROOM, [(b"config", b"\x02{}")]) is None
    damaged = [
        (b"affiliation:@", b'\x01{"affiliation": "member"}'),
        (b"member:x", b"\x01"),
        (b"member:y", b"\x01" * 40),
    ]
    room = persistence.read(ROOM, [(b"config", config), *damaged])
    assert room is not None
    assert room.standings.opened() == {}


def test_rooms_from_before_the_sealed_store_are_written_anew() -> None:
    den = Den()
    store, name = den.storage.store, ROOM.encode()
    old = {
        b"config": json.dumps({"secret": "07" * 32, "config": RoomConfig(persistent=True).to_dict()}).encode(),
        b"affiliation:alice@a.example": b'{"affiliation": "owner"}',
        b"affiliation:bob@a.example": b'{"affiliation": "member", "nick": "Bob"}',
        b"affiliation:carol@a.example": b'{"affiliation": "outcast", "reason": "loud"}',
    }
    for key, value in old.items():
        store.put("room", name, key, b"\x01" + value)
    there = den.restart()
    assert kinds(den) == [("config", 1), ("empty", 5), ("member", 3)]
    expected = {
        jid("alice@a.example"): Standing(Affiliation.OWNER),
        jid("bob@a.example"): Standing(Affiliation.MEMBER, "Bob"),
        jid("carol@a.example"): Standing(Affiliation.OUTCAST, reason="loud"),
    }
    assert there.room.standings.opened() == expected
    assert den.restart().room.standings.opened() == expected
