"""Which device lists are known well enough to write to their accounts, and our own, which others may overwrite."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat
from typing import Final

from quietwire.client.errors import RequestError
from quietwire.client.omemo_xml import OmemoXmlError
from quietwire.client.parts import Parts

FRESH_SECONDS: Final = 60.0
"""How long a fetched device list of an account is believed that does not notify us: no subscription, no +notify."""

RELIST_SECONDS: Final = (2.0, 5.0, 20.0, 3600.0)
"""Pauses before our own device list is read again: the first soon after two new devices, the last for good."""


class DeviceLists:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._fresh: dict[str, float] = {}

    async def freshen(self, jid: str) -> None:
        """Fetches the device list once a session, and again where no notification would tell of a change.

        Outside the lock: a server that does not answer must not keep us from reading what others write.
        """
        parts = self._parts
        notifies = jid == parts.jid or parts.roster.notifies(jid)
        fetched = self._fresh.get(jid)
        if fetched is not None and (notifies or fetched > parts.clock() - FRESH_SECONDS):
            return
        if not parts.outbox.live:
            return  # what is known must do until the link is back
        try:
            devices = await parts.keys.fetch(jid)
            async with parts.keys.turn() as turn:
                await turn.update(jid, devices)
        except (RequestError, OmemoXmlError):
            return
        self.heard(jid)

    def heard(self, jid: str) -> None:
        """A list came."""
        self._fresh[jid] = self._parts.clock()

    def forget(self) -> None:
        """A new session: what was notified meanwhile is not known."""
        self._fresh.clear()

    async def keep_listed(self) -> None:
        """Two devices that publish the account's device list at one moment overwrite each other, and the notification
        that would tell may be lost with a connection: so the list is looked at again, soon and then rarely. What is
        read without this device in it is published anew."""
        for pause in chain(RELIST_SECONDS, repeat(RELIST_SECONDS[-1])):
            await asyncio.sleep(pause)
            self._fresh.pop(self._parts.jid, None)
            await self.freshen(self._parts.jid)
