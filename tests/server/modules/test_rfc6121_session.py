from __future__ import annotations

import pytest

from quietwire.server.modules.rfc6121_session import MODULE
from quietwire.testing.assembly import Assembly
from quietwire.testing.playbook import Playbook

SESSION = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"


@pytest.mark.parametrize("to", ["", " to='a.example'", " to='alice@a.example'"])
def test_a_client_that_asks_for_a_session_has_one(to: str) -> None:
    house = Assembly((MODULE,))
    house.add("alice@a.example")
    alice = house.log_in("alice@a.example/x")
    alice.write(f"<iq type='set' id='1'{to}>{SESSION}</iq>")
    sender = to.replace("to=", "from=")
    assert alice.take() == [f"<iq{sender} to='alice@a.example/x' type='result' id='1'/>"]


def test_nobody_has_one_for_somebody_else() -> None:
    house = Assembly((MODULE,))
    house.add("alice@a.example")
    house.add("carol@a.example")
    alice = house.log_in("alice@a.example/x")
    for name in ("carol", "nobody"):
        alice.write(f"<iq type='set' id='1' to='{name}@a.example'>{SESSION}</iq>")
        [answer] = alice.take()
        assert "service-unavailable" in answer


def test_a_session_is_bound_once() -> None:
    play = Playbook(accounts=["alice"])
    alice = play.client("alice/phone")
    alice >> "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>"
    alice << (
        "<iq type='error' id='b' to='alice@a.example/phone' _='...'><error type='cancel'>"
        "<not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )
    (account,) = play.server.accounts.loaded.values()
    assert list(account.sessions) == ["phone"]
