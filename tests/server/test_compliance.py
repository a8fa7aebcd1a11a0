"""XEP-0479: Compliance Suites 2023, what a server has to have, asked of a server with its defaults. See
docs/compliance.md; what is shown here is that clients find each thing and that it answers."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from quietwire.core import ns
from quietwire.testing.playbook import Client, Playbook

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
PUBSUB = "http://jabber.org/protocol/pubsub"
HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>"
ROOM = "garden@conference.a.example"


@pytest.fixture
def alice() -> Client:
    play = Playbook(accounts=["alice"], tables={"addresses": {"abuse": "mailto:abuse@a.example"}})
    return play.client("alice/phone", "<presence/>")


def one(client: Client, kind: str, to: str, payload: str) -> Element:
    """The answer to a request; other stanzas are passed over."""
    client >> f"<iq type='{kind}' id='q' to='{to}'>{payload}</iq>"
    answers = [each for each in client.take() if isinstance(each, Element) and each.get("id") == "q"]
    assert len(answers) == 1
    return answers[0]


def works(client: Client, kind: str, to: str, payload: str) -> Element:
    answer = one(client, kind, to, payload)
    assert answer.get("type") == "result", (payload, [each.tag for each in answer.iter()])
    return answer


def features(client: Client, to: str) -> set[str]:
    answer = works(client, "get", to, f"<query xmlns='{INFO}'/>")
    return {each.get("var", "") for each in answer.iter(f"{{{INFO}}}feature")}


def offered(*, after_login: bool) -> set[str]:
    """Tags of the stream features."""
    play = Playbook(accounts=["alice"])
    client = play.connect()
    if after_login:
        client.header() >> f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGFsaWNlAHBhc3M=</auth>"
        client.take()
    client >> HEADER
    (element,) = (each for each in client.take() if isinstance(each, Element))
    return {each.tag for each in element}


def test_core_tls_is_required_and_login_is_strong() -> None:
    before = Playbook().connect(secure=False)
    before >> HEADER
    (element,) = (each for each in before.take() if isinstance(each, Element))
    assert [each.tag for each in element] == [f"{{{ns.TLS}}}starttls"]
    assert element.find(f"{{{ns.TLS}}}starttls/{{{ns.TLS}}}required") is not None
    assert f"{{{ns.SASL}}}mechanisms" in offered(after_login=False)


def test_core_discovery_and_capabilities(alice: Client) -> None:
    assert {INFO, ITEMS, "http://jabber.org/protocol/caps"} <= features(alice, "a.example")
    assert "{http://jabber.org/protocol/caps}c" in offered(after_login=True)


@pytest.mark.parametrize(
    "feature",
    [
        "access-open", "access-presence", "access-whitelist", "auto-create", "auto-subscribe", "config-node",
        "config-node-max", "create-and-configure", "filtered-notifications", "item-ids", "last-published",
        "multi-items", "persistent-items", "publish", "publish-options", "retract-items", "retrieve-items", "subscribe",
    ],
)  # fmt: skip
def test_core_advanced_events_of_accounts(alice: Client, feature: str) -> None:
    """XEP-0163 §6; XEP-0223 needs publish-options, persistent-items and access-whitelist, bookmarks config-node-max."""
    answer = works(alice, "get", "alice@a.example", f"<query xmlns='{INFO}'/>")
    assert ("pubsub", "pep") in {
        (each.get("category"), each.get("type")) for each in answer.iter(f"{{{INFO}}}identity")
    }
    assert f"{PUBSUB}#{feature}" in features(alice, "alice@a.example")


def test_im_persistent_private_data_in_nodes(alice: Client) -> None:
    """XEP-0223: published with options, read by oneself."""
    options = (
        "<publish-options><x xmlns='jabber:x:data' type='submit'>"
        f"<field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#publish-options</value></field>"
        "<field var='pubsub#persist_items'><value>true</value></field>"
        "<field var='pubsub#max_items'><value>max</value></field>"
        "<field var='pubsub#access_model'><value>whitelist</value></field></x></publish-options>"
    )
    item = "<publish node='urn:test'><item id='1'><secret xmlns='urn:test'/></item></publish>"
    works(alice, "set", "alice@a.example", f"<pubsub xmlns='{PUBSUB}'>{item}{options}</pubsub>")
    answer = works(alice, "get", "alice@a.example", f"<pubsub xmlns='{PUBSUB}'><items node='urn:test'/></pubsub>")
    assert answer.find(f".//{{{PUBSUB}}}item[@id='1']") is not None


@pytest.mark.parametrize(
    "feature",
    [
        "urn:xmpp:carbons:2",  # XEP-0280
        "vcard-temp",  # XEP-0054
        "urn:xmpp:blocking",  # XEP-0191
        "jabber:iq:private",  # XEP-0049
        "urn:xmpp:mam:2",  # XEP-0313
        "urn:xmpp:mam:2#extended",
        "urn:xmpp:bookmarks:1#compat",  # XEP-0402 with XEP-0049
        "urn:xmpp:bookmarks:1#compat-pep",  # with XEP-0048 in a node
        "urn:xmpp:pep-vcard-conversion:0",  # XEP-0398
        "urn:xmpp:push:0",  # XEP-0357
    ],
)
def test_im_and_mobile_features_of_accounts(alice: Client, feature: str) -> None:
    assert feature in features(alice, "alice@a.example")


@pytest.mark.parametrize(
    "feature",
    [
        "urn:xmpp:carbons:2",  # clients ask the server for these
        "urn:xmpp:blocking",
        "vcard-temp",
        "urn:xmpp:extdisco:2",  # XEP-0215
        "urn:xmpp:ping",
        "jabber:iq:register",
    ],
)
def test_features_of_the_server(alice: Client, feature: str) -> None:
    assert feature in features(alice, "a.example")


@pytest.mark.parametrize(
    ("kind", "to", "payload"),
    [
        ("get", "alice@a.example", "<query xmlns='jabber:iq:roster'/>"),
        ("set", "alice@a.example", "<vCard xmlns='vcard-temp'><FN>Alice</FN></vCard>"),
        ("get", "alice@a.example", "<vCard xmlns='vcard-temp'/>"),
        ("set", "alice@a.example", "<enable xmlns='urn:xmpp:carbons:2'/>"),
        ("get", "alice@a.example", "<blocklist xmlns='urn:xmpp:blocking'/>"),
        ("set", "alice@a.example", "<block xmlns='urn:xmpp:blocking'><item jid='bob@b.example'/></block>"),
        ("set", "alice@a.example", "<query xmlns='jabber:iq:private'><x xmlns='urn:mine'/></query>"),
        ("get", "alice@a.example", "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>"),
        ("get", "alice@a.example", "<prefs xmlns='urn:xmpp:mam:2' default='roster'/>"),
        ("set", "alice@a.example", "<query xmlns='urn:xmpp:mam:2'/>"),
        ("get", "alice@a.example", "<metadata xmlns='urn:xmpp:mam:2'/>"),
        ("set", "alice@a.example", "<enable xmlns='urn:xmpp:push:0' jid='push.b.example' node='n'/>"),
        ("get", "a.example", "<services xmlns='urn:xmpp:extdisco:2'/>"),
        ("get", "a.example", "<ping xmlns='urn:xmpp:ping'/>"),
    ],
)
def test_it_answers(alice: Client, kind: str, to: str, payload: str) -> None:
    works(alice, kind, to, payload)


def test_im_and_mobile_stream_management_and_client_state() -> None:
    assert {"{urn:xmpp:sm:3}sm", "{urn:xmpp:csi:0}csi", "{urn:xmpp:features:rosterver}ver"} <= offered(after_login=True)


def test_im_rooms_are_found_and_have_what_clients_look_for(alice: Client) -> None:
    items = works(alice, "get", "a.example", f"<query xmlns='{ITEMS}'/>")
    assert "conference.a.example" in {each.get("jid") for each in items.iter(f"{{{ITEMS}}}item")}
    assert "http://jabber.org/protocol/muc" in features(alice, "conference.a.example")
    alice >> f"<presence to='{ROOM}/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    alice.take()
    works(
        alice, "set", ROOM,
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
    )  # fmt: skip
    assert {
        "http://jabber.org/protocol/muc",
        "http://jabber.org/protocol/muc#self-ping-optimization",  # XEP-0410
        "muc_hidden", "muc_membersonly", "muc_nonanonymous",
        "urn:xmpp:mam:2",  # of the room
        "urn:xmpp:message-moderate:1",  # XEP-0425
    } <= features(alice, ROOM)  # fmt: skip
    works(alice, "set", ROOM, "<query xmlns='urn:xmpp:mam:2'/>")
    works(alice, "get", f"{ROOM}/alice", "<ping xmlns='urn:xmpp:ping'/>")


def test_im_registration_is_there_but_closed(alice: Client) -> None:
    """Of note for IM: XEP-0077 supported, not enabled."""
    stranger = alice.play.connect()
    stranger >> HEADER
    stranger.take()
    answer = "<query xmlns='jabber:iq:register'><username>eve</username><password>long enough</password></query>"
    stranger >> f"<iq type='set' id='r'>{answer}</iq>"
    assert any(isinstance(each, Element) and each.get("type") == "error" for each in stranger.take())


def test_im_contact_addresses(alice: Client) -> None:
    """Of note: XEP-0157."""
    answer = works(alice, "get", "a.example", f"<query xmlns='{INFO}'/>")
    fields = {each.get("var"): each.findtext("{jabber:x:data}value") for each in answer.iter("{jabber:x:data}field")}
    assert fields["abuse-addresses"] == "mailto:abuse@a.example"
