"""What the archive costs on SQLite: `python tests/server/bench_archive.py`. Not a test: figures of one machine.

The same messages three times, in the same run: as rows in clear, one a message, as before the sealed store (`rows`);
batched and folded as now, in clear (`plain`); the same sealed to unlocked accounts (`sealed`). Two archives a message,
as between local accounts. CPU per message of the loop's thread and of the process, folding included: as fast as it
goes, and at a steady rate. Then bytes per message, padding apart; then, sealed, what opening costs: the first query and
a page after it, with all folded and with all that came still in batches, and how long the loop was held at most.
"""

from __future__ import annotations

import gc
import os
import queue
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from struct import Struct
from typing import Any

from quietwire.core.later import drive
from quietwire.seal.keys import ServerKeys
from quietwire.server.archive import Archive, month_of
from quietwire.server.archive_index import Query
from quietwire.server.sealed.keyring import Keyring
from quietwire.server.sealed.seals import Safe, Seals
from quietwire.server.sealed.store import SealedStore
from quietwire.store.sqlite import SqliteStorage
from quietwire.testing.safe import PlainSafe

MESSAGES = 100_000
ROUNDS = 5
SECONDS = 8.0
RATE = 500
MESSAGE = b"<message from='u1@localhost/r0' to='u2@localhost' type='chat' id='00000001'><body>%b</body></message>" % (
    b"x" * 100
)
OWNERS = [b"u%d@localhost" % n for n in range(200)]
_OLD = Struct(">BBQQIQH")


class Loop:
    """Turns by itself, in real time. `longest`: seconds between two turns, of the loop's thread."""

    def __init__(self) -> None:
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.longest = 0.0

    def later(self, seconds: float, fn: Callable[[], None]) -> Callable[[], None]:
        self.timers.append((time.monotonic() + seconds, fn))
        return lambda: None

    def turn(self, wait: float = 0.0) -> None:
        try:
            fn = self.posted.get(block=wait > 0, timeout=wait)
        except queue.Empty:
            pass
        else:
            self._call(fn)
        now = time.monotonic()
        for timer in [timer for timer in self.timers if timer[0] <= now]:
            self.timers.remove(timer)
            self._call(timer[1])

    def _call(self, fn: Callable[[], None]) -> None:
        begin = time.thread_time()
        fn()
        self.longest = max(self.longest, time.thread_time() - begin)

    def spawn(self, work: Awaitable[Any]) -> None:
        async def wrapped() -> Any:
            return await work

        def done(_: Any, error: BaseException | None) -> None:
            if error is not None:
                raise error

        drive(wrapped(), done)

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


class Rows:
    """The archive of before: a row a message."""

    def __init__(self, storage: SqliteStorage) -> None:
        self._storage = storage
        self._order = 0
        self._prefix = b"m" + month_of(int(time.time() * 1000))[2].to_bytes(2, "big")

    def new_id(self) -> str:
        return os.urandom(16).hex()

    def append(self, owner: bytes, id: str, now: float, with_: str, message: bytes, *, token: int = 0) -> None:
        self._order += 1
        name = with_.encode()
        head = _OLD.pack(1, 0, self._order, int(now * 1000), len(message), token, len(name))
        self._storage.put("old_archive", owner, self._prefix + bytes.fromhex(id), head + name + message)


