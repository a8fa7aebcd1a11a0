from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sealed_world import ALICE, World, run, secret

from quietwire.core.errors import StanzaError
from quietwire.core.later import Later, started
from quietwire.seal.manifest import BODY, DUMMY, ISOLATED
from quietwire.seal.sizes import rounded
from quietwire.server.sealed.own import LARGE, LEAST, SEALED
from quietwire.store.ports import StorageError

BIG = b"x" * 5_000


def alice() -> World:
    world = World().make(ALICE)
    world.log_in(ALICE)
    return world


def read(world: World, table: str, key: bytes) -> bytes | None:
    return world.store.get(table, ALICE, key).result()


class Rounding(RuleBasedStateMachine):
    """Whatever is written: the rows are there, their number is a power of two, the next start finds nothing amiss."""

    @initialize()
    def start(self) -> None:
        self.world = alice()
        self.rows: dict[tuple[str, bytes], bytes] = {}

    @rule(
        table=st.sampled_from(("roster", "block", "item")),
        key=st.integers(0, 30),
        size=st.sampled_from((5, 900, 4_000)),
    )
    def put(self, table: str, key: int, size: int) -> None:
        name = b"%d" % key
        self.world.store.put(table, ALICE, name, name * size)
        self.rows[table, name] = name * size

    @rule(table=st.sampled_from(("roster", "block", "item")), key=st.integers(0, 30))
    def delete(self, table: str, key: int) -> None:
        self.world.store.delete(table, ALICE, b"%d" % key)
        self.rows.pop((table, b"%d" % key), None)

    @rule(count=st.integers(1, 20))
    def many(self, count: int) -> None:
        for number in range(count):
            self.put("roster", 100 + number, 1)

    @rule(count=st.integers(1, 20))
    def few(self, count: int) -> None:
        for number in range(count):
            self.delete("roster", 100 + number)

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        if crash:
            self.world.storage.commit()
        self.world = self.world.restart(crash=crash)
        self.world.log_in(ALICE)
        assert self.world.isolated == 0

    @invariant()
    def is_as_it_should(self) -> None:
        total = len(self.world.rows(SEALED, ALICE))
        real = 1 + sum(len(value) <= 1_800 for value in self.rows.values())
        assert total == rounded(total) >= LEAST
        assert real <= total
        assert total == LEAST or real * 4 > total
        for table in ("roster", "block", "item"):
            wanted = {key: value for (its, key), value in self.rows.items() if its == table}
            assert dict(self.world.store.scan(table, ALICE).result()) == wanted


Rounding.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestRounding = Rounding.TestCase


def test_a_row_that_comes_takes_a_dummys_place() -> None:
    world = alice()
    before = set(world.rows(SEALED, ALICE))
    world.store.put("roster", ALICE, b"romeo@b.example", b"v")
    after = set(world.rows(SEALED, ALICE))
    assert (len(before), len(after), len(before - after), len(after - before)) == (LEAST, LEAST, 1, 1)


def test_nothing_tells_rows_apart_but_their_size() -> None:
    world = alice()
    world.store.put("roster", ALICE, b"romeo@b.example", b"contact")
    world.store.put("item", ALICE, b"urn:xmpp:bookmarks:1", b"bookmark")
    rows = world.rows(SEALED, ALICE)
    assert sorted({len(row) for row in rows.values()}) == [253, 509]  # the manifest is the longer one
    assert all(len(key) == 16 for key in rows)
    for word in (b"romeo", b"contact", b"bookmark", b"roster"):
        assert not any(word in row for row in rows.values())


def test_large_values_lie_apart_and_move() -> None:
    world = alice()
    world.store.put("vcard", ALICE, b"", BIG)
    assert (len(world.rows(SEALED, ALICE)), len(world.rows(LARGE, ALICE))) == (LEAST, 1)
    assert read(world, "vcard", b"") == BIG
    world.store.put("vcard", ALICE, b"", b"small")
    assert (len(world.rows(SEALED, ALICE)), len(world.rows(LARGE, ALICE))) == (LEAST, 0)
    assert read(world, "vcard", b"") == b"small"
    world.store.put("vcard", ALICE, b"", BIG)
    assert world.restart().log_in(ALICE).manifest.small == LEAST - 1


# -- commits


def test_the_manifest_is_in_the_commit_of_the_rows_and_once() -> None:
    world = alice()
    world.storage.commit()
    former = world.rows(SEALED, ALICE)
    for number in range(500):
        world.store.put("roster", ALICE, b"c%d@b.example" % number, b"v")
    crashed = world.restart(crash=True)
    assert crashed.rows(SEALED, ALICE) == former
    world = alice()
    for number in range(500):
        world.store.put("roster", ALICE, b"c%d@b.example" % number, b"v")
    world.storage.commit()
    crashed = world.restart(crash=True)
    crashed.log_in(ALICE)
    assert (len(crashed.store.scan("roster", ALICE).result()), crashed.isolated) == (500, 0)


