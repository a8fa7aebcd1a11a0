from __future__ import annotations

import pytest
from den import MUC, OPEN, Den, jid, said

from quietwire.core.stanza import Presence
from quietwire.core.xml import build
from quietwire.server.rooms.names import DELAY, MUC_X, OCCUPANT_ID_TAG, USER_X
from quietwire.server.rooms.occupants import Visit
from quietwire.server.rooms.presences import (
    Actor,
    Notice,
    announced,
    audience,
    away,
    changed,
    shown,
    status,
    visit_of,
    x,
)
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.standings import Standing

ALICE = jid("alice@a.example/x")


def test_what_a_client_says_of_itself() -> None:
    plain = Presence.make(id="i", type="", children=(build("{jabber:client}show", text="away"),))
    visit = visit_of(plain, 7.0)
    assert visit == Visit({}, b"<show>away</show>", ("{jabber:client}show",), 7.0)


@pytest.mark.parametrize("tag", [MUC_X, USER_X, OCCUPANT_ID_TAG, DELAY])
def test_what_it_may_not_say(tag: str) -> None:
    presence = Presence.make(children=(build(tag), build("{jabber:client}show", text="away")))
    assert visit_of(presence, 0.0).inner == b"<show>away</show>"


@pytest.mark.parametrize(
    ("see", "codes", "notice", "inner"),
    [
        (None, (), Notice(), b"<item affiliation='member' role='visitor'/>"),
        (ALICE, (), Notice(), b"<item affiliation='member' role='visitor' jid='alice@a.example/x'/>"),
        (
            None,
            (110,),
            Notice(codes=(100,), nick="<al>"),
            b"<item affiliation='member' role='visitor' nick='&lt;al&gt;'/><status code='100'/><status code='110'/>",
        ),
        (
            None,
            (),
            Notice(reason="a & b", actor=Actor(ALICE, "al")),
            b"<item affiliation='member' role='visitor'><actor nick='al'/><reason>a &amp; b</reason></item>",
        ),
        (
            ALICE,
            (),
            Notice(actor=Actor(jid("b@c.example/x"), "")),
            b"<item affiliation='member' role='visitor' jid='alice@a.example/x'><actor jid='b@c.example/x'/></item>",
        ),
        (None, (), Notice(destroy=b"<destroy/>"), b"<item affiliation='member' role='visitor'/><destroy/>"),
    ],
)
def test_the_extension(see: object, codes: tuple[int, ...], notice: Notice, inner: bytes) -> None:
    built = x(Affiliation.MEMBER, Role.VISITOR, see, codes, notice, seeing=see is not None)  # type: ignore[arg-type]
    assert built == b"<x xmlns='%b#user'>%b</x>" % (MUC.encode(), inner)


def test_presence_is_built_once_until_it_changes() -> None:
    den = Den()
    den.full("bob", whois="moderators", **OPEN)
    occupant = den.room.occupants.by_nick["bo"]
    seen = shown(den.room, occupant, True)
    assert shown(den.room, occupant, True) is seen
    assert b"bob@a.example/x" in seen.inner
    assert b"bob@a.example" not in shown(den.room, occupant, False).inner
    occupant.shown.clear()
    assert shown(den.room, occupant, True) is not seen


def test_who_sees_and_who_does_not() -> None:
    den = Den()
    den.full("bob", "carol", whois="moderators", **OPEN)
    bob = den.room.occupants.by_nick["bo"]
    assert audience(den.room, bob) == ([jid("alice@a.example/x")], [jid("carol@a.example/x")])
    assert not announced(den.room, Role.VISITOR)
    assert announced(den.room, Role.PARTICIPANT)


def test_a_member_that_is_away() -> None:
    den = Den()
    den.make()
    presence = away(den.room, jid("bob@a.example"), Standing(Affiliation.MEMBER, "Bob"), True)
    assert presence.type == "unavailable"
    assert presence.from_ == jid("den@conference.a.example/Bob")
    assert b"role='none' jid='bob@a.example' nick='Bob'" in presence.inner


def test_what_the_room_tells() -> None:
    den = Den()
    (alice, bob) = den.full("bob", whois="moderators", **OPEN)
    status(den.rooms, den.room, (104, 170))
    assert said(alice) == said(bob) == ["room tells 104 170"]
    changed(den.rooms, den.room, jid("dave@a.example"), "", ())
    assert said(alice) == ["room tells none jid=dave@a.example"]
    assert said(bob) == []
