"""``jabber:iq:register`` to a room (XEP-0045 §7.10)."""

from __future__ import annotations

import pytest
from den import OPEN, Den, form, jid, said

from quietwire.server.rooms.occupants import MAX_NICK
from quietwire.server.rooms.ranks import Affiliation

NICK = "muc#register_roomnick"


def query(inner: str = "") -> str:
    return f"<query xmlns='jabber:iq:register'>{inner}</query>"


def nick(name: str) -> str:
    return query(form(**{NICK: name}))


def a_den() -> Den:
    """bob is a member, dave is banned, all are welcome."""
    den = Den()
    alice = den.make(**OPEN)
    den.admin(alice, "affiliation='member' jid='bob@a.example'", "affiliation='outcast' jid='dave@a.example'")
    den.quiet()
    return den


@pytest.mark.parametrize(("name", "condition"), [("carol", "registration-required"), ("dave", "forbidden")])
def test_who_does_not_belong_to_it_cannot_register(name: str, condition: str) -> None:
    den = a_den()
    for kind, inner in (("get", query()), ("set", nick("me")), ("set", query("<remove/>"))):
        assert den.ask(den.guest(name), kind, inner) == [f"iq error {condition}"]


def test_a_member_reserves_a_nickname() -> None:
    den = a_den()
    bob = den.guest("bob")
    bob.write(f"<iq type='get' id='q' to='den@conference.a.example'>{query()}</iq>")
    [asked] = bob.take()
    assert f"var='{NICK}'" in asked
    assert "registered" not in asked
    assert den.ask(bob, "set", nick("Bob")) == ["result"]
    assert den.room.standings.taken("Bob", jid("alice@a.example"))
    assert not den.room.standings.taken("Bob", jid("bob@a.example"))
    bob.write(f"<iq type='get' id='q' to='den@conference.a.example'>{query()}</iq>")
    assert "<registered/><username>Bob</username>" in bob.take()[0]


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        (query(), "bad-request"),
        (query(form()), "bad-request"),
        (nick(""), "not-acceptable"),
        (nick("\ue000\u0378"), "jid-malformed"),
        (nick("x" * (MAX_NICK + 1)), "not-acceptable"),
        (nick(" "), "not-acceptable"),
        (nick("al"), "conflict"),
        (nick("taken"), "conflict"),
    ],
)
def test_refused(inner: str, condition: str) -> None:
    den = a_den()
    den.admin(den.guest("alice"), "affiliation='member' jid='carol@a.example' nick='taken'")
    assert den.ask(den.guest("bob"), "set", inner) == [f"iq error {condition}"]


def test_an_occupant_that_registers_is_shown() -> None:
    den = a_den()
    bob = den.enter("bob")
    den.quiet()
    assert den.ask(bob, "set", nick("bo")) == ["bo here member/participant jid=bob@a.example/x 110", "result"]


def test_membership_can_be_given_up() -> None:
    den = a_den()
    assert den.ask(den.guest("bob"), "set", query("<remove/>")) == ["result"]
    assert den.room.affiliation(jid("bob@a.example")) is Affiliation.NONE
    assert said(den.guest("alice")) == ["room tells none jid=bob@a.example"]
    assert den.ask(den.guest("alice"), "set", query("<remove/>")) == ["iq error conflict"]
