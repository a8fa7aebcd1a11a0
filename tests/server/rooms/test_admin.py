"""``muc#admin`` (XEP-0045 §8.2 to §8.5, §9, §10.3 to §10.8)."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SEMI, Den, said

from quietwire.server.rooms.admin import MAX_ITEMS
from quietwire.server.rooms.model import MAX_REASON
from quietwire.server.rooms.occupants import MAX_NICK

MEMBER_BOB = "affiliation='member' jid='bob@a.example'"


def listed(den: Den, name: str, what: str) -> list[str]:
    """The items of a list, or the error."""
    guest = den.guest(name)
    guest.write(f"<iq type='get' id='q' to='{ROOM}'><query xmlns='{MUC}#admin'><item {what}/></query></iq>")
    [answer] = guest.take()
    if "type='error'" in answer:
        return [answer.partition(" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'")[0].rpartition("<")[2]]
    return [part.partition("/>")[0].partition(">")[0] for part in answer.split("<item ")[1:]]


def test_a_member_list() -> None:
    den = Den()
    alice = den.make()
    assert den.admin(alice, MEMBER_BOB) == ["room tells member jid=bob@a.example", "result"]
    assert listed(den, "alice", "affiliation='member'") == ["affiliation='member' jid='bob@a.example'"]
    den.admin(alice, "affiliation='member' jid='bob@a.example/desk' nick='Bob'")
    assert listed(den, "alice", "affiliation='member'") == ["affiliation='member' jid='bob@a.example' nick='Bob'"]
    den.admin(alice, "affiliation='member' jid='bob@a.example' nick=''")
    assert listed(den, "alice", "affiliation='member'") == ["affiliation='member' jid='bob@a.example'"]


def test_a_ban_with_its_reason() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    ban = "<item affiliation='outcast' jid='bob@a.example'><reason>Treason</reason></item>"
    assert den.admin(alice, ban) == [
        "bo gone outcast/none jid=bob@a.example/x by=al(alice@a.example/x) 'Treason' 301",
        "result",
    ]
    assert said(bob) == ["bo gone outcast/none jid=bob@a.example/x by=al(alice@a.example/x) 'Treason' 110 301"]
    assert listed(den, "alice", "affiliation='outcast'") == ["affiliation='outcast' jid='bob@a.example'"]
    assert said(den.enter("bob")) == ["presence error forbidden"]
    den.admin(alice, "affiliation='none' jid='bob@a.example'")
    assert said(den.enter("bob"))[-1] == "room subject ''"


def test_a_kick() -> None:
    den = Den()
    alice, bob, carol = den.full("bob", "carol", **SEMI)
    kick = "<item role='none' nick='bo'><reason>Out!</reason></item>"
    assert den.admin(alice, kick)[-1] == "result"
    assert said(bob) == ["bo gone none/none jid=bob@a.example/x by=al 'Out!' 110 307"]
    assert said(carol) == ["bo gone none/none by=al 'Out!' 307"]


def test_voice() -> None:
    den = Den()
    alice, bob = den.full("bob", moderatedroom="1", presencebroadcast=["moderator", "participant", "visitor"], **OPEN)
    assert den.admin(alice, "role='participant' nick='bo'") == [
        "bo here none/participant jid=bob@a.example/x by=al(alice@a.example/x)",
        "result",
    ]
    assert listed(den, "alice", "role='participant'") == [
        "affiliation='none' jid='bob@a.example/x' nick='bo' role='participant'"
    ]
    den.say(bob, "thanks")
    assert said(alice) == ["bo: thanks"]
    den.admin(alice, "role='visitor' nick='bo'")
    assert listed(den, "alice", "role='participant'") == []


@pytest.mark.parametrize(
    ("name", "item", "condition"),
    [
        ("bob", MEMBER_BOB, "forbidden"),
        ("bob", "role='none' nick='al'", "forbidden"),
        ("eve", MEMBER_BOB, "forbidden"),
        ("alice", "affiliation='outcast' jid='alice@a.example'", "conflict"),
        ("alice", "affiliation='member' jid='alice@a.example'", "conflict"),
        ("alice", "role='none' nick='al'", "conflict"),
        ("alice", "role='none' nick='nobody'", "item-not-found"),
        ("alice", "role='none'", "bad-request"),
        ("alice", "role='king' nick='bo'", "bad-request"),
        ("alice", "affiliation='king' jid='bob@a.example'", "bad-request"),
        ("alice", "affiliation='member'", "bad-request"),
        ("alice", "affiliation='member' nick='nobody'", "item-not-found"),
        ("alice", "affiliation='member' jid='@'", "jid-malformed"),
        ("alice", "affiliation='member' role='none' nick='bo'", "bad-request"),
        ("alice", "jid='bob@a.example'", "bad-request"),
        ("alice", f"affiliation='member' jid='bob@a.example' nick='{'x' * (MAX_NICK + 1)}'", "not-acceptable"),
        ("alice", "affiliation='member' jid='bob@a.example' nick='dave'", "conflict"),
        (
            "alice",
            f"<item role='none' nick='bo'><reason>{'x' * (MAX_REASON + 1)}</reason></item>",
            "not-acceptable",
        ),
        ("alice", "".join(["<item role='none' nick='bo'/>"] * (MAX_ITEMS + 1)), "bad-request"),
    ],
)
def test_refused(name: str, item: str, condition: str) -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.admin(alice, "affiliation='member' jid='dave@a.example' nick='dave'")
    den.quiet()
    if name == "eve":
        den.receive(
            f"<iq type='set' id='q' to='{ROOM}'><query xmlns='{MUC}#admin'><item {item}/></query></iq>",
            "eve@b.example/x",
        )
        assert condition in den.take_remote()[0]
    else:
        assert den.admin(den.guest(name), item) == [f"iq error {condition}"]
    assert said(alice) == said(bob) == []


def test_all_or_nothing() -> None:
    den = Den()
    alice = den.make()
    assert den.admin(alice, MEMBER_BOB, "affiliation='outcast' jid='alice@a.example'") == ["iq error conflict"]
    assert listed(den, "alice", "affiliation='member'") == []
    swap = ("affiliation='owner' jid='bob@a.example'", "affiliation='admin' jid='alice@a.example'")
    assert den.admin(alice, swap[1]) == ["iq error conflict"]
    den.admin(alice, swap[0])
    assert den.admin(alice, swap[1], "affiliation='none' jid='bob@a.example'") == ["iq error conflict"]
    assert den.admin(alice, swap[1])[-1] == "result"


def test_a_room_takes_so_many() -> None:
    den = Den(affiliations=2)
    alice = den.make()
    assert den.admin(alice, MEMBER_BOB, "affiliation='member' jid='carol@a.example'") == [
        "iq error resource-constraint"
    ]


def test_an_admin_may_not_touch_owners() -> None:
    den = Den()
    alice = den.make(**OPEN)
    den.admin(alice, "affiliation='admin' jid='bob@a.example'", "affiliation='admin' jid='carol@a.example'")
    bob = den.enter("bob")
    den.quiet()
    for item, condition in (
        ("affiliation='outcast' jid='alice@a.example'", "not-allowed"),
        ("affiliation='none' jid='carol@a.example'", "not-allowed"),
        ("affiliation='owner' jid='bob@a.example'", "forbidden"),
        ("affiliation='admin' jid='dave@a.example'", "forbidden"),
        ("role='none' nick='al'", "not-allowed"),
        ("role='visitor' nick='al'", "not-allowed"),
    ):
        assert den.admin(bob, item) == [f"iq error {condition}"]
    assert den.admin(bob, "affiliation='member' jid='dave@a.example'")[-1] == "result"


@pytest.mark.parametrize(
    ("fields", "member", "outsider"),
    [
        ({}, True, False),
        (OPEN, True, False),
        ({"whois": "moderators"}, False, False),
        ({"getmemberlist": ["moderator"]}, False, False),
    ],
)
def test_who_gets_the_lists_that_encryption_needs(fields: dict[str, str], member: bool, outsider: bool) -> None:
    den = Den()
    alice = den.make(**fields)
    den.admin(alice, MEMBER_BOB)
    for affiliation in ("owner", "admin", "member"):
        assert (listed(den, "bob", f"affiliation='{affiliation}'") != ["forbidden"]) is member
        assert (listed(den, "carol", f"affiliation='{affiliation}'") != ["forbidden"]) is outsider
    assert listed(den, "bob", "affiliation='outcast'") == ["forbidden"]
    assert listed(den, "alice", "affiliation='owner'") == ["affiliation='owner' jid='alice@a.example'"]


def test_roles_are_listed_to_moderators() -> None:
    den = Den()
    den.full("bob", **OPEN)
    assert listed(den, "bob", "role='participant'") == ["forbidden"]
    assert listed(den, "carol", "role='participant'") == ["forbidden"]
    assert listed(den, "alice", "role='king'") == ["bad-request"]
    assert listed(den, "alice", "affiliation='king'") == ["bad-request"]
    assert listed(den, "alice", "") == ["bad-request"]
    assert den.ask(den.guest("alice"), "get", f"<query xmlns='{MUC}#admin'/>") == ["iq error bad-request"]


def test_an_item_may_name_its_occupant() -> None:
    den = Den()
    alice, _ = den.full("bob", **OPEN)
    den.admin(alice, "affiliation='member' nick='bo'")
    assert listed(den, "alice", "affiliation='member'") == ["affiliation='member' jid='bob@a.example'"]
