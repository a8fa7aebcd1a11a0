"""What comes: presence is told at once, messages are read one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from xml.etree.ElementTree import Element

from quietwire.client.errors import RequestError
from quietwire.client.events import Available, Subscribed, SubscriptionRequest, Undecryptable
from quietwire.client.parts import Parts
from quietwire.client.reader import Reader
from quietwire.client.stanzas import bare
from quietwire.core import ns

READ_ATTEMPTS: Final = 3
"""At a message whose sender's keys cannot be fetched; each waits up to 20 s, and those behind it wait too."""

MAX_INBOX: Final = 5000
"""Stanzas that came faster than they were read, some 10 MB. Beyond, the session is given up: the server still has them,
since they were not acknowledged."""


class Inbox:
    reader: Reader
    """There before `work` begins."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._waiting: asyncio.Queue[Callable[[], Awaitable[Any]]] = asyncio.Queue()

    def came(self, stanza: Element, done: Callable[[], None]) -> None:
        """A message or presence; `done` is called when it is on disk or of no consequence."""
        if stanza.tag == f"{{{ns.CLIENT}}}presence":
            self._presence_came(stanza)
            done()
            return
        if self._waiting.qsize() >= MAX_INBOX:
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._parts.link.give_up_session()
            return
        self.then(partial(self._message_came, stanza, done))

    def then(self, call: Callable[[], Awaitable[Any]]) -> None:
        """After all that has come."""
        self._waiting.put_nowait(call)

    async def work(self) -> None:
        while True:
            await (await self._waiting.get())()

    async def _message_came(self, stanza: Element, done: Callable[[], None]) -> None:
        parts = self._parts
        for attempt in range(READ_ATTEMPTS):
            await parts.linked.wait()
            await parts.link.calm()
            try:
                await self.reader.read(stanza)
            except RequestError:
                # The link broke while the sender's keys were fetched: the message waits for the next one.
                if attempt == READ_ATTEMPTS - 1:
                    sender, id = bare(stanza.get("from")) or parts.jid, stanza.get("id", "")
                    parts.tell(Undecryptable(sender=sender, id=id, reason="unknown-device"))
                continue
            break
        done()

    def _presence_came(self, presence: Element) -> None:
        sender, kind = bare(presence.get("from")), presence.get("type")
        if sender in ("", self._parts.jid):
            return
        if kind == "subscribe":
            self._parts.tell(SubscriptionRequest(jid=sender))
        elif kind == "subscribed":
            self._parts.tell(Subscribed(jid=sender))
        elif kind in (None, "unavailable"):
            self._parts.tell(Available(jid=sender, available=kind is None))
