"""When what is written reaches the disk: groups of writes, one writer thread, tries again while the disk refuses.

States of a group: collecting -> (timer) held -> (timer) committing -> settled; size, `sync` or a read that must see it
bring it there at once, size and reads when the turn has ended, so that the writes of a turn stay together. It is held
so that an entry has at least `GROUP_SECONDS` to be confirmed: a busy server's recipients need that long, and what they
confirm costs the disk nothing. When it is handed over, what is late in it is made and its entries are dressed. If the
disk refuses, a group takes up what was collected meanwhile and is collecting again, until the next try. One job is with
the thread at a time. A group that has become empty, since every recipient confirmed, settles without the thread.

Everything here runs in the thread of the loop, save `_done`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, TypeVar
from weakref import WeakValueDictionary

from quietwire.core.errors import StanzaError
from quietwire.core.later import Later, Ticket
from quietwire.store.backup import Copier
from quietwire.store.database import guard, lock_directory, open_database
from quietwire.store.group import OVERHEAD, Group
from quietwire.store.ports import Entry, StorageError
from quietwire.store.writer import (
    Job,
    Query,
    Read,
    Writer,
    query_owners,
    usage,
)

T = TypeVar("T")
Cancel = Callable[[], None]

GROUP_SECONDS = 0.02
"""A group collects that long, then is held that long: with a commit of some milliseconds, 0198 acknowledgements go
within 50 ms."""
GROUP_WEIGHT = 1 << 20
"""Bytes that are committed at once. An operation weighs at least OVERHEAD, so this is also 4,096 operations: larger
groups save nothing, the flush to the disk is spread thin enough, and a commit stays within some ten milliseconds."""
BUFFER_WEIGHT = 64 << 20
"""Bytes that may wait, those of the commit under way included: some seconds' work of a busy server while the disk is
stalled. Beyond that, give or take one group, nothing new is accepted."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits between tries while the disk refuses; the last one repeats. A disk that was full is noticed within 5 s."""
CUT_SECONDS = 2.0
"""Until the log is cut for somebody who has left: all who leave in that time share one checkpoint."""
CHECKPOINT_SECONDS = 30.0
"""Longest life of the write-ahead log: it tells what was written together, and holds what was deleted since."""

FEW = ("preference", "push")
"""Tables in which most accounts have nothing and that are asked by themselves: who has is remembered, some 90 bytes an
owner and table, and nobody else's question waits for the thread. What a login reads in one question anyway is not."""

DURABLE = Ticket()
DURABLE.settle()


