"""What reading an account costs at its login: `python tests/store/bench_login.py`. Not a test: figures of one machine.

An account has ROWS small sealed rows, BODIES large ones and nothing else. Prints the CPU time of the process and of the
loop's thread per login, on the loop the server uses, for one question a table and for one question in all.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from quietwire.core.later import Later
from quietwire.store.sqlite import SqliteStorage

ACCOUNTS = 500
ROWS, ROW_BYTES = 64, 220
BODIES, BODY_BYTES = 4, 5_000
HEAD = 29
ROUNDS = 9


async def arrived(later: Later[Any]) -> None:
    if later.settled:
        return
    future = asyncio.get_running_loop().create_future()
    later.when_settled(lambda: future.set_result(None))
    await future
    later.result()


async def one_after_the_other(storage: SqliteStorage, owner: bytes) -> None:
    await arrived(storage.scan("sealed", owner))
    await arrived(storage.scan("body", owner, head=HEAD))
    await arrived(storage.scan("arrival", owner))
    await arrived(storage.load(owner))


async def together(storage: SqliteStorage, owner: bytes) -> None:
    several: list[Later[Any]] = [
        storage.scan("sealed", owner),
        storage.scan("body", owner, head=HEAD),
        storage.scan("arrival", owner),
        storage.load(owner),
    ]
    for later in several:
        await arrived(later)


async def scan_many_and_load(storage: SqliteStorage, owner: bytes) -> None:
    await arrived(storage.scan_many([("sealed", owner, None), ("body", owner, HEAD), ("arrival", owner, None)]))
    await arrived(storage.load(owner))


async def scan_many(storage: SqliteStorage, owner: bytes) -> None:
    await arrived(storage.scan_many([("sealed", owner, None), ("body", owner, HEAD), ("arrival", owner, None)]))


async def sealed_only(storage: SqliteStorage, owner: bytes) -> None:
    await arrived(storage.scan("sealed", owner))


async def nothing(storage: SqliteStorage, owner: bytes) -> None:
    await arrived(storage.scan("arrival", owner))


async def main() -> None:
    loop = asyncio.get_running_loop()

    def later(seconds: float, fn: Callable[[], None]) -> Callable[[], None]:
        return loop.call_later(seconds, fn).cancel

    with tempfile.TemporaryDirectory() as directory:
        storage = SqliteStorage(
            Path(directory) / "q.db", post=loop.call_soon_threadsafe, later=later, randomness=os.urandom
        )
        owners = [os.urandom(16) for _ in range(ACCOUNTS)]
        for owner in owners:
            for _ in range(ROWS):
                storage.put("sealed", owner, os.urandom(16), os.urandom(ROW_BYTES))
            for _ in range(BODIES):
                storage.put("body", owner, os.urandom(16), os.urandom(BODY_BYTES))
        synced: Later[Any] = Later()
        storage.sync().when_settled(lambda: synced.resolve(None))
        await arrived(synced)
        ways: list[Callable[[SqliteStorage, bytes], Awaitable[None]]] = [
            one_after_the_other, together, scan_many_and_load, scan_many, sealed_only, nothing
        ]  # fmt: skip
        figures: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(ROUNDS):
            for way in ways:
                process, thread, wall = time.process_time(), time.thread_time(), time.perf_counter()
                for owner in owners:
                    await way(storage, owner)
                figures.setdefault(way.__name__, []).append((
                    time.process_time() - process, time.thread_time() - thread, time.perf_counter() - wall
                ))  # fmt: skip
        for name, rounds in figures.items():
            whole, ours, wall = (statistics.median(column) / ACCOUNTS * 1e6 for column in zip(*rounds, strict=True))
            print(f"{name:20} {whole:6.0f} µs in the process, {ours:6.0f} in the loop's thread, {wall:6.0f} to wait")
        storage.close()


if __name__ == "__main__":
    uvloop.run(main())
