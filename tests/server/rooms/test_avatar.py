"""The room's vCard (XEP-0486)."""

from __future__ import annotations

import hashlib

import pytest
from den import OPEN, ROOM, Den, said

from quietwire.server.rooms import avatar


def vcard(picture: str) -> str:
    return f"<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{picture}</BINVAL></PHOTO></vCard>"


ASK = "<vCard xmlns='vcard-temp'/>"


def test_an_owner_sets_it_and_everybody_is_told() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    assert den.ask(alice, "set", vcard("aGVs\n bG8=")) == ["result", "room tells 104"]
    assert said(bob) == ["room tells 104"]
    assert avatar.digest(den.room) == hashlib.sha1(b"hello").hexdigest()
    bob.write(f"<iq type='get' id='q' to='{ROOM}'>{ASK}</iq>")
    assert "<BINVAL>aGVs" in bob.take()[0]
    assert den.ask(alice, "set", ASK)[0] == "result"
    bob.take()
    assert avatar.digest(den.room) == ""
    bob.write(f"<iq type='get' id='q' to='{ROOM}'>{ASK}</iq>")
    assert ASK in bob.take()[0]


def test_nobody_else_does() -> None:
    den = Den()
    _, bob = den.full("bob", **OPEN)
    assert den.ask(bob, "set", vcard("aGVsbG8=")) == ["iq error forbidden"]
    assert den.ask(den.guest("alice"), "set", vcard("a" * avatar.MAX_VCARD)) == ["iq error not-acceptable"]


def test_a_hidden_room_shows_it_to_its_members() -> None:
    den = Den()
    alice = den.make()
    assert den.ask(den.guest("bob"), "get", ASK) == ["iq error item-not-found"]
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    assert den.ask(den.guest("bob"), "get", ASK) == ["result"]


@pytest.mark.parametrize("picture", ["", "***"])
def test_what_is_no_picture_has_no_digest(picture: str) -> None:
    den = Den()
    den.ask(den.make(), "set", vcard(picture))
    assert avatar.digest(den.room) == ""
