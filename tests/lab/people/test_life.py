from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict

import pytest

from quietwire.lab.people import FAMILIES, HABITS, KINDS, Happening, Parameters, Plan, PlanError, plan

DAY = 86_400.0


@pytest.fixture(scope="module")
def life() -> Plan:
    return plan(5, 60, 1.5 * DAY)


def test_the_same_seed_the_same_plan_in_another_process(life: Plan) -> None:
    assert plan(5, 60, 1.5 * DAY) == life
    program = "from quietwire.lab.people import plan; print(plan(5, 60, 1.5 * 86400).digest)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == life.digest
    assert plan(6, 60, 1.5 * DAY).digest != life.digest


def test_a_digest_that_stays() -> None:
    """Who compares results of months needs the plan of then. Change it knowingly: then all caches are void."""
    assert plan(1, 10, 600.0, Parameters(squeeze=30.0)).digest[:16] == GOLDEN


GOLDEN = "08ea25458aafd723"


def test_all_kinds_happen(life: Plan) -> None:
    assert {event.kind for event in life.events} == set(KINDS)
    assert len(KINDS) >= 12


def test_events_are_in_order_and_within_the_plan(life: Plan) -> None:
    assert [e.at for e in life.events] == sorted(e.at for e in life.events)
    for event in life.events:
        assert 0.0 <= event.at < life.seconds
        person = life.users[event.user]
        assert event.device < len(person.devices)
        if event.kind.startswith("room-"):
            assert event.peer in person.rooms
        elif event.peer >= 0:
            assert event.peer in person.contacts + person.fresh
            assert event.peer != event.user
        sized = event.kind in ("message", "room-message", "correction", "upload", "download", "publish")
        assert (event.size > 0) == sized


def by_device(life: Plan) -> dict[tuple[int, int], list[Happening]]:
    found: dict[tuple[int, int], list[Happening]] = defaultdict(list)
    for event in life.events:
        found[event.user, event.device].append(event)
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("squeeze", [1.0, 60.0])
def test_a_device_does_nothing_before_it_logs_in_nor_after_it_logs_out(family: str, squeeze: float) -> None:
    life = plan(2, 30, DAY / squeeze, Parameters(family=family, squeeze=squeeze))  # type: ignore[arg-type]
    for key, events in by_device(life).items():
        online = False
        for event in events:
            if event.kind == "login":
                assert not online, key
                online = True
            elif event.kind == "logout":
                assert online, key
                online = False
            else:
                assert online, (key, event)


def test_clients_keep_their_habits(life: Plan) -> None:
    for (user, device), events in by_device(life).items():
        habit = HABITS[life.users[user].devices[device].client]
        kinds = {event.kind for event in events}
        assert habit.markers or "marker" not in kinds
        assert habit.csi or "active" not in kinds
        assert habit.sm or "resume" not in kinds
        assert habit.ping or "ping" not in kinds


def test_typing_comes_before_its_message(life: Plan) -> None:
    for events in by_device(life).values():
        for event in events:
            if event.kind == "typing" and event.at < life.seconds - 300:
                assert any(
                    later.kind == "message" and later.peer == event.peer and 1.0 < later.at - event.at <= 250.0
                    for later in events
                )


def test_who_comes_anew_is_asked_granted_and_fetched() -> None:
    life = plan(3, 40, 2 * DAY, Parameters(subscribes=1.0))
    asked = [e for e in life.events if e.kind == "subscribe"]
    assert len(asked) > 20
    for event in asked:
        assert event.peer in life.users[event.user].fresh
        assert event.peer not in life.users[event.user].contacts
    bundles = {(e.user, e.peer) for e in life.events if e.kind == "bundle"}
    assert any((e.user, e.peer) in bundles for e in asked)


def test_what_is_left_out_is_left_out() -> None:
    bare = plan(4, 30, DAY, Parameters(background=False, consequences=False))
    assert {e.kind for e in bare.events} == {"message", "room-message"}
    spoken = plan(4, 30, DAY, Parameters(background=False))
    assert {e.kind for e in spoken.events} == {
        "typing", "message", "receipt", "marker", "reaction", "correction", "room-message", "room-typing", "upload",
        "download",
    }  # fmt: skip


def test_nobody_talks_in_their_sleep(life: Plan) -> None:
    from quietwire.lab.people.summary import summary

    assert summary(life)["night"] < 0.04


@pytest.mark.parametrize("users", [2, 3])
@pytest.mark.parametrize("seconds", [0.5, 30.0, 4000.0])
def test_small_plans(users: int, seconds: float) -> None:
    for seed in range(5):
        life = plan(seed, users, seconds, Parameters(squeeze=50.0))
        assert all(0 <= e.at < seconds for e in life.events)
    assert {e.kind for e in plan(0, users, 60.0).events} >= {"login"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((1, 1, 5.0), "users"),
        ((1, 10**7, 5.0), "users"),
        ((1, 5, 0.0), "seconds"),
        ((1, 5, float("inf")), "seconds"),
        ((-1, 5, 5.0), "seed"),
    ],
)
def test_what_cannot_be_planned(arguments: tuple[int, int, float], why: str) -> None:
    with pytest.raises(PlanError, match=why):
        plan(*arguments)


def test_a_plan_goes_through_json(life: Plan) -> None:
    lines = [json.dumps(asdict(event)) for event in life.events[:500]]
    assert tuple(Happening(**json.loads(line)) for line in lines) == life.events[:500]
    assert json.loads(json.dumps(life.head()))["users"][3]["number"] == 3
