"""A process is killed while it writes: whatever it reported as durable and did not confirm is there afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from quietwire.store.sqlite import SqliteStorage
from quietwire.testing.store_contract import Pump

ROUNDS = 20
CHILD = """
import os, queue, sys, time
from random import Random
from quietwire.store.sqlite import SqliteStorage

path, first, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
choose, posted, timers, number = Random(seed), queue.SimpleQueue(), [], first
clock = time.monotonic

def later(seconds, fn):
    timers.append((clock() + seconds, fn))
    return lambda: None

storage = SqliteStorage(path, post=posted.put, later=later, randomness=os.urandom)
held = []

def settled(mine):
    for entry in mine:
        if not entry.confirmed:
            os.write(1, b"+%s\\n" % entry.value[:8])

while True:
    mine = [storage.spool.keep(b"%d" % choose.randrange(5), b"%08d" % (number + n) + bytes(choose.randrange(3000)))
            for n in range(choose.randrange(1, 30))]
    number += len(mine)
    mine[0].ticket.when_settled(lambda mine=mine: settled(mine))
    held += mine
    choose.shuffle(held)
    for entry in [held.pop() for _ in range(len(held) // 3)]:
        os.write(1, b"-%s\\n" % entry.value[:8])  # said before it is done: what was said last may still be there
        storage.spool.confirm(entry)
    if choose.random() < 0.2:
        storage.sync()
    try:
        posted.get(timeout=0.002)()
    except queue.Empty:
        pass
    for timer in [timer for timer in timers if timer[0] <= clock()]:
        timers.remove(timer)
        timer[1]()
"""


def stored(path: Path) -> set[int]:
    pump = Pump()
    storage = SqliteStorage(path, post=pump.post, later=pump.later, randomness=os.urandom)
    numbers = set()
    for n in range(5):
        later = storage.spool.load(b"%d" % n)
        pump.until(lambda later=later: later.settled)  # type: ignore[misc]
        entries = later.result()
        assert storage.spool.usage(b"%d" % n) == (len(entries), sum(len(entry.value) for entry in entries))
        numbers |= {int(entry.value[:8]) for entry in entries}
    storage.close()
    return numbers


def test_what_was_reported_durable_survives_the_kill(tmp_path: Path) -> None:
    choose = Random(6120)
    durable: set[int] = set()
    confirmed: set[int] = set()
    for round_ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "q.db"), str(round_ * 1_000_000), str(round_)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        lines = []
        for _ in range(choose.randrange(1, 1500)):
            lines.append(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.read().splitlines()
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        durable |= {int(line[1:]) for line in lines if line.startswith(b"+")}
        confirmed |= {int(line[1:]) for line in lines if line.startswith(b"-")}
        assert durable - confirmed <= stored(tmp_path / "q.db")
    assert len(durable - confirmed) > 30, "this proves little"
