from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SERVICE, Den, jid, said

from quietwire.core.errors import StanzaError
from quietwire.server.rooms import lifecycle
from quietwire.server.rooms.presences import Notice


def may(den: Den, who: str, local: str = "lair") -> str:
    try:
        lifecycle.may_create(den.rooms, jid(who), local)
    except StanzaError as error:
        return error.condition
    return ""


@pytest.mark.parametrize(
    ("create", "who", "condition"),
    [
        ("local", "bob@a.example", ""),
        ("local", "eve@b.example", "not-allowed"),
        ("local", "a.example", "not-allowed"),
        ("anyone", "eve@b.example", ""),
        ("nobody", "bob@a.example", "not-allowed"),
    ],
)
def test_who_makes_rooms(create: str, who: str, condition: str) -> None:
    assert may(Den(create=create), who) == condition


def test_how_many() -> None:
    den = Den(rooms_per_account=1, rooms=2)
    den.make()
    assert may(den, "alice@a.example") == "not-allowed"
    assert may(den, "bob@a.example") == ""
    assert may(den, "bob@a.example", "x" * (lifecycle.MAX_LOCALPART + 1)) == "not-allowed"
    den.enter("bob", room=f"lair@{SERVICE}")
    assert may(den, "carol@a.example") == "resource-constraint"
    assert said(den.enter("carol", room=f"third@{SERVICE}")) == ["presence error resource-constraint"]


def test_strangers_cannot_make_rooms() -> None:
    den = Den()
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", "eve@b.example/x")
    assert "not-allowed" in den.take_remote()[0]
    assert den.rooms.rooms == {}


def test_rooms_that_nobody_configures_end() -> None:
    den = Den()
    alice = den.enter("alice")
    den.quiet()
    den.pass_time(lifecycle.PATIENCE)
    lifecycle.expire(den.rooms)
    assert said(alice) == []
    den.pass_time(120)
    assert said(alice) == ["al gone owner/none jid=alice@a.example/x destroy 110"]
    assert den.rooms.rooms == {}


def test_configured_rooms_do_not() -> None:
    den = Den()
    den.make()
    den.pass_time(lifecycle.PATIENCE * 3)
    assert jid(ROOM) in den.rooms.rooms


def test_who_leaves_an_unconfigured_room_ends_it() -> None:
    den = Den()
    alice = den.enter("alice")
    den.quiet()
    alice.write(f"<presence type='unavailable' to='{ROOM}/al'/>")
    assert said(alice) == ["al gone owner/none jid=alice@a.example/x 110"]
    assert den.rooms.rooms == {}


def test_over_and_over_again() -> None:
    den = Den()
    for _ in range(100):
        alice = den.enter("alice")
        assert said(alice)[0].endswith("201")
        alice.write(f"<presence type='unavailable' to='{ROOM}/al'/>")
        assert len(said(alice)) == 1


def test_an_occupant_is_put_out_with_all_its_sessions() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    desk = den.enter("bob/desk", "bo")
    den.quiet()
    lifecycle.eject(den.rooms, den.room, den.room.occupants.by_nick["bo"], Notice(codes=(307,)))
    assert said(bob) == ["bo gone none/none jid=bob@a.example/x 110 307"]
    assert said(desk) == ["bo gone none/none jid=bob@a.example/desk 110 307"]
    assert said(alice) == ["bo gone none/none jid=bob@a.example/desk 307"]


def test_nobody_is_removed_twice() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    assert lifecycle.remove(den.rooms, den.room, bob.session.jid) is not None
    assert lifecycle.remove(den.rooms, den.room, bob.session.jid) is None
    assert said(alice) == ["bo gone none/none jid=bob@a.example/x"]


def test_who_is_on_another_server_is_told_when_the_service_ends() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", "eve@b.example/x")
    den.quiet()
    den.router.close()
    [told] = den.take_remote()
    assert told == (
        f"<presence from='{ROOM}/eve' to='eve@b.example/x' type='unavailable'>"
        f"<x xmlns='{MUC}#user'><item affiliation='none' role='none' jid='eve@b.example/x'/>"
        f"<status code='110'/><status code='332'/></x>{den.room.tag(jid('eve@b.example')).decode()}</presence>"
    )
    assert said(alice) == said(bob) == []
    bob.leave()
    assert den.take_remote() == said(alice) == []
