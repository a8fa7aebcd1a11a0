from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import count
from typing import Any, cast

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import drive
from quietwire.server.invitations import MAX_PENDING, TABLE, Invitation, InvitationError, Invitations, Open, adopted
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import Store

DOMAIN, ALICE, BOB = map(parse_jid, ("a.example", "alice@a.example", "bob@a.example"))
DAY = 86_400


def hashed(name: bytes) -> bytes:
    return hashlib.sha256(name).digest()[:16]


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


def test_the_store_has_no_token_no_moment_and_no_name() -> None:
    office = Office()
    token = office.make(name="carol")
    [(key, value)] = office.storage.scan(TABLE, b"alice@a.example").result()
    assert key == hashlib.sha256(token.encode()).digest()
    for word in (token.encode(), b"alice", b"carol"):
        assert word not in key + value
    kept = Open.read(b"alice@a.example", value, hashed)
    assert kept.expires % DAY == 0
    assert kept.opened(token) == Invitation(ALICE, 108 * DAY, True, True, "carol")
    assert kept.opened("another") is None


@pytest.mark.parametrize("value", [b"", b"\x03" + bytes(40), b"\x02abc", b"\x01{", b"\x02" + bytes(5)])
def test_rows_that_cannot_be_read_are_left_alone(value: bytes) -> None:
    office = Office()
    token = office.make()
    office.storage.put(TABLE, b"bob@a.example", bytes(32), value)
    with pytest.raises(ValueError, match=r"."):
        Open.read(b"bob@a.example", value, hashed)
    office.invitations = office.start()
    assert len(office.invitations.listed()) == 1
    assert office.invitations.find(token) is not None


def test_a_box_that_was_changed_is_no_invitation() -> None:
    office = Office()
    token = office.make()
    [(key, value)] = office.storage.scan(TABLE, b"alice@a.example").result()
    office.storage.put(TABLE, b"alice@a.example", key, value[:-1] + bytes((value[-1] ^ 1,)))
    office.invitations = office.start()
    assert office.invitations.find(token) is None
    assert office.invitations.take(token) is None


def test_who_has_handles_in_the_place_of_owners() -> None:
    """As the sealed store has: what there is can be counted, and deleted, for an inviter whose name is not known."""

    class Blind(Office):
        def start(self) -> Invitations:
            handle = self.handle
            made = Invitations(
                DOMAIN, cast(Store, Handles(self.storage, handle)), lambda: self.now, self.randomness, handle=handle
            )
            assert drive(made.open(), lambda _, error: None)
            return made

        def handle(self, owner: bytes) -> bytes:
            return b"\0#" + hashlib.sha256(owner).digest()

    class Handles:
        def __init__(self, store: MemoryStorage, handle: Callable[[bytes], bytes]) -> None:
            self._store, self._handle = store, handle

        def _name(self, owner: bytes) -> bytes:
            return owner if owner.startswith(b"\0#") else self._handle(owner)

        def owners(self, table: str) -> Any:
            return self._store.owners(table)

        def scan(self, table: str, owner: bytes) -> Any:
            return self._store.scan(table, self._name(owner))

        def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Any:
            return self._store.put(table, self._name(owner), key, value)

        def delete(self, table: str, owner: bytes, key: bytes) -> Any:
            return self._store.delete(table, self._name(owner), key)

    office = Blind()
    tokens = [office.make(name="carol"), office.make("a.example"), office.make("bob@a.example")]
    office.invitations = again = office.start()
    assert len(again.listed(ALICE)) == 1
    assert again.reserved("carol")
    assert [again.operators(one) for _, one in again.listed()].count(True) == 1
    again.erased(BOB)
    assert again.find(tokens[2]) is None
    for token in tokens[:2]:
        again.done(token)
    assert [len(office.storage.scan(TABLE, owner).result()) for owner in office.storage.owners(TABLE).result()] == [1]


def test_those_from_before_the_sealed_store_are_good_until_they_end() -> None:
    office = Office()
    old = b'\x01{"expires":%d,"register":true,"contact":true,"name":"carol"}' % (108 * DAY)
    token = "a" * 24
    key = hashlib.sha256(token.encode()).digest()
    office.storage.put(TABLE, b"alice@a.example", key, adopted(b"alice@a.example", old))
    office.invitations = office.start()
    assert office.invitations.find(token) == Invitation(ALICE, 108 * DAY, True, True, "carol")
    assert office.invitations.reserved("carol")
    office.now += 9 * DAY
    office.invitations.expire()
    assert office.storage.scan(TABLE, b"alice@a.example").result() == []


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
    assert (first.owner, second.owner) == (b"bob@a.example", b"alice@a.example")
    assert [one for _, one in office.invitations.listed(ALICE)] == [second]
    assert office.invitations.revoke(handle) == 1
    assert office.invitations.revoke(handle) == 0
    assert [one for _, one in office.invitations.listed()] == [second]


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