def test_what_was_written_last_is_sealed_before_the_keys_go() -> None:
    world = World().make(ALICE)
    lease = world.unlock(ALICE)
    world.storage.commit()
    world.store.put("roster", ALICE, b"romeo@b.example", b"v")
    lease.release()
    world.keyring.close()
    assert world.keyring.get(ALICE) is None
    world.storage.commit()  # asks for the manifest only now
    after = world.restart()
    after.log_in(ALICE)
    assert (read(after, "roster", b"romeo@b.example"), after.isolated) == (b"v", 0)


def test_unlocked_again_before_the_commit() -> None:
    world = World().make(ALICE)
    world.unlock(ALICE)
    world.store.put("roster", ALICE, b"1", b"v")
    world.keyring.close()
    world.log_in(ALICE)
    world.store.put("roster", ALICE, b"2", b"v")
    after = world.restart()
    after.log_in(ALICE)
    assert (len(after.store.scan("roster", ALICE).result()), after.isolated) == (2, 0)


def test_an_account_that_is_erased_leaves_nothing() -> None:
    world = alice()
    world.store.put("roster", ALICE, b"1", b"v")
    world.store.put("vcard", ALICE, b"", BIG)
    world.store.erase(ALICE)
    world.storage.commit()
    assert not any(world.rows(table, ALICE) for table in (SEALED, LARGE, "account"))
    with pytest.raises(StanzaError):
        world.store.put("roster", ALICE, b"1", b"v")


def test_when_the_store_refuses_the_manifest_says_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for refused in range(4):
        world = alice()
        world.store.put("roster", ALICE, b"1", b"v")
        left = refused

        def put(*row: bytes, _put: object = world.storage.put) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise StanzaError("resource-constraint")
            return _put(*row)  # type: ignore[operator]

        monkeypatch.setattr(world.storage, "put", put)
        for number in range(2, 6):
            try:
                world.store.put("roster", ALICE, b"%d" % number, b"v")
            except StanzaError:
                continue
        monkeypatch.undo()
        after = world.restart()
        after.log_in(ALICE)
        assert after.isolated == 0
        assert len(after.store.scan("roster", ALICE).result()) == 1 + refused


# -- reads that others overtake


@pytest.mark.parametrize("late", [False, True])
def test_a_row_that_is_written_while_it_is_read_is_no_finding(late: bool) -> None:
    world = alice()
    world.driver.late = late
    world.store.put("roster", ALICE, b"1", b"old")
    world.driver.hold = True
    one, all_ = world.store.get("roster", ALICE, b"1"), world.store.scan("roster", ALICE)
    world.store.put("roster", ALICE, b"1", b"new")
    world.driver.release()
    value = b"new" if late else b"old"
    assert (one.result(), all_.result(), world.isolated) == (value, [(b"1", value)], 0)


@pytest.mark.parametrize("late", [False, True])
def test_a_row_that_is_deleted_or_grows_while_it_is_read(late: bool) -> None:
    world = alice()
    world.driver.late = late
    for key in (b"1", b"2"):
        world.store.put("roster", ALICE, key, b"old")
    world.driver.hold = True
    reads = [world.store.get("roster", ALICE, key) for key in (b"1", b"2")]
    world.store.delete("roster", ALICE, b"1")
    world.store.put("roster", ALICE, b"2", BIG)
    world.driver.release()
    assert [each.result() for each in reads] == ([None, BIG] if late else [b"old", b"old"])
    assert world.isolated == 0


def test_a_read_that_the_locking_overtakes_finds_nothing_and_reports_nothing() -> None:
    world = alice()
    world.store.put("roster", ALICE, b"1", b"v")
    world.driver.hold = True
    one, all_ = world.store.get("roster", ALICE, b"1"), world.store.scan("roster", ALICE)
    world.keyring.close()
    world.driver.release()
    assert (one.result(), all_.result(), world.isolated) == (None, [], 0)


# -- unlocking


def test_two_logins_at_once_open_once() -> None:
    world = World().make(ALICE)
    for _ in range(3):
        world.keyring.unlock(ALICE, secret(ALICE))
    world.driver.hold = True
    opened = [started(world.store.unlock(ALICE)) for _ in range(3)]
    assert not any(each.settled for each in opened)
    world.driver.release()
    assert [each.result() for each in opened] == [None] * 3
    unlocked = world.keyring.get(ALICE)
    assert unlocked is not None
    assert (unlocked.ready, unlocked.opening) == (True, None)


