from __future__ import annotations

import itertools

import pytest
from people_world import DESK, PHONE, World

from quietwire.lab.people.background import MOST_PAGES, PAGE, Background
from quietwire.lab.people.devices import Machine
from quietwire.lab.people.model import Device

QUIET = {"outages": 0.0, "resumes": 0.0, "publishes": 0.0, "checks": 0.0, "scrolls": 0.0, "statuses": 0.0}


def run(
    world: World,
    machine: Machine,
    *,
    rooms: tuple[int, ...] = (),
    received: tuple[float, ...] = (),
    used: tuple[float, ...] = (),
) -> None:
    Background(world.dice, world.calendar, world.parameters, world.put, world.seconds).of(
        world.owners[0], machine, rooms, received, used
    )


def test_a_login_fetches_and_enters() -> None:
    world = World((DESK,), **QUIET)
    run(world, Machine(0, DESK, [(50.0, 90.0)]), rooms=(4, 7))
    assert [(e.kind, e.peer) for e in world.of(*{e.kind for e in world.events})] == [
        ("login", -1), ("roster", -1), ("presence", -1), ("archive-page", -1), ("room-join", 4), ("room-join", 7),
        ("logout", -1),
    ]  # fmt: skip
    assert (world.of("login")[0].at, world.of("logout")[0].at) == (50.0, 90.0)


def test_who_was_away_longer_fetches_more_pages() -> None:
    def pages(missed: int) -> int:
        world = World((DESK,), **QUIET)
        received = tuple(100.0 + n * 0.01 for n in range(missed))
        run(world, Machine(0, DESK, [(50.0, 90.0), (5000.0, 6000.0)]), received=received)
        return len([e for e in world.of("archive-page") if e.at > 4000])

    assert [pages(missed) for missed in (0, PAGE - 1, PAGE, 5 * PAGE, 500 * PAGE)] == [1, 1, 2, 6, MOST_PAGES]


def test_the_plans_end_is_no_logout() -> None:
    world = World((DESK,), **QUIET)
    run(world, Machine(0, DESK, [(50.0, world.seconds)]))
    assert not world.of("logout")


def test_pings_by_habit() -> None:
    world = World((DESK,), seconds=1000.0, **QUIET)
    run(world, Machine(0, DESK, [(0.0, 1000.0)]))
    times = [e.at for e in world.of("ping")]
    assert len(times) == 16
    assert all(60.0 <= later - at <= 60.2 for at, later in itertools.pairwise(times))
    for change in ({"pings": 0.0}, {"pings": 2.0}):
        other = World((DESK,), seconds=1000.0, **QUIET, **change)
        run(other, Machine(0, DESK, [(0.0, 1000.0)]))
        assert len(other.of("ping")) == (0 if change["pings"] == 0 else 33)


def test_client_state_follows_the_hands() -> None:
    world = World((PHONE,), **QUIET)
    run(world, Machine(0, PHONE, [(0.0, 10_000.0)]), used=(1000.0, 1010.0, 1035.0, 5000.0))
    states = world.of("active", "inactive")
    assert [e.kind for e in states] == ["inactive", "active", "inactive", "active", "inactive"]
    assert states[1].at < 1000.0 < 1035.0 < states[2].at < 1070.0
    assert states[3].at < 5000.0 < states[4].at
    assert not world.of("presence")[1:]


def test_desktops_tell_that_nobody_is_there() -> None:
    world = World((DESK,), **QUIET)
    run(world, Machine(0, DESK, [(0.0, 5000.0)]), used=(100.0, 300.0, 2500.0))
    away = [e.at for e in world.of("presence")][1:]
    assert away == pytest.approx([900.0, 2499.95, 3100.0])
    assert not world.of("active", "inactive")


def test_where_a_day_is_short_one_is_away_sooner() -> None:
    world = World((DESK,), squeeze=60.0, **QUIET)
    run(world, Machine(0, DESK, [(0.0, 100.0)]), used=(20.0,))
    assert [e.at for e in world.of("presence")][1:3] == pytest.approx([10.0, 19.95])


def test_resumptions_and_what_is_done_for_nothing() -> None:
    day = 86_400.0
    world = World((PHONE,), seconds=20 * day, resumes=6.0, publishes=1.0, checks=30.0, scrolls=2.0, statuses=1.0)
    run(world, Machine(0, PHONE, [(0.0, 20 * day)]))
    assert len(world.of("resume")) == pytest.approx(120, rel=0.3)
    assert len(world.of("publish")) == pytest.approx(20, rel=0.6)
    assert len(world.of("active")) == pytest.approx(660, rel=0.2)
    assert all(0 < e.size <= 8000 for e in world.of("publish"))
    old = Machine(0, Device("desktop", "poezio"), [(0.0, 20 * day)])
    before = len(world.of("resume"))
    run(world, old)
    assert len(world.of("resume")) == before  # it cannot
