from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import from_tree
from quietwire.core.xml import Element, build, parse, serialise
from quietwire.server import pep_presence
from quietwire.server.caps import C, verification
from quietwire.server.disco import info
from quietwire.server.module import Module, Opening, PresenceHook
from quietwire.server.modules.xep0163_pep import on_open
from quietwire.server.node_config import NodeConfig
from quietwire.server.nodes import Book, Node
from quietwire.server.pep import audience_of
from quietwire.server.pep_presence import State, on_in, on_out
from quietwire.server.roster import Contact, Subscription
from quietwire.testing.assembly import Assembly, Client

MODULE = Module(
    "pep",
    None,
    (),
    (PresenceHook("out", on_out), PresenceHook("in", on_in), Opening(on_open)),
    (),
    "",
    needs=("store", "pep"),
    state=lambda _: State(),
)
BOB = "bob@b.example/x"


def answer(*nodes: str) -> Element:
    return info((("client", "pc", ""),), (f"{node}+notify" for node in nodes)).query()


def caps(*nodes: str) -> str:
    """``<c/>`` of a client that wants these nodes."""
    attributes = {"hash": "sha-1", "node": "urn:client", "ver": verification(answer(*nodes), "sha-1")}
    return serialise(build(C, attributes), ns.CLIENT).decode()


class World:
    def __init__(self, *contacts: tuple[str, Subscription]) -> None:
        self.house = Assembly((MODULE,))
        self.house.add("alice@a.example", *(Contact(parse_jid(jid), subscription=s) for jid, s in contacts))

    def publish(self, owner: str, name: str, config: NodeConfig | None = None) -> None:
        """Puts one item into the store of an account that is away."""
        node = Node(name, config or NodeConfig())
        Book(self.house.storage.store, owner.encode()).publish(node, "i", f"<p xmlns='urn:{name}'/>".encode())
        self.house.router.spawn(self.house.router.open())

    def come(self, full: str, *nodes: str) -> Client:
        client = self.house.log_in(full, f"<presence>{caps(*nodes)}</presence>")
        reply(client, *nodes)
        return client


def reply(client: Client, *nodes: str) -> bool:
    """The client answers the server's question, if there is one; returns whether there was."""
    asked = False
    rest = client.take()
    for text in rest:
        if "disco#info" in text:
            iq = parse(text.encode(), ns.CLIENT)
            body = serialise(answer(*nodes), ns.CLIENT).decode()
            client.write(f"<iq type='result' to='{iq.get('from')}' id='{iq.get('id')}'>{body}</iq>")
            asked = True
        else:
            client.inbox.data.append(text.encode())
    client.inbox.data.sort(key=lambda data: b"presence" not in data)
    return asked


def news(texts: list[str]) -> list[str]:
    """ "from node" of each notification."""
    found = []
    for text in texts:
        if "pubsub#event" in text:
            message = parse(text.encode(), ns.CLIENT)
            found.append(f"{message.get('from')} {message[0][0].get('node')}")
    return found


def remote_question(world: World) -> str:
    [text] = [text for text in world.house.take_remote() if "disco#info" in text]
    return text


def remote_reply(world: World, question: str, *nodes: str) -> None:
    iq = from_tree(parse(question.encode(), ns.CLIENT))
    body = serialise(answer(*nodes), ns.CLIENT).decode()
    world.house.receive(f"<iq type='result' to='{iq.attributes['from']}' id='{iq.id}'>{body}</iq>", iq.attributes["to"])


def test_a_client_that_comes_gets_the_last_items_of_what_it_wants() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.publish("alice@a.example", name)
    alice = world.come("alice@a.example/x", "a", "c", "d")
    got = alice.take()
    assert news(got) == ["alice@a.example a", "alice@a.example c"]
    assert "<item id='i'><p xmlns='urn:a'/></item>" in "".join(got)
    assert "to='alice@a.example/x'" in got[-1]


def test_a_known_client_is_not_asked_and_none_without_capabilities() -> None:
    world = World()
    world.publish("alice@a.example", "a")
    world.come("alice@a.example/x", "a").take()
    second = world.house.log_in("alice@a.example/y", f"<presence>{caps('a')}</presence>")
    assert not reply(second, "a")
    assert news(second.take()) == ["alice@a.example a"]
    third = world.house.log_in("alice@a.example/z", "<presence/>")
    assert news(third.take()) == []


