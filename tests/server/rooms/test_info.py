"""What rooms and their service say of themselves (XEP-0045 §6)."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SERVICE, Den, elements, said

from quietwire.core.xml import Element
from quietwire.server import forms
from quietwire.testing.assembly import Client

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
RSM = "http://jabber.org/protocol/rsm"
PUBLIC = {**OPEN, "publicroom": "1"}


def asked(guest: Client, to: str, space: str = INFO, node: str = "", inner: str = "") -> Element:
    attribute = f" node='{node}'" if node else ""
    guest.write(f"<iq type='get' id='q' to='{to}'><query xmlns='{space}'{attribute}>{inner}</query></iq>")
    [answer] = elements(guest)
    assert answer.get("type") == "result", [child.tag for child in answer[0]]
    return answer[0]


def features(query: Element) -> set[str]:
    return {feature.get("var", "") for feature in query.findall(f"{{{INFO}}}feature")}


def info(query: Element) -> forms.Fields:
    x = query.find(forms.X)
    assert x is not None
    return forms.read(x, f"{MUC}#roominfo")


def items(query: Element) -> list[tuple[str, str | None]]:
    return [(item.get("jid", ""), item.get("name")) for item in query.findall(f"{{{ITEMS}}}item")]


def test_the_service_is_found() -> None:
    den = Den()
    alice = den.guest("alice")
    assert items(asked(alice, "a.example", ITEMS)) == [(SERVICE, "Rooms")]
    query = asked(alice, SERVICE)
    assert query[0].attrib == {"category": "conference", "type": "text", "name": "Rooms"}
    assert {MUC, f"{MUC}#stable_id", "urn:xmpp:occupant-id:0", "vcard-temp"} <= features(query)


def test_only_public_rooms_are_listed() -> None:
    den = Den()
    alice = den.make(roomname="The Den", **PUBLIC)
    den.enter("alice", room=f"locked@{SERVICE}")
    hidden = f"hidden@{SERVICE}"
    den.enter("alice", room=hidden)
    den.quiet()
    alice.write(
        f"<iq type='set' id='c' to='{hidden}'><query xmlns='{MUC}#owner'>"
        "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
    )
    den.quiet()
    assert items(asked(den.guest("bob"), SERVICE, ITEMS)) == [(ROOM, "The Den")]


def test_long_lists_come_in_pages() -> None:
    den = Den(public=True, members_only=False)
    alice = den.guest("alice")
    for n in range(5):
        room = f"r{n}@{SERVICE}"
        den.enter("alice", room=room)
        alice.write(
            f"<iq type='set' id='c' to='{room}'><query xmlns='{MUC}#owner'>"
            "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
        )
    den.quiet()
    first = asked(alice, SERVICE, ITEMS, inner=f"<set xmlns='{RSM}'><max>2</max></set>")
    assert [jid for jid, _ in items(first)] == [f"r0@{SERVICE}", f"r1@{SERVICE}"]
    assert first.findtext(f"{{{RSM}}}set/{{{RSM}}}count") == "5"
    after = asked(alice, SERVICE, ITEMS, inner=f"<set xmlns='{RSM}'><max>9</max><after>r3@{SERVICE}</after></set>")
    assert [jid for jid, _ in items(after)] == [f"r4@{SERVICE}"]
    end = asked(alice, SERVICE, ITEMS, inner=f"<set xmlns='{RSM}'><after>r9@{SERVICE}</after></set>")
    assert items(end) == []


def test_a_room_says_what_it_is() -> None:
    den = Den()
    alice = den.make(roomname="The Den", roomdesc="Cats", lang="en", slow_mode_duration="5", **PUBLIC)
    alice.write(f"<message type='groupchat' to='{ROOM}'><subject>Mice</subject></message>")
    den.quiet()
    query = asked(alice, ROOM)
    assert query[0].attrib == {"category": "conference", "type": "text", "name": "The Den"}
    assert {
        "muc_public", "muc_open", "muc_unmoderated", "muc_nonanonymous", "muc_unsecured", "muc_temporary",
        f"{MUC}#self-ping-optimization", "urn:xmpp:mam:2", "urn:xmpp:message-moderate:1", "urn:xmpp:sid:0",
    } <= features(query)  # fmt: skip
    said_ = info(query)
    assert said_["muc#roominfo_description"] == ("Cats",)
    assert said_["muc#roominfo_subject"] == ("Mice",)
    assert said_["muc#roominfo_occupants"] == ("1",)
    assert said_["muc#roominfo_slow_mode_duration"] == ("5",)
    assert "muc#roominfo_subject" not in info(asked(den.guest("bob"), ROOM))
    den.configure(alice, publicroom="0", membersonly="1", moderatedroom="1", whois="moderators", roomsecret="x")
    den.configure(alice, persistentroom="1", enablearchiving="0")
    den.quiet()
    assert {
        "muc_hidden", "muc_membersonly", "muc_moderated", "muc_semianonymous", "muc_passwordprotected",
        "muc_persistent",
    } <= features(asked(alice, ROOM))  # fmt: skip
    assert "urn:xmpp:mam:2" not in features(asked(alice, ROOM))


@pytest.mark.parametrize("space", [INFO, ITEMS])
def test_strangers_cannot_tell_a_hidden_room_from_none(space: str) -> None:
    den = Den()
    den.make()
    carol = den.guest("carol")
    answers = set()
    for room in (ROOM, f"none@{SERVICE}"):
        carol.write(f"<iq type='get' id='q' to='{room}'><query xmlns='{space}'/></iq>")
        answers.add(carol.take()[0].replace(room, "ROOM"))
    assert len(answers) == 1
    assert "item-not-found" in answers.pop()


def test_a_room_that_is_open_but_not_listed_says_so_without_numbers() -> None:
    den = Den()
    den.make(**OPEN)
    query = asked(den.guest("carol"), ROOM)
    assert "muc_hidden" in features(query)
    assert "muc#roominfo_occupants" not in info(query)
    assert items(asked(den.guest("carol"), ROOM, ITEMS)) == []


def test_occupants_are_listed_to_who_would_see_them() -> None:
    den = Den()
    alice, bob = den.full("bob", moderatedroom="1", **PUBLIC)
    assert items(asked(den.guest("carol"), ROOM, ITEMS)) == [(f"{ROOM}/al", None)]
    assert items(asked(bob, ROOM, ITEMS)) == [(f"{ROOM}/al", None)]
    den.configure(alice, presencebroadcast=["moderator", "participant", "visitor"])
    den.quiet()
    assert items(asked(bob, ROOM, ITEMS)) == [(f"{ROOM}/al", None), (f"{ROOM}/bo", None)]


def test_ones_own_nickname_can_be_found() -> None:
    den = Den()
    alice = den.make()
    assert len(asked(den.guest("bob"), ROOM, node="x-roomuser-item")) == 0
    den.admin(alice, "affiliation='member' jid='bob@a.example' nick='Bob'")
    [identity] = asked(den.guest("bob"), ROOM, node="x-roomuser-item")
    assert identity.attrib == {"category": "conference", "type": "text", "name": "Bob"}


@pytest.mark.parametrize(
    ("to", "space", "node", "condition"),
    [
        (SERVICE, INFO, "x", "item-not-found"),
        (SERVICE, ITEMS, "x", "item-not-found"),
        (ROOM, INFO, "x", "item-not-found"),
        (ROOM, ITEMS, "x", "item-not-found"),
        (ROOM, INFO, f"{MUC}#traffic", "service-unavailable"),
    ],
)
def test_unknown_nodes(to: str, space: str, node: str, condition: str) -> None:
    den = Den()
    alice = den.make()
    alice.write(f"<iq type='get' id='q' to='{to}'><query xmlns='{space}' node='{node}'/></iq>")
    assert said(alice) == [f"iq error {condition}"]
