from __future__ import annotations

import gc

import pytest

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.xml import Element, parse
from quietwire.server import nodes, publishing
from quietwire.server.modules import xep0163_pep
from quietwire.server.modules.xep0163_pep import MODULE
from quietwire.server.node_config import RULES
from quietwire.server.pep import MEMORY, Interest
from quietwire.server.roster import Contact
from quietwire.testing.assembly import Assembly, Client

PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER = f"{PUBSUB}#owner"
TUNE = "<tune xmlns='urn:tune'><title>Café &amp; co</title></tune>"


def form(kind: str, **values: str) -> str:
    fields = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in values.items())
    return (
        f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#{kind}</value>"
        f"</field>{fields}</x>"
    )


def options(**values: str) -> str:
    return f"<publish-options>{form('publish-options', **values)}</publish-options>"


class World:
    """Alice publishes. Bob elsewhere and Carol here are contacts, Bob a friend; Eve and Dave are not."""

    def __init__(self) -> None:
        self.house = Assembly((MODULE,))
        self.house.add(
            "alice@a.example",
            Contact(parse_jid("bob@b.example"), subscription="both", groups=("Friends",)),
            Contact(parse_jid("carol@a.example"), subscription="from"),
        )
        self.house.add("carol@a.example")
        self.house.add("dave@a.example")
        self.alice = self.log_in("alice@a.example/x")

    def log_in(self, full: str, *wants: str) -> Client:
        client = self.house.log_in(full, "<presence/>" if wants else "")
        if wants:
            interest = client.session.memory[MEMORY] = Interest()
            interest.learnt(frozenset(f"{name}+notify" for name in wants))
        client.take()
        self.house.take_remote()
        return client

    def ask(self, kind: str, inner: str, space: str = PUBSUB, client: Client | None = None, to: str = "") -> str:
        """The answer; other stanzas stay in the inbox."""
        client = client or self.alice
        address = f" to='{to}'" if to else ""
        client.write(f"<iq type='{kind}' id='1'{address}><pubsub xmlns='{space}'>{inner}</pubsub></iq>")
        taken = client.take()
        [answer] = [text for text in taken if text.startswith("<iq")]
        client.inbox.data.extend(text.encode() for text in taken if text is not answer)
        return answer

    def ask_from_outside(self, kind: str, inner: str, sender: str = "eve@e.example/x", space: str = PUBSUB) -> str:
        self.house.take_remote()
        self.house.receive(
            f"<iq type='{kind}' id='1' to='alice@a.example'><pubsub xmlns='{space}'>{inner}</pubsub></iq>", sender
        )
        taken = self.house.take_remote()
        [answer] = [text for text in taken if text.startswith("<iq")]
        return answer

    def publish(self, item: str = "1", node: str = "n", rest: str = "", payload: str = TUNE) -> str:
        return self.ask("set", f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>{rest}")

    def items(self, answer: str) -> list[str | None]:
        return [item.get("id") for item in result(answer)[0]]


def result(answer: str) -> Element:
    """The ``<pubsub/>`` of a good answer, or the iq itself where it is empty."""
    iq = parse(answer.encode(), ns.CLIENT)
    assert iq.get("type") == "result", answer
    return iq[0] if len(iq) else iq


def failure(answer: str) -> str:
    """Conditions of an error: the stanza's, then the specific one."""
    iq = parse(answer.encode(), ns.CLIENT)
    assert iq.get("type") == "error", answer
    return " ".join(e.tag.rpartition("}")[2] for e in iq[0] if not e.tag.endswith("}text"))


def events(client: Client) -> list[str]:
    return [text for text in client.take() if "pubsub#event" in text]


# -- items --


def test_what_is_published_is_there_for_its_owner_with_its_id() -> None:
    world = World()
    published = result(world.publish("first"))
    assert published[0].attrib == {"node": "n"}
    assert published[0][0].attrib == {"id": "first"}
    assert world.ask("get", "<items node='n'/>") == (
        f"<iq to='alice@a.example/x' type='result' id='1'><pubsub xmlns='{PUBSUB}'><items node='n'>"
        f"<item id='first'>{TUNE}</item></items></pubsub></iq>"
    )


def test_an_item_without_a_name_gets_one() -> None:
    world = World()
    published = result(world.ask("set", f"<publish node='n'><item>{TUNE}</item></publish>"))
    name = published[0][0].get("id")
    assert name is not None
    assert len(name) == 32
    assert world.items(world.ask("get", "<items node='n'/>")) == [name]


@pytest.mark.parametrize(
    "payload",
    [
        "<body xmlns='jabber:client'>x</body>",
        "<item xmlns='http://jabber.org/protocol/pubsub'/>",
        "<bare xmlns=''><in/></bare>",
        "<a xmlns='a'><b xmlns='b' xml:lang='de'/>tail</a>",
    ],
)
def test_a_payload_keeps_its_namespace_wherever_it_is_put(payload: str) -> None:
    world = World()
    bystander = world.log_in("alice@a.example/z", "n")
    world.publish(payload=payload)
    found = result(world.ask("get", "<items node='n'/>"))[0][0][0]
    [event] = events(bystander)
    told = parse(event.encode(), ns.CLIENT)[0][0][0][0]
    sent = parse(payload.encode(), ns.CLIENT)
    assert [e.tag for e in found.iter()] == [e.tag for e in told.iter()] == [e.tag for e in sent.iter()]


def test_items_newest_first_by_number_and_by_name() -> None:
    world = World()
    for name in ("1", "2", "3"):
        world.publish(name, rest=options(max_items="max"))
    assert world.items(world.ask("get", "<items node='n'/>")) == ["3", "2", "1"]
    assert world.items(world.ask("get", "<items node='n' max_items='2'/>")) == ["3", "2"]
    assert world.items(world.ask("get", "<items node='n'><item id='1'/><item id='9'/></items>")) == ["1"]
    assert failure(world.ask("get", "<items node='n' max_items='none'/>")) == "bad-request"
    assert failure(world.ask("get", "<items node='n' max_items='0'/>")) == "bad-request"


def test_one_item_is_kept_unless_more_are_asked_for() -> None:
    world = World()
    for name in ("1", "2"):
        world.publish(name)
    assert world.items(world.ask("get", "<items node='n'/>")) == ["2"]


def test_an_answer_that_would_be_too_long_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep0163_pep, "MAX_ANSWER", 150)
    world = World()
    for name in ("1", "2", "3"):
        world.publish(name, rest=options(max_items="max"))
    pubsub = result(world.ask("get", "<items node='n'/>"))
    assert [item.get("id") for item in pubsub[0]] == ["3", "2"]
    assert [(e.tag.rpartition("}")[2], e.text) for e in pubsub[1]] == [("first", "3"), ("last", "2"), ("count", "3")]
    monkeypatch.setattr(xep0163_pep, "MAX_ANSWER", 1)
    assert world.items(world.ask("get", "<items node='n' max_items='1'/>")) == ["3"]


