"""``muc#owner`` (XEP-0045 §10.1, §10.2, §10.9)."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SEMI, Den, form, jid, said

from quietwire.server.rooms.ranks import Affiliation

OWNER = f"{MUC}#owner"


def query(inner: str = "") -> str:
    return f"<query xmlns='{OWNER}'>{inner}</query>"


def test_only_owners_configure_and_destroy() -> None:
    den = Den()
    _, bob = den.full("bob", **OPEN)
    for kind, inner in (("get", ""), ("set", form()), ("set", "<destroy/>")):
        assert den.ask(bob, kind, query(inner)) == ["iq error forbidden"]
        assert den.ask(den.guest("carol"), kind, query(inner)) == ["iq error forbidden"]


def test_the_form_has_what_is_set() -> None:
    den = Den()
    alice = den.make(roomname="The Den")
    alice.write(f"<iq type='get' id='q' to='{ROOM}'>{query()}</iq>")
    [answer] = alice.take()
    assert "<value>The Den</value>" in answer
    assert "<value>alice@a.example</value>" in answer


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        ("", "bad-request"),
        ("<x xmlns='jabber:x:data' type='form'/>", "bad-request"),
        (form(whois="nobody"), "not-acceptable"),
        (form(passwordprotectedroom="1"), "not-acceptable"),
        (form(roomadmins="@"), "jid-malformed"),
        (form(roomowners=[]), "conflict"),
        (form(roomowners=[], roomadmins="alice@a.example"), "conflict"),
        ("<destroy jid='@'/>", "jid-malformed"),
        (f"<destroy><reason>{'x' * 2_000}</reason></destroy>", "not-acceptable"),
    ],
)
def test_refused_and_nothing_changes(inner: str, condition: str) -> None:
    den = Den()
    alice = den.make()
    before = den.room.config
    assert den.ask(alice, "set", query(inner)) == [f"iq error {condition}"]
    assert den.room.config == before
    assert den.room.owners() == [jid("alice@a.example")]


def test_everybody_is_told_what_matters() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.configure(alice, roomname="Den")
    assert said(alice) == ["result", "room tells 104"]
    assert said(bob) == ["room tells 104"]
    den.configure(alice, whois="moderators", enablelogging="1")
    assert said(bob) == ["room tells 104 170 173"]
    den.configure(alice, whois="anyone", enablelogging="0")
    assert said(bob) == [
        "al here owner/moderator jid=alice@a.example/x",
        "room tells 104 171 172",
    ]
    den.configure(alice)
    assert said(bob) == []


def test_a_new_room_warns_its_owner_only_of_what_concerns_privacy() -> None:
    den = Den()
    alice = den.enter("alice")
    den.quiet()
    den.configure(alice, whois="moderators", roomname="x")
    assert said(alice) == ["result", "room tells 104 173"]


def test_a_room_that_closes_puts_strangers_out() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.configure(alice, membersonly="1")
    assert said(bob) == ["bo gone none/none jid=bob@a.example/x 110 322"]
    assert said(alice) == ["bo gone none/none jid=bob@a.example/x 322", "result", "room tells 104"]


def test_owners_and_admins_by_form() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.configure(alice, roomadmins=["bob@a.example", " "], roomowners=["alice@a.example", "carol@a.example"])
    assert den.room.affiliation(jid("carol@a.example")) is Affiliation.OWNER
    assert said(bob)[1] == "bo here admin/moderator jid=bob@a.example/x by=al(alice@a.example/x) 110"
    den.configure(alice, roomadmins=[], roomowners=["carol@a.example"])
    assert den.room.owners() == [jid("carol@a.example")]
    assert den.room.affiliation(jid("bob@a.example")) is Affiliation.NONE
    assert den.ask(alice, "get", query())[-1] == "iq error forbidden"


def test_too_many_at_once() -> None:
    den = Den(affiliations=3)
    alice = den.make()
    many = [f"u{n}@a.example" for n in range(3)]
    assert den.ask(alice, "set", query(form(roomadmins=many))) == ["iq error resource-constraint"]


def test_roles_that_are_broadcast_from_now_on_are_shown() -> None:
    den = Den()
    alice, _, carol = den.full("bob", "carol", moderatedroom="1", **OPEN)
    den.configure(alice, presencebroadcast=["moderator", "participant", "visitor"])
    assert "bo here none/visitor jid=bob@a.example/x" in said(carol)


def test_the_service_limits_the_room() -> None:
    den = Den(occupants=5)
    den.make(maxusers="500")
    assert den.room.config.max_users == 5


def test_cancelling() -> None:
    den = Den()
    alice = den.enter("alice")
    den.quiet()
    cancel = query("<x xmlns='jabber:x:data' type='cancel'/>")
    assert den.ask(alice, "set", cancel) == [
        "al gone owner/none jid=alice@a.example/x destroy 110",
        "result",
    ]
    assert jid(ROOM) not in den.rooms.rooms
    alice = den.make(roomname="kept")
    assert den.ask(alice, "set", cancel) == ["result"]
    assert den.room.config.name == "kept"


def test_the_end_of_a_room() -> None:
    den = Den()
    alice, bob = den.full("bob", persistentroom="1", **SEMI)
    end = "<destroy jid='lair@conference.a.example'><reason>Macbeth doth come.</reason><password>p</password></destroy>"
    answers = den.ask(alice, "set", query(end))
    assert (
        answers
        == [
            "al gone none/none jid=alice@a.example/x destroy jid=lair@conference.a.example 'Macbeth doth come.' 110",
            "result",
        ]
        or answers
    )
    told = bob.take()[0]
    assert "<destroy jid='lair@conference.a.example'><password>p</password><reason>Macbeth doth come.</reason>" in told
    assert jid(ROOM) not in den.rooms.rooms
    assert den.storage.store.scan("room", ROOM.encode()).result() == []
    assert den.ask(alice, "get", query()) == ["iq error item-not-found"]
