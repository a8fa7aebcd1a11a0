"""What follows from a change of the roster, for accounts that are in memory: rows, pushes, stanzas."""

from __future__ import annotations

import re

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.stanza import Presence
from quietwire.core.xml import build
from quietwire.server.contacts import Contacts
from quietwire.server.roster import MAX_ITEMS, MAX_PENDING, MAX_REQUEST, Contact, Subscription
from quietwire.testing.services import Client, House

ALICE = parse_jid("alice@a.example")
BOB = parse_jid("bob@b.example")
REQUEST = b"<presence from='bob@b.example' to='alice@a.example' type='subscribe'/>"


def world(*contacts: Contact) -> tuple[House, Client, Client]:
    """alice with a phone that has the roster and is available, and a desk that is neither."""
    house = House()
    house.add("alice@a.example", *contacts)
    desk = house.log_in("alice@a.example/desk")
    phone = house.log_in("alice@a.example/phone", interested=True, available=True)
    desk.take()
    return house, phone, desk


def contacts(house: House) -> Contacts:
    return Contacts(house, house.store)


class Push(str):
    """A push with whatever version; versions are tested in `test_roster.py`."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.sub(r" ver='[0-9a-f]{32}'", "", other) == str(self)


def push(number: int, item: str) -> str:
    query = f"<query xmlns='jabber:iq:roster'>{item}</query>"
    return Push(f"<iq to='alice@a.example/phone' type='set' id='push{number}'>{query}</iq>")


def item(attributes: str) -> str:
    return f"<item jid='bob@b.example' {attributes}/>"


def from_bob(type: str) -> str:
    return f"<presence from='bob@b.example' to='alice@a.example' type='{type}'/>"


def to_bob(type: str) -> str:
    return f"<presence from='alice@a.example' to='bob@b.example' type='{type}'/>"


SHOWN = "<presence from='alice@a.example/phone' to='bob@b.example'/>"
GONE = "<presence from='alice@a.example/phone' to='bob@b.example' type='unavailable'/>"


def out(house: House, type: str) -> None:
    contacts(house).outbound(house.loaded[ALICE], Presence.make(to=BOB, from_=ALICE, type=type))


def come(house: House, type: str) -> None:
    contacts(house).inbound(house.loaded[ALICE], Presence.make(to=ALICE, from_=BOB, type=type))


def test_a_new_item_is_stored_and_pushed_to_interested_sessions_only() -> None:
    house, phone, desk = world()
    contacts(house).set_item(house.loaded[ALICE], BOB, "Bob", ("Friends",))
    assert house.stored(ALICE).get(BOB) == Contact(BOB, name="Bob", groups=("Friends",))
    assert phone.take() == [
        push(1, "<item jid='bob@b.example' subscription='none' name='Bob'><group>Friends</group></item>")
    ]
    assert desk.take() == []
    assert house.take_remote() == []


def test_an_update_keeps_the_subscription_and_its_push_has_another_id() -> None:
    house, phone, _ = world(Contact(BOB, name="B", subscription="both"))
    contacts(house).set_item(house.loaded[ALICE], BOB, "Bob", ())
    contacts(house).set_item(house.loaded[ALICE], BOB, "", ())
    assert phone.take() == [
        push(1, item("subscription='both' name='Bob'")),
        push(2, item("subscription='both'")),
    ]
    assert house.stored(ALICE).get(BOB) == Contact(BOB, subscription="both")


def test_a_stranger_who_asked_becomes_an_item_and_the_request_stays() -> None:
    house, phone, _ = world(Contact(BOB, pending_in=REQUEST, listed=False))
    phone.take()
    contacts(house).set_item(house.loaded[ALICE], BOB, "Bob", ())
    assert house.stored(ALICE).get(BOB) == Contact(BOB, name="Bob", pending_in=REQUEST)


def test_a_full_roster_takes_no_more_items_but_updates() -> None:
    many = [Contact(parse_jid(f"u{i}@b.example")) for i in range(MAX_ITEMS - 1)]
    house, _, _ = world(Contact(BOB), *many)
    account = house.loaded[ALICE]
    carol = parse_jid("carol@b.example")
    contacts(house).set_item(account, BOB, "Bob", ())
    with pytest.raises(StanzaError) as refused:
        contacts(house).set_item(account, carol, "", ())
    assert (refused.value.condition, refused.value.type) == ("resource-constraint", "cancel")
    with pytest.raises(StanzaError):
        contacts(house).outbound(account, Presence.make(to=carol, from_=ALICE, type="subscribe"))
    assert house.take_remote() == []
    assert account.roster.get(carol) is None


@pytest.mark.parametrize(
    ("contact", "sent"),
    [
        (Contact(BOB), []),
        (Contact(BOB, ask=True), [to_bob("unsubscribe")]),
        (Contact(BOB, subscription="to"), [to_bob("unsubscribe")]),
        (Contact(BOB, pending_in=REQUEST), [to_bob("unsubscribed")]),
        (Contact(BOB, subscription="from"), [GONE, to_bob("unsubscribed")]),
        (Contact(BOB, subscription="from", ask=True), [GONE, to_bob("unsubscribed"), to_bob("unsubscribe")]),
        (Contact(BOB, subscription="both"), [GONE, to_bob("unsubscribed"), to_bob("unsubscribe")]),
    ],
)
def test_removing_an_item_ends_what_there_was(contact: Contact, sent: list[str]) -> None:
    house, phone, _ = world(contact)
    phone.take()
    contacts(house).remove(house.loaded[ALICE], BOB)
    assert house.stored(ALICE).get(BOB) is None
    assert house.loaded[ALICE].roster.get(BOB) is None
    assert phone.take() == [push(1, item("subscription='remove'"))]
    assert house.take_remote() == sent


@pytest.mark.parametrize("known", [[], [Contact(BOB, pending_in=REQUEST, listed=False)]])
def test_what_is_no_item_cannot_be_removed(known: list[Contact]) -> None:
    house, _, _ = world(*known)
    with pytest.raises(StanzaError) as refused:
        contacts(house).remove(house.loaded[ALICE], BOB)
    assert refused.value.condition == "item-not-found"
    assert len(house.stored(ALICE)) == len(known)


def test_asking_for_a_subscription_makes_an_item() -> None:
    house, phone, _ = world()
    out(house, "subscribe")
    assert phone.take() == [push(1, item("subscription='none' ask='subscribe'"))]
    assert house.take_remote() == [to_bob("subscribe")]
    assert house.stored(ALICE).get(BOB) == Contact(BOB, ask=True)
    out(house, "subscribe")  # again: it may have been lost; nothing changes here
    assert phone.take() == []
    assert house.take_remote() == [to_bob("subscribe")]


def test_unsubscribing_from_nobody_is_routed_and_makes_no_item() -> None:
    house, phone, _ = world()
    out(house, "unsubscribe")
    assert house.take_remote() == [to_bob("unsubscribe")]
    assert phone.take() == []
    assert len(house.stored(ALICE)) == 0


def test_an_approval_goes_out_before_the_presence_it_allows() -> None:
    house, phone, _ = world(Contact(BOB, pending_in=REQUEST, listed=False))
    phone.take()
    out(house, "subscribed")
    assert phone.take() == [push(1, item("subscription='from'"))]
    assert house.take_remote() == [to_bob("subscribed"), SHOWN]
    assert house.stored(ALICE).get(BOB) == Contact(BOB, subscription="from")


def test_a_denied_stranger_leaves_nothing_behind() -> None:
    house, phone, _ = world(Contact(BOB, pending_in=REQUEST, listed=False))
    phone.take()
    out(house, "unsubscribed")
    assert phone.take() == []
    assert house.take_remote() == [to_bob("unsubscribed")]
    assert len(house.stored(ALICE)) == len(house.loaded[ALICE].roster) == 0


def test_a_withdrawn_subscription_ends_with_unavailable_and_forgets_directed_presence() -> None:
    house, phone, _ = world(Contact(BOB, subscription="both"))
    phone.session.directed = {parse_jid("bob@b.example/x"), parse_jid("room@c.example/n")}
    out(house, "unsubscribed")
    assert phone.take() == [push(1, item("subscription='to'"))]
    assert house.take_remote() == [GONE, to_bob("unsubscribed")]
    assert phone.session.directed == {parse_jid("room@c.example/n")}


def test_an_approval_before_the_request_is_noted_and_not_routed() -> None:
    house, phone, _ = world()
    out(house, "subscribed")
    assert phone.take() == [push(1, item("subscription='none' approved='true'"))]
    assert house.take_remote() == []
    assert house.stored(ALICE).get(BOB) == Contact(BOB, approved=True)
    come(house, "subscribe")
    assert phone.take() == [push(2, item("subscription='from'"))]
    assert house.take_remote() == [to_bob("subscribed"), SHOWN]


def test_an_approval_taken_back_is_only_an_item() -> None:
    house, phone, _ = world(Contact(BOB, approved=True))
    out(house, "unsubscribed")
    assert phone.take() == [push(1, item("subscription='none'"))]
    assert house.take_remote() == []
    assert house.stored(ALICE).get(BOB) == Contact(BOB)


def test_a_request_is_kept_whole_and_goes_to_available_sessions() -> None:
    house, phone, desk = world()
    greeting = build("{jabber:client}status", text="It's me")
    request = Presence.make(to=ALICE, from_=BOB, type="subscribe", id="q", children=(greeting,))
    contacts(house).inbound(house.loaded[ALICE], request)
    data = (
        "<presence from='bob@b.example' to='alice@a.example' type='subscribe' id='q'>"
        "<status>It's me</status></presence>"
    )
    assert phone.take() == [data]
    assert desk.take() == []
    assert house.stored(ALICE).get(BOB) == Contact(BOB, pending_in=data.encode(), listed=False)
    come(house, "subscribe")
    assert phone.take() == []
    assert house.take_remote() == []


def test_of_a_long_request_only_the_addresses_are_kept() -> None:
    house, _, _ = world()
    status = build("{jabber:client}status", text="x" * MAX_REQUEST)
    request = Presence.make(to=ALICE, from_=BOB, type="subscribe", children=(status,))
    contacts(house).inbound(house.loaded[ALICE], request)
    assert house.stored(ALICE).get(BOB) == Contact(BOB, pending_in=REQUEST, listed=False)


def test_strangers_requests_are_bounded_and_those_of_contacts_are_not_counted() -> None:
    strangers = [Contact(parse_jid(f"u{i}@d{i}.example"), pending_in=REQUEST, listed=False) for i in range(MAX_PENDING)]
    house, phone, _ = world(*strangers)
    phone.take()
    come(house, "subscribe")
    assert phone.take() == [from_bob("subscribe")]
    stored = house.stored(ALICE)
    assert (len(stored), BOB in stored.contacts) == (MAX_PENDING, True), "one other has given way"
    contacts(house).set_item(house.loaded[ALICE], BOB, "", ())
    assert len(house.stored(ALICE)) == MAX_PENDING


def test_an_answer_goes_to_interested_sessions_then_the_push() -> None:
    house, phone, desk = world(Contact(BOB, ask=True))
    desk.presence()
    desk.take(), phone.take()
    come(house, "subscribed")
    assert phone.take() == [from_bob("subscribed"), push(1, item("subscription='to'"))]
    assert desk.take() == []
    assert house.stored(ALICE).get(BOB) == Contact(BOB, subscription="to")


def test_a_refusal_clears_the_request() -> None:
    house, phone, _ = world(Contact(BOB, ask=True))
    come(house, "unsubscribed")
    assert phone.take() == [from_bob("unsubscribed"), push(1, item("subscription='none'"))]


def test_a_contact_who_unsubscribes_is_told_that_the_user_is_gone() -> None:
    house, phone, _ = world(Contact(BOB, subscription="both"))
    come(house, "unsubscribe")
    assert phone.take() == [from_bob("unsubscribe"), push(1, item("subscription='to'"))]
    assert house.take_remote() == [GONE]


def test_a_stranger_who_takes_the_request_back_leaves_nothing() -> None:
    house, phone, _ = world(Contact(BOB, pending_in=REQUEST, listed=False))
    phone.take()
    come(house, "unsubscribe")
    assert phone.take() == [from_bob("unsubscribe")]
    assert len(house.stored(ALICE)) == len(house.loaded[ALICE].roster) == 0


@pytest.mark.parametrize("subscription", ["from", "both"])
def test_a_subscriber_who_asks_again_is_answered_for_the_user(subscription: Subscription) -> None:
    house, phone, _ = world(Contact(BOB, subscription=subscription))
    come(house, "subscribe")
    assert phone.take() == []
    assert house.take_remote() == [to_bob("subscribed"), SHOWN]


@pytest.mark.parametrize("type", ["subscribed", "unsubscribe", "unsubscribed"])
def test_answers_that_nobody_asked_for_are_dropped(type: str) -> None:
    house, phone, _ = world()
    come(house, type)
    assert phone.take() == house.take_remote() == []
    assert len(house.stored(ALICE)) == len(house.loaded[ALICE].roster) == 0


def test_every_session_that_is_available_is_announced() -> None:
    house, phone, desk = world(Contact(BOB, pending_in=REQUEST))
    desk.presence()
    house.take_remote(), phone.take()
    out(house, "subscribed")
    desk_shown = SHOWN.replace("/phone", "/desk")
    assert sorted(house.take_remote()) == sorted([to_bob("subscribed"), SHOWN, desk_shown])


def test_two_accounts_of_one_server_subscribe_to_each_other() -> None:
    house = House()
    house.add("alice@a.example"), house.add("carol@a.example")
    alice = house.log_in("alice@a.example/x", interested=True, available=True)
    carol = house.log_in("carol@a.example/y", interested=True, available=True)

    def subscription(one: JID, other: JID) -> Contact | None:
        return house.stored(one).get(other)

    alice.presence("carol@a.example/anything", "subscribe")
    assert carol.take() == ["<presence from='alice@a.example' to='carol@a.example' type='subscribe'/>"]
    carol.presence("alice@a.example", "subscribed")
    carol.presence("alice@a.example", "subscribe")
    alice.presence("carol@a.example", "subscribed")
    carol_jid = parse_jid("carol@a.example")
    assert subscription(ALICE, carol_jid) == Contact(carol_jid, subscription="both")
    assert subscription(carol_jid, ALICE) == Contact(ALICE, subscription="both")
    assert "<presence from='alice@a.example/x' to='carol@a.example'/>" in carol.take()
    assert "<presence from='carol@a.example/y' to='alice@a.example'/>" in alice.take()