class Committer:
    """The groups, their timers and the writer of one database; `SqliteStorage` puts into the groups and asks."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        post: Callable[[Callable[[], None]], object],
        later: Callable[[float, Callable[[], None]], Cancel],
        randomness: Callable[[int], bytes],
        on_fault: Callable[[str], None] = lambda _: None,
    ) -> None:
        file = Path(path)
        self._post = post
        self._later = later
        self._randomness = randomness
        self._on_fault = on_fault
        self._keys: list[bytes] = []
        self._group = Group()
        self._held: Group | None = None
        self._resting: WeakValueDictionary[bytes, Entry] = WeakValueDictionary()
        """Unconfirmed entries that are on the disk and that somebody still holds."""
        self._job: Job | None = None
        self._finished: SimpleQueue[Job] = SimpleQueue()
        self._reads: list[Read] = []
        self._due = False
        """The group is to be committed as soon as the writer is free."""
        self._posted = False
        """`_turned` will be called."""
        self.dress: Callable[[bytes, bytes, bytes], bytes] | None = None
        self._refusing = False
        self._closed = False
        self._checkpoint_due = False
        self._timer: Cancel | None = None
        self._retry_timer: Cancel | None = None
        self._checkpoint_timer: Cancel | None = None
        self._failures = 0
        self._fault = ""
        self._lock = lock_directory(file.parent)
        try:
            db = open_database(file)
            self._usage = usage(db)  # an owner's [0, 0] stays: there are no more of them than accounts
            self._few = {table: set[bytes](query_owners(table)(db)) for table in FEW}
        except sqlite3.Error as error:
            os.close(self._lock)
            raise StorageError(_reason(error)) from error
        except BaseException:
            os.close(self._lock)
            raise
        self._copier = Copier(file, post, self._copied)
        self._checkpoint_owed = False
        self._cutting = False
        """The next checkpoint was brought forward."""
        """One was due while a copy was made, which would have held it, and every commit behind it, up."""
        self._writer = Writer(db, self._done, guard(file))

    # the storage

    @property
    def latest(self) -> Ticket | None:
        group = self._group
        if group.kept or group.rows or group.erased:  # not `gone`: nobody's acknowledgement rests on a deletion
            return group.ticket
        held = self._held
        if held is not None and (held.kept or held.rows or held.erased):
            return held.ticket
        job = self._job
        return job.group.ticket if job is not None and job.group is not None else None

    @property
    def condition(self) -> tuple[bool, str, int]:
        """(whether it refuses new writes, why the disk refuses or '', bytes that wait to be committed)."""
        groups = (self._group, self._held, self._job.group if self._job else None)
        return self._refusing, self._fault, sum(group.weight for group in groups if group is not None)

    def sync(self) -> Ticket:
        self._merge()
        if self._group.empty:
            self._settle_unwritten()
            return self._job.group.ticket if self._job and self._job.group else DURABLE
        self._due = True
        ticket = self._group.ticket
        self._advance()
        return ticket

    def close(self) -> None:
        """Raises StorageError, after closing, if the disk refused what was pending: its tickets stay unsettled."""
        if self._closed:
            return
        self._closed = self._refusing = True
        for cancel in (self._timer, self._retry_timer, self._checkpoint_timer):
            if cancel is not None:
                cancel()
        self._copier.stop()
        self._retry_timer = None  # one more try
        while True:
            self._due = True
            self._advance()
            if self._job is None:
                break
            self._finish(self._finished.get())
        self._writer.close()
        os.close(self._lock)
        if not self._group.empty:
            raise StorageError(self._fault)
        self._settle_unwritten()

    # how it works

    def _wrote(self, size: int) -> None:
        group = self._group
        group.weight += size + OVERHEAD
        if self._timer is None or group.weight >= GROUP_WEIGHT:
            self._collected(group)

    def _collected(self, group: Group) -> None:
        """Something was added to the group and nothing has been arranged for its commit, or it has become large."""
        if self._closed:  # a waiter that close() settles may still confirm; it takes what it leaves
            return
        if group.weight >= GROUP_WEIGHT:
            self._due = True
            self._when_turned()
            self._bound()
        elif self._timer is None:
            self._timer = self._later(GROUP_SECONDS, self._tick)

    def _when_turned(self) -> None:
        """Has the group handed over when the turn has ended, and not in its midst."""
        if not self._posted:
            self._posted = True
            self._post(self._turned)

    def _turned(self) -> None:
        self._posted = False
        self._advance()

    def _bound(self) -> None:
        groups = (self._group, self._held, self._job.group if self._job else None)
        weight = sum(group.weight for group in groups if group is not None)
        self._refusing = self._closed or weight >= BUFFER_WEIGHT

    def _refuse(self) -> NoReturn:
        if self._closed:
            raise StorageError("the storage is closed")
        raise StanzaError("resource-constraint", "too much waits for the disk")

    def _tick(self) -> None:
        self._timer = None
        held = self._held
        if held is not None:
            if self._job is not None or self._retry_timer is not None:
                self._due = True  # goes with everything else as soon as the writer is free
                return
            if held.empty:
                self._settle_held()
            elif held.late and not held.late.keys().isdisjoint(self._group.rows):
                self._merge()  # what is late covers writes of both
                self._submit(self._take())
            else:
                self._held = None
                self._submit(held)
        if self._group.empty:
            self._settle_unwritten()
        else:
            self._held, self._group = self._group, Group()
        if self._held is not None and self._timer is None:  # a waiter may have written and set it
            self._timer = self._later(GROUP_SECONDS, self._tick)

    def _merge(self) -> None:
        """What is held and what is being collected become one group again."""
        held, self._held = self._held, None
        if held is not None:
            held.absorb(self._group)
            self._group = held

    def _settle_unwritten(self) -> None:
        """Every entry of the group was confirmed before its commit, and there is nothing else in it."""
        group, self._group = self._group, Group()
        self._settle_after(group, self._held or (self._job.group if self._job is not None else None))

    def _settle_held(self) -> None:
        """The same, of the group that is held."""
        held, self._held = self._held, None
        assert held is not None
        self._settle_after(held, self._job.group if self._job is not None else None)

    @staticmethod
    def _settle_after(group: Group, earlier: Group | None) -> None:
        """Groups settle in order: whoever waits for one waits for every write before it."""
        if earlier is None:
            group.settle()
        else:
            earlier.others += [group.ticket, *group.others]

    def _ask(
        self,
        query: Query,
        about: Sequence[tuple[str, bytes | None]],
        convert: Callable[[Any], T] | None = None,
    ) -> Later[T]:
        later: Later[T] = Later()
        read = Read(query, later, about, convert)
        if self._closed:
            later.fail(StorageError("the storage is closed"))
            return later
        forces = self._matters_to(read)
        if forces and self._retry_timer is not None:
            later.fail(StorageError(self._fault))  # it cannot see the writes before it; the next try comes by itself
            return later
        self._reads.append(read)
        if self._job is None:
            if forces or self._posted:
                self._when_turned()
            else:
                self._advance()
        return later

    def _advance(self) -> None:
        """Gives the writer its next job, if it is free and there is one."""
        if self._job is not None:
            return
        group = None
        unwritten = False
        if (self._due or any(map(self._matters_to, self._reads))) and self._retry_timer is None:
            self._merge()
            self._due = False
            unwritten = self._group.empty
            if not unwritten:
                group = self._take()
        if group is not None or self._reads or self._checkpoint_due:
            self._submit(group)
        if unwritten:  # last, since waiters may ask for more; now, since no timer need be set
            self._settle_unwritten()

    def _matters_to(self, read: Read) -> bool:
        about = read.about
        return self._group.matters_to(about) or (self._held is not None and self._held.matters_to(about))

    def _take(self) -> Group:
        group, self._group = self._group, Group()
        return group

    def _submit(self, group: Group | None) -> None:
        self._job = job = Job(group, self._reads, self._checkpoint_due)
        self._reads = []
        self._checkpoint_due = False
        if group is not None and (group.late or self.dress is not None):
            self._fix(group)
        self._writer.submit(job)

    def _fix(self, group: Group) -> None:
        grown, bugs = group.fix(self.dress)
        for owner, size in grown.items():
            self._usage[owner][1] += size
        if bugs:  # of those who make and dress; the writes of everybody else go on
            self._post(partial(_raise, ExceptionGroup("what is to be written could not be made", bugs)))

    def _done(self, job: Job) -> None:
        """In the writer's thread."""
        self._finished.put(job)
        try:
            self._post(self._collect)
        except RuntimeError:  # the loop has ended: close() collects
            pass

    def _collect(self) -> None:
        try:
            job = self._finished.get_nowait()
        except Empty:  # close() was quicker
            return
        try:
            self._finish(job)
        finally:
            self._advance()

    def _finish(self, job: Job) -> None:
        """Settles what the job was for. Whatever waiters do then finds the storage ready for it."""
        self._job = None
        settle: list[Callable[[], None]] = []
        reads = job.reads
        if job.group is not None:
            if job.error is None:
                self._committed(job.group)
                settle.append(job.group.settle)
            else:
                reads += self._failed(job.group, job.error)
            self._bound()
        settle += [partial(self._answer, read) for read in reads]
        bugs = []
        for one in settle:
            try:
                one()
            except Exception as bug:  # a waiter's; the others are not to wait for ever
                bugs.append(bug)
        if bugs:
            raise ExceptionGroup("waiters of the storage failed", bugs)

    def _answer(self, read: Read) -> None:
        if read.error is not None:
            read.later.fail(StorageError(_reason(read.error)))
        else:
            read.later.resolve(read.convert(read.answer) if read.convert is not None else read.answer)

    def _committed(self, group: Group) -> None:
        for key, entry in group.kept.items():
            if not entry.confirmed:
                self._resting[key] = entry
        self._failures = 0
        self._report("")
        if self._checkpoint_timer is None and not self._closed:
            self._checkpoint_timer = self._later(CHECKPOINT_SECONDS, self._checkpoint)

    def _failed(self, group: Group, error: Exception) -> list[Read]:
        """Arranges the next try. Returns the reads that wait and would not see the writes before them."""
        self._merge()
        group.absorb(self._group)
        self._group = group
        self._due = True
        seconds = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        self._retry_timer = (lambda: None) if self._closed else self._later(seconds, self._retry)
        self._report(_reason(error))
        blind = [read for read in self._reads if group.matters_to(read.about)]
        if blind:
            self._reads = [read for read in self._reads if read not in blind]
        for read in blind:
            read.error = error
        return blind

    def _retry(self) -> None:
        self._retry_timer = None
        if self._group.empty:  # all confirmed meanwhile; whether the disk works will show
            self._settle_unwritten()
        self._advance()

    def cut_log(self) -> None:
        if self._checkpoint_timer is None or self._cutting:
            return  # nothing was committed since the last time, or it is coming
        self._cutting = True
        self._checkpoint_timer()
        self._checkpoint_timer = self._later(CUT_SECONDS, self._checkpoint)

    def _checkpoint(self) -> None:
        self._checkpoint_timer = None
        self._cutting = False
        if self._copier.running:
            self._checkpoint_owed = True
            return
        self._checkpoint_due = True
        self._advance()

    def _copied(self) -> None:
        owed, self._checkpoint_owed = self._checkpoint_owed, False
        if owed and not self._closed:
            self._checkpoint_due = True
            self._when_turned()

    def _report(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            self._on_fault(fault)


def _raise(error: Exception) -> NoReturn:
    raise error


def _reason(error: Exception) -> str:
    """SQLite's texts name at most a table; of other errors, which would be bugs, only the kind is told."""
    return str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
