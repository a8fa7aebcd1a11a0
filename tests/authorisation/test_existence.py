"""Whether somebody has an account here is told to nobody who does not know already: whatever a stranger sends, to an
account that takes nothing from strangers and to one that does not exist, he gets the same bytes in the same order."""

from __future__ import annotations

from functools import cache

import pytest
from estate import OUTSIDER, USER, Estate
from table import ALICE, HANDLERS, Row
from test_table import OPTIONS

from quietwire.testing.playbook import Mark

ABSENT = "nobody"
PRESENT = ("closed", "asleep", "blocker", "gone", "recent")
"""At home; never was; at home, and has blocked the stranger; two who were there and know the stranger well: he is a
contact who sees them and is let into a node of theirs. Of the latter a token is left (XEP-0484), so that their keys are
in memory."""
PUBSUB = "http://jabber.org/protocol/pubsub"
STRANGERS = ("carol@a.example", "eve@b.example")


@cache
def estate() -> Estate:
    found = Estate()
    for name in ("gone", "recent"):
        found._befriend(name, STRANGERS)
        along = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><bind xmlns='urn:xmpp:bind:0'/>"
        if name == "recent":
            along += "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/>"
        client = found.connect()
        client.sign_in(name, along)
        client >> "<presence/>"
        client >> "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>x</FN></vCard></iq>"
        for node, model in (("seen", "presence"), ("list", "whitelist")):
            client >> (
                f"<iq type='set' id='n'><pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='i'><e xmlns='urn:e'/>"
                f"</item></publish>{OPTIONS.format(model)}</pubsub></iq>"
            )
        members = "".join(f"<affiliation jid='{jid}' affiliation='member'/>" for jid in STRANGERS)
        client >> (
            f"<iq type='set' id='a'><pubsub xmlns='{PUBSUB}#owner'><affiliations node='list'>{members}</affiliations>"
            "</pubsub></iq>"
        )
        assert not [each for each in client.take() if not isinstance(each, Mark) and each.get("type") == "error"]
        client >> "</stream:stream>"
        assert (found.server.keyring.get(f"{name}@a.example".encode()) is not None) is (name == "recent")
    blocked = "".join(f"<item jid='{jid}'/>" for jid in ("carol@a.example", "eve@b.example"))
    blocker = found.client("blocker/x", "<presence/>")
    blocker >> f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{blocked}</block></iq>"
    found.calm()
    return found


def told(kind: str, name: str, text: str) -> list[str]:
    """What the stranger gets, the name of who was addressed made the same, and what was read for it."""
    house = estate()
    house.reads.clear()
    answers = house.asks(kind, text.replace("alice", name))
    read = list(house.reads)
    house.pass_time(400)
    answers += house.asks(kind, "<iq type='get' id='last' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>")
    house.calm()
    return [answer.replace(f"{name}@", "alice@") for answer in answers] + read


def same(kind: str, text: str) -> None:
    expected = told(kind, ABSENT, text)
    for name in PRESENT:
        assert told(kind, name, text) == expected, name


ROWS = [row for row in HANDLERS if row.to == ALICE and "{me}" not in row.payload]


@pytest.mark.parametrize("kind", [USER, OUTSIDER])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_requests(row: Row, kind: str) -> None:
    same(kind, f"<iq type='{row.kind}' id='q' to='{row.to}'>{row.payload}</iq>")


