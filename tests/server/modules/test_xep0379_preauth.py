from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.modules.xep0379_preauth import MODULE
from quietwire.server.roster import decode
from quietwire.server.sealed.arriving import SENDER
from quietwire.testing.assembly import Assembly

ALICE, BOB = parse_jid("alice@a.example"), parse_jid("bob@b.example")


class World:
    def __init__(self) -> None:
        self.house = Assembly((MODULE,))
        self.house.add("alice@a.example")

    def token(self, inviter: str = "alice@a.example", *, contact: bool = True, name: str = "") -> str:
        made = self.house.invitations
        return made.make(parse_jid(inviter), days=7, register=True, contact=contact, name=name)[0]

    def request(self, token: str, sender: str = "bob@b.example") -> list[str]:
        """What alice's server sends."""
        preauth = f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>"
        self.house.receive(f"<presence to='alice@a.example' type='subscribe'>{preauth}</presence>", sender)
        return self.house.take_remote()


def to_bob(type: str) -> str:
    return f"<presence from='alice@a.example' to='bob@b.example' type='{type}'/>"


@pytest.mark.parametrize("here", [True, False])
def test_who_has_a_token_is_let_in_and_asked_back(here: bool) -> None:
    world = World()
    alice = world.house.log_in("alice@a.example/x", "<presence/>") if here else None
    sent = world.request(world.token())
    assert to_bob("subscribe") in sent
    assert to_bob("subscribed") in sent
    if not here:
        world.house.log_in("alice@a.example/x")
        assert world.house.take_remote() == [to_bob("subscribe"), to_bob("subscribed")]  # once more: no harm
    [row] = world.house.storage.store.scan("roster", b"alice@a.example").result()
    contact = decode(*row)
    assert (contact.subscription, contact.ask, contact.pending_in) == ("from", True, None)
    if alice is not None:
        assert "<presence from='alice@a.example/x' to='bob@b.example'/>" in sent
        assert not any("type='subscribe'" in text for text in alice.take())  # nobody is asked


def test_a_guest_for_whom_there_is_no_room_keeps_the_token() -> None:
    world = World()
    for number in range(SENDER):
        kind = ("unsubscribe", "unsubscribed")[number % 2]
        world.house.receive(f"<presence to='alice@a.example' type='{kind}'/>", BOB.text)
    assert world.request(world.token()) == []
    assert len(world.house.invitations.listed()) == 1


def test_once() -> None:
    world = World()
    token = world.token()
    world.request(token)
    assert world.request(token, "eve@e.example") == []


def test_any_other_token_changes_nothing() -> None:
    world = World()
    world.house.add("carol@a.example")
    alice = world.house.log_in("alice@a.example/x", "<presence/>")
    alice.take()
    tokens = ["", "unknown", world.token("carol@a.example"), world.token(contact=False), world.token(name="dave")]
    for number, token in enumerate(tokens):
        assert world.request(token, f"u{number}@b.example") == []
        [asked] = alice.take()
        assert "type='subscribe'" in asked
    assert len(world.house.invitations.listed()) == 3