def test_later_presence_brings_only_what_is_new_and_coming_back_brings_all() -> None:
    world = World()
    for name in ("a", "b"):
        world.publish("alice@a.example", name)
    alice = world.come("alice@a.example/x", "a")
    alice.take()
    alice.write(f"<presence><show>away</show>{caps('a')}</presence>")
    alice.write("<presence/>")
    assert news(alice.take()) == []
    alice.write(f"<presence>{caps('a', 'b')}</presence>")
    reply(alice, "a", "b")
    assert news(alice.take()) == ["alice@a.example b"]
    alice.write("<presence type='unavailable'/>")
    alice.write(f"<presence>{caps('a', 'b')}</presence>")
    assert news(alice.take()) == ["alice@a.example a", "alice@a.example b"]


def test_an_answer_that_comes_after_the_client_left_or_changed_is_dropped() -> None:
    world = World()
    world.publish("alice@a.example", "a")
    alice = world.house.log_in("alice@a.example/x", f"<presence>{caps('a')}</presence>")
    question = [text for text in alice.take() if "disco#info" in text]
    alice.write("<presence type='unavailable'/>")
    alice.write("<presence/>")
    alice.inbox.data.extend(text.encode() for text in question)
    assert reply(alice, "a")
    assert news(alice.take()) == []


def test_nodes_that_send_nothing_at_presence() -> None:
    world = World()
    world.publish("alice@a.example", "a", NodeConfig(send_last_published_item="on_sub"))
    world.publish("alice@a.example", "b", NodeConfig(deliver_notifications=False))
    world.publish("alice@a.example", "c", NodeConfig(persist_items=False))
    assert news(world.come("alice@a.example/x", "a", "b", "c").take()) == []


def test_of_local_contacts_that_are_away_what_is_open_comes() -> None:
    world = World(("carol@a.example", "to"), ("dave@a.example", "from"), ("gone@a.example", "to"))
    alice = parse_jid("alice@a.example")
    world.house.add("carol@a.example", Contact(alice, subscription="from"))
    world.house.add("dave@a.example", Contact(alice, subscription="to"))
    world.publish("carol@a.example", "a", NodeConfig("open"))
    world.publish("carol@a.example", "seen")
    world.publish("carol@a.example", "secret", NodeConfig("whitelist"))
    world.publish("dave@a.example", "a", NodeConfig("open"))
    told = news(world.come("alice@a.example/x", "a", "seen", "secret").take())
    assert sorted(told) == ["carol@a.example a", "dave@a.example a"]  # he gets her presence
    assert set(world.house.accounts.loaded) == {alice}


def asked_for(world: World, *wants: str) -> list[str]:
    """Answers a question to bob, and gives what he got then."""
    sent = world.house.take_remote()
    for text in sent:
        if "disco#info" in text:
            iq = parse(text.encode(), ns.CLIENT)
            body = serialise(answer(*wants), ns.CLIENT).decode()
            world.house.receive(f"<iq type='result' to='{iq.get('from')}' id='{iq.get('id')}'>{body}</iq>", BOB)
    return news(sent + world.house.take_remote())


def test_an_account_that_is_away_serves_what_is_open_to_whoever_sends_presence() -> None:
    world = World(("bob@b.example", "both"))
    world.publish("alice@a.example", "a", NodeConfig("open"))
    world.publish("alice@a.example", "seen")
    hello = f"<presence to='alice@a.example'>{caps('a', 'seen')}</presence>"
    world.house.receive(hello, BOB)
    assert asked_for(world, "a", "seen") == ["alice@a.example a"]
    world.house.receive(hello, BOB)
    assert world.house.take_remote() == []  # once
    world.house.receive("<presence to='alice@a.example' type='unavailable'/>", BOB)
    world.house.receive(hello, BOB)
    assert news(world.house.take_remote()) == ["alice@a.example a"]


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_an_account_without_open_nodes_that_is_away_is_as_silent_as_none(name: str) -> None:
    world = World(("bob@b.example", "both"))
    world.publish("alice@a.example", "seen")
    world.house.receive(f"<presence to='{name}@a.example'>{caps('a')}</presence>", BOB)
    assert world.house.take_remote() == []


