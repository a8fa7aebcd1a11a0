"""What the spool costs the loop's thread: `python tests/store/bench_spool.py`. Not a test: figures of one machine.

Prints the CPU time of the calling thread per keep() and confirm(), and for entries that reach the disk also of the
whole process, with the time a commit takes while the loop is busy.
"""

from __future__ import annotations

import gc
import os
import queue
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from quietwire.store.ports import Entry
from quietwire.store.sqlite import SqliteStorage

MESSAGES = 200_000
ROUNDS = 7
VALUE = bytes(300)
OWNERS = [b"owner %d" % n for n in range(100)]


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


def confirmed_in_time(storage: SqliteStorage, loop: Loop) -> tuple[float, float]:
    """Twenty entries are under way at a time, as with recipients that answer at once."""
    begin, whole = time.thread_time(), time.process_time()
    for _ in range(MESSAGES // 20):
        entries = [storage.keep(owner, VALUE) for owner in OWNERS[:20]]
        for entry in entries:
            storage.confirm(entry)
        loop.turn()
    return time.thread_time() - begin, time.process_time() - whole


def written_and_deleted(storage: SqliteStorage, loop: Loop) -> tuple[float, float]:
    """Every entry reaches the disk and is confirmed later."""
    begin, whole = time.thread_time(), time.process_time()
    before: list[list[Entry]] = []
    for _ in range(MESSAGES // 200):
        entries = [storage.keep(owner, VALUE) for owner in OWNERS]
        before.append(entries)
        if len(before) > 100 and before[0][0].ticket.settled:
            for entry in before.pop(0):
                storage.confirm(entry)
        loop.turn()
    while storage.latest is not None:
        loop.turn(0.005)
    return time.thread_time() - begin, time.process_time() - whole


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        loop = Loop()
        storage = SqliteStorage(Path(directory) / "q.db", post=loop.posted.put, later=loop.later, randomness=os.urandom)
        gc.collect()
        gc.freeze()
        for name, run, count in (
            ("confirmed before the commit", confirmed_in_time, MESSAGES),
            ("written, later deleted", written_and_deleted, MESSAGES // 2),
        ):
            rounds = [run(storage, loop) for _ in range(ROUNDS)]
            ours, whole = (statistics.median(column) / count * 1e6 for column in zip(*rounds, strict=True))
            print(f"{name}: {ours:.2f} µs in the loop's thread, {whole:.2f} µs in the process, per message")
        storage.close()


if __name__ == "__main__":
    main()