def test_retract() -> None:
    world = World()
    other = world.log_in("alice@a.example/y", "n")
    world.publish()
    events(other)
    assert failure(world.ask("set", "<retract node='n'><item id='2'/></retract>")) == "item-not-found"
    assert failure(world.ask("set", "<retract node='n'/>")) == "bad-request item-required"
    assert failure(world.ask("set", "<retract node='m'><item id='1'/></retract>")) == "item-not-found"
    result(world.ask("set", "<retract node='n'><item id='1'/></retract>"))
    [event] = events(other)
    assert "<items node='n'><retract id='1'/></items>" in event
    assert world.items(world.ask("get", "<items node='n'/>")) == []


def test_a_silent_retraction_and_one_that_is_to_be_told() -> None:
    world = World()
    other = world.log_in("alice@a.example/y", "n")
    for notify, told in (("", 0), (" notify='true'", 1)):
        world.publish(rest=options(notify_retract="0"))
        events(other)
        result(world.ask("set", f"<retract node='n'{notify}><item id='1'/></retract>"))
        assert len(events(other)) == told


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<publish><item><x xmlns='x'/></item></publish>", "bad-request nodeid-required"),
        ("<publish node='n'/>", "bad-request item-required"),
        ("<publish node='n'><item/></publish>", "bad-request payload-required"),
        ("<publish node='n'><item><x xmlns='x'/><y xmlns='x'/></item></publish>", "bad-request invalid-payload"),
        ("<publish node='n'><item><x xmlns='x'/></item><item/></publish>", "bad-request invalid-payload"),
        ("<create/>", "not-acceptable nodeid-required"),
        ("<subscribe node='n'/>", "item-not-found"),
        ("<what node='n'/>", "bad-request"),
        ("", "bad-request"),
        ("<options node='n'/>", "feature-not-implemented unsupported"),
    ],
)
def test_bad_requests_of_the_owner(inner: str, expected: str) -> None:
    world = World()
    assert failure(world.ask("set", inner)) == expected


