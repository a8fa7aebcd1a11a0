"""What is measured of a known run is what was put into it; files are read as they were written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from quietwire.lab.correlation.timings import Quantiles, Timings, default, lateness, measure


@dataclass(frozen=True)
class Flow:
    link: str
    times: NDArray[np.float64]
    sizes: NDArray[np.int32]
    ways: NDArray[np.int8]


def run(number: int) -> tuple[list[Flow], list[dict[str, object]]]:
    """A texts B every second; passage 20 to 40 ms, the receipt 60 ms later; an acknowledgement on A's link."""
    at = 1e9 + np.arange(number, dtype=np.float64)
    passed = at + 0.02 + 0.02 * np.arange(number) / max(1, number - 1)
    up, down, answer, ack = at + 0.001, passed + 0.001, passed + 0.061, at + 0.0011
    one = Flow(
        "A",
        np.sort(np.concatenate([up, ack])),
        np.tile(np.array([1517, 43], np.int32), number),
        np.tile(np.array([1, 1], np.int8), number),
    )
    two = Flow(
        "B",
        np.sort(np.concatenate([down, answer])),
        np.tile(np.array([1577, 300], np.int32), number),
        np.tile(np.array([-1, 1], np.int8), number),
    )
    lines: list[dict[str, object]] = []
    for n in range(number):
        text = {"kind": "message", "id": f"m{n}", "size": 30, "carbon": False}
        lines += [
            {**text, "at": float(at[n]), "user": 0, "peer": 1, "link": "A", "way": "up"},
            {**text, "at": float(down[n] + 0.001), "user": 1, "peer": 0, "link": "B", "way": "down"},
            {**text, "at": float(down[n] + 0.1), "user": 0, "peer": 0, "link": "B", "way": "down", "carbon": True},
            {
                "kind": "receipt",
                "id": f"r{n}",
                "at": float(answer[n] - 0.001),
                "user": 1,
                "peer": 0,
                "link": "B",
                "way": "up",
            },
        ]
    return [one, two], lines


def test_measures_passage_receipts_and_sizes() -> None:
    flows, truth = run(50)
    found = measure(flows, truth, "a test's run")
    assert found.passage.points[0] == pytest.approx(0.02, abs=5e-4)
    assert found.passage.points[-1] == pytest.approx(0.04, abs=5e-4)
    assert found.answer.median == pytest.approx(0.06, abs=1e-5)
    assert set(found.up["message"].points) == {1500.0}
    assert set(found.grown["message"].points) == {60.0}
    assert found.made.startswith("a test's run; as before: ")
    assert "up typing" in found.made
    assert "passage" not in found.made


def test_too_few_pairs_leave_what_was() -> None:
    flows, truth = run(5)
    found = measure(flows, truth, "short")
    assert found.passage == default().passage
    assert "passage" in found.made


def test_files_and_draws() -> None:
    known = default()
    assert known.made
    assert Timings.from_json(known.as_json()) == known
    with pytest.raises(ValueError, match="no timings"):
        Timings.from_json("{}")
    drawn = Quantiles.of(np.random.default_rng(1).normal(5, 1, 4000)).draw(np.random.default_rng(2), 4000)
    assert drawn.mean() == pytest.approx(5, abs=0.1)
    assert drawn.std() == pytest.approx(1, abs=0.1)


def test_lateness_is_against_the_earliest_cell_wherever_slots_begin() -> None:
    late = np.tile([0.0, 0.001, 0.002], 30)
    times = 1e9 + 0.0493 + np.arange(90) * 3.0 + late
    assert lateness([times, times + 0.02], 0.05).points[-1] == pytest.approx(0.002, abs=1e-5)
