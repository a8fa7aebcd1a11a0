"""Sessions in rooms whose connection ends or changes (XEP-0198, XEP-0045 §7.14): messages come on resumption, and when
a session is over the room learns it. No ghosts."""

from __future__ import annotations

from typing import Any

import pytest

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.xml import Element
from quietwire.server import sm
from quietwire.server.rooms.state import Rooms
from quietwire.testing.playbook import Client, Playbook

ROOM = "den@conference.a.example"
MUC = "http://jabber.org/protocol/muc"
SM = f"xmlns='{ns.SM}'"
CONFIGURED = (
    f"<iq type='set' id='c' to='{ROOM}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>"
    "<field var='muc#roomconfig_membersonly'><value>0</value></field></x></query></iq>"
)


def house(**settings: Any) -> tuple[Playbook, Client, Client]:
    """alice and bob in a room; bob's session can be resumed with `{id}`."""
    play = Playbook("a.example", ("alice", "bob"), **settings)
    alice, bob = play.client("alice/phone", "<presence/>"), play.client("bob/desk")
    enter(alice, "al")
    alice >> CONFIGURED
    bob >> f"<enable {SM} resume='true'/>"
    bob << f"<enabled {SM} id='{{id}}' resume='true' max='{{*}}'/>"
    enter(bob, "bo")
    play.quiet()
    return play, alice, bob


def enter(client: Client, nick: str) -> None:
    client >> f"<presence to='{ROOM}/{nick}'><x xmlns='{MUC}'/></presence>"


def say(client: Client, *texts: str) -> None:
    for text in texts:
        client >> f"<message type='groupchat' to='{ROOM}'><body>{text}</body></message>"


def heard(client: Client) -> list[str]:
    """In short: what was said in the room, who left it."""
    found = []
    for each in client.take():
        if isinstance(each, Element) and each.get("from", "").startswith(ROOM):
            nick = each.get("from", "").partition("/")[2]
            if each.tag == "{jabber:client}message":
                found.append(f"{nick}: {each.findtext('{jabber:client}body')}")
            elif each.get("type"):
                found.append(f"{nick} {each.get('type')}")
    return found


def occupants(play: Playbook) -> list[str]:
    rooms = play.server.router.hosted["conference.a.example"][1].state
    assert isinstance(rooms, Rooms)
    room = rooms.find(parse_jid(ROOM))
    return [session.text for session in room.occupants.everybody()] if room is not None else []


def resumed(play: Playbook, h: int) -> Client:
    again = play.connect().authenticate("bob")
    again >> f"<resume {SM} previd='{play.known['id']}' h='{h}'/>"
    again << f"<resumed {SM} previd='{{id}}' h='{{*}}'/>"
    return again


def received(play: Playbook) -> int:
    """How many stanzas bob's session was sent in all."""
    (session,) = play.server.accounts.loaded[parse_jid("bob@a.example")].sessions.values()
    return int(session.outlet.sent)  # type: ignore[attr-defined]


def test_what_was_said_while_the_connection_was_dead_comes_on_resumption() -> None:
    play, alice, bob = house()
    had = received(play)
    say(alice, "one")  # into a connection that is dead already
    bob.cut()
    say(alice, "two", "three")
    assert heard(alice) == ["al: one", "al: two", "al: three"]
    again = resumed(play, had)
    assert heard(again) == ["al: one", "al: two", "al: three"]
    say(again, "back")
    assert heard(alice) == ["bo: back"]
    assert len(occupants(play)) == 2


def test_what_was_confirmed_does_not_come_twice() -> None:
    play, alice, bob = house()
    say(alice, "one")
    had = received(play)
    bob.cut()
    say(alice, "two")
    assert heard(resumed(play, had)) == ["al: two"]


def test_a_session_that_nobody_resumes_leaves_the_room() -> None:
    play, alice, bob = house()
    bob.cut()
    say(alice, "anybody?")
    assert heard(alice) == ["al: anybody?"]
    assert len(occupants(play)) == 2
    play.pass_time(301)
    assert heard(alice) == ["bo unavailable"]
    assert occupants(play) == ["alice@a.example/phone"]
    say(play.client("bob/desk"), "I am not there")
    assert heard(alice) == []


@pytest.mark.parametrize("presence", ["", "<presence/>"])
def test_a_session_that_is_replaced_leaves_the_room(presence: str) -> None:
    play, alice, bob = house()
    bob >> presence if presence else None
    play.client("bob/desk")
    assert heard(alice) == ["bo unavailable"]
    assert occupants(play) == ["alice@a.example/phone"]


def test_a_session_that_is_replaced_while_it_waits_leaves_the_room_and_enters_it_anew() -> None:
    play, alice, bob = house()
    bob.cut()
    say(alice, "lost on bob's old session, kept in the room's history")
    again = play.client("bob/desk")
    enter(again, "bo")
    assert heard(again)[0].startswith("al: lost")
    assert heard(alice)[1:] == ["bo unavailable"]
    assert sorted(occupants(play)) == ["alice@a.example/phone", "bob@a.example/desk"]


def test_a_session_whose_queue_runs_over_leaves_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sm, "QUEUE_STANZAS", 40)
    play, alice, bob = house()
    bob.cut()
    say(alice, *map(str, range(41)))
    play.pass_time(1)
    assert heard(alice)[-1] == "bo unavailable"
    assert occupants(play) == ["alice@a.example/phone"]


def test_everybody_goes_and_the_room_is_gone() -> None:
    play, alice, bob = house()
    bob.cut()
    alice.cut()
    play.pass_time(301)
    rooms = play.server.router.hosted["conference.a.example"][1].state
    assert rooms.rooms == {}
