"""Receipts and markers that wait: what is in the store, and when their time is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_db import Ring

from quietwire.client import gathered, receipts, sce
from quietwire.client.db import Batch, Database
from quietwire.client.gathered import Notice
from quietwire.client.keys import FromKeyring
from quietwire.client.receipts import Held, Receipts

BOB, EVE = "bob@b.example", "eve@e.example"
IDS = [f"{number:032x}" for number in range(20)]


class Clock:
    """Timers that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.set: list[tuple[float, Callable[[], None], Handle]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> Handle:
        handle = Handle()
        self.set.append((self.now + seconds, call, handle))
        return handle

    def turn(self, seconds: float) -> None:
        self.now += seconds
        due = [entry for entry in self.set if entry[0] <= self.now]
        self.set = [entry for entry in self.set if entry not in due]
        for _, call, handle in due:
            if not handle.cancelled:
                call()


class Handle:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Database.open(tmp_path / "s", FromKeyring(Ring(), "a")).batch()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(clock: Clock, tick: float = 0.0) -> tuple[Receipts, list[tuple[float, str]]]:
    over: list[tuple[float, str]] = []
    return Receipts(lambda peer: over.append((clock.now, peer)), clock.later, tick=tick), over


def received(number: int) -> Notice:
    return Notice(IDS[number], received=True)


def test_what_waits_for_one_person_is_one_list_under_one_id(batch: Batch, clock: Clock) -> None:
    held, _ = made(clock)
    first = held.hold(batch, BOB, received(0))
    assert first is not None
    assert held.hold(batch, BOB, received(1)) == Held(first.id, (received(0), received(1)))
    marker = Notice(IDS[0], displayed=True)
    both = Held(first.id, (Notice(IDS[0], True, True), received(1)))
    assert held.hold(batch, BOB, marker) == both == held.hold(batch, BOB, received(0))
    other = held.hold(batch, EVE, received(0))
    assert other is not None
    assert other.id != first.id
    batch.commit()
    again, _ = made(clock)
    assert again.peers(batch) == [BOB, EVE]
    assert again.held(batch, BOB) == both
    again.drop(batch, BOB)
    assert again.peers(batch) == [EVE]
    assert again.held(batch, BOB) is None
    assert again.held(batch, EVE) == other


def test_no_more_than_eight_and_these_are_of_the_smallest_size(batch: Batch, clock: Clock) -> None:
    held, _ = made(clock)
    for number in range(receipts.MAX_HELD):
        full = held.hold(batch, BOB, received(number))
    assert held.hold(batch, BOB, received(19)) is None
    merged = held.hold(batch, BOB, Notice(IDS[3], displayed=True))
    assert full is not None
    assert merged is not None
    assert len(merged.notices) == receipts.MAX_HELD
    sender = f"{'name' * 8}@{'chat.' * 3}example.org"
    assert len(sender) > 55
    envelope = sce.seal([gathered.write(merged.notices)], sender=sender, id=full.id, stamp=0.0, random=bytes)
    assert len(envelope) == sce.CLASSES[0] - 1


def test_one_after_the_other_receipts_before_markers(batch: Batch, clock: Clock) -> None:
    held, _ = made(clock)
    ids = []
    held.hold(batch, BOB, Notice(IDS[0], True, True))
    held.hold(batch, BOB, received(1))
    gone = []
    while (now := held.held(batch, BOB)) is not None:
        ids.append(now.id)
        gone.append(held.shorten(batch, BOB, now))
    assert gone == [received(0), Notice(IDS[0], displayed=True), received(1)]
    assert len(set(ids)) == 3
    assert held.peers(batch) == []


@pytest.mark.parametrize(("tick", "hold"), [(0.0, 9.0), (3.0, 9.0), (30.0, 30.0)])
def test_the_time_runs_from_the_first_on(clock: Clock, tick: float, hold: float) -> None:
    held, over = made(clock, tick)
    held.arm(BOB)
    clock.turn(hold - 1)
    held.arm(BOB)
    held.arm(EVE)
    assert over == []
    clock.turn(1)
    assert over == [(hold, BOB)]
    held.disarm(EVE)
    held.arm(BOB)
    clock.turn(hold)
    assert over == [(hold, BOB), (2 * hold, BOB)]
    held.arm(BOB)
    held.stop()
    held.disarm(BOB)
    clock.turn(hold)
    assert len(over) == 2
