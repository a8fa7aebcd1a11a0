"""What the archive costs on SQLite: `python tests/server/bench_archive.py`. Not a test: figures of one machine.

Prints the CPU time per archived message, of the loop's thread and of the process, two archives a message as between
local accounts; then how long the first query takes in an archive of 10,000 and of 100,000 messages, and each page
after it.
"""

from __future__ import annotations

import gc
import os
import queue
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from quietwire.core.later import drive
from quietwire.server.archive import Archive
from quietwire.server.archive_index import Query
from quietwire.store.sqlite import SqliteStorage

MESSAGES = 100_000
ROUNDS = 5
MESSAGE = b"<message from='u1@localhost/r0' to='u2@localhost' type='chat' id='00000001'><body>%b</body></message>" % (
    b"x" * 100
)
OWNERS = [b"u%d@localhost" % n for n in range(200)]


class Loop:
    """Turns by itself, in real time."""

    def __init__(self) -> None:
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, fn: Callable[[], None]) -> Callable[[], None]:
        self.timers.append((time.monotonic() + seconds, fn))
        return lambda: None

    def turn(self, wait: float = 0.0) -> None:
        try:
            self.posted.get(block=wait > 0, timeout=wait)()
        except queue.Empty:
            pass
        now = time.monotonic()
        for timer in [timer for timer in self.timers if timer[0] <= now]:
            self.timers.remove(timer)
            timer[1]()

    def run(self, work: Awaitable[Any]) -> Any:
        ended: list[tuple[Any, BaseException | None]] = []

        async def wrapped() -> Any:
            return await work

        drive(wrapped(), lambda value, error: ended.append((value, error)))
        while not ended:
            self.turn(0.005)
        if ended[0][1] is not None:
            raise ended[0][1]
        return ended[0][0]


def fill(archive: Archive, storage: SqliteStorage, loop: Loop, owners: list[bytes], messages: int) -> None:
    for n in range(messages):
        for owner in (owners[n % len(owners)], owners[(n + 1) % len(owners)]):
            archive.append(owner, archive.new_id(), time.time(), "u7@localhost/r0", MESSAGE, token=n + 1)
        if n % 100 == 99:
            loop.turn()
    while storage.latest is not None:
        loop.turn(0.005)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        loop = Loop()
        path = Path(directory) / "q.db"
        storage = SqliteStorage(path, post=loop.posted.put, later=loop.later, randomness=os.urandom)
        archive = Archive("localhost", storage, os.urandom, loop.run)
        archive.stanzas, archive.bytes = 1 << 30, 1 << 40
        loop.run(archive.open())
        gc.collect()
        gc.freeze()
        ours, whole, wall = [], [], []
        for _ in range(ROUNDS):
            begin = time.thread_time(), time.process_time(), time.monotonic()
            fill(archive, storage, loop, OWNERS, MESSAGES // ROUNDS)
            end = time.thread_time(), time.process_time(), time.monotonic()
            for column, value in zip((ours, whole, wall), map(float.__sub__, end, begin), strict=True):
                column.append(value / (MESSAGES // ROUNDS) * 1e6)
        print(
            f"a message in two archives: {statistics.median(ours):.1f} µs in the loop's thread, "
            f"{statistics.median(whole):.1f} µs in the process, {statistics.median(wall):.1f} µs passed"
        )
        for size in (10_000, 100_000):
            owner = b"size%d@localhost" % size
            fill(archive, storage, loop, [owner], size // 2)
            begin_ = time.monotonic()
            page = loop.run(archive.query(owner, Query(max=50, before="")))
            first = time.monotonic() - begin_
            begin_ = time.monotonic()
            pages = 0
            while page.items and pages < 100:
                page = loop.run(archive.query(owner, Query(max=50, before=page.items[0].id)))
                pages += 1
            print(
                f"{size} messages: first query {first * 1e3:.0f} ms, "
                f"each page of 50 after it {(time.monotonic() - begin_) / pages * 1e3:.1f} ms"
            )
            archive.release(owner)
        print(f"database: {path.stat().st_size / 1e6:.0f} MB")
        storage.close()


if __name__ == "__main__":
    main()
