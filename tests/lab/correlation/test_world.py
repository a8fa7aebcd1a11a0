"""Every message arrives, in order, when the profile says; a watcher sees what left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quietwire.lab.correlation.talk import MESSAGE, RECEIPT, TYPING, bursty, poisson
from quietwire.lab.correlation.timings import default
from quietwire.lab.correlation.world import Churn, Shaping, World, simulate
from quietwire.shaping.policy import SLOT, Policy, Profile

QUICK = Policy(Profile.STEADY, cell=1022, tick=1.5, fast_tick=0.3)
STEADY = Shaping(QUICK, QUICK)


def made(shaping: Shaping, seed: int = 1, users: int = 40, servers: int = 1, churn: Churn | None = None) -> World:
    rng = np.random.default_rng(seed)
    talk = poisson(rng, users, 300.0, 0.05)
    return simulate(talk, shaping, default(), rng, servers=servers, churn=churn)


@pytest.mark.parametrize(
    "shaping",
    [
        Shaping(),
        Shaping(Policy(Profile.PADDED), Policy(Profile.PADDED)),
        Shaping(Policy(Profile.JITTER), Policy(Profile.JITTER, batch=0.2)),
        STEADY,
    ],
    ids=["off", "padded", "jitter", "steady"],
)
def test_all_arrives_in_order_after_it_was_sent(shaping: Shaping) -> None:
    world = made(shaping)
    sent = world.sent
    arrived = np.isfinite(world.down_at)
    assert arrived[sent.at < 250].all()
    assert (world.down_at[arrived] > world.up_at[arrived] - SLOT).all()
    for user in range(0, 40, 7):
        mine = (sent.sender == user) & np.isfinite(world.up_at)
        assert (np.diff(world.up_at[mine]) >= 0).all()
    assert (np.diff(world.up.times) >= 0).all()
    assert (np.diff(world.down.times) >= 0).all()
    assert world.latency.min() > 0


def test_receipts_answer_texts() -> None:
    world = made(Shaping())
    receipts = np.flatnonzero(world.sent.kind == RECEIPT)
    texts = world.cause[receipts]
    assert (world.sent.kind[texts] == MESSAGE).all()
    assert (world.sent.sender[texts] == world.sent.receiver[receipts]).all()
    assert (world.sent.at[receipts] >= world.down_at[texts] - 0.01).all()
    assert len(receipts) == pytest.approx((world.sent.kind == MESSAGE).sum(), rel=0.05)


def test_under_steady_a_watcher_sees_the_same_whatever_is_said_but_for_the_load() -> None:
    """The same phases and wakes, other talk. What is left is the time that the server's one thread was busy."""
    sides = []
    for seed in (1, 2):
        talk = poisson(np.random.default_rng(seed), 20, 200.0, 0.05)
        talk = talk.only(np.arange(len(talk)) < 150)
        sides.append(simulate(talk, STEADY, default(), np.random.default_rng(5), receipts=False))
    assert len(sides[0].down.times) == len(sides[1].down.times)
    assert set(sides[0].down.sizes.tolist()) == {1039}
    assert np.bincount(sides[0].down.link).tolist() == np.bincount(sides[1].down.link).tolist()
    assert np.abs(sides[0].down.times - sides[1].down.times).max() < 0.005


def test_a_servers_streams_lie_in_a_band_and_its_clients_before_it() -> None:
    slow = Policy(Profile.STEADY, tick=2.4, window=0.0, bulk_every=0.0)
    world = made(Shaping(slow, slow, slow), servers=2)
    band, assigned = slow.band() * SLOT, []

    def places(times: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((times - first) % slow.tick - SLOT)

    for server in (0, 1):
        down = world.down.times[world.home[world.down.link] == server]
        slots = np.unique(np.floor(down / SLOT).astype(int) % 48)
        begin = next(slot for slot in slots if (slot - 1) % 48 not in slots)
        first = (begin - 1) * SLOT
        assigned.append(begin)
        late = 0.05  # of wakes
        assert places(down).max() < band + late
        up = world.up.times[world.home[world.up.link] == server]
        assert -band - 0.2 - 0.01 < (places(up) - slow.tick).min()
        assert (places(up) - slow.tick).max() < -0.2 + late
        assert world.between is not None
        away = world.between.times[world.between.link // 2 == server]
        assert places(away).max() < band + late
    assert assigned[0] != assigned[1]
    alone = made(Shaping(slow, slow, follows=False))
    assert np.ptp(np.floor(alone.up.times / SLOT) % 48) > 40


def test_steady_clients_send_no_chat_states() -> None:
    rng = np.random.default_rng(3)
    talk = bursty(rng, 20, 300.0, hourly=20.0)
    assert (talk.kind == TYPING).any()
    assert not (simulate(talk, STEADY, default(), rng).sent.kind == TYPING).any()
    assert (simulate(talk, Shaping(), default(), rng).sent.kind == TYPING).any()


def test_who_is_away_gets_nothing_and_says_nothing() -> None:
    world = made(Shaping(), churn=Churn(0.5))
    away = np.flatnonzero((world.online != [0.0, 300.0]).any(axis=1))
    assert len(away) == 20
    for user in away:
        times = np.concatenate([world.up.times[world.up.link == user], world.down.times[world.down.link == user]])
        assert ((times >= world.online[user, 0]) & (times <= world.online[user, 1] + 0.01)).all()


def test_between_two_servers_messages_take_the_link_between_them() -> None:
    world = made(Shaping(), servers=2)
    assert world.between is not None
    crossing = (world.home[world.sent.sender] != world.home[world.sent.receiver]) & np.isfinite(world.down_at)
    assert 0.3 < crossing.mean() < 0.7
    assert len(world.between.times) == pytest.approx(crossing.sum(), abs=3)
    assert set(world.between.link.tolist()) == {1, 2}
    direct = np.isfinite(world.down_at) & ~crossing
    delay = world.down_at - world.up_at
    assert delay[crossing].mean() > 1.5 * delay[direct].mean()


def test_a_busy_server_delays_all_alike() -> None:
    slow = replace(default(), service=0.02)
    rng = np.random.default_rng(4)
    talk = poisson(rng, 40, 100.0, 1.0)
    world = simulate(talk, Shaping(), slow, rng, receipts=False)
    assert np.median(world.latency) > 0.04


def test_the_same_seed_gives_the_same() -> None:
    one, two = made(STEADY), made(STEADY)
    assert np.array_equal(one.down.times, two.down.times)
    assert np.array_equal(one.down_at, two.down_at)


def test_names() -> None:
    name = "steady 1022 B / 1.5 s"
    assert STEADY.name == name
    assert Shaping(down=QUICK).name == f"{name}, server only"
    assert Shaping(up=QUICK).name == f"{name}, client only"
    assert Shaping(QUICK, Policy(Profile.JITTER, batch=1.0)).name == f"{name} up, jitter 0.3 s in batches of 1 s down"
    padded = Policy(Profile.PADDED)
    assert [Shaping().name, Shaping(padded, padded).name] == ["off", "padded to 512"]
