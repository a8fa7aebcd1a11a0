from __future__ import annotations

from pathlib import Path

import pytest

from quietwire.lab.people.model import KINDS
from quietwire.lab.range import plans
from quietwire.lab.range.crowd import CAN


def test_the_small_plan_has_every_kind_there_is_and_devices_can_do_all() -> None:
    assert {event.kind for event in plans.small(8, 25.0)} == set(KINDS) == CAN


@pytest.mark.parametrize("users", [2, 3, 8])
def test_it_is_sorted_within_its_time_and_among_its_people(users: int) -> None:
    events = plans.small(users, 25.0)
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[0].at >= 0
    assert events[-1].at < 25.0
    assert {event.user for event in events} == set(range(users))
    assert all((event.peer < users and event.peer != event.user) or event.kind.startswith("room") for event in events)


def test_in_the_plan_of_probes_half_of_all_write_to_the_other_half_after_a_rest() -> None:
    there, events = plans.probe(7, 100.0)[:3], plans.probe(7, 100.0)[3:]
    assert [(event.at, event.user, event.kind) for event in there] == [(0.0, user, "ping") for user in (1, 3, 5)]
    assert {(event.user, event.peer) for event in events} == {(0, 1), (2, 3), (4, 5)}
    assert len(events) == 3 * plans.PROBES
    assert {event.kind for event in events} == {"message"}
    assert events[0].at >= 100 * plans.REST
    assert events[-1].at < 100.0
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert plans.NAMED["probe"](7, 100.0) == (*there, *events)


def test_a_plan_is_the_same_from_a_file_and_the_file_the_same_for_a_plan(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    plans.write(one, plans.small(5, 10.0))
    plans.write(two, plans.small(5, 10.0))
    assert one.read_bytes() == two.read_bytes()
    assert plans.read(one) == plans.small(5, 10.0)


def test_a_line_that_is_no_event(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    file.write_text('{"at": 1}\n')
    with pytest.raises(TypeError):
        plans.read(file)


def test_people_for_a_plan_by_hand() -> None:
    assert [one.number for one in plans.nobody_special(3)] == [0, 1, 2]
