from __future__ import annotations

from typing import Any

import pytest

from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import Later, drive
from quietwire.seal.credentials import Credentials
from quietwire.seal.recovery import make_recovery_code
from quietwire.server.accounts import ARRIVALS, CREDENTIALS, TABLE
from quietwire.server.admin import AccountExists, AdminError
from quietwire.server.archive_index import Query
from quietwire.server.sealed.store import vouched
from quietwire.testing.playbook import Playbook


class Office:
    def __init__(self) -> None:
        self.play = Playbook()
        self.store = self.play.server.store
        self.changed: list[str] = []
        self.admin = self.play.server.admin
        self.admin.iterations = 2
        self._tell, self.admin.changed = self.admin.changed, self._changed

    async def _changed(self, bare: JID) -> None:
        self.changed.append(bare.text)
        await self._tell(bare)

    def do(self, coroutine: Any) -> Any:
        return self.play.run(coroutine)

    def iterations(self, name: str) -> int:
        return self.record(name).verifier("SCRAM-SHA-1").iterations

    def record(self, name: str) -> Credentials:
        jid = parse_jid(f"{name}@a.example")
        found = self.store.get(TABLE, jid.text.encode(), CREDENTIALS).result()
        assert found is not None
        return Credentials.from_bytes(found, jid)

    def refused(self, coroutine: Any) -> str:
        outcome: list[BaseException | None] = []
        drive(coroutine, lambda value, error: outcome.append(error))
        assert isinstance(outcome[0], AdminError)
        return type(outcome[0]).__name__


def _compute(work: Any) -> Later[Any]:
    later: Later[Any] = Later()
    try:
        later.resolve(work())
    except Exception as error:
        later.fail(error)
    return later


def test_add_count_delete() -> None:
    office = Office()
    assert str(office.do(office.admin.add("Alice", "pass"))) == "alice@a.example"
    assert str(office.do(office.admin.add("bob@a.example", "pass", 5))) == "bob@a.example"
    assert (office.iterations("alice"), office.iterations("bob")) == (2, 5)
    assert office.admin.number() == 2
    assert office.do(office.admin.exists("Alice"))
    office.do(office.admin.delete("alice"))
    assert office.admin.number() == 1
    assert not office.do(office.admin.exists("alice"))
    assert office.changed == ["alice@a.example", "bob@a.example", "alice@a.example"]


def test_what_is_reported_is_durable() -> None:
    office = Office()
    office.do(office.admin.add("alice", "pass"))
    again = Playbook(storage=office.play.storage.crash())
    again.client("alice/phone")


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
    office.admin.compute = _compute
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
    store = office.store

    async def leaving(bare: JID) -> None:
        said.append("leaving")
        assert store.get(TABLE, b"alice@a.example", CREDENTIALS).result() is not None

    async def changed(bare: JID) -> None:
        said.append("changed")
        store.put("push", b"alice@a.example", b"x", b"left by a session that ended")

    office.admin.leaving, office.admin.changed = leaving, changed
    office.do(office.admin.delete("alice", lambda: said.append("gone")))
    assert said == ["leaving", "gone", "changed"]
    assert store.scan("push", b"alice@a.example").result() == []


# -- passwords and what is sealed --------------------------------------------------------------------------------------

OWNER = b"alice@a.example"


def with_data(office: Office, code: str = "") -> None:
    """alice has a bookmark, an archive and a message that waits, and is away."""
    office.do(office.admin.add("alice", "pass", recovery_code=code))
    alice = office.play.client("alice/phone")
    office.store.put("private", OWNER, b"bookmarks", b"a room")
    office.store.put("push", OWNER, b"phone", b"under the server's key")
    office.play.server.archive.append(
        OWNER, office.play.server.archive.new_id(), office.play.now, "bob@b.example", b"<message>hi</message>"
    )
    alice >> "</stream:stream>"
    office.play.server.spool.keep(OWNER, bytes(8) + b"<message/>")
    office.play.settle()
    assert office.play.server.keyring.get(OWNER) is None


def kept(office: Office, password: str) -> bytes | None:
    """alice's bookmark, after a login."""
    client = office.play.connect().authenticate("alice", password).bind("x")
    found = office.store.get("private", OWNER, b"bookmarks").result()
    client >> "</stream:stream>"
    return found


def wrong(office: Office, password: str) -> None:
    client = office.play.connect()
    client.sign_in("alice", password=password)
    assert "not-authorized" in str(client.take()[0][0].tag)  # type: ignore[index, union-attr]


def test_an_account_has_all_that_others_have_before_its_first_login() -> None:
    office = Office()
    office.do(office.admin.add("alice", "pass"))
    office.play.settle()
    assert office.play.server.keyring.get(OWNER) is None
    public = office.store.get(TABLE, OWNER, ARRIVALS).result()
    rows = office.play.storage.scan("sealed", office.play.server.seals.owner("sealed", OWNER)).result()
    assert len(rows) == 8
    office.play.client("alice/phone")
    unlocked = office.play.server.keyring.get(OWNER)
    assert unlocked is not None
    assert public == vouched(unlocked.keys, unlocked.keys.arrival_public())
    assert office.play.storage.scan("sealed", office.play.server.seals.owner("sealed", OWNER)).result() == rows


