"""Our own client as one person, for trials with a server that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from quickstart_world import PASSWORD, WAIT, Home

from quietwire.client import events
from quietwire.client.core import Client, Settings
from quietwire.shaping.policy import Policy


class Person:
    def __init__(self, home: Home, folder: Path, jid: str, port: int, policy: Policy) -> None:
        self.settings = Settings(
            jid=jid,
            password=PASSWORD,
            store=folder / jid,
            passphrase="open sesame",
            address=("127.0.0.1", port),
            ca_file=home.authority,
            link=policy,
        )
        self.client = Client(self.settings)
        self.seen: list[events.Event] = []
        self._changed = asyncio.Condition()

    async def arrive(self) -> None:
        await self.client.connect(WAIT)
        self._task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async for event in self.client.events():
            async with self._changed:
                self.seen.append(event)
                self._changed.notify_all()

    async def until(self, satisfied: Callable[[], bool]) -> None:
        async with self._changed, asyncio.timeout(2 * WAIT):
            await self._changed.wait_for(satisfied)

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.seen if isinstance(event, events.Message)]

    async def leave(self) -> None:
        await self.client.close()
        await self._task
