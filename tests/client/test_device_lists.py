"""Device lists that must be fetched, and our own that others overwrite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from omemo_world import ALICE, BOB
from town import Run, Town

from quietwire.client import device_lists
from quietwire.client.device_lists import DeviceLists
from quietwire.client.errors import RequestError
from quietwire.client.parts import Parts
from quietwire.core import ns
from quietwire.core.xml import Element, build, serialise
from quietwire.shaping.policy import Policy


def test_a_device_that_another_left_off_the_list_lists_itself_again(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        node = t.server.nodes.items[ALICE, "urn:xmpp:omemo:2:devices"]
        assert str(alice.device) in serialise(node["current"], ns.CLIENT).decode()
        # Another new device has read the list before this one was on it, and the notification was lost.
        node["current"] = build("{urn:xmpp:omemo:2}devices", None, build("{urn:xmpp:omemo:2}device", {"id": "4711"}))
        while str(alice.device) not in serialise(node["current"], ns.CLIENT).decode():  # noqa: ASYNC110 - its turns
            await asyncio.sleep(0)
        assert "4711" in serialise(node["current"], ns.CLIENT).decode()

    monkeypatch.setattr("quietwire.client.device_lists.RELIST_SECONDS", (0.001,))
    town(test)


class Keys:
    """Counts what is fetched."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.broken = False

    async def fetch(self, jid: str) -> Element:
        self.fetched.append(jid)
        if self.broken:
            raise RequestError("remote-server-timeout")
        return build("devices")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Keys]:
        yield self

    async def update(self, jid: str, devices: Element) -> None:
        return


def test_a_list_is_fetched_once_a_session_or_once_a_minute_where_nobody_tells_of_changes() -> None:
    async def run() -> None:
        now = 0.0
        parts = Parts(ALICE, Policy(), clock=lambda: now, random=bytes)
        keys = Keys()
        parts.omemo = cast(Any, keys)
        item = build(f"{{{ns.ROSTER}}}item", {"jid": BOB, "subscription": "both"})
        parts.roster.replace(build(f"{{{ns.ROSTER}}}query", None, item))
        lists = DeviceLists(parts)

        async def fetched(*jids: str) -> list[str]:
            keys.fetched.clear()
            for jid in jids:
                await lists.freshen(jid)
            return list(keys.fetched)

        everybody = (ALICE, BOB, "eve@e.example")
        assert await fetched(*everybody) == []  # there is no link
        parts.outbox.start()
        keys.broken = True
        assert await fetched(BOB, BOB) == [BOB, BOB]
        keys.broken = False
        assert await fetched(*everybody, *everybody) == [*everybody]
        now = device_lists.FRESH_SECONDS
        assert await fetched(*everybody) == ["eve@e.example"]
        lists.forget()
        lists.heard(BOB)
        assert await fetched(*everybody) == [ALICE, "eve@e.example"]

    asyncio.run(run())
