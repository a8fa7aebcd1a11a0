from __future__ import annotations

from quietwire.core.jid import parse_jid
from quietwire.server.modules.xep0012_last import MODULE
from quietwire.server.roster import Contact
from quietwire.testing.assembly import Assembly


class World:
    """Bob sees Alice's presence."""

    def __init__(self) -> None:
        self.house = Assembly((MODULE,))
        self.house.add("alice@a.example", Contact(parse_jid("bob@b.example"), subscription="both"))
        self.alice = self.house.log_in("alice@a.example/x")

    def ask(self, to: str = "") -> str:
        address = f" to='{to}'" if to else ""
        self.alice.write(f"<iq type='get' id='1'{address}><query xmlns='jabber:iq:last'/></iq>")
        return self.alice.take()[-1]

    def ask_from(self, sender: str, to: str) -> str:
        self.house.receive(f"<iq type='get' id='1' to='{to}'><query xmlns='jabber:iq:last'/></iq>", sender)
        return self.house.take_remote()[-1]


def test_users_are_told_the_days_since_the_start() -> None:
    world = World()
    assert "seconds='0'" in world.ask("a.example")
    world.house.pass_time(2 * 86_400 + 5_000)
    assert "seconds='172800'" in world.ask("a.example")
    world.house.now = 0.0  # a clock that jumps back
    assert "seconds='0'" in world.ask("a.example")


def test_an_account_is_told_of_itself_what_it_knows() -> None:
    world = World()
    world.house.pass_time(5_000)
    assert "seconds='0'" in world.ask()


def test_nobody_else_is_told_anything() -> None:
    world = World()
    for sender in ("bob@b.example/x", "eve@e.example/x"):
        for to in ("a.example", "alice@a.example", "nobody@a.example"):
            assert "<service-unavailable " in world.ask_from(sender, to)
    assert "<service-unavailable " in world.ask("nobody@a.example")
