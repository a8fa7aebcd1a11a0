from __future__ import annotations

import attack_worlds as worlds
import numpy as np
import pytest

from quietwire.lab.attacks import sessions
from quietwire.lab.flows import Flow, make


def some(count: int = 3) -> list[Flow]:
    generator = np.random.default_rng(1)
    return [worlds.cells(generator, f"L{n}", 50) for n in range(count)]


def test_a_row_a_session_a_name_a_column() -> None:
    table = sessions.table(some(), 0.05)
    assert table.shape == (3, len(sessions.names()))
    assert np.isfinite(table).all()
    row = dict(zip(sessions.names(), table[0], strict=True))
    assert row["records up"] == 50
    assert row["sizes down"] == 1
    assert row["usual size up"] == 1045
    assert row["offset of the ways"] == pytest.approx(0.2, abs=0.002)
    assert row["gap up at 0.5"] == pytest.approx(3.0, abs=0.002)


@pytest.mark.parametrize(
    "records", [[(0.0, 5, 1)], [(0.0, 5, -1), (1.0, 5, -1)], [(0.0, 5, 1), (1.0, 6, -1)], [(1.0, 5, 1), (1.0, 5, 1)]]
)
def test_short_and_one_way_sessions_have_rows_too(records: list[tuple[float, int, int]]) -> None:
    table = sessions.table([make("L", *zip(*records, strict=True))], 0.05)  # type: ignore[arg-type]
    assert np.isfinite(table).all()


def test_planted_leaks_change_what_they_say_and_nothing_else() -> None:
    bare = some()
    late = sessions.late(bare, 0.001, np.random.default_rng(2))
    longer = sessions.longer(bare, 1, np.random.default_rng(2))
    for before, after in zip(bare, late, strict=True):
        moved = np.round(after.times - before.times, 6)
        assert set(moved.tolist()) == {0.0, 0.001}
        assert 0.05 < np.mean(moved[before.ways > 0] > 0) < 0.4
        assert (moved[before.ways < 0] == 0).all()
        assert (after.sizes == before.sizes).all()
    for before, after in zip(bare, longer, strict=True):
        assert set((after.sizes - before.sizes).tolist()) == {0, 1}
        assert (after.times == before.times).all()
    assert (bare[0].sizes == 1045).all()
