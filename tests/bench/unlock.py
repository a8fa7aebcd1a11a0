"""What sealing costs: `python tests/bench/unlock.py`. Figures of one machine and one core, medians; no test.

A real database in a temporary folder, the real keyring and store in this process, no streams. Unlocking is from the
login's secret to the account's contacts and block list in memory, as before a first session. Times are CPU time of the
process, the database's thread in it, and the time to wait beside it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from quietwire.core.jid import parse_jid
from quietwire.core.later import Later, Ticket, drive
from quietwire.seal import rows
from quietwire.seal.arrivals import LONGEST_CHAIN, Chain, Opener
from quietwire.seal.keys import AccountKeys, ServerKeys
from quietwire.server.roster import Contact, encode
from quietwire.server.sealed.keyring import Keyring
from quietwire.server.sealed.seals import Seals
from quietwire.server.sealed.store import SealedStore
from quietwire.store.sqlite import SqliteStorage

CONTACTS = (0, 50, 500, 2_000)
ITEMS = 16_000
ROUNDS = 15
SECRET = bytes(range(32))


async def arrived(later: Later[Any]) -> Any:
    future = asyncio.get_running_loop().create_future()
    later.when_settled(lambda: future.set_result(None))
    await future
    return later.result()


async def settled(ticket: Ticket | None) -> None:
    future = asyncio.get_running_loop().create_future()
    assert ticket is not None
    ticket.when_settled(lambda: future.set_result(None))
    await future


def each(what: str, work: Callable[[], object], times: int = 20_000) -> None:
    """Microseconds of CPU, the median of rounds."""
    taken = []
    for _ in range(7):
        start = time.process_time()
        for _ in range(times):
            work()
        taken.append((time.process_time() - start) / times * 1e6)
    tell(what, statistics.median(taken), "µs")


def alone() -> None:
    server, account = ServerKeys(SECRET, SECRET), AccountKeys(bytearray(SECRET))
    cipher = account.cipher
    assert cipher is not None
    owner, key, content = b"o" * 16, b"k" * 16, rows.pack(1, b"romeo@b.example", b"v" * 40)
    row = rows.seal(cipher, b"n" * 12, content, "sealed", owner, key)
    each("hash an owner's name", lambda: server.owner("sealed", b"alice@a.example"))
    each("hash a row's key", lambda: account.key(b"roster", b"romeo@b.example"))
    each(
        "seal a row of 253 bytes, with its nonce",
        lambda: rows.seal(cipher, os.urandom(12), content, "sealed", owner, key),
    )
    each("open it", lambda: rows.unpack(rows.open_row(cipher, row, "sealed", owner, key)))
    private = X25519PrivateKey.from_private_bytes(SECRET)
    public = private.public_key().public_bytes_raw()
    chain = Chain(public, os.urandom(32))
    each("seal an arrival of 256 bytes", lambda: chain.seal(content, "spool", owner, key))
    each("begin a chain (once a day and account)", lambda: Chain(public, os.urandom(32)), 2_000)
    chain = Chain(public, os.urandom(32))
    made = [chain.seal(content, "spool", owner, key) for _ in range(1_000)]

    def open_all() -> None:
        opener = Opener(private)
        for one in made:
            opener.open(one, "spool", owner, key)

    each("open a thousand arrivals of one chain", open_all, 5)
    last = made[-1][:33] + (LONGEST_CHAIN - 1).to_bytes(4, "big") + made[-1][37:]

    def forged() -> None:
        try:
            Opener(private).open(last, "spool", owner, key)
        except rows.SealError:
            return
        raise AssertionError("it opened")

    each("refuse a forged one at the end of a chain", forged, 20)


class Place:
    """A database, and what a server puts around it."""

    def __init__(self, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        self.storage = SqliteStorage(
            folder / "db",
            post=loop.call_soon_threadsafe,
            later=lambda seconds, work: loop.call_later(seconds, work).cancel,
            randomness=os.urandom,
        )
        self.keyring = Keyring(lambda work: drive(work, lambda value, error: None))  # type: ignore[arg-type]
        self.seals = Seals(ServerKeys(SECRET, SECRET), "a.example", self.keyring, os.urandom, time.time)
        self.store = SealedStore(self.storage, self.seals, lambda event, **facts: print("!", event, facts))

    async def unlock(self, owner: bytes) -> tuple[float, float]:
        """Milliseconds of CPU, and to wait."""
        start, cpu = time.perf_counter(), time.process_time()
        self.keyring.unlock(owner, bytearray(SECRET))
        await run(self.store.unlock(owner))
        await arrived(self.store.scan_many((("roster", owner, None), ("block", owner, None))))
        unlocked = self.keyring.get(owner)
        assert unlocked is not None
        unlocked.cache = None
        return (time.process_time() - cpu) * 1e3, (time.perf_counter() - start) * 1e3


async def run(work: Awaitable[Any]) -> Any:
    future = asyncio.get_running_loop().create_future()

    def done(value: Any, error: BaseException | None) -> None:
        future.set_exception(error) if error is not None else future.set_result(value)

    drive(work, done)  # type: ignore[arg-type]
    return await future


def contact(number: int, name: str = "") -> tuple[bytes, bytes]:
    return encode(
        Contact(parse_jid(f"contact{number}@b.example"), name or f"Contact number {number}", subscription="both")
    )


async def accounts() -> None:
    for count, items in (*((count, 0) for count in CONTACTS), (2_000, ITEMS)):
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder))
            owner = b"alice@a.example"
            await place.unlock(owner)
            cpu = time.process_time()
            ticket = None
            for number in range(count):
                ticket = place.store.put("roster", owner, *contact(number))
            imported = (time.process_time() - cpu) * 1e3
            for number in range(items):
                ticket = place.store.put("item", owner, b"\0\x05urn:a%d" % number, b"x" * 150)
                if not number % 500:
                    await settled(ticket)
            if ticket is not None:
                await settled(ticket)
            unlocks, sizes = [], []
            for _ in range(ROUNDS):
                place.keyring.close()
                unlocks.append(await place.unlock(owner))
            for _ in range(3):
                place.keyring.close()
                gc.collect()
                tracemalloc.start()
                await place.unlock(owner)
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
                tracemalloc.stop()
            changes, turns = [], []
            for turn in range(ROUNDS if count else 0):
                cpu = time.process_time()
                ticket = place.store.put("roster", owner, *contact(turn, "renamed"))
                turns.append((time.process_time() - cpu) * 1e3)
                await settled(ticket)
                changes.append((time.process_time() - cpu) * 1e3)
            what = f"{count:,} contacts" + (f" and {items:,} items" if items else "")
            tell(f"{what}: unlock", statistics.median(cpu for cpu, _ in unlocks), "ms")
            tell(f"{what}: unlock, to wait", statistics.median(wait for _, wait in unlocks), "ms")
            tell(f"{what}: memory, unlocked, roster not counted", statistics.median(sizes) / 1024, "KiB")
            if count:
                tell(f"{what}: written in one turn", imported, "ms")
                tell(f"{what}: change of one, the turn", statistics.median(turns), "ms")
                tell(f"{what}: change of one, with its commit", statistics.median(changes), "ms")
            place.keyring.close()
            place.storage.close()


def tell(what: str, figure: float, unit: str) -> None:
    print(f"{what:<62}{figure:>10.2f} {unit}")


if __name__ == "__main__":
    alone()
    uvloop.run(accounts())
