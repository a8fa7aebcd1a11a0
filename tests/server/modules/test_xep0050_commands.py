from __future__ import annotations

from quietwire.core.jid import parse_jid
from quietwire.server.commands import Answer, Call
from quietwire.server.module import Command, Context, Module
from quietwire.server.modules import xep0030_disco
from quietwire.server.modules.xep0050_commands import MODULE
from quietwire.testing.assembly import Assembly

NS = "http://jabber.org/protocol/commands"


async def hello(context: Context, call: Call) -> Answer:
    assert context.session is not None
    return Answer("completed", note=f"hello {context.session.jid.local} {context.state}")


def admins(context: Context) -> bool:
    return context.session is not None and context.services.is_admin(context.session.jid)


GREETER = Module(
    "greeter",
    None,
    (),
    (Command("urn:hello", "Hello", hello, lambda context: True), Command("urn:secret", "Secret", hello, admins)),
    (),
    "",
    state=lambda settings: "state",
)


class World:
    def __init__(self) -> None:
        self.house = Assembly((MODULE, GREETER, xep0030_disco.MODULE))
        self.house.router.admins = frozenset((parse_jid("root@a.example"),))
        for name in ("alice", "root"):
            self.house.add(f"{name}@a.example")
        self.alice, self.root = (self.house.log_in(f"{name}@a.example/x") for name in ("alice", "root"))

    def give(self, name: str, node: str, to: str = "a.example", attributes: str = "") -> str:
        client = self.alice if name == "alice" else self.root
        client.write(f"<iq type='set' id='1' to='{to}'><command xmlns='{NS}' node='{node}' {attributes}/></iq>")
        return client.take()[-1]

    def disco(self, name: str, kind: str, node: str = NS, to: str = "a.example") -> str:
        client = self.alice if name == "alice" else self.root
        space = f"http://jabber.org/protocol/disco#{kind}"
        client.write(f"<iq type='get' id='1' to='{to}'><query xmlns='{space}' node='{node}'/></iq>")
        return client.take()[-1]


def test_a_command_is_carried_out_with_its_modules_state() -> None:
    world = World()
    assert "<note type='info'>hello alice state</note>" in world.give("alice", "urn:hello")
    assert "status='canceled'" in world.give("alice", "urn:hello", attributes="action='cancel'")


def test_who_may_not_gives_none_and_sees_none() -> None:
    world = World()
    for node in ("urn:secret", "urn:nothing"):
        assert "<item-not-found " in world.give("alice", node)
        assert "<item-not-found " in world.disco("alice", "info", node)
    assert "hello root" in world.give("root", "urn:secret")
    assert "urn:secret" not in world.disco("alice", "items")
    assert "<item jid='a.example' node='urn:secret' name='Secret'/>" in world.disco("root", "items")


def test_what_a_command_is() -> None:
    world = World()
    assert "<identity category='automation' type='command-list'/>" in world.disco("alice", "info")
    identity = "<identity category='automation' type='command-node' name='Hello'/>"
    assert identity in world.disco("alice", "info", "urn:hello")


def test_ones_own_account_takes_them_too() -> None:
    world = World()
    assert "hello root" in world.give("root", "urn:secret", "root@a.example")
    assert "<item jid='root@a.example' node='urn:secret' name='Secret'/>" in world.disco(
        "root", "items", to="root@a.example"
    )
    assert "urn:secret" not in world.disco("alice", "items", to="alice@a.example")
    assert "<item-not-found " in world.disco("alice", "info", "urn:secret", to="alice@a.example")
    assert "type='command-node'" in world.disco("alice", "info", "urn:hello", to="alice@a.example")


def test_nobody_elsewhere_and_no_other_account_takes_one() -> None:
    world = World()
    for to in ("root@a.example", "nobody@a.example"):
        assert "<service-unavailable " in world.give("alice", "urn:hello", to)
        assert "<item " not in world.disco("alice", "items", to=to)
    world.house.receive(
        f"<iq type='set' id='1' to='a.example'><command xmlns='{NS}' node='urn:hello'/></iq>", "root@b.example/x"
    )
    assert "<forbidden " in world.house.take_remote()[-1]
