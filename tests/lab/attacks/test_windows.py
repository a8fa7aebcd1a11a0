from __future__ import annotations

import attack_worlds as worlds
import numpy as np
import pytest

from quietwire.lab.attacks import windows
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import NOTHING, Happened
from quietwire.lab.flows import Flow, make


def flow(*records: tuple[float, int, int]) -> Flow:
    return make("L1", [r[0] for r in records], [r[1] for r in records], [r[2] for r in records])


def test_bursts_are_parted_by_silence() -> None:
    found = windows.bursts(flow((0, 1, 1), (0.05, 1, -1), (0.2, 1, 1), (9, 1, 1)), 0.1)
    assert found.first.tolist() == [0, 2, 3]
    assert found.last.tolist() == [2, 3, 4]
    assert len(windows.bursts(flow(), 0.1)) == 0


def test_ticks_hold_each_cell_once_and_start_just_before_one() -> None:
    steady = worlds.cells(np.random.default_rng(1), "L1", 30)
    found = windows.ticks(steady, 3.0)
    assert found.first[0] == 0
    assert found.last[-1] == len(steady)
    assert (found.first[1:] == found.last[:-1]).all()
    assert set((found.last - found.first).tolist()) <= {0, 2}


def test_idle_time_is_sampled_between_bursts_and_stands_for_all_of_it() -> None:
    busy = flow(*((10.0 * n, 1, 1) for n in range(21)))
    found = windows.spans(busy, Told(), np.random.default_rng(1))
    idle = found.idle
    assert idle.sum() == 10
    assert found.weight[idle].sum() == pytest.approx(20 * 8.0, rel=0.01)
    for start, end in zip(found.start[idle], found.end[idle], strict=True):
        assert not ((busy.times >= start) & (busy.times < end)).any()
    assert (np.diff(found.start) >= 0).all()


def test_what_is_sent_belongs_to_the_record_after_it_and_what_came_to_the_one_before() -> None:
    busy = flow((1.0, 9, 1), (1.01, 9, -1), (5.0, 9, -1), (8.0, 9, -1), (8.5, 9, 1))
    truth = Happened.of([(0.99, "message", 1, 44), (5.003, "receipt", -1, 0), (8.1, "typing", 1, 0)])
    where = windows.spans(busy, Told(), np.random.default_rng(1))
    found, rows = windows.labels(busy, where, truth, Told())
    of_bursts = [label for label, idle in zip(found, where.idle, strict=True) if not idle]
    assert of_bursts == ["message up", "receipt down", NOTHING, "typing up"]
    assert truth.sizes[rows[found.index("message up")]] == 44
    assert {label for label, idle in zip(found, where.idle, strict=True) if idle} <= {NOTHING}


def test_the_first_of_a_burst_names_it() -> None:
    busy = flow((1.0, 9, 1), (1.05, 9, 1))
    truth = Happened.of([(1.04, "typing", 1, 0), (0.99, "message", 1, 5)])
    where = windows.bursts(busy, 0.1)
    assert windows.labels(busy, where, truth, Told())[0] == ["message up"]


def test_what_has_no_record_is_in_no_burst() -> None:
    busy = flow((1.0, 9, 1), (50.0, 9, 1))
    truth = Happened.of([(20.0, "message", 1, 5), (1.0, "receipt", -1, 0)])
    found, rows = windows.labels(busy, windows.bursts(busy, 0.1), truth, Told())
    assert found == [NOTHING, NOTHING]
    assert (rows == -1).all()


def test_jitter_may_move_a_record_away() -> None:
    told = Told(up="jitter", delay=2.0)
    busy = flow((3.0, 9, 1), (30.0, 9, 1))
    truth = Happened.of([(1.2, "message", 1, 5)])
    where = windows.bursts(busy, told.gap)
    assert windows.labels(busy, where, truth, told)[0][0] == "message up"
    assert windows.labels(busy, where, truth, Told())[0][0] == NOTHING


def test_on_a_paced_link_a_happening_belongs_to_its_tick_by_time_alone() -> None:
    steady = worlds.cells(np.random.default_rng(1), "L1", 30)
    told = Told(up="steady", down="steady")
    where = windows.ticks(steady, told.step)
    truth = Happened.of([(float(where.start[7]) + 1.0, "message", -1, 5), (0.0, "login", 1, 0)])
    found, _ = windows.labels(steady, where, truth, told)
    assert found[7] == "message down"
    assert found.count(NOTHING) == len(found) - 1


def test_each_record_may_be_a_window_and_the_largest_in_time_carries_a_text() -> None:
    found = flow((0.0, 60, 1), (0.2, 700, 1), (0.25, 900, -1), (0.3, 150, 1), (0.6, 2000, 1))
    where = windows.singles(found)
    assert where.first.tolist() == [0, 1, 2, 3, 4]
    assert (where.last - where.first).tolist() == [1] * 5
    rows = [(0.05, "message", 1, 8), (0.05, "typing", 1, 0), (0.9, "message", 1, 9)]
    told = Told(up="jitter", delay=0.3)
    records, truth = windows.carriers(found, Happened.of(rows), told, "message up")
    assert (records.tolist(), truth.tolist()) == ([1], [0])
    assert windows.carriers(found, Happened.of(rows), told, "ping up")[0].tolist() == []
