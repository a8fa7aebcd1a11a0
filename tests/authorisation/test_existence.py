"""Whether somebody has an account here is told to nobody who does not know already: whatever a stranger sends, to an
account that takes nothing from strangers and to one that does not exist, he gets the same bytes in the same order."""

from __future__ import annotations

from functools import cache

import pytest
from estate import OUTSIDER, USER, Estate
from table import ALICE, HANDLERS, Row

ABSENT = "nobody"
PRESENT = ("closed", "asleep", "blocker")
"""At home; without any client; at home, and has blocked the stranger."""


@cache
def estate() -> Estate:
    found = Estate()
    blocked = "".join(f"<item jid='{jid}'/>" for jid in ("carol@a.example", "eve@b.example"))
    blocker = found.client("blocker/x", "<presence/>")
    blocker >> f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{blocked}</block></iq>"
    found.calm()
    return found


def told(kind: str, name: str, text: str) -> list[str]:
    """What the stranger gets, the name of who was addressed made the same."""
    house = estate()
    answers = house.asks(kind, text.replace("alice", name))
    house.pass_time(400)
    answers += house.asks(kind, "<iq type='get' id='last' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>")
    house.calm()
    return [answer.replace(f"{name}@", "alice@") for answer in answers]


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
