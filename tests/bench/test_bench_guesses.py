from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest
from guesses import GPU_ITERATIONS, half, main, measured, table, told


def test_guesses_are_counted_over_the_time_that_they_took() -> None:
    times = count(0, 0.5)
    assert measured("SCRAM-SHA-256", 1, 2.0, lambda: next(times)) == 3 / 2.0


def test_half_of_all_passwords() -> None:
    assert half(1, 1.0) == 1.0
    assert half(21, 1024.0) == 1024.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "under a second"),
        (1.2, "1 second"),
        (90.0, "2 minutes"),
        (7_200.0, "2 hours"),
        (86_400.0 * 30, "30 days"),
        (86_400 * 365.25 * 7, "7 years"),
        (86_400 * 365.25 * 7e3, "7 thousand years"),
        (86_400 * 365.25 * 7e9, "7 billion years"),
        (86_400 * 365.25 * 7e15, "7e6 billion years"),
    ],
)
def test_told(seconds: float, text: str) -> None:
    assert told(seconds) == text


def test_a_thief_takes_the_cheaper_mechanism() -> None:
    text = table({"SCRAM-SHA-1": 20.0, "SCRAM-SHA-256": 10.0}, 100_000, [20])
    assert "| one core, guesses/s | 20.0 | 10.0 |" in text
    assert f"| 20 | {told(half(20, 20.0))} | {told(half(20, 1_000 * GPU_ITERATIONS['SCRAM-SHA-1'] / 1e5))} |" in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--iterations", "10", "--seconds", "0.01", "--json", str(tmp_path / "rates.json")])
    rates = json.loads((tmp_path / "rates.json").read_text())["guesses_per_second"]
    assert set(rates) == {"SCRAM-SHA-1", "SCRAM-SHA-256"}
    assert all(rate > 0 for rate in rates.values())
    assert f"{rates['SCRAM-SHA-1']:,.1f}" in capsys.readouterr().out
