from __future__ import annotations

import hashlib
from itertools import count

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import drive
from quietwire.server.invitations import MAX_PENDING, TABLE, Invitation, InvitationError, Invitations
from quietwire.store.memory import MemoryStorage

DOMAIN, ALICE, BOB = map(parse_jid, ("a.example", "alice@a.example", "bob@a.example"))
DAY = 86_400


class Office:
    def __init__(self) -> None:
        numbers = count(1)
        self.now = 100 * DAY + 5_000.0
        self.randomness = lambda size: hashlib.shake_256(next(numbers).to_bytes(8, "big")).digest(size)
        self.storage = MemoryStorage(self.randomness)
        self.invitations = self.start()

    def start(self) -> Invitations:
        made = Invitations(DOMAIN, self.storage, lambda: self.now, self.randomness, "https://a.example")
        assert drive(made.open(), lambda _, error: None)
        return made

    def make(self, inviter: str = "alice@a.example", **facts: object) -> str:
        values: dict[str, object] = {"days": 7, "register": True, "contact": True, **facts}
        token, _ = self.invitations.make(parse_jid(inviter), **values)  # type: ignore[arg-type]
        return token


def test_a_token_is_good_until_it_is_used_and_survives_a_restart() -> None:
    office = Office()
    token = office.make()
    assert len(token) == 24
    assert token.isalnum()
    office.invitations = office.start()
    assert office.invitations.find(token.upper()) == Invitation(ALICE, 108 * DAY, True, True)
    assert office.invitations.take(token) is not None
    assert office.invitations.take(token) is None
    assert office.invitations.find(token) is None
    office.invitations.release(token)
    assert office.invitations.take(token) is not None
    office.invitations.done(token)
    assert office.invitations.find(token) is None
    assert office.start().listed() == []


def test_the_store_has_no_token_and_no_moment() -> None:
    office = Office()
    token = office.make(name="carol")
    [(key, value)] = office.storage.scan(TABLE, b"alice@a.example").result()
    assert token.encode() not in key + value
    assert key == hashlib.sha256(token.encode()).digest()
    assert Invitation.decode(b"alice@a.example", value).expires % DAY == 0
    with pytest.raises(ValueError, match="version"):
        Invitation.decode(b"alice@a.example", b"\x02{}")


def test_an_invitation_ends() -> None:
    office = Office()
    token = office.make(days=1)
    office.now = 102 * DAY - 1
    assert office.invitations.find(token) is not None
    office.now = 102 * DAY
    assert office.invitations.find(token) is None
    assert office.invitations.take(token) is None
    assert office.invitations.take(token, late=True) is not None
    office.invitations.expire()  # somebody is using it
    assert office.storage.scan(TABLE, b"alice@a.example").result()
    office.invitations.release(token)
    office.invitations.expire()
    assert office.storage.scan(TABLE, b"alice@a.example").result() == []


def test_a_name_is_promised_once() -> None:
    office = Office()
    token = office.make(name="Carol")
    assert office.invitations.reserved("carol")
    with pytest.raises(InvitationError, match="promised"):
        office.make("bob@a.example", name="carol")
    with pytest.raises(InvitationError, match="not a name"):
        office.make(name="a b@c")
    office.invitations.done(token)
    assert not office.invitations.reserved("carol")


def test_one_account_has_so_many_open_and_an_administrator_more() -> None:
    office = Office()
    for _ in range(MAX_PENDING):
        office.make()
    with pytest.raises(InvitationError, match="at most"):
        office.make()
    office.make(unlimited=True)
    office.make("bob@a.example")
    office.now += 9 * DAY
    office.make()


def test_they_go_with_their_account() -> None:
    office = Office()
    gone, kept = office.make(), office.make("bob@a.example")
    office.invitations.erased(ALICE)
    assert office.invitations.find(gone) is None
    assert office.invitations.find(kept) is not None


def test_they_can_be_listed_and_withdrawn() -> None:
    office = Office()
    office.make()
    office.make("bob@a.example", days=1)
    [(handle, first), (_, second)] = office.invitations.listed()
    assert (first.inviter, second.inviter) == (BOB, ALICE)
    assert [one.inviter for _, one in office.invitations.listed(ALICE)] == [ALICE]
    assert office.invitations.revoke(handle) == 1
    assert office.invitations.revoke(handle) == 0
    assert [one.inviter for _, one in office.invitations.listed()] == [ALICE]


def test_addresses() -> None:
    office = Office()
    invitations = office.invitations
    for facts, uri in (
        ({}, "xmpp:alice@a.example?roster;preauth=TOKEN;ibr=y"),
        ({"register": False}, "xmpp:alice@a.example?roster;preauth=TOKEN"),
        ({"name": "carol"}, "xmpp:carol@a.example?register;preauth=TOKEN"),
        ({"contact": False}, "xmpp:a.example?register;preauth=TOKEN"),
    ):
        found = invitations.find(office.make(**facts))
        assert found is not None
        assert invitations.uri("TOKEN", found) == uri
    found = invitations.find(office.make("a#b@a.example"))
    assert found is not None
    assert invitations.uri("T", found).startswith("xmpp:a%23b@a.example?roster")
    assert invitations.landing("TOKEN") == "https://a.example/invite/TOKEN"
    invitations.web = ""
    assert invitations.landing("TOKEN") == ""