def test_what_is_not_there_is_named() -> None:
    world = World()
    assert "feature='retrieve-subscriptions'" in world.ask("get", "<subscriptions/>")
    assert "feature='manage-subscriptions'" in world.ask("get", "<subscriptions node='n'/>", OWNER)


def test_the_server_itself_has_no_nodes() -> None:
    world = World()
    assert failure(world.ask("get", "<items node='n'/>", to="a.example")) == "service-unavailable"


# -- preconditions --


def test_options_make_the_node_and_must_be_met_afterwards() -> None:
    world = World()
    open_ = options(access_model="open", persist_items="true", max_items="max", send_last_published_item="never")
    result(world.publish("1", rest=open_))
    result(world.publish("2", rest=open_))
    result(world.publish("3"))
    assert len(world.items(world.ask_from_outside("get", "<items node='n'/>"))) == 3
    refused = world.publish("4", rest=options(access_model="presence"))
    assert failure(refused) == "conflict precondition-not-met"
    assert failure(world.publish("4", rest=options(unheard_of="1"))) == "conflict precondition-not-met"
    assert len(world.items(world.ask("get", "<items node='n'/>"))) == 3


def test_options_that_no_node_can_have_make_none() -> None:
    world = World()
    refused = world.publish(rest=options(access_model="authorize"))
    assert failure(refused) == "not-acceptable unsupported-access-model"
    assert failure(world.publish(rest=options(unheard_of="1"))) == "not-acceptable"
    wrong = f"<publish-options>{form('node_config')}</publish-options>"
    assert failure(world.publish(rest=wrong)) == "bad-request invalid-options"
    assert failure(world.ask("get", "<items node='n'/>")) == "item-not-found"
    result(world.publish(rest="<publish-options/>"))


# -- news --


def test_those_who_want_it_are_told_at_once() -> None:
    world = World()
    mine = world.log_in("alice@a.example/y", "n")
    carol = world.log_in("carol@a.example/z", "n")
    dave = world.log_in("dave@a.example/z", "n")
    quiet = world.log_in("alice@a.example/q", "other")
    world.publish()
    inner = f"<event xmlns='{PUBSUB}#event'><items node='n'><item id='1'>{TUNE}</item></items></event>"
    for client in (mine, carol):
        to = client.session.jid.text
        assert events(client) == [f"<message from='alice@a.example' to='{to}' type='headline'>{inner}</message>"]
    assert events(dave) == events(quiet) == events(world.alice) == []


def test_a_node_that_tells_nobody_or_keeps_nothing() -> None:
    world = World()
    mine = world.log_in("alice@a.example/y", "n", "m")
    world.publish(rest=options(deliver_notifications="0"))
    assert events(mine) == []
    world.publish(node="m", rest=options(persist_items="0"))
    assert len(events(mine)) == 1
    assert world.items(world.ask("get", "<items node='m'/>")) == []
    assert failure(world.ask("set", "<purge node='m'/>", OWNER)) == "feature-not-implemented unsupported"


# -- access --