def test_a_reset_while_the_owner_is_there_loses_nothing() -> None:
    office = Office()
    code = make_recovery_code(office.play.randomness)
    with_data(office, code)
    office.play.client("alice/phone")
    assert office.do(office.admin.set_password("alice", "other"))
    office.play.settle()
    wrong(office, "pass")
    assert kept(office, "other") == b"a room"
    assert office.do(office.admin.recover("alice", code, "third")) == parse_jid("alice@a.example")
    assert kept(office, "third") == b"a room"


def test_a_reset_while_the_owner_is_away_is_refused_or_destroys() -> None:
    office = Office()
    code = make_recovery_code(office.play.randomness)
    with_data(office, code)
    before = office.record("alice")
    assert office.refused(office.admin.set_password("alice", "other")) == "WouldDestroy"
    assert office.record("alice") == before
    assert kept(office, "pass") == b"a room"
    assert not office.do(office.admin.set_password("alice", "other", destroy=True))
    wrong(office, "pass")
    assert kept(office, "other") is None
    assert office.store.get("push", OWNER, b"phone").result() == b"under the server's key"
    assert office.play.server.spool.usage(OWNER) == (0, 0)
    query = Query()
    office.play.connect().authenticate("alice", "other").bind("x")
    assert office.do(office.play.server.archive.query(OWNER, query)).items == []
    assert office.refused(office.admin.recover("alice", code, "fourth")) == "NotOpened"
    assert "sealed-rows-isolated" not in [event for event, _ in office.play.notes]


def test_what_comes_after_such_a_reset_is_for_the_new_secret() -> None:
    office = Office()
    with_data(office)
    former = office.store.get(TABLE, OWNER, ARRIVALS).result()
    office.do(office.admin.set_password("alice", "other", destroy=True))
    assert office.store.get(TABLE, OWNER, ARRIVALS).result() not in (None, former)
    office.play.server.spool.keep(OWNER, bytes(8) + b"<message/>")
    office.play.settle()
    office.play.connect().authenticate("alice", "other").bind("x")
    assert len(office.play.server.spool.load(OWNER).result()) == 1


def test_a_login_that_is_under_way_does_not_bring_the_former_secret_back() -> None:
    office = Office()
    with_data(office)
    slow = Slow()
    office.play.server.gate.compute = slow
    client = office.play.connect()
    client.sign_in("alice")
    office.do(office.admin.set_password("alice", "other", destroy=True))
    slow.go_on()
    office.play.server.gate.compute = _compute
    office.play.settle()
    assert "not-authorized" in str(client.take()[0][0].tag)  # type: ignore[index, union-attr]
    assert office.play.server.keyring.get(OWNER) is None
    assert kept(office, "other") is None


def test_the_owner_changes_the_password_with_the_old_one() -> None:
    office = Office()
    with_data(office)
    before = office.record("alice")
    for name, old in (("alice", "wrong"), ("nobody", "pass")):
        assert office.refused(office.admin.change_password(name, old, "other")) == "NotOpened"
    assert office.record("alice") == before
    office.do(office.admin.change_password("alice", "pass", "other"))
    assert kept(office, "other") == b"a room"


def test_a_recovery_code_opens_until_there_is_another_one() -> None:
    office = Office()
    with_data(office)
    code = make_recovery_code(office.play.randomness)
    assert office.refused(office.admin.recover("alice", code, "other")) == "NotOpened"
    assert office.refused(office.admin.recover("nobody", code, "other")) == "NotOpened"
    assert office.refused(office.admin.make_recovery("alice")) == "AdminError"
    assert office.refused(office.admin.make_recovery("alice", "wrong")) == "NotOpened"
    assert office.refused(office.admin.make_recovery("nobody", "wrong")) == "NotOpened"
    first = office.do(office.admin.make_recovery("alice", "pass"))
    alice = office.play.client("alice/phone")
    second = office.do(office.admin.make_recovery("alice"))
    alice >> "</stream:stream>"
    assert office.refused(office.admin.recover("alice", first, "other")) == "NotOpened"
    office.do(office.admin.recover("alice", second.lower(), "other"))
    assert kept(office, "other") == b"a room"
    office.do(office.admin.recover("alice", second, "again"))
    assert kept(office, "again") == b"a room"


def test_another_password_is_one_row() -> None:
    office = Office()
    with_data(office)
    put: list[tuple[str, bytes]] = []
    real = office.store.put

    def counted(table: str, owner: bytes, key: bytes, value: bytes) -> Any:
        put.append((table, key))
        return real(table, owner, key, value)

    office.store.put = counted  # type: ignore[method-assign]
    office.do(office.admin.change_password("alice", "pass", "other"))
    assert put == [(TABLE, CREDENTIALS)]
    record = office.record("alice")
    assert {entry.verifier.iterations for entry in record.entries.values()} == {2}


def test_whether_its_contacts_were_told() -> None:
    office = Office()
    with_data(office)
    assert not office.do(office.admin.delete("alice"))
    with_data(office)
    office.play.client("alice/phone")
    assert office.do(office.admin.delete("alice"))
    assert office.admin.unlocked() == []


def test_who_is_unlocked() -> None:
    office = Office()
    for name in ("bob", "alice"):
        office.do(office.admin.add(name, "pass"))
    assert office.admin.unlocked() == []
    office.play.client("bob/x")
    office.play.client("alice/x")
    assert office.admin.unlocked() == ["alice@a.example", "bob@a.example"]