class Place:
    """One database with an archive. `kind`: rows, plain or sealed."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.loop = Loop()
        self.path = directory / kind / "q.db"
        self.storage = SqliteStorage(self.path, post=self.loop.posted.put, later=self.loop.later, randomness=os.urandom)
        self.keyring = Keyring(self.loop.spawn)
        seals = Seals(ServerKeys(os.urandom(32), os.urandom(32)), "localhost", self.keyring, os.urandom, time.time)
        self.store = SealedStore(self.storage, seals, lambda *_, **__: None)
        self.faults = 0
        self.archive: Any = Rows(self.storage)
        self.safe: Safe = seals if kind == "sealed" else PlainSafe()
        if kind != "rows":
            self.begin()

    def begin(self) -> None:
        """As after a start."""

        def report(owner: bytes, found: Any) -> None:
            self.faults += len(list(found))

        store: Any = self.store if self.kind == "sealed" else self.storage
        self.archive = Archive("localhost", store, self.storage, self.safe, os.urandom, self.loop.spawn, report)
        self.archive.stanzas, self.archive.bytes = 1 << 30, 1 << 40
        self.loop.run(self.archive.open())

    def unlock(self, owner: bytes) -> None:
        if self.kind == "sealed":
            self.keyring.unlock(owner, bytearray((owner * 32)[:32]))
            self.loop.run(self.store.unlock(owner))

    def lock(self, owner: bytes) -> None:
        unlocked = self.keyring.get(owner)
        if unlocked is not None:
            self.keyring.wipe(unlocked)

    def wait(self) -> None:
        """Until all is on the disk, and nothing is being folded."""
        while self.storage.latest is not None or getattr(self.archive, "_working", False):
            self.loop.turn(0.005)

    def fill(self, owners: list[bytes], messages: int, rate: float = 0.0) -> None:
        begin = time.monotonic()
        for n in range(messages):
            for copy, owner in enumerate((owners[n % len(owners)], owners[(n + 1) % len(owners)])):
                self.archive.append(
                    owner, self.archive.new_id(), time.time(), "u7@localhost/r0", MESSAGE, token=2 * n + copy + 1
                )
            if rate:
                while (ahead := begin + n / rate - time.monotonic()) > 0:
                    self.loop.turn(ahead)
            elif n % 100 == 99:
                self.loop.turn()
        self.wait()


def measured(place: Place, messages: int, rate: float = 0.0) -> tuple[float, float]:
    """µs of CPU a message: (loop's thread, process)."""
    begin = time.thread_time(), time.process_time()
    place.fill(OWNERS, messages, rate)
    end = time.thread_time(), time.process_time()
    return (end[0] - begin[0]) / messages * 1e6, (end[1] - begin[1]) / messages * 1e6


def cpu(directory: Path) -> None:
    places = [Place(kind, directory) for kind in ("rows", "plain", "sealed")]
    for owner in OWNERS:
        places[2].unlock(owner)
    gc.collect()
    gc.freeze()
    for title, messages, rate, rounds in (
        ("as fast as it goes", MESSAGES // ROUNDS, 0.0, ROUNDS),
        (f"{RATE} messages a second", int(RATE * SECONDS), float(RATE), 3),
    ):
        for place in places:
            place.fill(OWNERS, 1_000)
            place.loop.longest = 0.0
        rows = {place.kind: list[tuple[float, float]]() for place in places}
        for _ in range(rounds):
            for place in places:
                rows[place.kind].append(measured(place, messages, rate))
        for kind, each in rows.items():
            loop, whole = (statistics.median(column) for column in zip(*each, strict=True))
            print(f"{title}, {kind}: {loop:.1f} µs in the loop's thread, {whole:.1f} µs in the process")
        longest = ", ".join(f"{place.kind} {place.loop.longest * 1e3:.1f} ms" for place in places)
        print(f"{title}: the loop was held at most {longest}")
    for place in places:
        place.storage.close()


def weight(directory: Path) -> None:
    """Bytes of rows a message, in archives of 10,000, and where each message had a commit of its own."""
    place = Place("sealed", directory)
    place.archive.fold = nothing  # later, all at once
    many, alone = b"many@localhost", b"alone@localhost"
    for owner in (many, alone):
        place.unlock(owner)
    place.fill([many], 5_000)
    for n in range(1_000):
        place.archive.append(alone, place.archive.new_id(), time.time(), "u7@localhost/r0", MESSAGE, token=n + 1)
        place.storage.sync()
        place.wait()
    for title, owner, count in (
        ("in batches of a busy commit", many, 10_000),
        ("in a batch of its own", alone, 1_000),
        ("folded", many, 10_000),
    ):
        if title == "folded":
            del place.archive.fold
            place.loop.run(place.archive.fold(owner))
            place.wait()
        rows = place.loop.run(place.storage.scan("archive", place.safe.owner("archive", owner)))
        stored = sum(len(key) + len(row) for key, row in rows)
        contents = [place.safe.open("archive", owner, key, row) for key, row in rows]
        padding = sum(len(content) - len(content.rstrip(b"\0")) for content in contents)
        print(
            f"{title}: {stored / count:.0f} bytes a message in {len(rows)} rows: {len(MESSAGE)} of the message, "
            f"{(stored - padding) / count - len(MESSAGE):.0f} more, {padding / count:.0f} of padding"
        )
    clear = 19 + _OLD.size + len("u7@localhost/r0")
    print(f"in clear, a row a message: {len(MESSAGE)} of the message, {clear} more")
    place.storage.close()


async def nothing(owner: bytes) -> None:
    """Instead of folding."""


def reading(directory: Path) -> None:
    place = Place("sealed", directory)
    gc.collect()
    gc.freeze()
    for size in (10_000, 100_000):
        for folded in (False, True):
            owner = b"size%d%d@localhost" % (size, folded)
            place.unlock(owner)
            if not folded:
                place.archive.fold = nothing
            place.fill([owner], size // 2)
            if folded:
                place.loop.run(place.archive.fold(owner))
            place.wait()
            place.lock(owner)
            place.begin()
            begin = time.monotonic()
            place.unlock(owner)
            unlocked = time.monotonic() - begin
            place.loop.longest = 0.0
            begin = time.monotonic()
            page = place.loop.run(place.archive.query(owner, Query(max=50, before="")))
            first = time.monotonic() - begin
            begin = time.monotonic()
            pages = 0
            while page.items and pages < 100:
                page = place.loop.run(place.archive.query(owner, Query(max=50, before=page.items[0].id)))
                pages += 1
            each = (time.monotonic() - begin) / pages
            begin = time.monotonic()
            place.loop.run(place.archive.query(owner, Query(max=50, before="", with_=None, start=1)))
            print(
                f"{size} messages, {'folded' if folded else 'in batches'}: unlocked in {unlocked * 1e3:.1f} ms, first "
                f"query {first * 1e3:.0f} ms, each page of 50 after it {each * 1e3:.1f} ms, filtered "
                f"{(time.monotonic() - begin) * 1e3:.1f} ms; held for {place.loop.longest * 1e3:.1f} ms at most"
            )
            begin_cpu = time.process_time()
            place.loop.run(place.archive.fold(owner))
            print(f"  folding the rest: {(time.process_time() - begin_cpu) * 1e3:.0f} ms of CPU")
            place.archive.release(owner)
    assert place.faults == 0
    place.storage.close()


def main() -> None:
    wanted = sys.argv[1:] or ["cpu", "weight", "reading"]
    with tempfile.TemporaryDirectory() as directory:
        for name, work in (("cpu", cpu), ("weight", weight), ("reading", reading)):
            if name in wanted:
                (Path(directory) / name).mkdir()
                work(Path(directory) / name)


if __name__ == "__main__":
    main()