def test_a_local_stranger_is_served_and_a_contact_not_twice() -> None:
    world = World(("carol@a.example", "to"))
    world.house.add("carol@a.example")
    world.publish("carol@a.example", "a", NodeConfig("open"))
    alice = world.come("alice@a.example/x", "a")
    assert news(alice.take()) == ["carol@a.example a"]
    world.house.add("dave@a.example")
    dave = world.house.log_in("dave@a.example/x")
    for client, told in ((alice, []), (dave, ["carol@a.example a"])):
        client.write(f"<presence to='carol@a.example'>{caps('a')}</presence>")
        assert news(client.take()) == told


def test_visitors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pep_presence, "MAX_VISITORS", 1)
    world = World()
    world.publish("alice@a.example", "a", NodeConfig("open"))
    hello = f"<presence to='alice@a.example'>{caps('a')}</presence>"
    for sender in (BOB, "eve@b.example/x", BOB):
        world.house.receive(hello, sender)
        assert asked_for(world, "a") == ["alice@a.example a"], sender


def test_a_new_subscription_brings_the_items_once() -> None:
    world = World()
    alice_jid, carol_jid = parse_jid("alice@a.example"), world.house.add("carol@a.example")
    world.publish("carol@a.example", "a")
    alice = world.come("alice@a.example/x", "a")
    carol = world.house.log_in("carol@a.example/y", "<presence/>")
    assert news(alice.take()) == []
    carol.session.account.roster.contacts[alice_jid] = Contact(alice_jid, subscription="from")
    alice.session.account.roster.contacts[carol_jid] = Contact(carol_jid, subscription="to")
    for _ in range(2):
        carol.write("<presence/>")
    assert news(alice.take()) == ["carol@a.example a"]


def test_a_contact_elsewhere_is_asked_by_the_account_and_served() -> None:
    world = World(("bob@b.example", "both"))
    world.publish("alice@a.example", "a")
    alice = world.come("alice@a.example/x")
    world.house.take_remote()
    world.house.receive(f"<presence to='alice@a.example'>{caps('a')}</presence>", BOB)
    question = remote_question(world)
    assert question.startswith(f"<iq from='alice@a.example' to='{BOB}' type='get'")
    remote_reply(world, question, "a")
    assert news(world.house.take_remote()) == ["alice@a.example a"]
    world.house.receive(f"<presence to='alice@a.example'>{caps('a')}</presence>", BOB)
    assert world.house.take_remote() == []
    world.house.receive("<presence to='alice@a.example' type='unavailable'/>", BOB)
    world.house.receive(f"<presence to='alice@a.example'>{caps('a')}</presence>", BOB)
    assert news(world.house.take_remote()) == ["alice@a.example a"]
    alice.leave()


def test_an_answer_after_the_contact_or_the_account_has_gone_is_dropped() -> None:
    for leaves in ("bob", "alice"):
        world = World(("bob@b.example", "both"))
        world.publish("alice@a.example", "a")
        alice = world.come("alice@a.example/x")
        world.house.take_remote()
        world.house.receive(f"<presence to='alice@a.example'>{caps('a')}</presence>", BOB)
        question = remote_question(world)
        if leaves == "bob":
            world.house.receive("<presence to='alice@a.example' type='unavailable'/>", BOB)
        else:
            alice.leave()
        remote_reply(world, question, "a")
        assert news(world.house.take_remote()) == []


def test_a_stranger_is_served_open_nodes_and_not_asked_where_there_are_none() -> None:
    world = World()
    world.publish("alice@a.example", "a")
    world.come("alice@a.example/x")
    world.house.receive(f"<presence to='alice@a.example'>{caps('a', 'open')}</presence>", BOB)
    assert world.house.take_remote() == []
    world = World()
    world.publish("alice@a.example", "a")
    world.publish("alice@a.example", "open", NodeConfig("open"))
    world.come("alice@a.example/x")
    world.house.receive(f"<presence to='alice@a.example'>{caps('a', 'open')}</presence>", BOB)
    remote_reply(world, remote_question(world), "a", "open")
    assert news(world.house.take_remote()) == ["alice@a.example open"]


def test_presence_that_says_nothing_is_not_remembered() -> None:
    world = World(("bob@b.example", "both"))
    account = world.come("alice@a.example/x").session.account
    world.house.take_remote()
    for presence in ("<presence to='alice@a.example'/>", f"<presence to='alice@a.example'>{caps('a')}</presence>"):
        world.house.receive(presence, "bob@b.example" if "caps" in presence else BOB)
    assert world.house.take_remote() == []
    assert list(audience_of(account)) == []
