from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import Later, drive
from quietwire.seal.wraps import SealError
from quietwire.server.account import Account, Session
from quietwire.server.accounts import CREDENTIALS, TABLE, Accounts
from quietwire.server.roster import Contact, encode
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import StorageError
from quietwire.testing.assembly import Slow
from quietwire.testing.services import Inbox

ALICE, BOB = parse_jid("alice@a.example"), parse_jid("bob@a.example")


def iterations(record: bytes) -> int:
    if record == b"damaged":
        raise SealError("damaged credentials")
    return int(record)


class Home:
    def __init__(self, **records: bytes) -> None:
        numbers = count(1)
        self.storage = MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))
        self.slow = Slow(self.storage)
        for name, record in records.items():
            self.put(f"{name}@a.example", record)
        self.accounts = Accounts(self.slow, iterations, 7)
        drive(self.accounts.open(), self.check)

    def put(self, name: str, record: bytes) -> None:
        self.storage.put(TABLE, name.encode(), CREDENTIALS, record)

    @staticmethod
    def check(value: object, error: BaseException | None) -> None:
        if error is not None:
            raise error


def test_knows_who_exists() -> None:
    home = Home(alice=b"5", bob=b"9", carol=b"9")
    assert home.accounts.exists(ALICE)
    assert not home.accounts.exists(parse_jid("dave@a.example"))
    assert home.accounts.iterations == 9
    assert Home().accounts.iterations == 7


def test_a_damaged_record_costs_nobody_else_anything() -> None:
    home = Home(alice=b"damaged", bob=b"5")
    assert home.accounts.exists(ALICE)
    assert home.accounts.exists(BOB)
    assert home.accounts.iterations == 5


def test_changes() -> None:
    home = Home(alice=b"5")
    for _ in range(3):  # new passwords of one account are not many accounts
        home.put(ALICE.text, b"8")
        drive(home.accounts.changed(ALICE), home.check)
    assert home.accounts.iterations == 8
    home.put(BOB.text, b"6")
    drive(home.accounts.changed(BOB), home.check)
    assert home.accounts.exists(BOB)
    home.storage.erase(ALICE.text.encode())
    drive(home.accounts.changed(ALICE), home.check)
    assert (home.accounts.exists(ALICE), home.accounts.iterations) == (False, 6)


def test_an_account_exists_while_its_new_password_is_read() -> None:
    home = Home(alice=b"5")
    home.slow.held = True
    drive(home.accounts.changed(ALICE), home.check)
    assert home.accounts.exists(ALICE)
    home.slow.release()
    assert home.accounts.exists(ALICE)


def test_one_object_while_a_session_lives() -> None:
    home, found = Home(alice=b"5"), list[Any]()
    home.storage.put("roster", b"alice@a.example", *encode(Contact(BOB)))
    login = Login(home)
    home.slow.held = True
    login.step.resolve(None)
    login.begin().begin()
    drive(home.accounts.load(ALICE), lambda value, error: found.append(value))
    assert (found[0].away, len(found[0].roster)) == (True, 0)  # as long as it is not in memory
    assert login.outcome == []
    home.slow.release()
    account = home.accounts.loaded[ALICE]
    assert login.outcome == [account, account]
    assert (account.away, account.roster.get(BOB)) == (False, Contact(BOB))
    account.sessions["x"] = Session(ALICE.with_resource("x"), account, Inbox())
    drive(home.accounts.load(ALICE), lambda value, error: found.append(value))
    assert found[1] is account
    home.accounts.release(account)
    assert ALICE in home.accounts.loaded
    del account.sessions["x"]
    home.accounts.release(account)
    assert ALICE not in home.accounts.loaded


def test_unknown_and_unreadable() -> None:
    home, outcome = Home(alice=b"5"), []
    drive(home.accounts.load(BOB), lambda value, error: outcome.append((value, error)))
    assert outcome == [(None, None)]
    home.storage.close()
    assert [type(each) for each in Login(home).begin().outcome] == [StorageError]
    with pytest.raises(StorageError):
        drive(home.accounts.credentials(ALICE), home.check)


def test_a_damaged_roster_fails_everybody_who_waits_for_it() -> None:
    home = Home(alice=b"4096")
    home.storage.put("roster", b"alice@a.example", b"bob@b.example", b"damaged")
    home.slow.held = True
    login = Login(home).begin().begin()
    home.slow.release()
    assert [type(error) for error in login.outcome] == [ValueError, ValueError]


class Login:
    """Prepares the account; `step` lets its work end."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.works = 0
        self.step: Later[None] = Later()
        self.outcome: list[object] = []

    async def work(self, account: Account) -> None:
        self.works += 1
        await self.step

    def begin(self) -> Login:
        def done(value: Account | None, error: BaseException | None) -> None:
            self.outcome.append(error or (self.home.accounts.hold(value) if value is not None else None))

        drive(self.home.accounts.prepare(ALICE, self.work), done)
        return self


def test_two_logins_at_once_are_one_account_prepared_once() -> None:
    home = Home(alice=b"5")
    login = Login(home).begin().begin()
    assert login.outcome == []
    login.step.resolve(None)
    account = home.accounts.loaded[ALICE]
    assert (login.works, login.outcome) == (1, [account, account])
    login.begin()
    assert (login.works, login.outcome[2]) == (1, account)


def test_an_account_that_is_deleted_while_its_first_session_is_made() -> None:
    home = Home(alice=b"5")
    login = Login(home).begin()
    home.storage.erase(ALICE.text.encode())
    drive(home.accounts.changed(ALICE), home.check)
    login.step.resolve(None)
    assert login.outcome == [None]


def test_work_that_fails_fails_everybody_who_waits_for_it_and_may_be_tried_again() -> None:
    home = Home(alice=b"5")
    login = Login(home).begin().begin()
    login.step.fail(StorageError("broken"))
    assert [type(each) for each in login.outcome] == [StorageError, StorageError]
    assert home.accounts.loaded == {}
    again = Login(home).begin()
    again.step.resolve(None)
    assert again.outcome == [home.accounts.loaded[ALICE]]
