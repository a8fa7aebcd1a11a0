from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.jid import JID, parse_jid
from quietwire.core.stanza import Presence
from quietwire.core.xml import parse
from quietwire.server import pep
from quietwire.server.account import Account
from quietwire.server.node_config import NodeConfig
from quietwire.server.nodes import Node
from quietwire.server.pep import Audience, Interest, audience_of, interest_of, may_read, recipients
from quietwire.server.roster import Contact, Roster, Subscription
from quietwire.testing.assembly import Assembly, Client

ALICE, BOB, EVE = parse_jid("alice@a.example"), parse_jid("bob@b.example/x"), parse_jid("eve@e.example/x")


def readers(config: NodeConfig, affiliations: dict[JID, str] | None = None) -> list[str]:
    """Who of all possible correspondents may read."""
    subscriptions: tuple[Subscription, ...] = ("none", "to", "from", "both")
    contacts = [Contact(parse_jid(f"{s}@b.example"), subscription=s) for s in subscriptions]
    contacts.append(Contact(parse_jid("friend@b.example"), subscription="from", groups=("Friends",)))
    contacts.append(Contact(parse_jid("would-be@b.example"), subscription="to", groups=("Friends",)))
    account = Account(ALICE, Roster(contacts))
    node = Node("n", config, affiliations=affiliations or {})
    askers = [parse_jid("alice@a.example/x"), *(contact.jid.with_resource("y") for contact in contacts), EVE]
    return [asker.local for asker in askers if may_read(account, node, asker)]


def test_who_may_read_by_access_model() -> None:
    everybody = ["alice", "none", "to", "from", "both", "friend", "would-be", "eve"]
    assert readers(NodeConfig("open")) == everybody
    assert readers(NodeConfig("presence")) == ["alice", "from", "both", "friend"]
    assert readers(NodeConfig("roster", roster_groups_allowed=("Friends",))) == ["alice", "friend"]
    assert readers(NodeConfig("roster")) == ["alice"]
    assert readers(NodeConfig("whitelist")) == ["alice"]


def test_members_are_the_whitelist_and_outcasts_are_out() -> None:
    both, eve = parse_jid("both@b.example"), EVE.bare
    assert readers(NodeConfig("whitelist"), {eve: "member"}) == ["alice", "eve"]
    assert "both" not in readers(NodeConfig("open"), {both: "outcast"})
    assert readers(NodeConfig("presence"), {both: "outcast", eve: "member"}) == ["alice", "from", "friend"]
    assert "alice" in readers(NodeConfig("open"), {ALICE: "outcast"})


def wants(*nodes: str) -> Interest:
    interest = Interest()
    interest.learnt(frozenset((*(f"{node}+notify" for node in nodes), "urn:something")))
    return interest


def test_what_is_due_is_due_once_and_what_is_new_is_due_alone() -> None:
    interest = wants("a")
    assert interest.due(ALICE) == {"a"}
    assert interest.due(ALICE) == frozenset()
    interest.learnt(frozenset(("a+notify", "b+notify")))
    assert interest.due(ALICE) == {"b"}
    assert interest.due(BOB) == {"a", "b"}
    assert wants().due(ALICE) == frozenset()


def test_an_audience_remembers_until_it_is_told_to_forget() -> None:
    audience = Audience()
    interest = audience.hear(BOB, contact=True)
    assert audience.hear(BOB, contact=True) is interest
    assert audience.get(BOB) is interest
    assert audience.hear(BOB, contact=False) is interest  # no contact any more
    other = audience.hear(BOB.with_resource("y"), contact=False)
    assert [full.resource for full, _ in audience] == ["x", "y"]
    audience.forget(BOB)
    assert audience.get(BOB) is None
    assert audience.get(BOB.with_resource("y")) is other
    audience.forget(BOB.bare)
    assert list(audience) == []
    audience.forget(EVE)


def test_strangers_and_their_devices_are_bounded_and_contacts_unharmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pep, "MAX_RESOURCES", 2)
    monkeypatch.setattr(pep, "MAX_STRANGERS", 2)
    audience = Audience()
    audience.hear(BOB, contact=True)
    for n in range(3):
        audience.hear(EVE.with_resource(str(n)), contact=False)
    assert audience.get(EVE.with_resource("0")) is None
    for n in range(2):
        audience.hear(parse_jid(f"eve{n}@e.example/x"), contact=False)
    assert [full.text for full, _ in audience] == ["bob@b.example/x", "eve0@e.example/x", "eve1@e.example/x"]


