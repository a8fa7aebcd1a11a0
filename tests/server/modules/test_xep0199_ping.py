from __future__ import annotations

import pytest

from quietwire.server.modules.xep0199_ping import MODULE
from quietwire.testing.assembly import Assembly

PING = "<ping xmlns='urn:xmpp:ping'/>"


@pytest.mark.parametrize("to", ["", " to='a.example'", " to='alice@a.example'"])
def test_the_server_and_ones_own_account_answer(to: str) -> None:
    house = Assembly((MODULE,))
    house.add("alice@a.example")
    alice = house.log_in("alice@a.example/x")
    alice.write(f"<iq type='get' id='1'{to}>{PING}</iq>")
    sender = to.replace("to=", "from=")
    assert alice.take() == [f"<iq{sender} to='alice@a.example/x' type='result' id='1'/>"]


def test_another_server_is_answered() -> None:
    house = Assembly((MODULE,))
    house.receive(f"<iq type='get' id='1' to='a.example'>{PING}</iq>", "b.example")
    assert house.take_remote() == ["<iq from='a.example' to='b.example' type='result' id='1'/>"]


def test_of_an_account_a_stranger_learns_nothing() -> None:
    house = Assembly((MODULE,))
    house.add("alice@a.example")
    house.add("carol@a.example")
    alice = house.log_in("alice@a.example/x")
    answers = set()
    for name in ("carol", "nobody"):
        alice.write(f"<iq type='get' id='1' to='{name}@a.example'>{PING}</iq>")
        answers.update(text.replace(name, "NAME") for text in alice.take())
    [answer] = answers
    assert "service-unavailable" in answer
