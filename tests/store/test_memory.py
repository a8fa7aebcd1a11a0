from __future__ import annotations

from random import Random

import pytest

from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import LOGICAL, TABLES, Storage, StorageError
from quietwire.testing.store_contract import StoreContract


def new() -> MemoryStorage:
    return MemoryStorage(Random(1).randbytes)


class TestMemory(StoreContract):
    def open(self) -> MemoryStorage:
        return new()

    def reopen(self, storage: Storage) -> MemoryStorage:
        assert isinstance(storage, MemoryStorage)
        storage.close()
        return storage.crash()


def test_nothing_is_durable_before_commit() -> None:
    storage = new()
    durable = storage.spool.keep(b"alice", b"durable")
    storage.commit()
    storage.store.put("sealed", b"alice", b"k", b"v")
    lost = storage.spool.keep(b"alice", b"lost")
    storage.spool.confirm(durable)
    assert durable.ticket.settled
    assert not lost.ticket.settled
    restarted = storage.crash()
    assert restarted.store.scan("sealed", b"alice").result() == []
    assert [entry.value for entry in restarted.spool.load(b"alice").result()] == [b"durable"]
    assert restarted.spool.usage(b"alice") == (1, 7)


def test_a_crash_leaves_what_is_committed_afterwards_alone() -> None:
    first = new()
    first.store.put("sealed", b"alice", b"k", b"v")
    first.commit()
    second = first.crash()
    second.store.delete("sealed", b"alice", b"k")
    second.commit()
    assert second.crash().store.get("sealed", b"alice", b"k").result() is None


def test_closed_storage_refuses() -> None:
    storage = new()
    storage.close()
    with pytest.raises(StorageError):
        storage.spool.keep(b"alice", b"v")
    with pytest.raises(StorageError):
        storage.store.put("sealed", b"alice", b"k", b"v")
    with pytest.raises(StorageError):
        storage.store.get("sealed", b"alice", b"k").result()


def test_randomness_that_repeats_itself_is_noticed() -> None:
    storage = MemoryStorage(bytes)
    storage.spool.keep(b"alice", b"1")
    with pytest.raises(RuntimeError):
        storage.spool.keep(b"alice", b"2")


def test_the_tables_of_modules_are_there_beside_those_of_a_driver() -> None:
    storage = new()
    for table in {*LOGICAL, *TABLES}:
        storage.put(table, b"alice", b"k", table.encode())
        assert storage.get(table, b"alice", b"k").result() == table.encode()
