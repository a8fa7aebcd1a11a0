from __future__ import annotations

import json
from dataclasses import replace

from quietwire.lab.people.model import KINDS, Device, Happening, Person, Plan, Room
from quietwire.lab.people.parameters import Parameters

PERSON = Person(0, 2.0, 0, (1,), (0,), (Device("phone", "monal"),))
SAID = Happening(1.5, 0, 0, "message", 1, 12)
WHOLE = Plan(1, 60.0, Parameters(), (PERSON,), (Room(0, (0, 1)),), (SAID,))


def test_anything_that_differs_changes_the_digest() -> None:
    others = [
        replace(WHOLE, seed=2),
        replace(WHOLE, seconds=61.0),
        replace(WHOLE, parameters=Parameters(squeeze=2.0)),
        replace(WHOLE, users=(replace(PERSON, timezone=3.0),)),
        replace(WHOLE, rooms=()),
        *(
            replace(WHOLE, events=(replace(SAID, **change),))  # type: ignore[arg-type]
            for change in ({"at": 1.500001}, {"kind": "correction"}, {"peer": 2}, {"size": 13}, {"device": 1})
        ),
        replace(WHOLE, events=(SAID, SAID)),
    ]
    assert len({WHOLE.digest, *(other.digest for other in others)}) == len(others) + 1
    assert replace(WHOLE).digest == WHOLE.digest


def test_the_head_is_json_and_kinds_are_distinct() -> None:
    assert json.loads(json.dumps(WHOLE.head()))["rooms"] == [{"number": 0, "members": [0, 1]}]
    assert len(set(KINDS)) == len(KINDS) == 24
