"""Whatever is done, SQLite and memory give the same answers; also across restarts and while the disk refuses."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from quietwire.core.later import Later, Ticket
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import Entry, StorageError
from quietwire.store.sqlite import CHECKPOINT_SECONDS, GROUP_SECONDS, RETRY_SECONDS, SqliteStorage
from quietwire.store.writer import Job, Read
from quietwire.testing.store_contract import PATIENCE, Pump

OWNERS = st.sampled_from([b"alice", b"bob", b""])
KEYS = st.sampled_from([b"1", b"2", b"\0"])
VALUES = st.sampled_from([b"", b"v", b"w" * 5000])
TABLE = st.sampled_from(["sealed", "node"])


class Drivers(RuleBasedStateMachine):
    entries = Bundle("entries")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.model = MemoryStorage(Random(0).randbytes)
        self.opened = 0
        self.broken = False
        self.tickets: list[Ticket] = []
        self.reads: list[tuple[Later[Any], Any]] = []
        self.open()

    def open(self) -> None:
        self.pump = Pump()
        self.opened += 1
        self.faults: list[str] = []
        self.real = SqliteStorage(
            self.directory / "q.db",
            post=self.pump.post,
            later=self.pump.later,
            randomness=Random(self.opened).randbytes,
            on_fault=self.faults.append,
        )

    def teardown(self) -> None:
        try:
            self.real.close()
        except StorageError:
            assert self.broken
        shutil.rmtree(self.directory)

    def idle(self) -> None:
        self.pump.until(lambda: self.real._job is None)

    def set_broken(self, broken: bool) -> None:
        self.idle()
        read = Read(lambda db: db.execute(f"PRAGMA query_only={int(broken)}"), Later())
        self.real._writer.submit(Job(None, [read], checkpoint=False))
        self.real._finished.get(timeout=PATIENCE)
        self.broken = broken

    def refusing(self) -> bool:
        """Whether a read may fail: the disk is broken, or works again and the next try is still to come."""
        return self.broken or self.faults[-1:] not in ([], [""])

    def ask(self, real: Later[Any], model: Later[Any]) -> Any:
        """The real answer, or None if the disk refuses."""
        self.pump.until(lambda: real.settled)
        try:
            answer = real.result()
        except StorageError:
            assert self.refusing()
            return None
        expected = model.result()
        if isinstance(expected, list):
            assert len(answer) == len(expected)
        return answer

    @rule(table=TABLE, owner=OWNERS, key=KEYS, value=VALUES)
    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> None:
        self.tickets.append(self.real.put(table, owner, key, value))
        self.model.put(table, owner, key, value)

    @rule(table=TABLE, owner=OWNERS, key=KEYS)
    def delete(self, table: str, owner: bytes, key: bytes) -> None:
        self.tickets.append(self.real.delete(table, owner, key))
        self.model.delete(table, owner, key)

    @rule(owner=OWNERS)
    def erase(self, owner: bytes) -> None:
        self.tickets.append(self.real.erase(owner))
        self.model.erase(owner)

    @rule(target=entries, owner=OWNERS, value=VALUES)
    def keep(self, owner: bytes, value: bytes) -> tuple[Entry, Entry]:
        real, model = self.real.keep(owner, value), self.model.keep(owner, value)
        self.tickets.append(real.ticket)
        return real, model

    @rule(pair=entries)
    def confirm(self, pair: tuple[Entry, Entry]) -> None:
        if self.tracked(pair[0]):
            self.real.confirm(pair[0])
            self.model.confirm(pair[1])

    @rule(pair=consumes(entries))
    def confirm_and_forget(self, pair: tuple[Entry, Entry]) -> None:
        self.confirm(pair)

    @rule(pair=consumes(entries))
    def forget(self, pair: tuple[Entry, Entry]) -> None:
        """Nobody holds it any more: only the disk does."""

    def tracked(self, entry: Entry) -> bool:
        """Not from before a restart: those objects died with the process."""
        job = self.real._job
        groups = [self.real._group, self.real._held, job.group if job else None]
        alive = self.real._resting.get(entry.key) is entry
        return entry.confirmed or alive or any(group and group.kept.get(entry.key) is entry for group in groups)

    @rule(table=TABLE, owner=OWNERS, key=KEYS)
    def get(self, table: str, owner: bytes, key: bytes) -> None:
        expected = self.model.get(table, owner, key)
        later = self.real.get(table, owner, key)
        self.pump.until(lambda: later.settled)
        try:
            assert later.result() == expected.result()
        except StorageError:
            assert self.refusing()

    @rule(table=TABLE, owner=OWNERS)
    def scan(self, table: str, owner: bytes) -> None:
        answer = self.ask(self.real.scan(table, owner), self.model.scan(table, owner))
        assert answer is None or dict(answer) == dict(self.model.scan(table, owner).result())

    @rule(table=TABLE)
    def owners(self, table: str) -> None:
        answer = self.ask(self.real.owners(table), self.model.owners(table))
        assert answer is None or set(answer) == set(self.model.owners(table).result())

    @rule(owner=OWNERS, writes=st.booleans(), value=VALUES)
    def load(self, owner: bytes, writes: bool, value: bytes) -> None:
        """With `writes`, entries come and go while the question is under way."""
        loading = self.real.load(owner)
        if writes:
            self.tickets.append(self.real.keep(owner, value).ticket)
            self.model.keep(owner, value)
        answer = self.ask(loading, self.model.load(owner))
        if answer is not None:
            expected = self.model.load(owner).result()
            assert sorted(entry.value for entry in answer) == sorted(entry.value for entry in expected)
            assert not any(entry.confirmed for entry in answer)

    @rule(seconds=st.sampled_from([GROUP_SECONDS / 2, GROUP_SECONDS, RETRY_SECONDS[-1], CHECKPOINT_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.pump.advance(seconds)

    @rule()
    def posted_callables_run(self) -> None:
        self.idle()

    @rule()
    def sync(self) -> None:
        ticket = self.real.sync()
        if self.broken:
            self.idle()
            return
        while not ticket.settled:
            self.pump.advance(RETRY_SECONDS[-1])
            self.idle()
        assert all(ticket.settled for ticket in self.tickets)
        assert self.real.latest is None
        self.tickets.clear()

    @precondition(lambda self: not self.broken)
    @rule()
    def the_disk_breaks(self) -> None:
        self.set_broken(True)

    @precondition(lambda self: self.broken)
    @rule()
    def the_disk_works_again(self) -> None:
        self.set_broken(False)

    @precondition(lambda self: not self.broken)
    @rule()
    def restart(self) -> None:
        self.real.close()
        assert all(ticket.settled for ticket in self.tickets)
        self.tickets.clear()
        self.open()

    @invariant()
    def usage_agrees(self) -> None:
        for owner in (b"alice", b"bob", b""):
            assert self.real.usage(owner) == self.model.usage(owner)


TestDriversAgree = Drivers.TestCase
TestDriversAgree.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
