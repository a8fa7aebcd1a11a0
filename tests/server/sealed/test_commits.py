"""On a real database: at whatever moment the process is killed, rows and manifest are of one state."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sealed_world import ALICE, KEYS, secret

from quietwire.core.later import Later, drive, started
from quietwire.server.accounts import ARRIVALS
from quietwire.server.sealed.keyring import Keyring
from quietwire.server.sealed.seals import Seals
from quietwire.server.sealed.store import SealedStore
from quietwire.store.sqlite import SqliteStorage
from quietwire.store.writer import Job
from quietwire.testing.store_contract import Pump

TABLES = ("roster", "block", "item")
_NUMBERS: Iterator[int] = count(1)


def randomness(size: int) -> bytes:
    return hashlib.shake_256(next(_NUMBERS).to_bytes(8, "big")).digest(size)


class Place:
    """A server's store; `killed` are copies of the disk from before and after each commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pump = Pump()
        self.storage = SqliteStorage(folder / "q.db", post=self.pump.post, later=self.pump.later, randomness=randomness)
        self.notes: list[str] = []
        self.keyring = Keyring(lambda work: drive(work, lambda value, error: None))  # type: ignore[arg-type]
        self.seals = Seals(KEYS, "a.example", self.keyring, randomness, lambda: 1e9)
        self.store = SealedStore(self.storage, self.seals, lambda event, **facts: self.notes.append(event))
        self.killed: list[Path] = []
        self._submit = self.storage._writer.submit
        self.storage._writer.submit = self._copied  # type: ignore[method-assign]

    def _copied(self, job: Job) -> None:
        if job.group is not None:
            self.copy()
        self._submit(job)

    def copy(self) -> None:
        """What a kill would leave now: the writer has nothing to do."""
        to = self.folder.parent / f"killed{len(self.killed)}-{self.folder.name}"
        to.mkdir()
        for file in ("q.db", "q.db-wal"):
            if (self.folder / file).exists():
                shutil.copy(self.folder / file, to / file)
        self.killed.append(to)

    def value(self, later: Later[Any]) -> Any:
        self.pump.until(lambda: later.settled)
        return later.result()

    def start(self) -> None:
        for handle in self.value(self.store.owners("account")):
            self.seals.learn(handle, self.value(self.store.get("account", handle, ARRIVALS)) or b"")

    def log_in(self) -> None:
        lease = self.keyring.unlock(ALICE, secret(ALICE))
        self.value(started(self.store.unlock(ALICE)))
        lease.unlocked.cache = None

    def rows(self) -> dict[tuple[str, bytes], bytes]:
        return {(table, key): value for table in TABLES for key, value in self.value(self.store.scan(table, ALICE))}


@pytest.mark.parametrize("seed", range(6))
def test_every_kill_leaves_an_account_as_it_was_at_some_moment(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    place = Place(tmp_path / "data")
    states: list[dict[tuple[str, bytes], bytes]] = [{}]
    now: dict[tuple[str, bytes], bytes] = {}
    place.log_in()
    for _ in range(60):
        for _ in range(random.randint(1, 4)):  # of one turn
            table, key = random.choice(TABLES), b"%d" % random.randrange(25)
            if random.random() < 0.3:
                place.store.delete(table, ALICE, key)
                now.pop((table, key), None)
            else:
                value = random.randbytes(random.choice((3, 600, 4_000)))
                place.store.put(table, ALICE, key, value)
                now[table, key] = value
        states.append(dict(now))
        step = random.random()
        if step < 0.5:
            place.pump.advance(0.02)  # what was held is committed, what was collected is held
            place.pump.until(lambda: place.storage._job is None)
        elif step < 0.6:
            place.keyring.close()  # in the midst of what is to be written
            place.log_in()
        elif step < 0.7:
            assert place.rows() == now
    place.keyring.close()
    place.storage.close()
    place.copy()
    assert len(place.killed) > 10
    reached = 0
    for folder in place.killed:
        again = Place(folder)
        again.start()
        again.log_in()
        found = again.rows()
        assert (found in states, again.notes) == (True, [])
        reached = max(reached, states.index(found))
        again.storage.close()
    assert states[reached] == now
    assert place.notes == []