def test_an_absent_account_a_hidden_node_and_none_are_the_same_to_a_stranger() -> None:
    world = World()
    world.publish()
    dave = world.log_in("dave@a.example/x")
    requests = [
        ("get", PUBSUB, "<items node='{}'/>"),
        ("get", PUBSUB, "<items/>"),
        ("get", PUBSUB, "<subscriptions/>"),
        ("get", PUBSUB, "<items node='{}' max_items='x'/>"),
        ("set", PUBSUB, "<publish node='{}'><item/></publish>"),
        ("set", PUBSUB, "<create node='{}'/>"),
        ("set", PUBSUB, "<subscribe node='{}' jid='dave@a.example'/>"),
        ("set", PUBSUB, "<nonsense/>"),
        ("set", PUBSUB, ""),
        ("get", OWNER, "<configure node='{}'/>"),
        ("get", OWNER, "<default/>"),
        ("set", OWNER, "<delete node='{}'/>"),
    ]
    for kind, space, inner in requests:
        answers = {
            world.ask(kind, inner.format(node), space, dave, f"{name}@a.example").replace(name, "N")
            for name in ("alice", "nobody")
            for node in ("n", "m")
        }
        [answer] = answers
        assert failure(answer) == "item-not-found"


def test_open_nodes_can_be_read_while_their_owner_is_away() -> None:
    world = World()
    world.publish(rest=options(access_model="open"))
    world.publish(node="hidden")
    world.alice.leave()
    gc.collect()
    assert world.house.accounts.loaded == {}
    assert TUNE in world.ask_from_outside("get", "<items node='n'/>")
    for sender in ("bob@b.example/x", "eve@e.example/x"):
        assert failure(world.ask_from_outside("get", "<items node='hidden'/>", sender)) == "item-not-found"


def test_a_reader_may_not_do_what_only_the_owner_may() -> None:
    world = World()
    world.publish(rest=options(access_model="open"))
    for space, inner in (
        (PUBSUB, f"<publish node='n'><item>{TUNE}</item></publish>"),
        (PUBSUB, "<retract node='n'><item id='1'/></retract>"),
        (OWNER, "<delete node='n'/>"),
        (OWNER, "<purge node='n'/>"),
        (OWNER, "<configure node='n'/>"),
    ):
        assert failure(world.ask_from_outside("set", inner, space=space)) == "forbidden"
    assert failure(world.ask_from_outside("get", "<configure node='n'/>", space=OWNER)) == "forbidden"
    assert len(world.items(world.ask("get", "<items node='n'/>"))) == 1


def test_access_follows_the_roster() -> None:
    world = World()
    world.publish()
    dave = world.log_in("dave@a.example/z")
    assert failure(world.ask("get", "<items node='n'/>", client=dave, to="alice@a.example")) == "item-not-found"
    jid = parse_jid("dave@a.example")
    world.alice.session.account.roster.contacts[jid] = Contact(jid, subscription="both")
    assert TUNE in world.ask("get", "<items node='n'/>", client=dave, to="alice@a.example")


def test_roster_groups_and_whitelists() -> None:
    world = World()
    bob, eve = "bob@b.example/x", "eve@e.example/x"
    world.publish(rest=options(access_model="roster", roster_groups_allowed="Friends"))
    assert TUNE in world.ask_from_outside("get", "<items node='n'/>", bob)
    result(world.ask("set", f"<configure node='n'>{form('node_config', access_model='whitelist')}</configure>", OWNER))
    assert failure(world.ask_from_outside("get", "<items node='n'/>", bob)) == "item-not-found"
    members = "<affiliations node='n'><affiliation jid='eve@e.example/y' affiliation='member'/></affiliations>"
    result(world.ask("set", members, OWNER))
    assert TUNE in world.ask_from_outside("get", "<items node='n'/>", eve)
    listed = result(world.ask("get", "<affiliations node='n'/>", OWNER))[0]
    assert [(e.get("jid"), e.get("affiliation")) for e in listed] == [
        ("alice@a.example", "owner"),
        ("eve@e.example", "member"),
    ]
    result(world.ask("set", members.replace("'member'", "'none'"), OWNER))
    assert failure(world.ask_from_outside("get", "<items node='n'/>", eve)) == "item-not-found"


