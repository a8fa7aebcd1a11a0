from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quietwire.lab.attacks import probes

SCENARIO = {"plan": "probe", "roads": [0.0, 0.02, 0.0, 0.1]}


def run(folder: Path, ways: dict[int, float], count: int = 3) -> Path:
    """Users 1, 3, … answer the one before them, after their way twice; what was said before the play is in it too."""
    rows = []
    for user, way in ways.items():
        rows.append((user - 1, 50.0, "message", "down", f"old {user}"))
        rows.append((user - 1, 50.1, "receipt", "up", f"re old {user}"))
        rows.append((user, 50.2, "receipt", "down", f"re old {user}"))
        for number in range(count):
            at = 100.0 + number
            rows.append((user - 1, at, "message", "up", f"m{user} {number}"))
            rows.append((user, at + way, "message", "down", f"m{user} {number}"))
            rows.append((user, at + way, "receipt", "up", f"r{user} {number}"))
            rows.append((user - 1, at + 2 * way, "receipt", "down", f"r{user} {number}"))
    lines = [
        json.dumps({"user": user, "at": at, "kind": kind, "way": way, "id": id})
        for user, at, kind, way, id in sorted(rows, key=lambda row: row[1])
    ]
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_waits_are_from_a_message_to_its_receipt(tmp_path: Path) -> None:
    one, other = probes.read(run(tmp_path, {1: 0.03, 3: 0.2}), SCENARIO, 0.0)
    assert (one.user, one.way, other.user, other.way) == (1, 0.02, 3, 0.1)
    assert one.waits == pytest.approx([0.06] * 3)
    assert other.waits == pytest.approx([0.4] * 3)
    assert not one.places.any()


def test_places_are_relative_to_those_of_all_and_go_round_with_the_tick(tmp_path: Path) -> None:
    one, other = probes.read(run(tmp_path, {1: 0.0, 3: 0.1}), SCENARIO, 1.0)
    assert one.places == pytest.approx([-0.1] * 3)
    assert other.places == pytest.approx([0.1] * 3)


def test_what_was_never_answered_is_left_out(tmp_path: Path) -> None:
    run(tmp_path, {1: 0.03})
    lines = (tmp_path / "truth.jsonl").read_text().splitlines()
    (tmp_path / "truth.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    (one,) = probes.read(tmp_path, SCENARIO, 0.0)
    assert len(one.waits) == 2


def test_runs_of_other_plans_have_nobody(tmp_path: Path) -> None:
    assert probes.read(tmp_path, {"plan": "small", "roads": [0.1]}, 0.0) == []
    assert probes.read(tmp_path, {"plan": "probe", "roads": []}, 0.0) == []
    (tmp_path / "truth.jsonl").write_text('{"user": 1}\n')
    with pytest.raises(ValueError, match=r"truth\.jsonl"):
        probes.read(tmp_path, SCENARIO, 0.0)


def test_the_middle_of_a_circle() -> None:
    assert probes._middle([9.9, 10.1], 1.0) == pytest.approx(0.0, abs=1e-6)
    assert probes._middle([], 1.0) == 0.0
    assert np.isclose(probes._middle([3.25, 7.25], 1.0), 0.25)
