"""Rates are those of the time in which a link is there."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.shapes import Side
from quietwire.lab.correlation.sight import Case, rates


def test_rates_of_links_that_stay_that_leave_and_that_say_little() -> None:
    times = np.concatenate([np.arange(0, 600, 3.0), np.arange(0, 300, 3.0), [10.0, 20.0]])
    links = np.concatenate([np.zeros(200), np.ones(100), np.full(2, 2)]).astype(np.int32)
    order = np.argsort(times, kind="stable")
    side = Side(4, times[order], links[order], np.ones(302, np.int32))
    found = rates(side, 600.0)
    assert found[:2].tolist() == pytest.approx([1 / 3, 1 / 3], rel=0.02)
    assert found[2:].tolist() == [2 / 600, 0.0]


def test_whose_candidate_is_left_out() -> None:
    case = Case(7, 3, np.zeros(1), np.zeros(1, np.int32), (1,), (1.0,))
    assert case.own == 7
    assert Case(7, 3, case.at, case.sizes, (1,), (1.0,), 0).own == 0
