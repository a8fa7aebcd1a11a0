from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quietwire.lab import figures
from quietwire.lab.figures import Figure, Tally


def figure(**changes: object) -> Figure:
    values: dict[str, object] = {
        "adversary": "client-network",
        "question": "what happened",
        "system": "prosody",
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "chance": 0.1,
        "base_rate": 0.2,
        "unit": "balanced accuracy",
        "simulated": False,
    }
    return Figure(**(values | changes))  # type: ignore[arg-type]


def test_a_file_of_figures_reads_back(tmp_path: Path) -> None:
    some = [figure(), figure(over="messages observed", at=50.0, worst=0.7, detail={"recall ping": 1.0}, note="two")]
    figures.write(tmp_path / "f.json", some)
    assert figures.read(tmp_path / "f.json") == some


def test_fields_of_later_versions_are_ignored() -> None:
    assert figures.from_json([figures.to_json([figure()])[0] | {"colour": "red"}]) == [figure()]


@pytest.mark.parametrize("text", ["{}", "[]", '{"figures": 1}', '{"figures": 1, "all": [{"value": 1}]}', "nothing"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(ValueError):
        figures.read(tmp_path / "f.json")


@pytest.mark.parametrize(
    "changes", [{"adversary": "eve"}, {"value": float("nan")}, {"low": 0.55}, {"high": 0.45}, {"chance": float("inf")}]
)
def test_what_is_no_figure_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        figure(**changes)


def test_written_figures_are_plain_json(tmp_path: Path) -> None:
    figures.write(tmp_path / "f.json", [figure(worst=None)])
    assert json.loads((tmp_path / "f.json").read_text())["all"][0]["worst"] is None


def test_tally_halves_each_users_trials() -> None:
    users = np.array([7, 3, 7, 7, 3])
    counted = figures.tally(users, np.ones((5, 1)))
    assert counted.users.tolist() == [3, 7]
    assert counted.sums[:, :, 0].tolist() == [[1.0, 2.0], [1.0, 1.0]]


def trials(generator: np.random.Generator, users: int, each: int, rates: np.ndarray) -> Tally:
    who = np.repeat(np.arange(users), each)
    hits = (generator.random(len(who)) < rates[who]).astype(float)
    return figures.tally(who, np.stack([hits, np.ones(len(who))], 1))


def test_intervals_of_the_mean_of_different_users_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(5)
    inside = 0
    for number in range(100):
        rates = generator.beta(2, 2, 40)
        one = trials(generator, 40, 50, rates)
        found = figures.estimate([one], figures.share, seed=number, rounds=300)
        inside += found.low <= 0.5 <= found.high
    assert 88 <= inside <= 100
    # Users who differ make the interval wide: by trials alone it would be half a standard error's 0.02.
    assert found.high - found.low > 0.08


def test_users_with_the_same_number_are_drawn_together_under_all_seeds() -> None:
    generator = np.random.default_rng(6)
    rates = generator.beta(2, 2, 30)
    five = [trials(generator, 30, 200, rates) for _ in range(5)]
    one = figures.estimate(five[:1], figures.share)
    all_ = figures.estimate(five, figures.share)
    assert (all_.high - all_.low) > 0.7 * (one.high - one.low)  # five looks at the same people are not five peoples


def test_the_same_seed_gives_the_same_interval() -> None:
    one = trials(np.random.default_rng(1), 10, 20, np.full(10, 0.3))
    assert figures.estimate([one], figures.share, seed=3) == figures.estimate([one], figures.share, seed=3)
    assert figures.estimate([one], figures.share, seed=3) != figures.estimate([one], figures.share, seed=4)


def test_the_worst_tenth_are_found_and_luck_is_not_taken_for_exposure() -> None:
    generator = np.random.default_rng(2)
    rates = np.where(np.arange(100) < 10, 0.9, 0.3)
    found = figures.estimate([trials(generator, 100, 60, rates)], figures.share)
    assert found.worst == pytest.approx(0.9, abs=0.03)
    alike = figures.estimate([trials(generator, 200, 20, np.full(200, 0.3))], figures.share)
    assert alike.worst == pytest.approx(0.3, abs=0.08)


def test_less_may_be_worse() -> None:
    rates = np.where(np.arange(50) < 5, 0.1, 0.8)
    found = figures.estimate(
        [trials(np.random.default_rng(2), 50, 60, rates)], figures.share, more_is_worse=False, rounds=50
    )
    assert found.worst == pytest.approx(0.1, abs=0.05)


def test_four_users_have_no_worst_tenth() -> None:
    one = trials(np.random.default_rng(1), 4, 20, np.full(4, 0.3))
    assert figures.estimate([one], figures.share).worst is None


def test_nothing_held_out_is_said() -> None:
    with pytest.raises(ValueError, match="nobody"):
        figures.estimate([], figures.share)
    with pytest.raises(ValueError, match="too little"):
        figures.estimate([Tally(np.array([1]), np.zeros((2, 1, 2)))], figures.share)


def test_balanced_accuracy_leaves_out_classes_that_do_not_occur() -> None:
    confusions = np.array([[[8, 2, 0], [5, 5, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]], float)
    found = figures.balanced_accuracy(confusions)
    assert found[0] == pytest.approx(0.65)
    assert np.isnan(found[1])


def test_bootstrap_of_a_median_draws_whole_users() -> None:
    users = np.repeat(np.arange(20), 30)
    values = np.repeat(np.random.default_rng(1).normal(size=20), 30)
    found = figures.bootstrap(users, lambda rows: float(np.median(values[rows])))
    assert found.low < found.value < found.high
    assert found.high - found.low > 0.3  # of twenty people, not of six hundred values
