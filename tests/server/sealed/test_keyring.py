"""Keys are there while somebody holds a lease, and overwritten when nobody does."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from quietwire.core.later import Later, Ticket, drive
from quietwire.seal.wraps import SealError
from quietwire.server.sealed.keyring import Keyring, Unlocked

ALICE, BOB = b"alice@a.example", b"bob@a.example"
ZEROS = bytearray(32)


def secret(number: int = 1) -> bytearray:
    return bytearray([number]) * 32


class World:
    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.ticket: Ticket | None = None
        self.keyring = Keyring(self.spawn, lambda: self.ticket)

    def spawn(self, work: Awaitable[None]) -> None:
        def done(_: object, error: BaseException | None) -> None:
            if error is not None:
                self.errors.append(error)

        coroutine: Any = work
        drive(coroutine, done)

    def unlocked(self, owner: bytes = ALICE) -> Unlocked:
        found = self.keyring.get(owner)
        assert found is not None
        return found


def test_the_last_lease_wipes() -> None:
    world = World()
    given = secret()
    first = world.keyring.unlock(ALICE, given)
    second = world.keyring.share(ALICE)
    assert second is not None
    keys = world.unlocked().keys
    assert (len(world.keyring), list(world.keyring)) == (1, [ALICE])
    told: list[None] = []
    world.keyring.locked = lambda: told.append(None)
    first.release()
    first.release()
    assert keys.cipher is not None
    assert not told
    second.release()
    assert len(told) == 1
    assert world.keyring.get(ALICE) is None
    assert world.keyring.share(ALICE) is None
    assert given == keys.secret == ZEROS
    assert keys._index == ZEROS
    assert keys.cipher is None


def test_a_second_login_brings_the_same_secret_which_is_not_kept_twice() -> None:
    world = World()
    world.keyring.unlock(ALICE, secret())
    again = secret()
    lease = world.keyring.unlock(ALICE, again)
    assert again == ZEROS
    assert world.unlocked().keys.secret == secret()
    assert lease.unlocked.leases == 2


def test_another_secret_is_refused() -> None:
    world = World()
    world.keyring.unlock(ALICE, secret())
    wrong = secret(2)
    with pytest.raises(SealError):
        world.keyring.unlock(ALICE, wrong)
    assert wrong == ZEROS
    assert world.unlocked().leases == 1


def test_accounts_are_apart() -> None:
    world = World()
    alice, bob = world.keyring.unlock(ALICE, secret()), world.keyring.unlock(BOB, secret(2))
    alice.release()
    assert list(world.keyring) == [BOB]
    assert bob.unlocked.keys.secret == secret(2)


def test_what_needs_the_keys_once_more_has_them_and_who_comes_back_keeps_them() -> None:
    world, waits, seen = World(), Later[None](), []

    async def fold(unlocked: Unlocked) -> None:
        seen.append(bytes(unlocked.keys.secret))
        await waits

    world.keyring.locking.append(fold)
    lease = world.keyring.unlock(ALICE, secret())
    world.unlocked().ready = True
    lease.release()
    assert seen == [bytes(secret())]
    back = world.keyring.unlock(ALICE, secret())
    waits.resolve(None)
    assert world.unlocked().keys.secret == secret()
    back.release()
    assert world.keyring.get(ALICE) is None
    assert len(seen) == 2


def test_work_that_fails_keeps_nothing_from_being_wiped() -> None:
    world, done = World(), []

    async def fails(unlocked: Unlocked) -> None:
        raise RuntimeError("disk")

    async def works(unlocked: Unlocked) -> None:
        done.append(unlocked.owner)

    world.keyring.locking += [fails, works]
    lease = world.keyring.unlock(ALICE, secret())
    keys = world.unlocked().keys
    world.unlocked().ready = True
    lease.release()
    assert done == [ALICE]
    assert keys.secret == ZEROS
    assert [str(error) for error in world.errors] == ["disk"]


def test_an_account_whose_rows_were_never_read_has_no_such_work() -> None:
    world, done = World(), []

    async def works(unlocked: Unlocked) -> None:
        done.append(unlocked.owner)

    world.keyring.locking.append(works)
    world.keyring.unlock(ALICE, secret()).release()
    assert done == []
    assert world.keyring.get(ALICE) is None


def test_what_is_being_written_has_the_keys_until_it_is() -> None:
    world = World()
    lease = world.keyring.unlock(ALICE, secret())
    world.unlocked().ready = True
    world.ticket = Ticket()
    lease.release()
    assert world.unlocked().keys.secret == secret()
    world.ticket.settle()
    assert world.keyring.get(ALICE) is None


def test_the_end_of_an_account_or_of_the_server_waits_for_nobody() -> None:
    world = World()
    lease, _ = world.keyring.unlock(ALICE, secret()), world.keyring.unlock(BOB, secret(2))
    keys = [world.unlocked(owner).keys for owner in (ALICE, BOB)]
    world.keyring.wipe(world.unlocked())
    assert list(world.keyring) == [BOB]
    lease.release()
    world.keyring.close()
    assert list(world.keyring) == []
    assert [each.secret for each in keys] == [ZEROS, ZEROS]


def test_who_was_wiped_and_unlocked_again_is_not_locked_by_the_former_lease() -> None:
    world = World()
    former = world.keyring.unlock(ALICE, secret())
    world.keyring.wipe(world.unlocked())
    world.keyring.unlock(ALICE, secret(3))
    former.release()
    assert world.unlocked().keys.secret == secret(3)
