from __future__ import annotations

import pytest
from den import Den

from quietwire.core.errors import ConfigError
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Message
from quietwire.server.rooms.config import RoomConfig
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.rooms.standings import Standing
from quietwire.server.rooms.state import Limits, Rooms, make

ALICE = parse_jid("alice@a.example")


def test_what_the_service_is_set_to() -> None:
    plain = make({})
    assert plain.limits == Limits()
    assert plain.defaults == RoomConfig()
    open_ = make(
        {"members_only": False, "public": True, "real_addresses": False, "show_visitors": True, "create": "anyone"}
    )
    assert not open_.defaults.members_only
    assert open_.defaults.public
    assert open_.defaults.anonymous
    assert "visitor" in open_.defaults.presence
    assert open_.limits.create == "anyone"


@pytest.mark.parametrize(("key", "value"), [("create", "Local"), ("rooms", -1), ("days", -0.5)])
def test_a_mistake_in_them_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        make({key: value})


def test_who_cannot_be_reached_is_noted() -> None:
    den = Den()
    alice = den.guest("alice")
    room = parse_jid("lair@conference.a.example")
    gone = parse_jid("bob@a.example/x")
    den.rooms.tell(Message({}, b"", (), from_=room.with_resource("al")), [alice.session.jid, gone])
    assert alice.take() == [f"<message to='alice@a.example/x' from='{room.text}/al'/>"]
    assert den.rooms.lost == {(room, gone)}


def test_rooms_of_an_account_are_counted() -> None:
    rooms = Rooms(host="a.example")
    for name in ("one", "two"):
        jid = parse_jid(f"{name}@conference.a.example")
        rooms.rooms[jid] = Room(jid, RoomConfig(), bytes(32))
    rooms.rooms[jid].stand(ALICE, Standing(Affiliation.OWNER))
    assert rooms.owned(ALICE) == 1
    assert rooms.find(jid) is rooms.rooms[jid]
    assert rooms.find(ALICE) is None
    assert rooms.local(ALICE)
    assert not rooms.local(parse_jid("eve@b.example"))


def test_ids_are_random() -> None:
    numbers = iter(range(9))
    rooms = Rooms(randomness=lambda size: bytes([next(numbers)]) * size)
    assert len(rooms.fresh()) == 32
    assert rooms.fresh() != rooms.fresh()
