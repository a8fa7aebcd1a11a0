"""Keeps the key block in the store, and changes who can open it while the server runs.

A change has two commits: `add` leaves both wraps, the former and the new one, so that whatever a crash leaves outside
of the database, one of them opens; `settle` removes the former. A new wrap comes with a new data key, which seals from
the moment on at which the block that holds it is durable.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final

from quietwire.core.errors import QuietwireError
from quietwire.core.later import Later
from quietwire.seal import rows
from quietwire.seal.key_block import KeyBlock, Opened
from quietwire.seal.keys import ServerKeys
from quietwire.seal.server_key import Argon2, RawKey, Secret, Wrapping, of_passphrase, of_raw
from quietwire.seal.wraps import SealError
from quietwire.store.ports import Storage, Store

TABLE: Final = "server"
OWNER: Final = b""
KEY: Final = b"keys"
"""Where the block lies."""
MARK: Final = b"old"
"""Key of a row beside it, made with the block and sealed under it: as long as it is there, rows in clear may be taken
over (`migration.py`). Nobody who can write on the disk, and has no key, can make one."""


def mark(keys: ServerKeys, randomness: Callable[[int], bytes]) -> bytes:
    """That row."""
    return rows.seal(keys.cipher, randomness(12), rows.pack(0, MARK, b""), TABLE, OWNER, MARK, rows.SERVER)


async def marked(store: Store, keys: ServerKeys) -> bool:
    """Whether it is there, and true."""
    try:
        rows.open_row(keys.cipher, await store.get(TABLE, OWNER, MARK) or b"", TABLE, OWNER, MARK, rows.SERVER)
    except SealError:
        return False
    return True


async def stored(store: Store) -> KeyBlock | None:
    """The block; None in a database that has none yet. Raises SealError."""
    data = await store.get(TABLE, OWNER, KEY)
    return None if data is None else KeyBlock.from_bytes(data)


class Keeper:
    """Of the block that is in the store, opened. `keys`: what the server uses."""

    def __init__(self, storage: Storage, block: KeyBlock, opened: Opened, randomness: Callable[[int], bytes]) -> None:
        self.keys = opened.master.keys()
        self._storage = storage
        self._block = block
        self._opened = opened
        self._added: Wrapping | None = None
        self._randomness = randomness
        self._busy = False

    @classmethod
    async def make(
        cls,
        storage: Storage,
        secret: Secret,
        *,
        randomness: Callable[[int], bytes],
        calibrate: Callable[[], Argon2],
        login: bytes = b"",
    ) -> Keeper:
        """A new block for `secret`, durable when this returns. `calibrate`: parameters for a passphrase. `login`: see
        `key_block.Master`."""
        wrapping = of_raw(secret) if isinstance(secret, RawKey) else of_passphrase(secret, calibrate(), randomness)
        block, master = KeyBlock.create(randomness, wrapping, login)
        keeper = cls(storage, block, Opened(master, wrapping, 1), randomness)
        storage.store.put(TABLE, OWNER, MARK, mark(keeper.keys, randomness))
        await keeper._write(block)
        return keeper

    @classmethod
    async def open(
        cls, storage: Storage, block: KeyBlock, secret: Secret, *, randomness: Callable[[int], bytes]
    ) -> Keeper:
        """Of `block`, which is `stored`. Wraps that are older than the one that opens it go: it has proved itself.
        Raises WrongKey, SealError."""
        opened = block.open(secret)
        left = block.without_older(opened.number)
        keeper = cls(storage, left, opened, randomness)
        if left != block:
            await keeper._write(left)
        return keeper

    async def add(self, wrapping: Wrapping) -> None:
        """From now on `wrapping` opens the block as well; what is sealed from now on is so under a new data key. A
        wrap that was added before and has not proved itself is gone. Raises QuietwireError, and nothing has changed."""
        self._begin()
        try:
            block, master = self._block.rewrap(self._opened, wrapping, self._randomness)
            await self._write(block)
            self._opened = Opened(master, self._opened.wrapping, self._opened.number)
            self._added = wrapping
            self.keys.cipher.renew(master.data_keys())
        finally:
            self._busy = False

    async def settle(self, key: bytes) -> None:
        """The newest wrap is the only one from now on. `key`: of its `Wrapping`, which proves that whoever asks has it
        where the next start looks for it. Raises QuietwireError."""
        newest = self._block.wraps[-1].number
        proved = self._added or (self._opened.wrapping if self._opened.number == newest else None)
        if proved is None or not hmac.compare_digest(proved.key, key):
            raise QuietwireError("that is not the newest key: the former one stays")
        self._begin()
        try:
            await self._write(self._block.without_older(newest))
            self._opened = Opened(self._opened.master, proved, newest)
            self._added = None
        finally:
            self._busy = False

    def shown(self) -> dict[str, Any]:
        """What an administrator is told, as JSON can hold it: nothing of it is secret."""
        wraps = []
        for wrap in self._block.wraps:
            told: dict[str, Any] = {"kind": wrap.kind, "id": wrap.id.hex(), "number": wrap.number}
            if wrap.argon2 is not None:
                argon2 = wrap.argon2
                told |= {"time_cost": argon2.time_cost, "memory_kib": argon2.memory_kib, "lanes": argon2.lanes}
                told["salt"] = argon2.salt.hex()
            wraps.append(told)
        return {"wraps": wraps, "open": self._opened.number, "data_keys": len(self._opened.master.data)}

    def _begin(self) -> None:
        if self._busy:
            raise QuietwireError("the server key is being changed already")
        self._busy = True

    async def _write(self, block: KeyBlock) -> None:
        self._storage.store.put(TABLE, OWNER, KEY, block.to_bytes())
        durable: Later[None] = Later()
        self._storage.sync().when_settled(lambda: durable.resolve(None))
        await durable
        self._block = block