def test_a_disk_that_refuses_refuses_all_who_wait_and_the_next_try_works() -> None:
    world = World().make(ALICE)
    world.keyring.unlock(ALICE, secret(ALICE))
    held: Later[None] = Later()
    world.driver.scan_many = lambda wanted: held  # type: ignore[method-assign]
    opened = [started(world.store.unlock(ALICE)) for _ in range(3)]
    held.fail(StorageError("disk"))
    for each in opened:
        with pytest.raises(StorageError):
            each.result()
    assert world.store.get("roster", ALICE, b"1").result() is None
    del world.driver.scan_many
    run(world.store.unlock(ALICE))
    world.store.put("roster", ALICE, b"1", b"v")


def test_locked_while_it_is_being_unlocked() -> None:
    world = World().make(ALICE)
    lease = world.keyring.unlock(ALICE, secret(ALICE))
    world.driver.hold = True
    opened = started(world.store.unlock(ALICE))
    world.keyring.wipe(lease.unlocked)
    world.driver.release()
    with pytest.raises(StanzaError):
        opened.result()
    world.storage.commit()
    assert world.rows(SEALED, ALICE) == {}


# -- what is not as it was written


def test_an_isolated_row_is_told_once_and_can_be_written_anew() -> None:
    for table, value in (("roster", b"v"), ("vcard", BIG)):
        world = alice()
        world.store.put(table, ALICE, b"1", value)
        world = world.restart()
        place, key = (SEALED if value != BIG else LARGE), world.key(table, ALICE, b"1")
        world.set(place, ALICE, key, b"\x01" + b"forged" * 60)
        unlocked = world.log_in(ALICE)
        assert (read(world, table, b"1"), world.isolated) == (None, 1)
        assert unlocked.manifest.get(key)[0] & ~BODY == ISOLATED  # type: ignore[index]
        again = world.restart()
        again.log_in(ALICE)
        assert (read(again, table, b"1"), again.isolated) == (None, 0)
        again.store.put(table, ALICE, b"1", b"new")
        again = again.restart()
        again.log_in(ALICE)
        assert (read(again, table, b"1"), again.isolated) == (b"new", 0)
        assert again.rows(LARGE, ALICE) == {}


def test_dummies_are_guarded_as_rows_are() -> None:
    world = alice().restart()
    unlocked = world.log_in(ALICE)
    dummy = unlocked.manifest.keys(DUMMY)[0]
    world = world.restart()
    world.set(SEALED, ALICE, dummy, None)
    world.log_in(ALICE)
    assert (world.isolated, len(world.rows(SEALED, ALICE))) == (1, LEAST)


def test_without_its_manifest_the_account_keeps_what_opens() -> None:
    world = alice()
    world.store.put("roster", ALICE, b"1", b"v")
    world.store.put("roster", ALICE, b"2", b"w")
    world.store.put("vcard", ALICE, b"", BIG)
    world = world.restart()
    world.set(SEALED, ALICE, world.key("manifest", ALICE, b""), None)
    world.set(SEALED, ALICE, world.key("roster", ALICE, b"2"), b"\x01" + bytes(252))
    world.log_in(ALICE)
    assert dict(world.store.scan("roster", ALICE).result()) == {b"1": b"v"}
    assert read(world, "vcard", b"") == BIG
    assert world.isolated == 2
    again = world.restart()
    again.log_in(ALICE)
    assert (dict(again.store.scan("roster", ALICE).result()), again.isolated) == ({b"1": b"v"}, 0)


def test_that_everything_of_an_account_is_gone_is_noticed() -> None:
    world = alice().restart()
    for key in world.rows(SEALED, ALICE):
        world.set(SEALED, ALICE, key, None)
    world.log_in(ALICE)
    assert (world.isolated, len(world.rows(SEALED, ALICE))) == (1, LEAST)


def test_a_strangers_row_beside_the_true_one_is_removed() -> None:
    world = alice()
    world.store.put("roster", ALICE, b"1", b"v")
    world = world.restart()
    key = world.key("roster", ALICE, b"1")
    world.set(LARGE, ALICE, key, world.rows(SEALED, ALICE)[key])
    world.set(SEALED, ALICE, b"short", b"row")
    world.log_in(ALICE)
    assert (read(world, "roster", b"1"), world.isolated, world.rows(LARGE, ALICE)) == (b"v", 2, {})
    again = world.restart()
    again.log_in(ALICE)
    assert again.isolated == 0
