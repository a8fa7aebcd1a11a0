from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Iq, Presence
from quietwire.server.account import Account
from quietwire.server.roster import Contact
from quietwire.testing.services import House, Inbox

ALICE = parse_jid("alice@a.example")
BOB = parse_jid("bob@b.example")


def test_an_inbox_gives_what_came_since_the_last_look() -> None:
    inbox = Inbox()
    inbox.put(b"<a/>", None)
    inbox.put("<b>ü</b>".encode(), None)
    assert inbox.take() == ["<a/>", "<b>ü</b>"]
    assert inbox.take() == []


def test_sessions_share_their_account_and_the_last_one_takes_it_along() -> None:
    house = House()
    house.add("alice@a.example", Contact(BOB))
    one, two = house.log_in("alice@a.example/1"), house.log_in("alice@a.example/2")
    account = house.account(ALICE)
    assert account is one.session.account is two.session.account
    assert account.roster.get(BOB) == Contact(BOB)
    one.leave()
    assert house.account(ALICE) is account
    two.leave()
    assert house.account(ALICE) is None
    assert house.exists(ALICE)


def test_stanzas_for_others_are_kept_apart() -> None:
    house = House()
    house.send(Presence.make(from_=ALICE, to=BOB))
    iq = Iq.make(type="result", from_=BOB, to=ALICE, id="1")
    house.send(iq)
    assert house.take_remote() == ["<presence from='alice@a.example' to='bob@b.example'/>"]
    assert house.take_remote() == []
    assert house.answers == [iq]


def test_of_an_account_that_is_away_nothing_is_known() -> None:
    house = House()
    house.add("alice@a.example", Contact(BOB))
    seen: list[Account | None] = []

    async def read(bare: str) -> None:
        seen.append(await house.load(parse_jid(bare)))

    house.spawn(read("nobody@a.example"))
    house.spawn(read("alice@a.example"))
    nobody, alice = seen
    assert nobody is None
    assert alice is not None
    assert (alice.away, len(alice.roster)) == (True, 0)
    house.log_in("alice@a.example/x")
    house.spawn(read("alice@a.example"))
    assert seen[2] is house.account(ALICE)
    assert house.loaded[ALICE].roster.get(BOB) == Contact(BOB)


def test_a_failing_coroutine_is_the_tests_failure() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        House().spawn(broken())
