"""The array operations do what the objects of shaping/ do, write by write and cell by cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from quietwire.lab.correlation.shapes import Side, Streams, Writes, due, jitter, record, shaped, steady
from quietwire.shaping.jitter import Jitter
from quietwire.shaping.policy import SLOT, Policy, Profile
from quietwire.shaping.schedule import Schedule
from quietwire.shaping.steady import Pacemaker, Steady


def writes(seed: int, links: int, number: int, seconds: float, largest: int) -> Writes:
    rng = np.random.default_rng(seed)
    link = np.sort(rng.integers(0, links, number)).astype(np.int32)
    at = rng.random(number) * seconds
    order = np.lexsort((at, link))
    return Writes(links, link[order], at[order], rng.integers(1, largest, number))


def of_link(side: Side, link: int) -> tuple[list[float], list[int]]:
    chosen = side.link == link
    return side.times[chosen].tolist(), side.sizes[chosen].tolist()


def test_off_and_padded_leave_at_once_in_whole_records() -> None:
    given = writes(1, 3, 50, 60.0, 3000)
    none = np.zeros(50)
    off = shaped(given, Policy(), none)
    assert np.array_equal(off.left, given.at)
    assert sorted(off.side.sizes.tolist()) == sorted((given.size + 17).tolist())
    padded = shaped(given, Policy(Profile.PADDED, block=512), none)
    assert set(((padded.side.sizes - 16) % 512).tolist()) == {0}
    assert np.array_equal(padded.side.times, np.sort(given.at))


def test_cells_of_the_design_become_their_records() -> None:
    assert record(np.array([1022, 510, 512, 1]), 512).tolist() == [1040, 528, 1040, 528]


@pytest.mark.parametrize("batch", [0.0, 0.25])
def test_jitter_is_the_object_of_shaping(batch: float) -> None:
    given = writes(2, 4, 200, 20.0, 900)
    policy = Policy(Profile.JITTER, delay=0.3, batch=batch)
    uniform = np.random.default_rng(3).random(200)
    result = jitter(given, policy, uniform)
    assert (np.diff(result.side.times) >= 0).all()
    for link in range(4):
        mine = np.flatnonzero(given.link == link)
        drawn: Iterator[float] = iter(uniform[mine].tolist())
        outbox = Jitter(policy, lambda drawn=drawn: next(drawn))  # type: ignore[misc]
        times, sizes = [], []
        arrivals = [(float(given.at[n]), int(given.size[n])) for n in mine]
        while arrivals or outbox.next_at() is not None:
            leaves = outbox.next_at()
            if arrivals and (leaves is None or arrivals[0][0] < leaves):
                at, size = arrivals.pop(0)
                outbox.parts.append(b"x" * size)
                outbox.admit(at)
            else:
                assert leaves is not None
                times.append(leaves)
                sizes.append(len(outbox.tick(leaves)) + 17)
        assert of_link(result.side, link) == (times, sizes)


POLICIES = [
    Policy(Profile.STEADY, cell=300, tick=3.0, fast_tick=0.3, window=5.0, bulk_every=20.0),
    Policy(Profile.STEADY, cell=1022, tick=1.0, fast_tick=0.5, window=0.0, bulk_every=0.0),
    Policy(Profile.STEADY, cell=100, tick=0.6, fast_tick=0.3, window=7.0, bulk_every=0.0),
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("opened", [0, -130, -1000, 77])
def test_slots_are_those_of_the_schedule(policy: Policy, opened: int) -> None:
    phase, end = 41, 1500
    schedule = Schedule(policy, opened, phase)
    slot, expected = max(opened, 0), []
    while (slot := schedule.next_after(slot)) < end:
        expected.append(slot)
    assert due(policy, opened, phase, end).tolist() == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_steady_is_the_pacemaker_and_its_streams(policy: Policy) -> None:
    links, end = 5, 1300
    given = writes(4, links, 120, 60.0, 900)
    rng = np.random.default_rng(6)
    opened = np.array([0, 0, 100, 0, 40])
    phase = rng.integers(0, 60, links)
    result = steady(given, policy, Streams(opened, phase, np.full(links, end)))

    cells: dict[int, list[float]] = {link: [] for link in range(links)}
    carried: dict[int, bytes] = dict.fromkeys(range(links), b"")
    ends: dict[int, list[float]] = {link: [] for link in range(links)}
    marks: dict[int, list[int]] = {link: np.cumsum(given.size[given.link == link]).tolist() for link in range(links)}
    outboxes: dict[object, Steady] = {
        link: Steady(policy, int(opened[link]), int(phase[link])) for link in range(links)
    }

    def write(link: object) -> None:
        assert isinstance(link, int)
        cell = outboxes[link].cell()
        assert len(cell) == policy.cell
        cells[link].append(now * SLOT)
        carried[link] += cell.rstrip(b" ")
        while len(ends[link]) < len(marks[link]) and len(carried[link]) >= marks[link][len(ends[link])]:
            ends[link].append(now * SLOT)

    pacemaker = Pacemaker(write, lambda link: outboxes[link].fill())
    arrivals = sorted(zip(given.at.tolist(), given.link.tolist(), given.size.tolist(), strict=True))
    for now in range(end):
        while arrivals and arrivals[0][0] <= now * SLOT:
            _, link, size = arrivals.pop(0)
            outboxes[link].parts.append(b"x" * size)
        pacemaker.beat(now)
        for link in range(links):
            if opened[link] == now:
                pacemaker.add(link, outboxes[link].schedule)
    for link in range(links):
        assert of_link(result.side, link)[0] == cells[link]
        left = result.left[given.link == link]
        assert left[np.isfinite(left)].tolist() == ends[link]


def test_what_is_queued_changes_neither_times_nor_sizes() -> None:
    policy = POLICIES[0]
    streams = Streams(np.zeros(3, np.int64), np.array([1, 2, 3]), np.full(3, 400))
    one, two = (steady(writes(seed, 3, 40, 20.0, 5000), policy, streams).side for seed in (1, 2))
    assert np.array_equal(one.times, two.times)
    assert np.array_equal(one.sizes, two.sizes)
    assert set(one.sizes.tolist()) == {317}


def test_late_beats_shift_all_streams_by_their_fixed_places() -> None:
    policy = POLICIES[1]
    streams = Streams(np.zeros(3, np.int64), np.full(3, 4), np.full(3, 60))
    none = writes(1, 3, 0, 1.0, 2)
    late = np.zeros(60)
    late[24] = 0.01
    side = steady(none, policy, streams, late, 0.001).side
    moved = side.times - np.round(side.times / SLOT) * SLOT
    assert moved[:6] == pytest.approx([0, 0.001, 0.002, 0.01, 0.011, 0.012])
    assert np.bincount(side.link).tolist() == [3, 3, 3]
