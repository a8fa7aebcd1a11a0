"""What of a room is in the store, and comes back."""

from __future__ import annotations

from den import OPEN, ROOM, Den, jid, said

from quietwire.server.rooms import persistence
from quietwire.server.rooms.model import Standing
from quietwire.server.rooms.ranks import Affiliation

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
    assert after.standings[jid("carol@a.example")] == Standing(Affiliation.OUTCAST, reason="loud")
    assert after.subject == before.subject
    assert after.vcard == before.vcard
    assert not after.locked


def test_every_change_is_written_in_its_turn() -> None:
    den = Den()
    alice = den.make(persistentroom="1")
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    assert b"affiliation:bob@a.example" in rows(den)
    den.admin(alice, "affiliation='none' jid='bob@a.example'")
    assert b"affiliation:bob@a.example" not in rows(den)
    den.configure(alice, roomname="Cats")
    assert den.restart().room.config.name == "Cats"
    den.ask(alice, "set", VCARD)
    den.ask(alice, "set", "<vCard xmlns='vcard-temp'/>")
    assert b"vcard" not in rows(den)


def test_a_room_that_becomes_persistent_or_ceases_to_be() -> None:
    den = Den()
    alice = den.make()
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    den.configure(alice, persistentroom="1")
    assert {b"config", b"affiliation:alice@a.example", b"affiliation:bob@a.example"} == rows(den).keys()
    den.configure(alice, persistentroom="0")
    assert rows(den) == {}


def test_it_lasts_without_anybody_in_it() -> None:
    den = Den()
    alice = den.make(persistentroom="1", **OPEN)
    alice.leave()
    other = den.restart()
    assert said(other.enter("bob"))[0].startswith("bo here none/participant")


def test_rows_that_cannot_be_read() -> None:
    config = b'\x01{"secret": "00", "config": {}}'
    assert persistence.read(ROOM, [(b"subject", b"\x01{}")]) is None
    assert persistence.read(ROOM, [(b"config", b"\x02{}")]) is None
    room = persistence.read(ROOM, [(b"config", config), (b"affiliation:@", b'\x01{"affiliation": "member"}')])
    assert room is not None
    assert room.standings == {}


def test_archives_of_rooms_that_ended_with_the_server_are_erased() -> None:
    den = Den()
    alice = den.make()
    den.say(alice, "hello")
    assert den.storage.store.scan("archive", ROOM.encode()).result()
    den.restart()
    assert den.storage.store.scan("archive", ROOM.encode()).result() == []
