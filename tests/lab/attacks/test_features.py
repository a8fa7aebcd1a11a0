from __future__ import annotations

import attack_worlds as worlds
import numpy as np
import pytest

from quietwire.lab.attacks import features, windows
from quietwire.lab.attacks.told import Told
from quietwire.lab.flows import make


def columns(flow, where, told, rows) -> dict[str, list[float]]:  # type: ignore[no-untyped-def]
    table = features.of_spans(flow, where, told, np.array(rows))
    assert table.shape == (len(rows), len(features.names()))
    assert np.isfinite(table).all()
    return dict(zip(features.names(), table.T.tolist(), strict=True))


def test_names_are_unique() -> None:
    assert len(set(features.names())) == len(features.names())


def test_a_burst_as_it_is_and_what_is_around() -> None:
    flow = make("L", [0.0, 10.0, 10.02, 10.05, 14.0], [100, 300, 80, 90, 50], [1, 1, -1, -1, 1])
    found = columns(flow, windows.bursts(flow, 0.1), Told(), [0, 1, 2])
    assert found["records"] == [1, 3, 1]
    assert found["bytes up"] == [100, 300, 50]
    assert found["bytes down"][1] == 170
    assert found["size 2"][1] == -80
    assert found["gap 2"][1] == pytest.approx(0.03)
    assert found["total at 6/6"][1] == 130
    assert found["turns"][1] == 1
    assert found["bytes up before"] == [0, 100, 300]
    assert found["bytes up after"] == [300, 50, 0]
    assert found["first size after"] == [300, 50, 0]
    assert found["since the window before"][1] == pytest.approx(1.0)  # log10 of 10 s
    assert found["since the window before"][0] == 4.0  # never
    assert found["records down within 15 s before"] == [0, 0, 2]


def test_idle_windows_have_surroundings_only() -> None:
    flow = make("L", [0.0, 10.0], [100, 300], [1, -1])
    where = windows.spans(flow, Told(), np.random.default_rng(1))
    idle = np.flatnonzero(where.idle)[:1]
    found = columns(flow, where, Told(), idle.tolist())
    assert found["records"] == [0]
    assert found["idle"] == [1]
    assert found["bytes down after"] == [300]


def test_cells_that_are_late_or_long_or_missing_stand_out() -> None:
    flow = worlds.cells(np.random.default_rng(2), "L", 60, noise=1e-6)
    told = Told(up="steady", down="steady", tick=3.0)
    where = windows.ticks(flow, told.step)
    late, long, gone = 40, 60, 80
    flow.times[late] += 0.004
    flow.sizes[long] += 7
    kept = np.arange(len(flow)) != gone
    flow = make("L", flow.times[kept], flow.sizes[kept], flow.ways[kept])
    where = windows.ticks(flow, told.step)

    def row(record: int) -> int:
        return int(np.searchsorted(where.last, record, side="right"))

    found = columns(flow, where, told, [10, row(late), row(long), row(gone)])
    assert found["largest deviation up"][0] < 1e-4
    assert found["largest deviation up"][1] == pytest.approx(0.004, abs=1e-4)
    assert found["largest unusual size"] == [0, 0, 7, 0]
    assert found["records missing up"] == [0, 0, 0, 1]


def test_deviations_have_no_phase() -> None:
    times = 1e9 + 0.0137 + 0.05 * np.arange(0, 400, 7)
    assert np.abs(features.deviations(times, 0.05)).max() < 1e-5
