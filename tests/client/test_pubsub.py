from __future__ import annotations

import asyncio

import pytest

from quietwire.client.errors import RequestError
from quietwire.client.pubsub import Pubsub, notified
from quietwire.core import ns
from quietwire.core.xml import Element, build, parse, serialise

ME, BOB = "me@a.example", "bob@b.example"


class Server:
    """Answers with what a test has prepared, and keeps what was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str | None]] = []

    async def request(self, type: str, payload: Element, to: str | None) -> Element:
        self.asked.append((type, serialise(payload, "").decode(), to))
        answer = self.answers.pop(0)
        if not answer.startswith("<"):
            raise RequestError(answer)
        return parse(answer.encode(), ns.CLIENT)


def items(inner: str) -> str:
    return f"<iq><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>{inner}</items></pubsub></iq>"


def test_an_item_is_fetched() -> None:
    server = Server(items("<item id='2'><no xmlns='x'/></item><item id='1'><yes xmlns='x'/></item>"), items(""))
    pubsub = Pubsub(ME, server.request)
    found = asyncio.run(pubsub.fetch(BOB, "n", "1"))
    assert found is not None
    assert found.tag == "{x}yes"
    assert asyncio.run(pubsub.fetch(ME, "n", None)) is None
    assert server.asked[0][2] == BOB
    assert "<item id='1'/>" in server.asked[0][1]
    assert server.asked[1][2] is None
    assert "max_items='1'" in server.asked[1][1]


def test_no_node_is_nothing_and_other_errors_are_errors() -> None:
    pubsub = Pubsub(ME, Server("item-not-found", "forbidden").request)
    assert asyncio.run(pubsub.fetch(BOB, "n", None)) is None
    with pytest.raises(RequestError, match="forbidden"):
        asyncio.run(pubsub.fetch(BOB, "n", None))


def test_published_open_to_all_and_kept() -> None:
    server = Server("<iq/>")
    asyncio.run(Pubsub(ME, server.request).publish("n", "1", build("{x}p"), many=True))
    ((_, asked, to),) = server.asked
    assert to is None
    for option, value in (("access_model", "open"), ("persist_items", "true"), ("max_items", "max")):
        assert f"<field var='pubsub#{option}'><value>{value}</value></field>" in asked


def test_a_node_with_other_options_is_configured_first() -> None:
    server = Server("conflict", "<iq/>", "<iq/>")
    asyncio.run(Pubsub(ME, server.request).publish("n", "1", build("{x}p"), many=False))
    assert ["publish-options" in server.asked[0][1], "<configure node='n'>" in server.asked[1][1]] == [True, True]
    assert "<publish node='n'>" in server.asked[2][1]
    assert "publish-options" not in server.asked[2][1]
    with pytest.raises(RequestError, match="forbidden"):
        asyncio.run(Pubsub(ME, Server("forbidden").request).publish("n", "1", build("{x}p"), many=False))


def notification(inner: str) -> Element:
    event = f"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'>{inner}</items></event>"
    return parse(f"<message>{event}</message>".encode(), ns.CLIENT)


def test_notifications() -> None:
    message = notification("<item><p xmlns='x'/></item>")
    found = notified(message, "n")
    assert found is not None
    assert found.tag == "{x}p"
    assert notified(message, "other") is None
    assert notified(notification("<retract id='1'/>"), "n") is None
