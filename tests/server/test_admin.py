from __future__ import annotations

from typing import Any

import pytest

from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import Later, drive
from quietwire.seal.credentials import Credentials
from quietwire.server.accounts import CREDENTIALS, TABLE
from quietwire.server.admin import AccountExists, Admin, AdminError
from quietwire.testing.playbook import Playbook


class Office:
    def __init__(self) -> None:
        self.play = Playbook()
        self.storage = self.play.storage
        self.changed: list[str] = []
        self.admin = Admin(
            domain=self.play.domain,
            storage=self.storage,
            iterations=2,
            randomness=self.play.randomness,
            compute=_compute,
            changed=self._changed,
        )

    async def _changed(self, bare: JID) -> None:
        self.changed.append(bare.text)

    def do(self, coroutine: Any) -> Any:
        return self.play.run(coroutine)

    def iterations(self, name: str) -> int:
        outcome: list[bytes | None] = [self.storage.get(TABLE, f"{name}@a.example".encode(), CREDENTIALS).result()]
        assert outcome[0] is not None
        return Credentials.from_bytes(outcome[0], parse_jid(f"{name}@a.example")).verifier("SCRAM-SHA-1").iterations


def _compute(work: Any) -> Later[Any]:
    later: Later[Any] = Later()
    try:
        later.resolve(work())
    except Exception as error:
        later.fail(error)
    return later


def test_add_list_delete() -> None:
    office = Office()
    assert str(office.do(office.admin.add("Alice", "pass"))) == "alice@a.example"
    assert str(office.do(office.admin.add("bob@a.example", "pass", 5))) == "bob@a.example"
    assert (office.iterations("alice"), office.iterations("bob")) == (2, 5)
    assert office.do(office.admin.list()) == ["alice@a.example", "bob@a.example"]
    office.do(office.admin.delete("alice"))
    assert office.do(office.admin.list()) == ["bob@a.example"]
    assert office.changed == ["alice@a.example", "bob@a.example", "alice@a.example"]


def test_what_is_reported_is_durable() -> None:
    office = Office()
    office.do(office.admin.add("alice", "pass"))
    office.storage = office.storage.crash()
    assert office.iterations("alice") == 2


def test_import() -> None:
    office = Office()
    office.do(office.admin.add("alice", "pass"))
    rows = [("alice", "x"), ("bob", "x"), ("carol", "x"), ("bob", "y")]
    assert office.do(office.admin.load(rows, 3)) == 2
    assert (office.iterations("alice"), office.iterations("bob")) == (2, 3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda admin: admin.add("a b", "pass"), "not an address"),
        (lambda admin: admin.add("alice@b.example", "pass"), "not an account of a.example"),
        (lambda admin: admin.add("alice@a.example/phone", "pass"), "not an account of a.example"),
        (lambda admin: admin.add("a.example@", "pass"), "not an address"),
        (lambda admin: admin.add("alice", "\0"), "the password cannot be used"),
        (lambda admin: admin.add("bob", "pass"), "exists already"),
        (lambda admin: admin.set_password("nobody", "pass"), "does not exist"),
        (lambda admin: admin.delete("nobody"), "does not exist"),
    ],
)
def test_refusals_say_why(call: Any, text: str) -> None:
    office = Office()
    office.do(office.admin.add("bob", "pass"))
    outcome: list[BaseException | None] = []
    drive(call(office.admin), lambda value, error: outcome.append(error))
    assert isinstance(outcome[0], AdminError)
    assert text in str(outcome[0])
    assert "\0" not in str(outcome[0])


class Slow:
    """Computes when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Later[Any], Any]] = []

    def __call__(self, work: Any) -> Later[Any]:
        later: Later[Any] = Later()
        self.waiting.append((later, work))
        return later

    def go_on(self) -> None:
        later, work = self.waiting.pop(0)
        later.resolve(work())


def test_of_two_who_make_an_account_at_once_the_second_is_refused() -> None:
    office = Office()
    slow = office.admin.compute = Slow()
    outcomes: list[Any] = []
    drive(office.admin.add("alice", "first"), lambda jid, error: outcomes.append(jid or error))
    drive(office.admin.add("Alice", "second"), lambda jid, error: outcomes.append(jid or error))
    assert isinstance(outcomes[0], AccountExists)
    drive(office.admin.delete("alice"), lambda jid, error: outcomes.append(jid or error))
    assert isinstance(outcomes[1], AdminError)
    slow.go_on()
    assert outcomes[2] == parse_jid("alice@a.example")
    assert not slow.waiting
    with pytest.raises(AccountExists):
        office.do(office.admin.add("alice", "third"))


def test_an_account_that_leaves_says_so_first_and_leaves_nothing() -> None:
    office = Office()
    office.do(office.admin.add("alice", "pass"))
    said: list[str] = []
    store = office.storage.store

    async def leaving(bare: JID) -> None:
        said.append("leaving")
        assert store.get(TABLE, b"alice@a.example", CREDENTIALS).result() is not None

    async def changed(bare: JID) -> None:
        said.append("changed")
        store.put("roster", b"alice@a.example", b"x", b"left by a session that ended")

    office.admin.leaving, office.admin.changed = leaving, changed
    office.do(office.admin.delete("alice", lambda: said.append("gone")))
    assert said == ["leaving", "gone", "changed"]
    assert store.scan("roster", b"alice@a.example").result() == []
