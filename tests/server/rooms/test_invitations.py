"""Mediated invitations (XEP-0045 §7.8.2); direct ones (XEP-0249) do not concern the room."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, Den, jid, said

from quietwire.core.stanza import Message
from quietwire.server.rooms.invitations import MAX_AT_ONCE
from quietwire.server.rooms.model import MAX_INVITED
from quietwire.server.rooms.ranks import Affiliation
from quietwire.testing.assembly import Client


def user(inner: str) -> str:
    return f"<message id='i' to='{ROOM}'><x xmlns='{MUC}#user'>{inner}</x></message>"


def invite(guest: Client, *who: str, reason: str = "") -> None:
    inner = f"<reason>{reason}</reason>" if reason else ""
    guest.write(user("".join(f"<invite to='{each}'>{inner}</invite>" for each in who)))


def test_an_invitation_makes_a_member() -> None:
    den = Den()
    alice = den.make()
    bob = den.log_in("bob@a.example/x", "<presence/>")
    bob.take()
    invite(alice, "bob@a.example", reason="Tea?")
    assert said(bob) == [f"room tells invite from={ROOM}/al 'Tea?'"]
    assert said(alice) == ["room tells member jid=bob@a.example"]
    assert den.room.affiliation(jid("bob@a.example")) is Affiliation.MEMBER


def test_in_an_open_room_it_does_not() -> None:
    den = Den()
    _, bob = den.full("bob", roomsecret="", **OPEN)
    invite(bob, "eve@b.example")
    [sent] = den.take_remote()
    assert "to='eve@b.example'" in sent
    assert f"<x xmlns='jabber:x:conference' jid='{ROOM}'/>" in sent
    assert "bob@a.example" not in sent
    assert den.room.affiliation(jid("eve@b.example")) is Affiliation.NONE


def test_it_brings_the_password_and_goes_on_with_a_thread() -> None:
    den = Den()
    alice = den.make(roomsecret="cauldron")
    alice.write(user("<invite to='eve@b.example'><continue thread='t1'/></invite>"))
    [sent] = den.take_remote()
    assert "<continue thread='t1'/></invite><password>cauldron</password></x>" in sent


@pytest.mark.parametrize(
    ("name", "who", "condition"),
    [
        ("carol", ["dave@a.example"], "not-acceptable"),
        ("bob", ["dave@a.example"], "forbidden"),
        ("alice", ["@"], "jid-malformed"),
        ("alice", ["eve@b.example"] * (MAX_AT_ONCE + 1), "bad-request"),
        ("alice", ["carol@a.example"], "forbidden"),
    ],
)
def test_refused(name: str, who: list[str], condition: str) -> None:
    """bob is a member, carol is banned."""
    den = Den()
    alice = den.make()
    den.admin(alice, "affiliation='member' jid='bob@a.example'", "affiliation='outcast' jid='carol@a.example'")
    den.enter("bob")
    den.quiet()
    invite(den.guest(name), *who)
    assert said(den.guest(name)) == [f"message error {condition}"]
    assert den.take_remote() == []


def test_members_may_where_it_is_configured_but_not_visitors() -> None:
    den = Den()
    alice = den.make(allowinvites="1", moderatedroom="1")
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    bob = den.enter("bob")
    invite(bob, "eve@b.example")
    assert len(den.take_remote()) == 1
    den.admin(alice, "role='visitor' nick='bo'")
    den.quiet()
    invite(bob, "mallory@b.example")
    assert said(bob) == ["message error forbidden"]


def test_a_reason_has_a_length() -> None:
    den = Den()
    alice = den.make()
    invite(alice, "eve@b.example", reason="x" * 2_000)
    assert said(alice) == ["message error not-acceptable"]


def test_a_decline_reaches_the_inviter() -> None:
    den = Den()
    alice = den.make()
    invite(alice, "eve@b.example")
    den.quiet()
    no = user("<decline to='alice@a.example'><reason>too busy</reason></decline>")
    den.receive(no, "eve@b.example/x")
    assert said(alice) == ["room tells decline from=eve@b.example 'too busy'"]
    den.receive(no, "eve@b.example/x")
    den.receive(no, "mallory@b.example/x")  # was not invited: a room is no way to write to strangers
    assert said(alice) == []


def test_a_decline_finds_an_inviter_who_has_left() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    invite(bob, "eve@b.example")
    bob.write("<presence/>")
    bob.write(f"<presence type='unavailable' to='{ROOM}/bo'/>")
    den.quiet()
    den.receive(user("<decline to='x'/>"), "eve@b.example/x")
    assert said(bob) == ["room tells decline from=eve@b.example"]
    assert said(alice) == []


def test_so_many_are_remembered() -> None:
    den = Den(burst=10_000)
    alice = den.make(**OPEN)
    for n in range(MAX_INVITED + 5):
        invite(alice, f"u{n}@b.example")
    assert len(den.room.invited) == MAX_INVITED
    assert all(isinstance(each, Message) for each in den.remote)
