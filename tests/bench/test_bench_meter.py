from __future__ import annotations

import os
import sys

import pytest
from meter import Meter, cpu, family, parents, rss_kb

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_a_family_is_a_process_and_all_that_descend_from_it() -> None:
    assert family(1, {1: 0, 2: 1, 3: 2, 4: 0, 5: 3, 6: 4}) == [1, 2, 3, 5]
    assert family(9, {}) == [9]


def test_parents_knows_this_process() -> None:
    assert parents()[os.getpid()] == os.getppid()


def test_cpu_grows_with_work_and_the_meter_takes_the_difference() -> None:
    me = [os.getpid()]
    before = cpu(me)
    with Meter(me) as meter:
        while cpu(me) < before + 0.01:
            pass
    assert 0 < meter.server <= cpu(me) - before
    assert meter.wall > 0
    assert set(meter.report()) == {"wall_s", "server_cpu_s", "server_share", "load_share", "other_cpu_s"}


def test_resident_memory_includes_what_was_just_touched() -> None:
    before = rss_kb([os.getpid()])
    block = b"x" * (64 << 20)
    assert rss_kb([os.getpid()]) - before > 32 << 10
    assert block
