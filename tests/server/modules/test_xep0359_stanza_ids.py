"""Forged ids are taken out whether or not the message is archived."""

from __future__ import annotations

import pytest

from quietwire.server.modules import xep0359_stanza_ids
from quietwire.testing.assembly import Assembly

FORGED = "<stanza-id xmlns='urn:xmpp:sid:0' by='{}' id='x'/>"


@pytest.mark.parametrize("kind", ["chat", "headline", "groupchat"])
def test_an_id_by_the_recipients_account_is_taken_out(kind: str) -> None:
    house = Assembly((xep0359_stanza_ids.MODULE,))
    house.add("bob@a.example")
    bob = house.log_in("bob@a.example/desk", "<presence/>")
    bob.take()
    ids = FORGED.format("bob@a.example") + FORGED.format("room@b.example")
    house.receive(f"<message to='bob@a.example/desk' type='{kind}'><body>x</body>{ids}</message>", "room@b.example/n")
    got = bob.take()[0]
    assert "by='bob@a.example'" not in got
    assert "by='room@b.example'" in got


def test_an_id_by_the_senders_account_goes_nowhere() -> None:
    house = Assembly((xep0359_stanza_ids.MODULE,))
    house.add("alice@a.example")
    alice = house.log_in("alice@a.example/phone", "<presence/>")
    ids = FORGED.format("alice@a.example") + FORGED.format("bob@b.example")
    alice.write(f"<message to='bob@b.example' type='chat'><body>x</body>{ids}</message>")
    (sent,) = (each for each in house.take_remote() if each.startswith("<message"))
    assert "by='alice@a.example'" not in sent
    assert "by='bob@b.example'" in sent, "that one is for the other server to judge"
