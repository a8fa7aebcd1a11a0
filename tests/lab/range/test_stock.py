from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from slixmpp.stanza import Presence
from slixmpp.util import XOR
from slixmpp.util.sasl.mechanisms import SCRAM

from quietwire.lab.range.stock import Sent, Stock, StockError


class Told:
    """A device without a network, and what it told."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.came: list[tuple[str, bool]] = []
        self.ports: list[int] = []
        self.lost = 0
        self.stock = Stock(
            "u0@a.example/d",
            "p",
            ("127.0.0.1", 1),
            ssl.create_default_context(),
            on_sent=self.sent.append,
            on_came=lambda stanza, settled: self.came.append((stanza.tag, settled)),
            on_link=self.ports.append,
            on_lost=self._lost,
        )

    def _lost(self) -> None:
        self.lost += 1


class Transport:
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4711) if name == "sockname" else default


def on_loop(test: Callable[[Told], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        told = Told()
        try:
            await test(told)
        finally:
            told.stock.stream.transport = None
            await told.stock.close()

    asyncio.run(go())


def test_truth_is_told_when_a_stanza_passes_the_last_filter_and_once() -> None:
    async def test(told: Told) -> None:
        stock = told.stock
        stock.stream.transport = Transport()
        sent = Sent("message", 1, "id1", 9)
        stock.message(sent, "u1@a.example", "<body>hello</body>")
        assert not told.sent  # it is in slixmpp's queue
        stanza = stock.stream.make_message("u1@a.example")
        stanza["id"] = "id1"
        assert stock._leaving(stanza) is stanza
        stock._leaving(stanza)
        assert told.sent == [sent]

    on_loop(test)


def test_nothing_is_told_where_there_is_no_link() -> None:
    async def test(told: Told) -> None:
        told.stock.message(Sent("message", 1, "id1", 9), "u1@a.example", "")
        stanza = told.stock.stream.make_message("u1@a.example")
        stanza["id"] = "id1"
        told.stock._leaving(stanza)
        assert not told.sent

    on_loop(test)


def test_what_is_granted_by_itself_is_told_too() -> None:
    async def test(told: Told) -> None:
        told.stock.stream.transport = Transport()
        granted = Presence()
        granted["to"], granted["type"], granted["id"] = "u12@a.example", "subscribed", "x"
        told.stock._leaving(granted)
        assert told.sent == [Sent("subscribe", 12, "x", 0)]

    on_loop(test)


def test_a_link_is_known_by_its_port_and_an_accident_is_told() -> None:
    async def test(told: Told) -> None:
        told.stock.stream.transport = Transport()
        told.stock.online = True
        told.stock._linked(None)
        told.stock._disconnected(None)
        assert told.ports == [4711]
        assert told.lost == 1
        assert not told.stock.online
        told.stock.stream.transport = None
        await told.stock.close()
        told.stock._disconnected(None)
        assert told.lost == 1

    on_loop(test)


def test_what_comes_before_the_login_is_over_belongs_to_it() -> None:
    async def test(told: Told) -> None:
        stanza = type("S", (), {"xml": ET.fromstring("<presence xmlns='jabber:client'/>")})()
        told.stock._came(stanza)
        told.stock._settled_at = 0.0
        told.stock._came(stanza)
        assert told.came == [("{jabber:client}presence", False), ("{jabber:client}presence", True)]

    on_loop(test)


def test_a_login_where_nobody_is_fails_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quietwire.lab.range.stock.PATIENCE", 0.05)

    async def test(told: Told) -> None:
        with pytest.raises(StockError, match="login"):
            await told.stock.login()

    on_loop(test)


def test_a_password_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(told: Told) -> None:
        stream = told.stock.stream
        monkeypatch.setattr(stream, "connect", lambda *_: stream.event("failed_all_auth"))
        with pytest.raises(StockError, match="password was refused"):
            await told.stock.login()

    on_loop(test)


def test_client_state_is_no_happening_where_the_server_knows_it_not() -> None:
    async def test(told: Told) -> None:
        written: list[str] = []
        stream = told.stock.stream
        stream.transport, stream.send_raw = Transport(), written.append
        sent = Sent("inactive", -1, "", 0)
        told.stock.client_state("inactive", sent)
        assert not told.sent
        stream.plugin["xep_0352"].enabled = True
        told.stock.client_state("inactive", sent)
        assert told.sent == [sent]
        assert written == ["<inactive xmlns='urn:xmpp:csi:0'/>"]

    on_loop(test)


@pytest.mark.parametrize(("answer", "packs"), [
    ("<iq><link xmlns='urn:quietwire:links:0' profile='steady' frames='1'/></iq>", 1),
    ("<iq><link xmlns='urn:quietwire:links:0' profile='steady'/></iq>", 0),
    ("", 0),
])  # fmt: skip
def test_frames_are_offered_and_come_when_the_server_says_so(answer: str, packs: int) -> None:
    async def test(told: Told) -> None:
        stock = told.stock
        asked: list[tuple[str, str]] = []
        packed: list[int] = []

        async def answered(type: str, payload: str) -> ET.Element:
            asked.append((type, payload))
            if not answer:
                raise StockError("it is refused")
            return ET.fromstring(answer)

        setattr(stock, "answered", answered)  # noqa: B010
        stock._offer_frames()
        assert not stock._tasks, "nobody is asked where nothing is shaped"
        stock._pack = lambda: packed.append(1)
        stock._offer_frames()
        await asyncio.gather(*stock._tasks)
        assert asked == [("set", "<link xmlns='urn:quietwire:links:0' profile='steady' frames='1'/>")]
        assert len(packed) == packs

    on_loop(test)


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_quick_way_gives_what_the_slow_one_does(name: str) -> None:
    scram: Any = SCRAM.__new__(SCRAM)
    scram.security_settings = {"encrypted": True}
    scram.setup(name)
    block = total = scram.HMAC(b"password", b"salt\0\0\0\1")
    for _ in range(49):
        block = scram.HMAC(b"password", block)
        total = XOR(total, block)
    assert scram.Hi("password", b"salt", 50) == total
