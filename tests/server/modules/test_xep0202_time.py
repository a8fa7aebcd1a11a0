from __future__ import annotations

from quietwire.server.modules.xep0202_time import MODULE
from quietwire.testing.assembly import Assembly


def ask(house: Assembly, to: str) -> str:
    house.receive(f"<iq type='get' id='1' to='{to}'><time xmlns='urn:xmpp:time'/></iq>", "eve@e.example/x")
    return house.take_remote()[0]


def test_the_server_tells_its_time_in_utc() -> None:
    house = Assembly((MODULE,))
    house.now += 0.9
    assert "<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2001-09-09T01:46:40Z</utc></time>" in ask(
        house, "a.example"
    )


def test_accounts_tell_others_nothing() -> None:
    house = Assembly((MODULE,))
    house.add("alice@a.example")
    answers = [ask(house, f"{name}@a.example").replace(name, "x") for name in ("alice", "nobody")]
    assert answers[0] == answers[1]
    assert "<service-unavailable " in answers[0]
