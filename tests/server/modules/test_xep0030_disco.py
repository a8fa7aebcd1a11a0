from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.xml import Element, parse
from quietwire.server.module import Module
from quietwire.server.modules.xep0030_disco import MODULE
from quietwire.server.node_config import NodeConfig
from quietwire.server.nodes import Book, Node
from quietwire.server.roster import Contact
from quietwire.testing.assembly import Assembly, Client

OTHER = Module(
    "other", None, ("urn:f",), (), (), "", account_features=("urn:mine",), identities=(("pubsub", "pep", ""),)
)
INFO, ITEMS = ns.DISCO_INFO, ns.DISCO_ITEMS


class World:
    """Carol, whom Alice sees and Dave does not; she has three nodes."""

    def __init__(self, *, away: bool = False) -> None:
        self.house = Assembly((MODULE, OTHER))
        for name in ("alice", "dave"):
            self.house.add(f"{name}@a.example")
        self.house.add(
            "carol@a.example",
            Contact(parse_jid("alice@a.example"), subscription="from"),
            Contact(parse_jid("dave@a.example"), subscription="to"),
        )
        book = Book(self.house.storage.store, b"carol@a.example")
        for name, model in (("b", "open"), ("a", "presence"), ("c", "whitelist")):
            book.publish(
                Node(name, NodeConfig(model, max_items=2, title="First" if name == "a" else "")), "1", b"<x xmlns='x'/>"
            )
            book.publish(book.nodes[name], "2", b"<x xmlns='x'/>")
        self.house.router.spawn(self.house.router.open())
        if not away:
            self.house.log_in("carol@a.example/home")

    def ask(self, client: Client, to: str, space: str, node: str = "") -> str:
        address = f" to='{to}'" if to else ""
        of = f" node='{node}'" if node else ""
        client.write(f"<iq type='get' id='1'{address}><query xmlns='{space}'{of}/></iq>")
        [answer] = client.take()
        return answer

    def log_in(self, name: str) -> Client:
        return self.house.log_in(f"{name}@a.example/x")


def query(answer: str) -> Element:
    iq = parse(answer.encode(), ns.CLIENT)
    assert iq.get("type") == "result", answer
    return iq[0]


def test_the_server() -> None:
    world = World()
    found = query(world.ask(world.log_in("alice"), "a.example", INFO))
    assert [dict(e.attrib) for e in found] == [
        {"category": "server", "type": "im", "name": "Quietwire"},
        {"var": INFO},
        {"var": ITEMS},
        {"var": "urn:f"},
    ]
    assert len(query(world.ask(world.log_in("alice"), "a.example", ITEMS))) == 0


@pytest.mark.parametrize("space", [INFO, ITEMS])
def test_the_server_has_no_other_nodes(space: str) -> None:
    world = World()
    assert "item-not-found" in world.ask(world.log_in("alice"), "a.example", space, "what")


@pytest.mark.parametrize("to", ["", "carol@a.example"])
def test_ones_own_account(to: str) -> None:
    world = World()
    carol = world.log_in("carol")
    found = query(world.ask(carol, to, INFO))
    assert [dict(e.attrib) for e in found] == [
        {"category": "account", "type": "registered"},
        {"category": "pubsub", "type": "pep"},
        {"var": INFO},
        {"var": ITEMS},
        {"var": "urn:f"},
        {"var": "urn:mine"},
    ]
    listed = query(world.ask(carol, to, ITEMS))
    assert {e.get("jid") for e in listed} == {"carol@a.example"}
    assert [(e.get("node"), e.get("name")) for e in listed] == [("a", "First"), ("b", None), ("c", None)]


def test_a_contact_sees_what_it_may() -> None:
    world = World()
    alice = world.log_in("alice")
    assert "pep" in world.ask(alice, "carol@a.example", INFO)
    listed = query(world.ask(alice, "carol@a.example", ITEMS))
    assert [(e.get("node"), e.get("name")) for e in listed] == [("a", "First"), ("b", None)]
    leaf = query(world.ask(alice, "carol@a.example", INFO, "a"))
    assert leaf[0].attrib == {"category": "pubsub", "type": "leaf"}
    assert leaf.get("node") == "a"
    items = query(world.ask(alice, "carol@a.example", ITEMS, "a"))
    assert [e.get("name") for e in items] == ["2", "1"]


@pytest.mark.parametrize("space", [INFO, ITEMS])
def test_a_node_one_may_not_see_is_one_that_is_not_there(space: str) -> None:
    world = World()
    alice = world.log_in("alice")
    hidden, absent = (world.ask(alice, "carol@a.example", space, node) for node in ("c", "d"))
    assert hidden == absent
    assert "item-not-found" in hidden


@pytest.mark.parametrize("space", [INFO, ITEMS])
@pytest.mark.parametrize("node", ["", "b", "c"])
@pytest.mark.parametrize("away", [True, False])
@pytest.mark.parametrize("who", ["dave", "alice"])
def test_a_stranger_cannot_tell_an_account_from_none(space: str, node: str, away: bool, who: str) -> None:
    """While Carol is away everybody is a stranger."""
    world = World(away=away or who == "alice")
    dave = world.log_in(who)
    answers = {world.ask(dave, f"{name}@a.example", space, node).replace(name, "N") for name in ("carol", "nobody")}
    [answer] = answers
    if space == INFO:
        assert "service-unavailable" in answer
    else:
        assert (len(query(answer)), query(answer).get("node")) == (0, node or None)
