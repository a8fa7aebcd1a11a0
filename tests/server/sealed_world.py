"""A sealed store over a storage in memory, with accounts that are unlocked and locked by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Any

from quietwire.core.later import Later, drive
from quietwire.seal.keys import AccountKeys, ServerKeys
from quietwire.server.accounts import ARRIVALS
from quietwire.server.sealed.keyring import Keyring, Lease, Unlocked
from quietwire.server.sealed.seals import Seals
from quietwire.server.sealed.spool import SealedSpool
from quietwire.server.sealed.store import SealedStore
from quietwire.store.memory import MemoryStorage

ALICE, MALLORY, ROOM = b"alice@a.example", b"mallory@a.example", b"den@rooms.a.example"
KEYS = ServerKeys(b"i" * 32, b"d" * 32)


class Held:
    """A driver's store whose reads end when the test says so."""

    def __init__(self, store: MemoryStorage) -> None:
        self._store = store
        self.hold = False
        self.late = False
        """They see what was written since they were asked for."""
        self._waiting: list[Callable[[], None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> Later[dict[bytes, bytes]]:
        return self._read(lambda: self._store.get_many(table, owner, keys))

    def scan_many(self, wanted: Any) -> Later[Any]:
        return self._read(lambda: self._store.scan_many(wanted))

    def _read(self, read: Callable[[], Later[Any]]) -> Later[Any]:
        if not self.hold:
            return read()
        later: Later[Any] = Later()
        seen = None if self.late else read().result()
        self._waiting.append(lambda: later.resolve(read().result() if seen is None else seen))
        return later

    def release(self) -> None:
        self.hold = False
        while self._waiting:
            self._waiting.pop(0)()


class World:
    """`storage`: of a former world, what its crash or end left."""

    def __init__(self, storage: MemoryStorage | None = None, numbers: Iterator[int] | None = None) -> None:
        self._numbers = numbers or count(1)
        self.storage = storage or MemoryStorage(self.randomness)
        self.driver = Held(self.storage)
        self.now = 1_000_000_000.0
        self.notes: list[tuple[str, dict[str, str]]] = []
        self.keyring = Keyring(lambda work: drive(work, self._ended))  # type: ignore[arg-type]
        self.seals = Seals(KEYS, "a.example", self.keyring, self.randomness, lambda: self.now)
        self.store = SealedStore(_Storage(self), self.seals, self._note)  # type: ignore[arg-type]
        self.spool = SealedSpool(self.storage.spool, self.seals, self.store.findings)
        self.storage.dress = self.spool.dress

    def randomness(self, size: int) -> bytes:
        return hashlib.shake_256(next(self._numbers).to_bytes(8, "big")).digest(size)

    def _note(self, event: str, **facts: str) -> None:
        self.notes.append((event, facts))

    def _ended(self, _: None, error: BaseException | None) -> None:
        if error is not None:
            raise error

    def make(self, *owners: bytes) -> World:
        """Accounts, as an administrator makes them."""
        for owner in owners:
            self.store.put("account", owner, ARRIVALS, AccountKeys(secret(owner)).arrival_public())
        self.storage.commit()
        self.learn()
        return self

    def learn(self) -> None:
        """What a server does at its start."""
        for handle in self.store.owners("account").result():
            self.seals.learn(handle, self.store.get("account", handle, ARRIVALS).result() or b"")

    def unlock(self, owner: bytes) -> Lease:
        lease = self.keyring.unlock(owner, secret(owner))
        run(self.store.unlock(owner))
        return lease

    def log_in(self, owner: bytes) -> Unlocked:
        """Until its first session is made, and from then on."""
        lease = self.unlock(owner)
        lease.unlocked.cache = None
        return lease.unlocked

    def restart(self, *, crash: bool = False) -> World:
        """What the next start finds."""
        if not crash:
            self.keyring.close()
            self.storage.commit()
        world = World(self.storage.crash(), self._numbers)
        world.learn()
        return world

    # -- as a thief who writes on the disk

    def rows(self, table: str, owner: bytes) -> dict[bytes, bytes]:
        """The driver's."""
        return dict(self.storage.scan(table, self.seals.owner(table, owner)).result())

    def set(self, table: str, owner: bytes, key: bytes, value: bytes | None) -> None:
        hashed = self.seals.owner(table, owner)
        if value is None:
            self.storage.delete(table, hashed, key)
        else:
            self.storage.put(table, hashed, key, value)
        self.storage.commit()

    def key(self, table: str, owner: bytes, key: bytes) -> bytes:
        """Of a row of the account's own."""
        return AccountKeys(secret(owner)).key(table.encode(), key)

    @property
    def isolated(self) -> int:
        return sum(int(facts["count"]) for event, facts in self.notes if event == "sealed-rows-isolated")


class _Storage:
    def __init__(self, world: World) -> None:
        self.store = world.driver


def secret(owner: bytes) -> bytearray:
    return bytearray(hashlib.sha256(owner).digest())


def run(coroutine: Any) -> Any:
    """Of what ends at once."""
    outcome: list[tuple[Any, BaseException | None]] = []
    assert drive(coroutine, lambda value, error: outcome.append((value, error)))
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
