from __future__ import annotations

from importlib.metadata import version

from quietwire.server.modules.xep0092_version import MODULE
from quietwire.testing.assembly import Assembly


def test_name_and_version_and_nothing_else() -> None:
    house = Assembly((MODULE,))
    house.add("alice@a.example")
    house.receive("<iq type='get' id='1' to='a.example'><query xmlns='jabber:iq:version'/></iq>", "eve@e.example/x")
    [answer] = house.take_remote()
    told = f"<name>Quietwire</name><version>{version('quietwire')}</version>"
    assert f"<query xmlns='jabber:iq:version'>{told}</query>" in answer


def test_accounts_have_none() -> None:
    house = Assembly((MODULE,))
    house.add("alice@a.example")
    answers = []
    for name in ("alice", "nobody"):
        ask = f"<iq type='get' id='1' to='{name}@a.example'><query xmlns='jabber:iq:version'/></iq>"
        house.receive(ask, "eve@e.example/x")
        answers.append(house.take_remote()[0].replace(name, "x"))
    assert answers[0] == answers[1]
    assert "<service-unavailable " in answers[0]
