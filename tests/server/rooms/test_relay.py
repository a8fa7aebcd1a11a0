"""Requests between occupants (XEP-0045 §15.4), self-ping (XEP-0410)."""

from __future__ import annotations

import pytest
from den import OPEN, ROOM, SEMI, Den, said

from quietwire.server.router import ANSWER_SECONDS

PING = "<ping xmlns='urn:xmpp:ping'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"


def test_neither_learns_the_others_address() -> None:
    den = Den()
    _, bob, carol = den.full("bob", "carol", **SEMI)
    bob.write(f"<iq type='get' id='v1' to='{ROOM}/ca'>{INFO}</iq>")
    [asked] = carol.take()
    assert "bob@a.example" not in asked
    id = asked.partition(" id='")[2].partition("'")[0]
    assert asked == f"<iq from='{ROOM}/bo' to='carol@a.example/x' type='get' id='{id}'>{INFO}</iq>"
    carol.write(f"<iq type='result' id='{id}' to='{ROOM}/bo'>{INFO}</iq>")
    assert bob.take() == [f"<iq from='{ROOM}/ca' to='bob@a.example/x' type='result' id='v1'>{INFO}</iq>"]


def test_errors_come_back() -> None:
    den = Den()
    _, bob, carol = den.full("bob", "carol", **SEMI)
    bob.write(f"<iq type='get' id='v1' to='{ROOM}/ca'>{INFO}</iq>")
    id = carol.take()[0].partition(" id='")[2].partition("'")[0]
    error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    named = error.replace("'cancel'", "'cancel' by='carol@a.example'")
    carol.write(f"<iq type='error' id='{id}' to='{ROOM}/bo'>{named}</iq>")
    assert bob.take() == [f"<iq from='{ROOM}/ca' to='bob@a.example/x' type='error' id='v1'>{error}</iq>"]


def test_silence_is_an_answer_after_a_while() -> None:
    den = Den()
    _, bob, _ = den.full("bob", "carol", **SEMI)
    bob.write(f"<iq type='get' id='v1' to='{ROOM}/ca'>{INFO}</iq>")
    den.pass_time(ANSWER_SECONDS)
    assert said(bob) == ["iq error remote-server-timeout"]


def test_who_has_left_gets_no_answer() -> None:
    den = Den()
    _, bob, carol = den.full("bob", "carol", **SEMI)
    bob.write(f"<iq type='get' id='v1' to='{ROOM}/ca'>{INFO}</iq>")
    id = carol.take()[0].partition(" id='")[2].partition("'")[0]
    bob.write(f"<presence type='unavailable' to='{ROOM}/bo'/>")
    bob.take()
    carol.write(f"<iq type='result' id='{id}' to='{ROOM}/bo'>{INFO}</iq>")
    assert said(bob) == []


def test_a_vcard_is_the_accounts_to_show() -> None:
    den = Den()
    _, bob, carol = den.full("bob", "carol", **OPEN)
    bob.write(f"<iq type='get' id='v1' to='{ROOM}/ca'><vCard xmlns='vcard-temp'/></iq>")
    assert said(carol) == []
    assert said(bob) == ["iq error service-unavailable"]  # the account has no vCards here
    bob.write(f"<iq type='set' id='v2' to='{ROOM}/ca'><vCard xmlns='vcard-temp'/></iq>")
    assert said(bob) == ["iq error not-allowed"]


def test_a_ping_to_oneself_is_answered_by_the_room() -> None:
    den = Den()
    _, bob = den.full("bob", **OPEN)
    desk = den.enter("bob/desk", "bo")
    den.quiet()
    assert den.ask(bob, "get", PING, f"{ROOM}/bo") == ["result"]
    assert den.ask(bob, "get", PING) == ["result"]
    assert said(desk) == []


@pytest.mark.parametrize(
    ("name", "to", "payload", "condition"),
    [
        ("carol", f"{ROOM}/al", PING, "not-acceptable"),
        ("carol", f"{ROOM}/nobody", PING, "not-acceptable"),
        ("carol", "none@conference.a.example/al", PING, "not-acceptable"),
        ("carol", f"{ROOM}/al", INFO, "bad-request"),
        ("carol", f"{ROOM}/nobody", INFO, "bad-request"),
        ("carol", "none@conference.a.example/al", INFO, "bad-request"),
        ("carol", ROOM, PING, "not-acceptable"),
        ("bob", f"{ROOM}/nobody", PING, "item-not-found"),
    ],
)
def test_refused(name: str, to: str, payload: str, condition: str) -> None:
    den = Den()
    den.full("bob", **OPEN)
    assert den.ask(den.guest(name), "get", payload, to) == [f"iq error {condition}"]
