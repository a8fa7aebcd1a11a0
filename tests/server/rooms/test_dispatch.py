"""Where stanzas for the service, a room or an occupant go."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SERVICE, Den, elements, jid, said

from quietwire.server.rooms.dispatch import settle


@pytest.mark.parametrize(
    ("kind", "payload", "answer"),
    [
        ("get", "<ping xmlns='urn:xmpp:ping'/>", "result"),
        ("set", "<ping xmlns='urn:xmpp:ping'/>", "iq error service-unavailable"),
        ("get", "<other xmlns='urn:example'/>", "iq error service-unavailable"),
    ],
)
def test_the_service(kind: str, payload: str, answer: str) -> None:
    den = Den()
    assert den.ask(den.guest("alice"), kind, payload, SERVICE) == [answer]


def test_names_that_nobody_has() -> None:
    den = Den()
    alice = den.guest("alice")
    names = set()
    for _ in range(2):
        alice.write(f"<iq type='get' id='u' to='{SERVICE}'><unique xmlns='{MUC}#unique'/></iq>")
        [answer] = elements(alice)
        names.add(answer[0].text)
    assert len(names) == 2


@pytest.mark.parametrize(
    ("kind", "payload", "condition"),
    [
        ("get", "<other xmlns='urn:example'/>", "service-unavailable"),
        ("set", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "service-unavailable"),
    ],
)
def test_what_a_room_does_not_know(kind: str, payload: str, condition: str) -> None:
    den = Den()
    assert den.ask(den.make(), kind, payload) == [f"iq error {condition}"]
    assert den.ask(den.guest("bob"), kind, payload, f"none@{SERVICE}") == ["iq error item-not-found"]


def test_a_locked_room_answers_its_owner_only() -> None:
    den = Den()
    alice = den.enter("alice")
    den.quiet()
    form = f"<query xmlns='{MUC}#owner'/>"
    assert den.ask(alice, "get", form) == ["result"]
    assert den.ask(den.guest("bob"), "get", form) == ["iq error item-not-found"]
    den.say(den.guest("bob"), "hello")
    assert said(den.guest("bob")) == ["message error item-not-found"]


@pytest.mark.parametrize(("name", "condition"), [("alice", "bad-request"), ("bob", "not-acceptable")])
def test_what_is_said_to_a_room_is_said_to_everybody(name: str, condition: str) -> None:
    den = Den()
    den.make(**OPEN)
    den.say(den.guest(name), "hello", kind="chat")
    assert said(den.guest(name)) == [f"message error {condition}"]


def test_a_form_that_is_cancelled_is_nothing() -> None:
    den = Den()
    alice = den.make()
    alice.write(f"<message to='{ROOM}'><x xmlns='jabber:x:data' type='cancel'/></message>")
    alice.write(f"<message to='none@{SERVICE}' type='error'/>")
    alice.write(f"<message to='{ROOM}' type='error'/>")
    assert said(alice) == []


def test_who_cannot_be_reached_any_more_is_put_out() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    session = bob.session
    del session.account.sessions[session.jid.resource]
    den.say(alice, "anybody there?")
    assert said(alice) == ["al: anybody there?", "bo gone none/none jid=bob@a.example/x 333"]
    den.rooms.lost.add((jid(f"none@{SERVICE}"), session.jid))
    settle(den.rooms)
    assert den.rooms.lost == set()


def test_remote_occupants() -> None:
    den = Den()
    alice = den.make(**OPEN)
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", "eve@b.example/x")
    assert [text.partition(" ")[0] for text in den.take_remote()] == ["<presence", "<presence", "<message"]
    den.say(alice, "welcome")
    [sent] = den.take_remote()
    assert "to='eve@b.example/x'" in sent
    den.receive(f"<message type='groupchat' to='{ROOM}'><body>thanks</body></message>", "eve@b.example/x")
    assert said(alice)[-1] == "eve: thanks"
    den.take_remote()
    den.receive(f"<iq type='get' id='p' to='{ROOM}/eve'><ping xmlns='urn:xmpp:ping'/></iq>", "eve@b.example/x")
    assert den.take_remote() == [f"<iq from='{ROOM}/eve' to='eve@b.example/x' type='result' id='p'/>"]
