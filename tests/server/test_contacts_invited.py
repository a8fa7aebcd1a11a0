"""Contacts that an invitation makes, and those that an account leaves behind (`server/contacts.py`)."""

from __future__ import annotations

from quietwire.core.jid import parse_jid
from quietwire.server.contacts import Contacts
from quietwire.server.roster import Contact
from quietwire.testing.services import House

BOB = parse_jid("bob@b.example")


def test_who_was_invited_is_a_contact_at_once() -> None:
    house = House()
    house.add("alice@a.example")
    phone = house.log_in("alice@a.example/phone", interested=True, available=True)
    Contacts(house, house.store).befriend(phone.session.account, BOB)
    [push] = phone.take()
    assert "<item jid='bob@b.example' subscription='both'/>" in push
    assert house.take_remote() == ["<presence from='alice@a.example/phone' to='bob@b.example'/>"]
    stored = house.stored(parse_jid("alice@a.example")).get(BOB)
    assert stored is not None
    assert stored.subscription == "both"


def test_a_contact_that_was_asked_is_none_that_waits_any_more() -> None:
    house = House()
    house.add("alice@a.example", Contact(BOB, name="Bob", subscription="from", ask=True))
    phone = house.log_in("alice@a.example/phone", available=True)
    Contacts(house, house.store).befriend(phone.session.account, BOB)
    found = phone.session.account.roster.get(BOB)
    assert found is not None
    assert (found.name, found.subscription, found.ask) == ("Bob", "both", False)
    assert house.take_remote() == []  # he has the presence already


def test_an_account_that_leaves_says_good_bye_to_all_whom_it_knows() -> None:
    house = House()
    contacts = [
        Contact(parse_jid("both@b.example"), subscription="both"),
        Contact(parse_jid("to@b.example"), subscription="to"),
        Contact(parse_jid("from@b.example"), subscription="from"),
        Contact(parse_jid("none@b.example")),
        Contact(parse_jid("asked@b.example"), ask=True),
        Contact(parse_jid("asks@b.example"), pending_in=b"<presence/>", listed=False),
    ]
    house.add("alice@a.example", *contacts)
    phone = house.log_in("alice@a.example/phone", available=True)
    account = phone.session.account
    Contacts(house, house.store).farewell(account)
    sent = [(stanza.to.local, stanza.type) for stanza in house.remote if stanza.to is not None]
    assert sent == [
        ("both", "unavailable"),
        ("both", "unsubscribed"),
        ("both", "unsubscribe"),
        ("to", "unsubscribe"),
        ("from", "unavailable"),
        ("from", "unsubscribed"),
        ("asked", "unsubscribe"),
        ("asks", "unsubscribed"),
    ]
    assert len(account.roster) == 0
    assert phone.take() == []