@pytest.mark.parametrize(
    ("jid", "affiliation", "expected"),
    [
        ("eve@e.example", "owner", "not-acceptable"),
        ("alice@a.example", "outcast", "not-acceptable"),
        ("@", "member", "jid-malformed invalid-jid"),
        ("", "member", "jid-malformed invalid-jid"),
    ],
)
def test_affiliations_that_cannot_be(jid: str, affiliation: str, expected: str) -> None:
    world = World()
    world.publish()
    inner = f"<affiliations node='n'><affiliation jid='{jid}' affiliation='{affiliation}'/></affiliations>"
    assert failure(world.ask("set", inner, OWNER)) == expected


# -- nodes --


def test_create_configure_and_the_forms() -> None:
    world = World()
    result(world.ask("set", "<create node='n'/>"))
    assert failure(world.ask("set", "<create node='n'/>")) == "conflict"
    made = f"<create node='m'/><configure>{form('node_config', access_model='open', max_items='5')}</configure>"
    result(world.ask("set", made))
    shown = result(world.ask("get", "<configure node='m'/>", OWNER))[0][0]
    values = {field.get("var"): [value.text for value in field] for field in shown}
    assert values.pop("FORM_TYPE") == [f"{PUBSUB}#node_config"]
    assert set(values) == {f"pubsub#{name}" for name in RULES}
    assert (values["pubsub#access_model"], values["pubsub#max_items"]) == (["open"], ["5"])
    default = result(world.ask("get", "<default/>", OWNER))[0][0]
    assert ["presence"] in [[value.text for value in field] for field in default]


def test_a_refused_configuration_changes_nothing_and_a_cancelled_one_neither() -> None:
    world = World()
    world.publish()
    before = world.ask("get", "<configure node='n'/>", OWNER)
    bad = form("node_config", access_model="open", persist_items="maybe")
    assert failure(world.ask("set", f"<configure node='n'>{bad}</configure>", OWNER)) == "not-acceptable"
    cancelled = "<configure node='n'><x xmlns='jabber:x:data' type='cancel'/></configure>"
    result(world.ask("set", cancelled, OWNER))
    assert world.ask("get", "<configure node='n'/>", OWNER) == before
    assert failure(world.ask("set", cancelled.replace("'n'", "'m'"), OWNER)) == "item-not-found"


def test_purge_and_delete_are_told_and_leave_nothing() -> None:
    world = World()
    other = world.log_in("alice@a.example/y", "n")
    world.publish()
    events(other)
    result(world.ask("set", "<purge node='n'/>", OWNER))
    assert [text for text in events(other) if "<purge node='n'>" in text]
    assert world.items(world.ask("get", "<items node='n'/>")) == []
    result(world.ask("set", "<delete node='n'/>", OWNER))
    assert [text for text in events(other) if "<delete node='n'>" in text]
    assert failure(world.ask("get", "<items node='n'/>")) == "item-not-found"
    assert failure(world.ask("set", "<delete node='n'/>", OWNER)) == "item-not-found"
    for table in ("node", "item"):
        assert world.house.storage.store.scan(table, b"alice@a.example").result() == []


# -- subscriptions --


def test_a_stranger_subscribes_to_an_open_node() -> None:
    world = World()
    world.publish(rest=options(access_model="open"))
    subscribe = "<subscribe node='n' jid='eve@e.example'/>"
    answer = result(world.ask_from_outside("set", subscribe))
    assert answer[0].attrib == {"node": "n", "jid": "eve@e.example", "subscription": "subscribed"}
    world.publish("2")
    [news] = world.house.take_remote()
    assert news.startswith("<message from='alice@a.example' to='eve@e.example' type='headline'>")
    result(world.ask_from_outside("set", subscribe))
    unsubscribe = "<unsubscribe node='n' jid='eve@e.example'/>"
    assert result(world.ask_from_outside("set", unsubscribe))[0].get("subscription") == "none"
    world.publish("3")
    assert world.house.take_remote() == []
    assert failure(world.ask_from_outside("set", unsubscribe)) == "unexpected-request not-subscribed"


