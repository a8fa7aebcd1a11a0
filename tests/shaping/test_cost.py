from __future__ import annotations

import pytest

from quietwire.shaping.cost import DAY, PACKET, RECORD, cost
from quietwire.shaping.policy import SLOT, Policy, Profile
from quietwire.shaping.presets import DESKTOP, PHONE, SERVER
from quietwire.shaping.schedule import Schedule


def steady(**parameters: float) -> Policy:
    return Policy(Profile.STEADY, **parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", [DESKTOP, PHONE, SERVER], ids=["desktop", "phone", "server"])
def test_an_idle_day_is_what_the_schedule_writes(preset: Policy) -> None:
    policy = Policy(Profile.STEADY, cell=preset.cell, tick=preset.tick, fast_tick=preset.fast_tick,
                    window=preset.window, bulk_every=preset.bulk_every)  # fmt: skip
    schedule, at, cells = Schedule(policy, 0, 1), 0, 0
    while (at := schedule.next_after(at)) <= DAY / SLOT:
        cells += 1
    counted = cells * (policy.cell + RECORD + PACKET)
    assert cost(policy).day == pytest.approx(counted, rel=0.01)


def test_delays() -> None:
    assert cost(steady(tick=3.0)).p50 == 1.5
    assert cost(steady(tick=3.0)).p95 == pytest.approx(2.85)
    jitter = cost(Policy(Profile.JITTER, delay=0.2, batch=1.0))
    assert jitter.day == 0.0
    assert jitter.p50 == pytest.approx(0.6)
    assert jitter.p95 == pytest.approx(0.69)
    garbage = cost(Policy(Profile.JITTER, garbage=10.0))
    assert garbage.day == 8_640 * (544 + RECORD + PACKET)
    assert cost(Policy(Profile.JITTER, garbage=10.0, pad=True)).day == garbage.day + 8_640 * 256
    for profile in (Profile.OFF, Profile.PADDED):
        assert cost(Policy(profile)).day == cost(Policy(profile)).p95 == 0.0


def test_without_windows_it_is_one_cell_a_tick() -> None:
    plain = steady(cell=1022, tick=3.0, window=0.0, bulk_every=0.0)
    assert cost(plain).day == 28_800 * (1022 + RECORD + PACKET)


def test_where_records_are_padded_a_cell_fills_blocks() -> None:
    for cell, record in ((510, 512), (816, 1024), (1022, 1024), (1023, 1536)):
        plain = steady(cell=cell, tick=3.0, window=0.0, bulk_every=0.0)
        assert cost(plain, 512).day == 28_800 * (5 + record + 16 + PACKET)