class World:
    """Alice, her contacts Bob elsewhere and Carol here, and Dave, who is none."""

    def __init__(self) -> None:
        self.house = Assembly(())
        carol = parse_jid("carol@a.example")
        self.house.add("alice@a.example", Contact(BOB.bare, subscription="both"), Contact(carol, subscription="from"))
        self.house.add("carol@a.example")
        self.house.add("dave@a.example")
        self.alice = self.house.log_in("alice@a.example/x", "<presence/>")
        self.account = self.alice.session.account
        self.node = Node("n", NodeConfig())

    def client(self, full: str, *nodes: str) -> Client:
        client = self.house.log_in(full, "<presence/>")
        client.session.memory[pep.MEMORY] = wants(*nodes)
        return client

    def told(self, node: Node | None = None) -> list[str]:
        return [jid.text for jid in recipients(self.house.router, self.account, node or self.node)]


def test_clients_that_want_the_node_are_told_and_others_not() -> None:
    world = World()
    world.client("alice@a.example/y", "n")
    world.client("carol@a.example/z", "n")
    world.client("carol@a.example/silent", "m")
    world.client("dave@a.example/z", "n")
    audience_of(world.account).hear(BOB, contact=True).learnt(frozenset(("n+notify",)))
    audience_of(world.account).hear(EVE, contact=False).learnt(frozenset(("n+notify",)))
    assert world.told() == ["alice@a.example/y", "carol@a.example/z", "bob@b.example/x"]
    assert world.told(Node("n", NodeConfig("open"))) == [*world.told(), "eve@e.example/x"]
    assert world.told(Node("n", NodeConfig("whitelist"))) == ["alice@a.example/y"]


def test_an_unavailable_client_wants_nothing() -> None:
    world = World()
    client = world.client("alice@a.example/y", "n")
    assert interest_of(client.session) is not None
    client.write("<presence type='unavailable'/>")
    assert interest_of(client.session) is None
    assert world.told() == []


def test_subscribers_are_told_once_and_only_while_they_may_see() -> None:
    world = World()
    audience_of(world.account).hear(BOB, contact=True).learnt(frozenset(("n+notify",)))
    subscribers = frozenset((BOB.bare, EVE.bare, EVE, parse_jid("carol@a.example")))
    node = Node("n", NodeConfig("open"), subscribers=subscribers)
    expected = ["bob@b.example/x", "carol@a.example", "eve@e.example", "eve@e.example/x"]
    assert world.told(node) == expected
    assert world.told(Node("n", NodeConfig(), subscribers=subscribers)) == expected[:2]


def test_words() -> None:
    payload = b"<tune xmlns='t'/>"
    inner = "<event xmlns='http://jabber.org/protocol/pubsub#event'>"
    assert pep.item_event(ALICE, NodeConfig(), "a&b", "1'", payload).decode() == (
        inner + "<items node='a&amp;b'><item id='1&apos;'><tune xmlns='t'/></item></items></event>"
    )
    assert b"tune" not in pep.item_event(ALICE, NodeConfig(deliver_payloads=False), "n", "1", payload)
    told = pep.item_event(ALICE, NodeConfig(itemreply="publisher"), "n", "1", payload)
    assert b"<item id='1' publisher='alice@a.example'>" in told
    retracted = parse(pep.retract_event("n", ("1", "2")), ns.CLIENT)
    assert [e.get("id") for e in retracted[0]] == ["1", "2"]
    assert parse(pep.purge_event("n"), ns.CLIENT)[0].get("node") == "n"
    assert parse(pep.delete_event("n"), ns.CLIENT)[0].tag == "{http://jabber.org/protocol/pubsub#event}delete"


def test_news_comes_from_the_bare_address_as_a_headline() -> None:
    world = World()
    services, event = world.house.router, pep.purge_event("n")
    world.house.take_remote()
    pep.tell(services, ALICE, NodeConfig(), (BOB,), event)
    pep.tell(services, ALICE, NodeConfig(notification_type="normal"), (BOB,), event)
    text = event.decode()
    assert world.house.take_remote() == [
        f"<message from='alice@a.example' to='bob@b.example/x' type='headline'>{text}</message>",
        f"<message from='alice@a.example' to='bob@b.example/x'>{text}</message>",
    ]


def test_memory_of_another_kind_is_no_interest() -> None:
    world = World()
    assert interest_of(world.alice.session) is None
    world.alice.session.presence = Presence.make()
    assert interest_of(world.alice.session) is None


def test_who_is_blocked_reads_nothing() -> None:
    account = Account(parse_jid("alice@a.example"), Roster([Contact(parse_jid("bob@b.example"), subscription="both")]))
    node = Node("n", NodeConfig(access_model="open"))
    assert may_read(account, node, parse_jid("bob@b.example/desk"))
    account.blocks.add("bob@b.example")
    assert not may_read(account, node, parse_jid("bob@b.example/desk"))
    assert may_read(account, node, parse_jid("alice@a.example/phone"))
