"""The client: connect, talk, know whose devices listen. Everything that is said goes through OMEMO 2."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from mimetypes import guess_type
from pathlib import Path
from typing import Final

from quietwire.client import payloads, state
from quietwire.client.adapter import Adapter, tls_context
from quietwire.client.db import Database
from quietwire.client.device_lists import DeviceLists
from quietwire.client.errors import ClientError, LinkError
from quietwire.client.events import ChatStateName, DeviceAnnounced, Event, File, Shaped
from quietwire.client.files import shared_of
from quietwire.client.gathered import Notice
from quietwire.client.inbox import Inbox
from quietwire.client.keys import FromKeyring, Passphrase, Source
from quietwire.client.model import Contact, Device, Settings
from quietwire.client.omemo2 import KnownDevice, Omemo
from quietwire.client.outbox import Entry
from quietwire.client.parts import Parts
from quietwire.client.pubsub import Pubsub
from quietwire.client.reader import Reader
from quietwire.client.sending import Sender
from quietwire.client.session import Session
from quietwire.client.sharing import FETCH_SECONDS, OCTETS, Sharing
from quietwire.client.stanzas import subscription
from quietwire.client.trust import Decision
from quietwire.core.jid import JIDError, parse_jid

__all__ = ["Client", "Contact", "Device", "Settings"]

CLOSE_SECONDS: Final = 2.0


class Client:
    """One device of one account. Use as ``async with Client(settings) as client``, or `connect` and `close`."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Raises LinkError if the address is none."""
        try:
            jid = str(parse_jid(settings.jid).bare)
        except JIDError:
            raise LinkError("the account's address is not a JID") from None
        self._settings = settings
        parts = self._parts = Parts(jid, settings.link, clock=clock, random=random)
        self._lists = DeviceLists(parts)
        self._sender = Sender(parts, self._lists)
        self._inbox = Inbox(parts)
        self._session = Session(parts, self._sender, self._lists, self._inbox)
        self._files = Sharing(jid.partition("@")[2], parts.request, lambda: tls_context(settings.ca_file))

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def connect(self, seconds: float = 30.0) -> None:
        """Opens the store, logs in, publishes this device, sends presence. Afterwards it reconnects by itself.

        Raises ClientError (one line): wrong passphrase, wrong password, no certificate, nobody there.
        """
        settings, parts, session = self._settings, self._parts, self._session
        try:
            source = _source(parts.jid, settings.passphrase)
            parts.database = await asyncio.to_thread(_open, settings.store, source, parts.random)
            parts.roster.load(parts.database.batch())
            self._sender.load()
            parts.adapter = Adapter(
                session,
                jid=parts.jid,
                password=settings.password,
                resource=settings.resource,
                address=settings.address,
                direct_tls=settings.direct_tls,
                ca_file=settings.ca_file,
                outbox=parts.outbox,
                policy=settings.link,
            )
            await parts.adapter.connect(seconds)
            await session.shape()
            await session.fetch_roster()
            parts.omemo = await Omemo.create(
                parts.database,
                parts.jid,
                Pubsub(parts.jid, parts.adapter.request),
                policy=settings.policy,
                clock=parts.clock,
                announce=self._announce,
            )
            self._inbox.reader = Reader(
                parts.jid,
                parts.omemo,
                clock=parts.clock,
                tell=parts.tell,
                post=self._sender.post,
                heard=self._lists.heard,
            )
            await session.be_present()
        except BaseException:
            await self.close()
            raise
        self._sender.begin()
        parts.spawn(self._inbox.work())
        parts.spawn(session.keep_published())
        parts.spawn(self._lists.keep_listed())

    async def close(self) -> None:
        """Waits up to 2 s for outstanding acknowledgements, then closes stream and store. Idempotent."""
        parts = self._parts
        if parts.closed:
            return
        if parts.omemo is not None:
            await self._sender.end()
            await self.drained(CLOSE_SECONDS)
        self._sender.stop()
        await parts.end()

    def drop_link(self) -> None:
        """Aborts the TCP connection, as a network cut does. The client resumes by itself."""
        self._parts.link.drop_link()

    @property
    def jid(self) -> str:
        """Bare JID."""
        return self._parts.jid

    @property
    def device(self) -> int:
        """This device's OMEMO id."""
        return self._parts.keys.device

    @property
    def shaped(self) -> Shaped | None:
        """How this session's link is shaped; None while no profile but `off` was asked for."""
        return self._session.shaped

    async def events(self) -> AsyncIterator[Event]:
        """All events in order, from `connect` on; ends after `close`. For one consumer."""
        while (event := await self._parts.events.get()) is not None:
            yield event

    # Saying something. All return the origin-id, raise NoDevices if nobody could read it, queue while the link is
    # down, and wait while its queue is full.

    async def send_text(self, to: str, text: str) -> str:
        """Asks for a receipt and a displayed marker."""
        return await self._sender.say(_bare(to), payloads.text(text))

    async def send_chat_state(self, to: str, state: ChatStateName) -> str:
        """Nothing on a `steady` link, where it would come too late: then the id is empty."""
        content = payloads.chat_state(state)
        if self._parts.link.steady:
            return ""
        return await self._sender.say(_bare(to), content, "passing")

    async def send_receipt(self, to: str, ref: str) -> str:
        """On a `steady` link it waits a while for a message to the same person that it can go with: see `receipts`."""
        return await self._sender.notify(_bare(to), Notice(ref, received=True))

    async def send_displayed(self, to: str, ref: str) -> str:
        """Like a receipt."""
        return await self._sender.notify(_bare(to), Notice(ref, displayed=True))

    async def send_reaction(self, to: str, ref: str, emojis: Sequence[str]) -> str:
        """All our reactions to `ref`; none: takes them back."""
        return await self._sender.say(_bare(to), payloads.reaction(ref, emojis))

    async def send_correction(self, to: str, ref: str, text: str) -> str:
        return await self._sender.say(_bare(to), payloads.correction(ref, text))

    async def send_reply(self, to: str, ref: str, text: str, author: str | None = None) -> str:
        """`author`: bare JID of who wrote `ref`; None: `to`."""
        return await self._sender.say(_bare(to), payloads.reply(ref, author or to, text))

    async def send_file(self, to: str, path: Path, *, media: str = "", leave_link: bool = False) -> str:
        """`media`: its type; guessed from its name if it is empty. On a `steady` link a small file goes within it, and
        a larger one over HTTP only with `leave_link`; on others each goes over HTTP. Raises FileError, RequestError."""
        steady = self._parts.link.steady
        kind = media or guess_type(path.name)[0] or OCTETS
        shared = await self._files.offer(path, kind, within=steady, leave=leave_link or not steady)
        return await self._sender.say(_bare(to), payloads.file(shared))

    async def fetch(self, file: File, folder: Path, *, delay: float = FETCH_SECONDS) -> Path:
        """Puts a file that was offered into `folder`; `delay`: see `sharing.Sharing.fetch`. Raises FileError."""
        return await self._files.fetch(shared_of(file), folder, delay=delay)

    async def send_retraction(self, to: str, ref: str) -> str:
        return await self._sender.say(_bare(to), payloads.retraction(ref))

    async def drained(self, seconds: float = 10.0) -> bool:
        """Waits until the server has acknowledged everything sent (XEP-0198). False: not within `seconds`, to which
        what shaping takes is added."""
        return await self._sender.drained(seconds)

    # Contacts

    async def subscribe(self, jid: str) -> None:
        """Asks for `jid`'s presence. The answer comes as `Subscribed`."""
        self._sender.put(Entry(subscription(_bare(jid), "subscribe"), "message"))

    async def accept(self, jid: str) -> None:
        """Grants `jid` our presence."""
        self._sender.put(Entry(subscription(_bare(jid), "subscribed"), "message"))

    async def deny(self, jid: str) -> None:
        self._sender.put(Entry(subscription(_bare(jid), "unsubscribed"), "message"))

    def roster(self) -> list[Contact]:
        """The cache, which is there before `connect` returns and kept up to date."""
        return self._parts.roster.contacts()

    # Devices

    async def devices(self, jid: str | None = None) -> list[Device]:
        """Known devices of `jid`; None: our own account's. Fetches the list where it may have changed unnoticed."""
        whose = self._parts.jid if jid is None else _bare(jid)
        await self._lists.freshen(whose)
        async with self._parts.keys.turn() as turn:
            return [_device(device) for device in await turn.devices(whose)]

    async def decide(self, jid: str, fingerprint: str, decision: Decision) -> Device:
        """Verify or distrust the device with that fingerprint (spaces and case do not matter).

        Raises ClientError if there is none.
        """
        whose, wanted = _bare(jid), _folded(fingerprint)
        async with self._parts.keys.turn() as turn:
            for device in await turn.devices(whose):
                if _folded(device.fingerprint) == wanted:
                    await turn.decide(whose, device.device, decision)
                    return next(_device(d) for d in await turn.devices(whose) if d.device == device.device)
        raise ClientError("no known device of this account has that fingerprint")

    def history(self, jid: str, last: int = 50) -> list[Event]:
        """The last encrypted messages exchanged with `jid`, oldest first; own ones as `Sent`."""
        return list(state.history(self._parts.store.batch(), _bare(jid), last))

    def _announce(self, device: KnownDevice, changed: bool) -> None:
        self._parts.tell(
            DeviceAnnounced(
                jid=device.jid,
                device=device.device,
                fingerprint=device.fingerprint,
                trust=device.trust,
                changed=changed,
            )
        )


def _open(path: Path, source: Source, random: Callable[[int], bytes]) -> Database:
    return Database.open(path, source, random)


def _source(jid: str, passphrase: str | None) -> Source:
    if passphrase is not None:
        return Passphrase(passphrase)
    import keyring  # slow to import, and needed only here

    return FromKeyring(keyring, jid)


def _bare(jid: str) -> str:
    try:
        return str(parse_jid(jid).bare)
    except JIDError:
        raise ClientError("not an address") from None


def _folded(fingerprint: str) -> str:
    return "".join(fingerprint.split()).lower()


def _device(known: KnownDevice) -> Device:
    return Device(**vars(known))
