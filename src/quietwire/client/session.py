"""A session, from its beginning on: how the link is shaped, the roster, our presence, our keys on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.client import caps, downlink
from quietwire.client.device_lists import DeviceLists
from quietwire.client.errors import ClientError, RequestError
from quietwire.client.events import Connected, Disconnected, LinkLost, Resumed, Shaped
from quietwire.client.inbox import Inbox
from quietwire.client.outbox import Entry
from quietwire.client.parts import Parts
from quietwire.client.sending import Sender
from quietwire.client.stanzas import ENABLE_CARBONS, bare
from quietwire.core import ns
from quietwire.core.xml import build, serialise
from quietwire.shaping.policy import Profile

PUBLISH_RETRY_SECONDS: Final = 30.0


class Session:
    """The adapter's listener."""

    def __init__(self, parts: Parts, sender: Sender, lists: DeviceLists, inbox: Inbox) -> None:
        self._parts = parts
        self._sender = sender
        self._lists = lists
        self._inbox = inbox
        self.shaped: Shaped | None = None
        """How this session's link is shaped; None while no profile but `off` was asked for."""

    # What the adapter tells

    def session_began(self, resent: int) -> None:
        self._lists.forget()
        self._parts.linked.set()
        self._sender.note_idle()
        self._parts.tell(Connected(resent=resent))
        if self._parts.omemo is not None:
            self._parts.spawn(self._begin_again())

    def session_resumed(self, resent: int) -> None:
        self._parts.linked.set()
        self._sender.note_idle()
        self._parts.tell(Resumed(resent=resent))
        self._parts.spawn(self._shape_again())

    def link_lost(self) -> None:
        self._parts.linked.clear()
        self._parts.tell(LinkLost())

    def ended(self, error: ClientError) -> None:
        self._parts.tell(Disconnected(reason=str(error)))

    def confirmed(self, ids: list[str]) -> None:
        self._sender.confirmed(ids)

    def stanza_came(self, stanza: Element, done: Callable[[], None]) -> None:
        self._inbox.came(stanza, done)

    def request_came(self, iq: Element) -> Element:
        query = iq.find(f"{{{ns.ROSTER}}}query")
        # A roster push counts only from our own account (RFC 6121 §2.1.6).
        if iq.get("type") == "set" and query is not None and bare(iq.get("from")) in ("", self._parts.jid):
            batch = self._parts.store.batch()
            self._parts.roster.update(query)
            self._parts.roster.save(batch)
            batch.commit()
            return caps.reply(iq)
        return caps.answer(iq)

    # Its beginning

    async def shape(self) -> None:
        """Asks the server to shape its direction as we do ours. It is asked anew on each connection."""
        policy, link = self._parts.policy, self._parts.link
        if policy.profile is Profile.OFF:
            return
        if policy.profile is Profile.STEADY:
            link.unpack()
        down = await self._ask_downlink()
        if down.frames:
            link.pack()
        if down.profile is Profile.STEADY and down.tick == policy.tick:
            link.follow()
        self.shaped = Shaped(up=str(policy.profile), down=str(down.profile))
        self._parts.tell(self.shaped)

    async def fetch_roster(self) -> None:
        answer = await self._parts.request("get", build(f"{{{ns.ROSTER}}}query"))
        batch = self._parts.store.batch()
        self._parts.roster.replace(answer.find(f"{{{ns.ROSTER}}}query"))
        self._parts.roster.save(batch)
        batch.commit()

    async def be_present(self) -> None:
        try:
            await self._parts.request("set", ENABLE_CARBONS)
        except RequestError:
            pass  # a server without carbons still delivers to bare JIDs
        self._sender.put(Entry(serialise(caps.presence(), ns.CLIENT), "session"))
        # Servers deliver what waited on presence: the answer to a ping sent after it comes behind all that.
        try:
            await self._parts.request("get", build(f"{{{caps.PING}}}ping"), self._parts.jid.partition("@")[2])
        except RequestError:
            pass
        self._inbox.then(self._caught_up)

    async def keep_published(self) -> None:
        """Our bundle on the server is ours, and has the prekeys we have. Outside the lock, since it takes a while."""
        keys = self._parts.keys
        check = True
        while True:
            try:
                if check:
                    await keys.check_published()
                    check = False
                await keys.bundle_stale.wait()
                await self._parts.link.window()
                await keys.publish_bundle()
            except RequestError:
                await asyncio.sleep(PUBLISH_RETRY_SECONDS)

    async def _ask_downlink(self) -> downlink.Downlink:
        request = self._parts.link.request
        try:
            return downlink.answered(await request("set", downlink.ask(self._parts.policy)))
        except RequestError as error:
            if error.condition not in downlink.REFUSED:
                return downlink.Downlink()  # a stock server, or a link that broke
        try:
            return downlink.answered(await request("get", downlink.look()))
        except RequestError:
            return downlink.Downlink()

    async def _shape_again(self) -> None:
        try:
            await self.shape()
        except ClientError:
            pass  # closed meanwhile

    async def _begin_again(self) -> None:
        try:
            await self.shape()
            await self.fetch_roster()
            await self.be_present()
        except RequestError:
            pass  # the link broke again; the next session does it

    async def _caught_up(self) -> None:
        async with self._parts.keys.turn() as turn:
            await turn.caught_up()
            self._sender.post(turn)
