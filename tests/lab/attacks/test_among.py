from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.attacks import among, indistinct
from quietwire.lab.flows import Flow, make

SLOT = 0.05
BEGIN = 1_700_000_000.0


def crowd(
    links: int, slots: int = 40, *, noise: float = 2e-5, seed: int = 1, cost: dict[int, float] | None = None
) -> list[Flow]:
    """Links that all have a cell in each slot, up and down, 0.1 ms after one another. `cost`: by link, seconds more
    until the next cell comes."""
    generator = np.random.default_rng(seed)
    found = []
    costs = [(cost or {}).get(number, 0.0) for number in range(links)]
    for number in range(links):
        place = 1e-4 * number + sum(costs[:number])
        down = BEGIN + SLOT * np.arange(slots) + 0.001 + place + np.abs(generator.normal(0, noise, slots))
        up = BEGIN + SLOT * np.arange(slots) + 0.003 + place + np.abs(generator.normal(0, noise, slots))
        found.append(make(f"L{number}", [*up, *down], [1000] * 2 * slots, [1] * slots + [-1] * slots))
    return found


def columns(table: np.ndarray, name: str) -> np.ndarray:
    return table[:, among.names().index(name)]


def test_a_row_a_link_a_name_a_column() -> None:
    table = among.table(crowd(7), SLOT)
    assert table.shape == (7, len(among.names()))
    assert np.isfinite(table).all()
    assert columns(table, "place in the slot down, at 0.5") == pytest.approx(np.arange(7) / 6)
    assert columns(table, "turn of the place down, mean") == pytest.approx(np.zeros(7), abs=0.03)
    assert columns(table, "before the next down, at 0.5")[:6] == pytest.approx(np.full(6, 1e-4), abs=5e-5)
    assert columns(table, "before the next down, at 0.5")[6] == 0
    assert columns(table, "after the slot's first up, at 0.5") == pytest.approx(1e-4 * np.arange(7), abs=5e-5)
    assert columns(table, "until the other way up, at 0.5")[3] > 0.04
    assert columns(table, "until the other way down, at 0.5")[3] == pytest.approx(0.0017, abs=1e-4)


def test_the_clock_is_found_wherever_slots_begin() -> None:
    early = among.table(crowd(5), SLOT)
    moved = [Flow(flow.link, flow.times + 0.0321, flow.sizes, flow.ways) for flow in crowd(5)]
    assert among.table(moved, SLOT) == pytest.approx(early, abs=1e-6)


def test_what_a_cell_costs_shows_in_the_next_and_is_found() -> None:
    """A tenth of a millisecond that those who carry something take, between cells that come one after another."""
    links = 60
    labels = np.arange(links) % 2

    def area(flows: list[Flow]) -> float:
        return indistinct.auc(labels, indistinct.crossed(among.table(flows, SLOT), labels, 1, seeds=1))

    assert area(crowd(links, cost=dict.fromkeys(range(1, links, 2), 5e-5))) > 0.9
    assert area(crowd(links)) < 0.7


@pytest.mark.parametrize("flows", [[], [make("L", [], [], [])], [make("L", [BEGIN], [5], [1])]])
def test_links_without_cells_are_rows_too(flows: list[Flow]) -> None:
    table = among.table(flows, SLOT)
    assert table.shape == (len(flows), len(among.names()))
    assert np.isfinite(table).all()
