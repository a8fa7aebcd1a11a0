from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.xml import serialise
from quietwire.server.roster import Contact, Roster, decode, encode

BOB = parse_jid("bob@b.example")
ROSTER_DEFAULT = ns.ROSTER

FULL = Contact(
    BOB,
    name="Bob & <Co>",
    groups=("Friends", "Ümläute"),
    subscription="from",
    ask=True,
    pending_in="<presence type='subscribe'><status>grüß dich</status></presence>".encode(),
    approved=True,
    listed=False,
)


@pytest.mark.parametrize(
    "contact",
    [Contact(BOB), FULL, Contact(BOB, subscription="both"), Contact(BOB, pending_in=b"<presence/>", listed=False)],
)
def test_a_row_gives_back_the_contact(contact: Contact) -> None:
    assert decode(*encode(contact)) == contact


def test_a_row_has_the_address_as_key_and_leaves_out_what_is_empty() -> None:
    assert encode(Contact(BOB)) == (b"bob@b.example", b'\x01{"subscription":"none"}')


@pytest.mark.parametrize("value", [b"", b"\x02{}", b'{"subscription":"none"}'])
def test_a_row_of_another_version_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="version"):
        decode(b"bob@b.example", value)


def test_a_roster_is_read_from_its_rows() -> None:
    carol = Contact(parse_jid("carol@c.example"), listed=False, pending_in=b"<presence/>")
    roster = Roster.from_rows([encode(Contact(BOB, name="Bob")), encode(carol)])
    assert len(roster) == 2
    assert roster.get(BOB) == Contact(BOB, name="Bob")
    assert roster.get(parse_jid("dave@d.example")) is None
    assert {contact.jid.text for contact in roster} == {"bob@b.example", "carol@c.example"}


def test_a_strangers_request_is_no_item() -> None:
    roster = Roster([Contact(BOB), Contact(parse_jid("carol@c.example"), listed=False, pending_in=b"<presence/>")])
    assert [contact.jid for contact in roster.items()] == [BOB]


@pytest.mark.parametrize(
    ("contact", "item"),
    [
        (Contact(BOB), "<item jid='bob@b.example' subscription='none'/>"),
        (
            Contact(BOB, name="B", groups=("x", "y"), ask=True),
            "<item jid='bob@b.example' subscription='none' name='B' ask='subscribe'>"
            "<group>x</group><group>y</group></item>",
        ),
        (
            Contact(BOB, subscription="to", approved=True),
            "<item jid='bob@b.example' subscription='to' approved='true'/>",
        ),
        (Contact(BOB, subscription="to", pending_in=b"<presence/>"), "<item jid='bob@b.example' subscription='to'/>"),
    ],
)
def test_an_item_shows_all_but_the_pending_request(contact: Contact, item: str) -> None:
    assert serialise(contact.item(), ROSTER_DEFAULT).decode() == item


@pytest.mark.parametrize(
    ("subscription", "sees_user", "seen_by_user"),
    [("none", False, False), ("to", False, True), ("from", True, False), ("both", True, True)],
)
def test_who_sees_whom(subscription: str, sees_user: bool, seen_by_user: bool) -> None:
    contact = Contact(BOB, subscription=subscription)  # type: ignore[arg-type]
    assert (contact.sees_user, contact.seen_by_user) == (sees_user, seen_by_user)


def test_a_version_is_the_same_for_the_same_items_in_any_order() -> None:
    one = Roster([Contact(BOB, name="Bob"), Contact(parse_jid("carol@c.example"))])
    other = Roster([Contact(parse_jid("carol@c.example")), Contact(BOB, name="Bob")])
    assert one.version == other.version
    assert len(one.version) == 32
    assert Roster().version == "0" * 32


def test_a_version_follows_every_change_that_shows() -> None:
    bob = Contact(BOB)
    roster = Roster([bob])
    seen = [roster.version]

    def change(**fields: object) -> None:
        for name, value in fields.items():
            setattr(bob, name, value)
        roster.changed(bob)
        seen.append(roster.version)

    change(name="Bob")
    change(groups=("F",))
    change(subscription="to")
    change(ask=True)
    change(approved=True)
    change(listed=False)
    assert len(set(seen)) == len(seen)
    assert seen[-1] == Roster().version, "what is no item does not count"
    change(listed=True)
    assert roster.version == Roster([Contact(BOB, "Bob", ("F",), "to", True, approved=True)]).version
    change(pending_in=b"<presence/>")
    assert seen[-1] == seen[-2], "a request without an answer does not show"
    roster.drop(bob)
    assert (roster.version, len(roster)) == (Roster().version, 0)
