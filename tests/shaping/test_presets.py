"""What the presets promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quietwire.shaping.cost import cost
from quietwire.shaping.policy import Profile
from quietwire.shaping.presets import PRESETS

PROMISED = {"desktop": (35e6, 2.2), "phone": (8e6, 30.0), "server": (190e6, 1.0)}
"""Bytes a day and direction at most, seconds to wait for a cell at most."""
CLIENT_LIMIT, SERVER_LIMIT = 3_000, 30_000
"""Bytes a second that stock servers read: of clients (ejabberd), of servers (Prosody)."""


@pytest.mark.parametrize("name", PRESETS)
def test_cost(name: str) -> None:
    policy = replace(PRESETS[name], profile=Profile.STEADY)  # raises where it could not be kept
    day, wait = PROMISED[name]
    assert cost(policy).day <= day
    assert cost(policy).p95 < policy.tick == wait


@pytest.mark.parametrize("name", PRESETS)
def test_a_stock_server_reads_them(name: str) -> None:
    policy = PRESETS[name]
    assert policy.cell / policy.tick < CLIENT_LIMIT
    assert policy.cell / policy.fast_tick < SERVER_LIMIT


@pytest.mark.parametrize("name", ["phone", "server"])
def test_cells_fill_whole_blocks_of_padded_records(name: str) -> None:
    assert (PRESETS[name].cell + 2) % 512 == 0
    assert cost(replace(PRESETS[name], profile=Profile.STEADY), 512).day <= PROMISED[name][0]
