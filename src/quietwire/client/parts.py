"""What the parts of a client share: its store, link and keys once they are there, its events, its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar
from xml.etree.ElementTree import Element

from quietwire.client.adapter import Adapter
from quietwire.client.contacts import Roster
from quietwire.client.db import Database
from quietwire.client.errors import ClientError
from quietwire.client.events import Disconnected, Event
from quietwire.client.omemo2 import Omemo
from quietwire.client.outbox import Outbox
from quietwire.shaping.policy import Policy, Profile

T = TypeVar("T")

MAX_EVENTS: Final = 10_000
"""Events nobody has asked for; the oldest go first."""


class Parts:
    """One a client. `store`, `link` and `keys` raise ClientError before `connect` and after `close`."""

    def __init__(self, jid: str, policy: Policy, *, clock: Callable[[], float], random: Callable[[int], bytes]) -> None:
        """`jid`: our bare JID. `policy`: of our direction of the link."""
        self.jid = jid
        self.policy = policy
        self.clock = clock
        self.random = random
        self.outbox = Outbox()
        self.roster = Roster()
        self.linked = asyncio.Event()
        """Set while there is a session on a link."""
        self.database: Database | None = None
        self.adapter: Adapter | None = None
        self.omemo: Omemo | None = None
        self.closed = False
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        """None is the end."""
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def store(self) -> Database:
        return self._there(self.database)

    @property
    def link(self) -> Adapter:
        return self._there(self.adapter)

    @property
    def keys(self) -> Omemo:
        return self._there(self.omemo)

    @property
    def tick(self) -> float:
        """Seconds between our cells; 0: there are none."""
        return self.policy.tick if self.policy.profile is Profile.STEADY else 0.0

    async def request(self, type: str, payload: Element, to: str | None = None) -> Element:
        return await self.link.request(type, payload, to)

    def tell(self, event: Event) -> None:
        while self.events.qsize() >= MAX_EVENTS:
            self.events.get_nowait()
        self.events.put_nowait(event)

    def spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Of tasks, keys, link and store; then of the events."""
        self.closed = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.omemo is not None:
            await self.omemo.close()
        if self.adapter is not None:
            await self.adapter.close()
        if self.database is not None:
            self.database.close()
        self.events.put_nowait(None)

    def _there(self, part: T | None) -> T:
        if part is None or self.closed:
            raise ClientError("the client is not connected")
        return part

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A full disk, or a mistake of ours: better to stop than to seem to listen.
            self.tell(Disconnected(reason=str(error) if isinstance(error, ClientError) else type(error).__name__))
            self.link.drop_link()
