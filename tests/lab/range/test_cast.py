from __future__ import annotations

import json

from quietwire.lab.people.model import Device, Happening, Person
from quietwire.lab.range.cast import Cast, cast
from quietwire.lab.range.plans import nobody_special


def person(number: int, contacts: tuple[int, ...], fresh: tuple[int, ...] = (), devices: int = 1) -> Person:
    return Person(number, 0.0, 0, contacts, (), (Device("phone", "conversations"),) * devices, fresh)


EVENTS = (
    Happening(0.0, 0, 0, "login", -1, 0),
    Happening(1.0, 0, 0, "message", 1, 5),
    Happening(1.5, 2, 0, "subscribe", 0, 0),
    Happening(2.0, 2, 0, "message", 0, 5),
    Happening(2.0, 1, 1, "room-join", 4, 0),
    Happening(3.0, 0, 0, "room-join", 4, 0),
    Happening(4.0, 1, 1, "room-message", 4, 3),
)


def test_who_writes_to_whom_is_friends_from_the_beginning_but_for_those_who_ask_to_be() -> None:
    found = cast(EVENTS, nobody_special(4), servers=2)
    assert found.users == (0, 1, 2, 3)
    assert found.devices == ((0, 0), (1, 0), (1, 1), (2, 0), (3, 0))
    assert found.friends == {(0, 1)}
    assert found.rooms == {4: (1, 0)}
    assert found.early == {(1, 1), (2, 0)}
    assert found.contacts(1) == (0,)
    assert found.contacts(3) == ()
    assert found.devices_of(1) == (0, 1)


def test_people_of_a_plan_bring_their_devices_and_contacts() -> None:
    found = cast((), [person(0, (1, 2), fresh=(2,)), person(1, (0,), devices=2), person(2, (0,), fresh=(0,))])
    assert found.friends == {(0, 1)}
    assert found.devices == ((0, 0), (1, 0), (1, 1), (2, 0))


def test_addresses() -> None:
    found = cast(EVENTS, nobody_special(4), servers=2)
    assert (found.account(0), found.account(1)) == ("u0@a.example", "u1@b.example")
    assert found.room(4) == "r4@conference.a.example"
    labels = {found.address(device) for device in found.devices}
    assert len(labels) == len(found.devices)
    assert found.address((1, 1)) == "198.18.0.3"


def test_it_goes_through_json() -> None:
    found = cast(EVENTS, nobody_special(4), servers=2)
    assert Cast.of_document(json.loads(json.dumps(found.document()))) == found