@pytest.mark.parametrize("kind", [USER, OUTSIDER])
@pytest.mark.parametrize(
    "text",
    [
        "<iq type='get' id='q' to='alice@a.example'><unknown xmlns='urn:u'/></iq>",
        "<iq type='get' id='q' to='alice@a.example/phone'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get' id='q' to='alice@a.example'/>",
        "<iq type='get' to='alice@a.example'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='odd' id='q' to='alice@a.example'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='result' id='q' to='alice@a.example'/>",
        "<iq type='get' id='q' to='alice@a.example'><query xmlns='http://jabber.org/protocol/disco#info' "
        "node='x'/></iq>",
        "<iq type='set' id='q' to='alice@a.example'><query xmlns='jabber:iq:register'><remove/></query></iq>",
        "<iq type='set' id='q' to='alice@a.example'><query xmlns='urn:xmpp:mam:2' node='x'/></iq>",
        "<iq type='set' id='q' to='alice@a.example'><command xmlns='http://jabber.org/protocol/commands' "
        "action='prev'/></iq>",
        "<iq type='set' id='q' to='alice@a.example'><pubsub xmlns='http://jabber.org/protocol/pubsub'/></iq>",
        "<iq type='set' id='q' to='alice@a.example'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        "<odd node='x'/></pubsub></iq>",
    ],
)
def test_requests_that_are_wrong(kind: str, text: str) -> None:
    same(kind, text)


@pytest.mark.parametrize("kind", [USER, OUTSIDER])
@pytest.mark.parametrize("to", ["alice@a.example", "alice@a.example/x", "alice@a.example/other"])
@pytest.mark.parametrize("type_", ["chat", "normal", "headline", "groupchat", "error"])
@pytest.mark.parametrize(
    "inner",
    [
        "<body>hello</body>",
        "<received xmlns='urn:xmpp:receipts' id='x'/>",
        "<body>hello</body><request xmlns='urn:xmpp:receipts'/>",
        "<body>hello</body><no-store xmlns='urn:xmpp:hints'/>",
        "<active xmlns='http://jabber.org/protocol/chatstates'/>",
    ],
)
def test_messages(kind: str, to: str, type_: str, inner: str) -> None:
    same(kind, f"<message type='{type_}' id='m' to='{to}'>{inner}</message>")


@pytest.mark.parametrize("kind", [USER, OUTSIDER])
@pytest.mark.parametrize("to", ["alice@a.example", "alice@a.example/x"])
@pytest.mark.parametrize("type_", ["", "unavailable", "probe", "subscribed", "unsubscribe", "unsubscribed", "error"])
def test_presence(kind: str, to: str, type_: str) -> None:
    kind_of = f" type='{type_}'" if type_ else ""
    same(kind, f"<presence{kind_of} id='p' to='{to}'/>")


@pytest.mark.parametrize("kind", [USER, OUTSIDER])
@pytest.mark.parametrize("node", ["seen", "list", "none"])
@pytest.mark.parametrize(
    ("type_", "inner"),
    [
        ("get", f"<pubsub xmlns='{PUBSUB}'><items node='%'/></pubsub>"),
        ("set", f"<pubsub xmlns='{PUBSUB}'><subscribe node='%' jid='x@y'/></pubsub>"),
        ("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='%'/>"),
        ("get", "<query xmlns='http://jabber.org/protocol/disco#items' node='%'/>"),
    ],
)
def test_nodes_for_contacts_alone(kind: str, node: str, type_: str, inner: str) -> None:
    same(kind, f"<iq type='{type_}' id='q' to='alice@a.example'>{inner.replace('%', node)}</iq>")


@pytest.mark.parametrize("kind", [USER, OUTSIDER])
def test_requests_for_subscription(kind: str) -> None:
    """Last, as it is remembered; asked twice, as a client that hears nothing does."""
    for _ in range(2):
        same(kind, "<presence type='subscribe' to='alice@a.example'/>")
    same(kind, "<presence type='unsubscribe' to='alice@a.example'/>")


@pytest.mark.parametrize("kind", [USER, OUTSIDER])
def test_what_cannot_be_delivered_comes_back(kind: str) -> None:
    """The comparisons above are of something: who takes nothing from strangers learns what became of his messages."""
    answers = told(kind, ABSENT, "<message type='groupchat' id='m' to='alice@a.example'><body>x</body></message>")
    assert [answer.partition(" ")[0] for answer in answers] == ["<message", "<iq"]