def test_a_subscriber_gets_the_last_item() -> None:
    world = World()
    world.publish(rest=options(access_model="open"))
    world.publish(node="m", rest=options(access_model="open", send_last_published_item="never"))
    for node, expected in (("n", 1), ("m", 0)):
        world.house.receive(
            f"<iq type='set' id='1' to='alice@a.example'><pubsub xmlns='{PUBSUB}'>"
            f"<subscribe node='{node}' jid='eve@e.example/x'/></pubsub></iq>",
            "eve@e.example/x",
        )
        assert len([text for text in world.house.take_remote() if TUNE in text]) == expected


def test_a_subscription_made_while_the_owner_is_away_is_there_when_it_is_back() -> None:
    world = World()
    world.publish(rest=options(access_model="open"))
    world.alice.leave()
    result(world.ask_from_outside("set", "<subscribe node='n' jid='eve@e.example'/>"))
    world.alice = world.log_in("alice@a.example/x")
    world.publish("2")
    assert len(world.house.take_remote()) == 1


def test_nobody_subscribes_somebody_else() -> None:
    world = World()
    world.publish(rest=options(access_model="open"))
    for jid in ("bob@b.example", "", "@"):
        refused = world.ask_from_outside("set", f"<subscribe node='n' jid='{jid}'/>")
        assert failure(refused) == "bad-request invalid-jid"
    assert failure(world.ask_from_outside("set", "<unsubscribe node='n' jid='bob@b.example'/>")) == "forbidden"


def test_subscribers_are_bounded_and_those_without_access_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "MAX_SUBSCRIBERS", 1)
    world = World()
    world.publish(rest=options(access_model="open"))
    result(world.ask_from_outside("set", "<subscribe node='n' jid='eve@e.example'/>"))
    bob = "<subscribe node='n' jid='bob@b.example'/>"
    refused = world.ask_from_outside("set", bob, "bob@b.example/x")
    assert failure(refused) == "policy-violation too-many-subscriptions"
    result(world.ask("set", f"<configure node='n'>{form('node_config', access_model='presence')}</configure>", OWNER))
    result(world.ask_from_outside("set", bob, "bob@b.example/x"))


# -- limits and concurrency --


def test_limits_have_their_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_PAYLOAD", 200)
    monkeypatch.setattr(nodes, "MAX_NODES", 1)
    monkeypatch.setattr(xep0163_pep, "MAX_AFFILIATIONS", 0)
    world = World()
    world.publish()
    big = f"<x xmlns='x'>{'y' * 200}</x>"
    assert failure(world.publish(payload=big)) == "not-acceptable payload-too-big"
    assert failure(world.publish(node="m")) == "conflict max-nodes-exceeded"
    affiliate = "<affiliations node='n'><affiliation jid='eve@e.example' affiliation='member'/></affiliations>"
    assert failure(world.ask("set", affiliate, OWNER)) == "resource-constraint"


def test_two_devices_publishing_at_once_lose_nothing() -> None:
    world = World()
    other = world.log_in("alice@a.example/y")
    world.house.store.held = True
    for client, name in ((world.alice, "1"), (other, "2")):
        publish = f"<publish node='n'><item id='{name}'>{TUNE}</item></publish>{options(max_items='max')}"
        client.write(f"<iq type='set' id='1'><pubsub xmlns='{PUBSUB}'>{publish}</pubsub></iq>")
    world.house.store.release()
    for client in (world.alice, other):
        [answer] = client.take()
        result(answer)
    assert set(world.items(world.ask("get", "<items node='n'/>"))) == {"1", "2"}


def test_an_account_that_is_erased_and_made_again_starts_empty() -> None:
    world = World()
    world.publish()
    world.alice.leave()
    jid = parse_jid("alice@a.example")
    world.house.storage.store.erase(b"alice@a.example")
    world.house.router.erased(jid)
    world.alice = world.log_in("alice@a.example/x")
    assert failure(world.ask("get", "<items node='n'/>")) == "item-not-found"


def test_the_state_is_the_servers_own() -> None:
    first, second = World(), World()
    first.publish()
    assert failure(second.ask("get", "<items node='n'/>")) == "item-not-found"
