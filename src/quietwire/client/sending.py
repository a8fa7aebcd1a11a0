"""What is said: sealed, kept until the server has it, and written in its order. Receipts and markers may wait."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Literal
from xml.etree.ElementTree import Element

from quietwire.client import gathered, payloads, sce, state
from quietwire.client.device_lists import DeviceLists
from quietwire.client.errors import ClientError, NoDevices
from quietwire.client.gathered import Notice
from quietwire.client.omemo2 import Turn
from quietwire.client.outbox import Entry
from quietwire.client.parts import Parts
from quietwire.client.receipts import Receipts
from quietwire.client.stanzas import outgoing
from quietwire.client.trust import Trust

Kind = Literal["message", "notice", "passing"]
"""What is said: a receipt or marker alone is a notice, and a chat state passing."""

STANZA_BYTES: Final = 4096
"""Of the link's queue, kept for each message that is being encrypted: most need less than half of it."""


class Sender:
    """Peers are bare JIDs. What says something raises ClientError, NoDevices if nobody could read it."""

    def __init__(self, parts: Parts, lists: DeviceLists) -> None:
        self._parts = parts
        self._lists = lists
        self._idle = asyncio.Event()
        self._idle.set()
        self._turnstile = asyncio.Lock()
        self._saying = 0
        self._receipts = Receipts(
            lambda peer: parts.spawn(self._try_to_notify(peer)),
            lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            tick=parts.tick,
        )

    # From one run of the program to the next

    def load(self) -> None:
        """What the server did not acknowledge when the program ended."""
        for entry in state.load_outbox(self._parts.store.batch()):
            self._parts.outbox.put(entry)
            self._idle.clear()

    def begin(self) -> None:
        """Sends what waited when the program ended."""
        for peer in self._receipts.peers(self._parts.store.batch()):
            self._parts.spawn(self._try_to_notify(peer))

    async def end(self) -> None:
        """Sends what waits; nothing will wait any more."""
        for peer in self._receipts.peers(self._parts.store.batch()):
            await self._try_to_notify(peer)

    def stop(self) -> None:
        """What waits goes at the next start."""
        self._receipts.stop()

    # Saying

    async def say(self, peer: str, content: list[Element], kind: Kind = "message") -> str:
        """-> origin-id."""
        parts = self._parts
        async with self._room(), self._writing(peer) as turn:
            stamp, id, said = parts.clock(), secrets.token_hex(16), content
            if kind == "message":
                id, said = await self._with_companions(turn, peer, content, id, stamp)
            data = await self._sealed(turn, peer, said, id, stamp)
            entry = Entry(data, "passing" if kind == "passing" else "message", id)
            if kind == "message":
                origin = payloads.Origin(parts.jid, peer, parts.keys.device, Trust.VERIFIED, id, stamp)
                if (event := payloads.read(content, origin)) is not None:
                    state.remember(turn.batch, event, own=True)
            self.post(turn, entry)
        return id

    async def notify(self, peer: str, notice: Notice) -> str:
        """A receipt or a marker; -> origin-id. It waits where the link is `steady` and all who get it read several in
        one."""
        link, keys = self._parts.link, self._parts.keys
        while link.steady and gathered.nameable(notice.ref):
            await link.calm()
            async with keys.turn() as turn:
                if not await self._all_gather(turn, peer):
                    break
                if (held := self._receipts.hold(turn.batch, peer, notice)) is not None:
                    turn.after.append(partial(self._receipts.arm, peer))
                    return held.id
            await self._notify_held(peer)
        return await self.say(peer, _plain(notice), "notice")

    def post(self, turn: Turn, *entries: Entry) -> None:
        """`entries`, and the empty messages of the turn, are kept with it and written after it. No await may follow."""
        posted = list(entries)
        for to, encrypted in turn.empties:
            id = secrets.token_hex(16)
            posted.append(Entry(outgoing(to, id, encrypted), "message", id))
        for entry in posted:
            if entry.kind == "message":
                state.keep_unsent(turn.batch, entry)
            turn.after.append(partial(self.put, entry))

    def put(self, entry: Entry) -> None:
        """Raises OutboxFull."""
        self._idle.clear()
        self._parts.link.put(entry)

    # Acknowledgements

    async def drained(self, seconds: float) -> bool:
        """Waits until everything is acknowledged. False: not within `seconds`, and what shaping adds."""
        if not self._idle.is_set():
            try:
                async with asyncio.timeout(self._parts.link.patience(seconds)):
                    await self._idle.wait()
            except TimeoutError:
                return False
        return True

    def confirmed(self, ids: list[str]) -> None:
        """The server has taken over these messages, or, if there are none, something else."""
        if ids:
            batch = self._parts.store.batch()
            state.drop_unsent(batch, ids)
            batch.commit()
        self.note_idle()

    def note_idle(self) -> None:
        if self._parts.outbox.idle:
            self._idle.set()

    # How

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        """A place in the link's queue, in the order of the calls."""
        async with self._turnstile:
            await self._parts.link.room(self._saying * STANZA_BYTES)
            self._saying += 1
        try:
            yield
        finally:
            self._saying -= 1

    @asynccontextmanager
    async def _writing(self, peer: str) -> AsyncIterator[Turn]:
        """For a message to `peer`: its devices and ours are known, and no cell is due soon."""
        for jid in (self._parts.jid, peer):
            await self._lists.freshen(jid)
        await self._parts.link.calm()
        async with self._parts.keys.turn() as turn:
            yield turn

    async def _sealed(self, turn: Turn, peer: str, content: Sequence[Element], id: str, stamp: float) -> bytes:
        envelope = sce.seal(content, sender=self._parts.jid, id=id, stamp=stamp, random=self._parts.random)
        return outgoing(peer, id, await turn.encrypt(peer, envelope))

    # Receipts and markers that wait

    async def _all_gather(self, turn: Turn, peer: str) -> bool:
        """Whether all devices that a message to `peer` is for have shown that they read `gathered.GOT`."""
        reached = 0
        for jid in (peer, self._parts.jid):
            known = state.gathers(turn.batch, jid)
            if not known and jid == peer:
                return False
            for device in await turn.devices(jid):
                if device.own or not device.active or not device.trust.may_read:
                    continue
                if device.device not in known:
                    return False
                reached += jid == peer
        return reached > 0

    async def _with_companions(
        self, turn: Turn, peer: str, content: Sequence[Element], id: str, stamp: float
    ) -> tuple[str, list[Element]]:
        """(id, content) of a message that would have been `id`: what waits goes with it, if that does not show."""
        steady = self._parts.link.steady
        held = self._receipts.held(turn.batch, peer)
        gather = (held is not None or steady) and await self._all_gather(turn, peer)
        asks = gather and steady and payloads.asks(content)
        said = payloads.unasked(content) if asks else [*content]

        def fits(more: Element) -> bool:
            return sce.fits(said, [more], sender=self._parts.jid, id=id, stamp=stamp)

        if held is not None and gather and fits(more := gathered.write(held.notices, asks=asks)):
            self._gone(turn, peer)
            return held.id, [*said, more]
        mark = gathered.write((), asks=asks)
        return id, [*said, mark] if asks or fits(mark) else said

    async def _notify_held(self, peer: str) -> None:
        """What waits for `peer` goes now. Raises ClientError."""
        while True:
            async with self._room(), self._writing(peer) as turn:
                held = self._receipts.held(turn.batch, peer)
                if held is None:
                    return
                if await self._all_gather(turn, peer):
                    content = [gathered.write(held.notices)]
                    self._gone(turn, peer)
                else:
                    content = _plain(self._receipts.shorten(turn.batch, peer, held))
                data = await self._sealed(turn, peer, content, held.id, self._parts.clock())
                self.post(turn, Entry(data, "message", held.id))

    async def _try_to_notify(self, peer: str) -> None:
        try:
            await self._notify_held(peer)
        except NoDevices:  # nobody there could read it
            async with self._parts.keys.turn() as turn:
                self._gone(turn, peer)
        except ClientError:
            self._receipts.arm(peer)

    def _gone(self, turn: Turn, peer: str) -> None:
        """Nothing waits for `peer` after this turn."""
        self._receipts.drop(turn.batch, peer)
        turn.after.append(partial(self._receipts.disarm, peer))


def _plain(notice: Notice) -> list[Element]:
    """As everybody reads it; of both the receipt."""
    return payloads.receipt(notice.ref) if notice.received else payloads.displayed(notice.ref)
