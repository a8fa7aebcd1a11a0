from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from quietwire.core.errors import QuietwireError
from quietwire.core.later import drive
from quietwire.seal.key_block import WrongKey
from quietwire.seal.server_key import Argon2, Passphrase, RawKey, of_passphrase, of_raw
from quietwire.server.sealed.keeper import KEY, OWNER, TABLE, Keeper, stored
from quietwire.store.memory import MemoryStorage

OLD, NEW = RawKey(b"o" * 32), RawKey(b"n" * 32)
CHEAP = Argon2(1, 8, 1, b"s" * 16)
NONCE = b"n" * 12


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """What the coroutine returns; nothing is waited for. Raises what it raises."""
    ended: list[tuple[Any, BaseException | None]] = []
    assert drive(work, lambda value, error: ended.append((value, error)))
    value, error = ended[0]
    if error is not None:
        raise error
    return value


def made(storage: MemoryStorage, **more: Any) -> Keeper:
    keeper: Keeper = now(Keeper.make(storage, OLD, randomness=os.urandom, calibrate=lambda: CHEAP, **more))
    return keeper


def opened(storage: MemoryStorage, secret: RawKey | Passphrase) -> Keeper:
    """As the next start does, whatever was not durable is gone."""
    storage = storage.crash()
    block = now(stored(storage.store))
    keeper: Keeper = now(Keeper.open(storage, block, secret, randomness=os.urandom))
    return keeper


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage(os.urandom)


def test_a_new_database_has_none(storage: MemoryStorage) -> None:
    assert now(stored(storage.store)) is None


def test_a_new_block_is_durable(storage: MemoryStorage) -> None:
    keeper = made(storage, login=b"l" * 32)
    again = opened(storage, OLD)
    assert (again.keys.index, again.keys.login) == (keeper.keys.index, b"l" * 32)
    assert again.shown() == keeper.shown()


def test_a_passphrase_gets_the_parameters_of_now(storage: MemoryStorage) -> None:
    words = Passphrase(b"correct horse")
    now(Keeper.make(storage, words, randomness=os.urandom, calibrate=lambda: CHEAP))
    (wrap,) = opened(storage, words).shown()["wraps"]
    assert (wrap["kind"], wrap["time_cost"], wrap["memory_kib"], wrap["salt"]) == ("passphrase", 1, 8, CHEAP.salt.hex())


def test_a_change_in_its_order(storage: MemoryStorage) -> None:
    keeper = made(storage)
    row = keeper.keys.cipher.encrypt(NONCE, b"text", b"")
    now(keeper.add(of_raw(NEW)))
    assert [wrap["number"] for wrap in keeper.shown()["wraps"]] == [1, 2]
    assert keeper.shown()["open"] == 1
    newer = keeper.keys.cipher.encrypt(NONCE, b"text", b"")
    assert newer != row
    with pytest.raises(QuietwireError, match="not the newest key"):
        now(keeper.settle(OLD.key))
    now(keeper.settle(NEW.key))
    now(keeper.settle(NEW.key))
    assert [wrap["number"] for wrap in keeper.shown()["wraps"]] == [2]
    again = opened(storage, NEW)
    assert {again.keys.cipher.decrypt(NONCE, each, b"") for each in (row, newer)} == {b"text"}
    now(again.add(of_raw(OLD)))
    assert [wrap["number"] for wrap in again.shown()["wraps"]] == [2, 3]


def test_after_a_crash_between_the_two_either_key_opens_it_and_the_newer_one_ends_it(storage: MemoryStorage) -> None:
    keeper = made(storage)
    now(keeper.add(of_raw(NEW)))
    assert len(opened(storage, OLD).shown()["wraps"]) == 2
    storage = MemoryStorage(os.urandom)
    keeper = made(storage)
    now(keeper.add(of_raw(NEW)))
    assert len(opened(storage, NEW).shown()["wraps"]) == 1


def test_a_change_on_top_of_one_that_has_not_ended(storage: MemoryStorage) -> None:
    keeper = made(storage)
    now(keeper.add(of_raw(NEW)))
    words = Passphrase(b"correct horse")
    now(keeper.add(of_passphrase(words, CHEAP, os.urandom)))
    assert [wrap["number"] for wrap in keeper.shown()["wraps"]] == [1, 3]
    with pytest.raises(WrongKey):
        opened(storage, NEW)


def test_nothing_is_sealed_under_a_key_that_is_not_durable(storage: MemoryStorage) -> None:
    class Slow(MemoryStorage):
        def sync(self) -> Any:
            return self._ticket  # the disk takes its time

    keeper = made(storage)
    slow = Slow(os.urandom)
    keeper._storage = slow
    before = keeper.keys.cipher.encrypt(NONCE, b"text", b"")
    adding = keeper.add(of_raw(NEW))
    done: list[Any] = []
    assert not drive(adding, lambda value, error: done.append(error))
    assert keeper.keys.cipher.encrypt(NONCE, b"text", b"") == before
    with pytest.raises(QuietwireError, match="being changed already"):
        now(keeper.add(of_raw(NEW)))
    slow.commit()
    assert done == [None]
    newer = keeper.keys.cipher.encrypt(NONCE, b"text", b"")
    assert newer != before
    with pytest.raises(InvalidTag):
        keeper.keys.cipher.decrypt(NONCE, newer, b"elsewhere")


def test_nothing_of_it_is_shown_or_lies_there_in_clear(storage: MemoryStorage) -> None:
    keeper = made(storage)
    data = storage.store.get(TABLE, OWNER, KEY).result()
    assert data is not None
    for secret in (OLD.key, keeper.keys.index, keeper.keys.login):
        assert secret not in data
        assert secret.hex() not in str(keeper.shown())
