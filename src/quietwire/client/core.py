"""The client: connect, talk, know whose devices listen. Everything that is said goes through OMEMO 2."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain, repeat
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final, Literal
from xml.etree.ElementTree import Element

from quietwire.client import caps, downlink, gathered, payloads, sce, state
from quietwire.client.adapter import Adapter, tls_context
from quietwire.client.contacts import Roster
from quietwire.client.db import Database
from quietwire.client.errors import ClientError, LinkError, NoDevices, RequestError
from quietwire.client.events import (
    Available,
    ChatStateName,
    Connected,
    DeviceAnnounced,
    Disconnected,
    Event,
    File,
    LinkLost,
    Resumed,
    Shaped,
    Subscribed,
    SubscriptionRequest,
    Undecryptable,
)
from quietwire.client.files import shared_of
from quietwire.client.gathered import Notice
from quietwire.client.keys import FromKeyring, Passphrase, Source
from quietwire.client.model import Contact, Device, Settings
from quietwire.client.omemo2 import KnownDevice, Omemo, Turn
from quietwire.client.omemo_xml import OmemoXmlError
from quietwire.client.outbox import Entry, Outbox
from quietwire.client.pubsub import Pubsub
from quietwire.client.reader import Reader
from quietwire.client.receipts import Receipts
from quietwire.client.sharing import FETCH_SECONDS, OCTETS, Sharing
from quietwire.client.stanzas import ENABLE_CARBONS, bare, outgoing, subscription
from quietwire.client.trust import Decision, Trust
from quietwire.core import ns
from quietwire.core.jid import JIDError, parse_jid
from quietwire.core.xml import build, serialise
from quietwire.shaping.policy import Policy as LinkPolicy
from quietwire.shaping.policy import Profile

__all__ = ["Client", "Contact", "Device", "Settings"]

FRESH_SECONDS: Final = 60.0
"""How long a fetched device list of an account is believed that does not notify us: no subscription, no +notify."""

CLOSE_SECONDS: Final = 2.0
READ_ATTEMPTS: Final = 3
"""At a message whose sender's keys cannot be fetched; each waits up to 20 s, and those behind it wait too."""
MAX_INBOX: Final = 5000
"""Stanzas that came faster than they were read, some 10 MB. Beyond, the session is given up: the server still has them,
since they were not acknowledged."""

MAX_EVENTS: Final = 10_000
"""Events nobody has asked for; the oldest go first."""

RELIST_SECONDS: Final = (2.0, 5.0, 20.0, 3600.0)
"""Pauses before our own device list is read again: the first soon after two new devices, the last for good."""
PUBLISH_RETRY_SECONDS: Final = 30.0
Kind = Literal["message", "notice", "passing"]
"""What is said: a receipt or marker alone is a notice, and a chat state passing."""

STANZA_BYTES: Final = 4096
"""Of the link's queue, kept for each message that is being encrypted: most need less than half of it."""


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
            self._jid = str(parse_jid(settings.jid).bare)
        except JIDError:
            raise LinkError("the account's address is not a JID") from None
        self._settings = settings
        self._clock = clock
        self._random = random
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._inbox: asyncio.Queue[Callable[[], Any]] = asyncio.Queue()
        self._outbox = Outbox()
        self._idle = asyncio.Event()
        self._idle.set()
        self._linked = asyncio.Event()
        self._roster = Roster()
        self._fresh: dict[str, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turnstile = asyncio.Lock()
        self._saying = 0
        self._files = Sharing(
            self._jid.partition("@")[2],
            self._request,
            lambda: tls_context(settings.ca_file),
        )
        self._receipts = Receipts(
            lambda peer: self._spawn(self._try_to_notify(peer)),
            lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            tick=settings.link.tick if settings.link.profile is Profile.STEADY else 0.0,
        )
        self._database: Database | None = None
        self._adapter: Adapter | None = None
        self._omemo: Omemo | None = None
        self._reader: Reader
        self._closed = False
        self.shaped: Shaped | None = None
        """How this session's link is shaped; None while no profile but `off` was asked for."""

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def connect(self, seconds: float = 30.0) -> None:
        """Opens the store, logs in, publishes this device, sends presence. Afterwards it reconnects by itself.

        Raises ClientError (one line): wrong passphrase, wrong password, no certificate, nobody there.
        """
        settings = self._settings
        try:
            source = _source(self._jid, settings.passphrase)
            self._database = await asyncio.to_thread(_open, settings.store, source, self._random)
            batch = self._database.batch()
            self._roster.load(batch)
            for entry in state.load_outbox(batch):
                self._outbox.put(entry)
                self._idle.clear()
            self._adapter = Adapter(
                self,
                jid=self._jid,
                password=settings.password,
                resource=settings.resource,
                address=settings.address,
                direct_tls=settings.direct_tls,
                ca_file=settings.ca_file,
                outbox=self._outbox,
                policy=settings.link,
            )
            await self._adapter.connect(seconds)
            await self._shape()
            await self._fetch_roster()
            self._omemo = await Omemo.create(
                self._database,
                self._jid,
                Pubsub(self._jid, self._adapter.request),
                policy=settings.policy,
                clock=self._clock,
                announce=self._announce,
            )
            self._reader = Reader(
                self._jid, self._omemo, clock=self._clock, tell=self._tell, post=self._post, heard=self._heard
            )
            await self._be_present()
        except BaseException:
            await self.close()
            raise
        for peer in self._receipts.peers(self._open.batch()):
            self._spawn(self._try_to_notify(peer))  # what waited when the program ended
        self._spawn(self._work())
        self._spawn(self._keep_published())
        self._spawn(self._keep_listed())

    async def close(self) -> None:
        """Waits up to 2 s for outstanding acknowledgements, then closes stream and store. Idempotent."""
        if self._closed:
            return
        if self._omemo is not None:
            for peer in self._receipts.peers(self._database.batch()) if self._database is not None else ():
                await self._try_to_notify(peer)
            await self.drained(CLOSE_SECONDS)
        self._closed = True
        self._receipts.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._omemo is not None:
            await self._omemo.close()
        if self._adapter is not None:
            await self._adapter.close()
        if self._database is not None:
            self._database.close()
        self._events.put_nowait(None)

    def drop_link(self) -> None:
        """Aborts the TCP connection, as a network cut does. The client resumes by itself."""
        self._link.drop_link()

    @property
    def jid(self) -> str:
        """Bare JID."""
        return self._jid

    @property
    def device(self) -> int:
        """This device's OMEMO id."""
        return self._keys.device

    async def events(self) -> AsyncIterator[Event]:
        """All events in order, from `connect` on; ends after `close`. For one consumer."""
        while (event := await self._events.get()) is not None:
            yield event

    # Saying something. All return the origin-id, raise NoDevices if nobody could read it, queue while the link is
    # down, and wait while its queue is full.

    async def send_text(self, to: str, text: str) -> str:
        """Asks for a receipt and a displayed marker."""
        return await self._say(to, payloads.text(text))

    async def send_chat_state(self, to: str, state: ChatStateName) -> str:
        """Nothing on a `steady` link, where it would come too late: then the id is empty."""
        content = payloads.chat_state(state)
        if self._link.steady:
            return ""
        return await self._say(to, content, "passing")

    async def send_receipt(self, to: str, ref: str) -> str:
        """On a `steady` link it waits a while for a message to the same person that it can go with: see `Receipts`."""
        return await self._notify(to, Notice(ref, received=True))

    async def send_displayed(self, to: str, ref: str) -> str:
        """Like a receipt."""
        return await self._notify(to, Notice(ref, displayed=True))

    async def send_reaction(self, to: str, ref: str, emojis: Sequence[str]) -> str:
        """All our reactions to `ref`; none: takes them back."""
        return await self._say(to, payloads.reaction(ref, emojis))

    async def send_correction(self, to: str, ref: str, text: str) -> str:
        return await self._say(to, payloads.correction(ref, text))

    async def send_reply(self, to: str, ref: str, text: str, author: str | None = None) -> str:
        """`author`: bare JID of who wrote `ref`; None: `to`."""
        return await self._say(to, payloads.reply(ref, author or to, text))

    async def send_file(self, to: str, path: Path, *, media: str = "", leave_link: bool = False) -> str:
        """`media`: its type; guessed from its name if it is empty. On a `steady` link a small file goes within it, and
        a larger one over HTTP only with `leave_link`; on others each goes over HTTP. Raises FileError, RequestError."""
        steady = self._link.steady
        kind = media or guess_type(path.name)[0] or OCTETS
        shared = await self._files.offer(path, kind, within=steady, leave=leave_link or not steady)
        return await self._say(to, payloads.file(shared))

    async def fetch(self, file: File, folder: Path, *, delay: float = FETCH_SECONDS) -> Path:
        """Puts a file that was offered into `folder`; `delay`: see `sharing.Sharing.fetch`. Raises FileError."""
        return await self._files.fetch(shared_of(file), folder, delay=delay)

    async def send_retraction(self, to: str, ref: str) -> str:
        return await self._say(to, payloads.retraction(ref))

    async def drained(self, seconds: float = 10.0) -> bool:
        """Waits until the server has acknowledged everything sent (XEP-0198). False: not within `seconds`, to which
        what shaping takes is added."""
        if not self._idle.is_set():
            try:
                async with asyncio.timeout(self._link.patience(seconds)):
                    await self._idle.wait()
            except TimeoutError:
                return False
        return True

    # Contacts

    async def subscribe(self, jid: str) -> None:
        """Asks for `jid`'s presence. The answer comes as `Subscribed`."""
        self._put(Entry(subscription(_bare(jid), "subscribe"), "message"))

    async def accept(self, jid: str) -> None:
        """Grants `jid` our presence."""
        self._put(Entry(subscription(_bare(jid), "subscribed"), "message"))

    async def deny(self, jid: str) -> None:
        self._put(Entry(subscription(_bare(jid), "unsubscribed"), "message"))

    def roster(self) -> list[Contact]:
        """The cache, which is there before `connect` returns and kept up to date."""
        return self._roster.contacts()

    # Devices

    async def devices(self, jid: str | None = None) -> list[Device]:
        """Known devices of `jid`; None: our own account's. Fetches the list where it may have changed unnoticed."""
        whose = self._jid if jid is None else _bare(jid)
        await self._freshen(whose)
        async with self._keys.turn() as turn:
            return [_device(device) for device in await turn.devices(whose)]

    async def decide(self, jid: str, fingerprint: str, decision: Decision) -> Device:
        """Verify or distrust the device with that fingerprint (spaces and case do not matter).

        Raises ClientError if there is none.
        """
        whose, wanted = _bare(jid), _folded(fingerprint)
        async with self._keys.turn() as turn:
            for device in await turn.devices(whose):
                if _folded(device.fingerprint) == wanted:
                    await turn.decide(whose, device.device, decision)
                    return next(_device(d) for d in await turn.devices(whose) if d.device == device.device)
        raise ClientError("no known device of this account has that fingerprint")

    def history(self, jid: str, last: int = 50) -> list[Event]:
        """The last encrypted messages exchanged with `jid`, oldest first; own ones as `Sent`."""
        return list(state.history(self._open.batch(), _bare(jid), last))

    # Parts that are there once connected

    @property
    def _open(self) -> Database:
        if self._database is None or self._closed:
            raise ClientError("the client is not connected")
        return self._database

    @property
    def _link(self) -> Adapter:
        if self._adapter is None or self._closed:
            raise ClientError("the client is not connected")
        return self._adapter

    async def _request(self, type: str, payload: Element, to: str | None = None) -> Element:
        return await self._link.request(type, payload, to)

    @property
    def _keys(self) -> Omemo:
        if self._omemo is None or self._closed:
            raise ClientError("the client is not connected")
        return self._omemo

    # Sending

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        """A place in the link's queue, in the order of the calls."""
        async with self._turnstile:
            await self._link.room(self._saying * STANZA_BYTES)
            self._saying += 1
        try:
            yield
        finally:
            self._saying -= 1

    async def _say(self, to: str, content: list[Element], kind: Kind = "message") -> str:
        peer = _bare(to)
        async with self._room(), self._writing(peer) as turn:
            stamp, id, said = self._clock(), secrets.token_hex(16), content
            if kind == "message":
                id, said = await self._with_companions(turn, peer, content, id, stamp)
            data = await self._sealed(turn, peer, said, id, stamp)
            entry = Entry(data, "passing" if kind == "passing" else "message", id)
            if kind == "message":
                origin = payloads.Origin(self._jid, peer, self._keys.device, Trust.VERIFIED, id, stamp)
                if (event := payloads.read(content, origin)) is not None:
                    state.remember(turn.batch, event, own=True)
            self._post(turn, entry)
        return id

    @asynccontextmanager
    async def _writing(self, peer: str) -> AsyncIterator[Turn]:
        """For a message to `peer`: its devices and ours are known, and no cell is due soon."""
        for jid in (self._jid, peer):
            await self._freshen(jid)
        await self._link.calm()
        async with self._keys.turn() as turn:
            yield turn

    async def _sealed(self, turn: Turn, peer: str, content: Sequence[Element], id: str, stamp: float) -> bytes:
        envelope = sce.seal(content, sender=self._jid, id=id, stamp=stamp, random=self._random)
        return outgoing(peer, id, await turn.encrypt(peer, envelope))

    # Receipts and markers

    async def _notify(self, to: str, notice: Notice) -> str:
        """One of both. It waits where the link is `steady` and all who get it read several in one."""
        peer = _bare(to)
        while self._link.steady and gathered.nameable(notice.ref):
            await self._link.calm()
            async with self._keys.turn() as turn:
                if not await self._all_gather(turn, peer):
                    break
                if (held := self._receipts.hold(turn.batch, peer, notice)) is not None:
                    turn.after.append(partial(self._receipts.arm, peer))
                    return held.id
            await self._notify_held(peer)
        return await self._say(peer, _plain(notice), "notice")

    async def _all_gather(self, turn: Turn, peer: str) -> bool:
        """Whether all devices that a message to `peer` is for have shown that they read `gathered.GOT`."""
        reached = 0
        for jid in (peer, self._jid):
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
        held = self._receipts.held(turn.batch, peer)
        gather = (held is not None or self._link.steady) and await self._all_gather(turn, peer)
        asks = gather and self._link.steady and payloads.asks(content)
        said = payloads.unasked(content) if asks else [*content]

        def fits(more: Element) -> bool:
            return sce.fits(said, [more], sender=self._jid, id=id, stamp=stamp)

        if held is not None and gather and fits(more := gathered.write(held.notices, asks=asks)):
            self._receipts.drop(turn.batch, peer)
            turn.after.append(partial(self._receipts.disarm, peer))
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
                    self._receipts.drop(turn.batch, peer)
                    turn.after.append(partial(self._receipts.disarm, peer))
                else:
                    content = _plain(self._receipts.shorten(turn.batch, peer, held))
                data = await self._sealed(turn, peer, content, held.id, self._clock())
                self._post(turn, Entry(data, "message", held.id))

    async def _try_to_notify(self, peer: str) -> None:
        try:
            await self._notify_held(peer)
        except NoDevices:  # nobody there could read it
            async with self._keys.turn() as turn:
                self._receipts.drop(turn.batch, peer)
                turn.after.append(partial(self._receipts.disarm, peer))
        except ClientError:
            self._receipts.arm(peer)

    def _post(self, turn: Turn, *entries: Entry) -> None:
        """`entries`, and the empty messages of the turn, are kept with it and written after it. No await may follow."""
        posted = list(entries)
        for to, encrypted in turn.empties:
            id = secrets.token_hex(16)
            posted.append(Entry(outgoing(to, id, encrypted), "message", id))
        for entry in posted:
            if entry.kind == "message":
                state.keep_unsent(turn.batch, entry)
            turn.after.append(partial(self._put, entry))

    def _put(self, entry: Entry) -> None:
        self._idle.clear()
        self._link.put(entry)

    async def _freshen(self, jid: str) -> None:
        """Fetches the device list once a session, and again where no notification would tell of a change.

        Outside the lock: a server that does not answer must not keep us from reading what others write.
        """
        notifies = jid == self._jid or self._roster.notifies(jid)
        fetched = self._fresh.get(jid)
        if fetched is not None and (notifies or fetched > self._clock() - FRESH_SECONDS):
            return
        if not self._outbox.live:
            return  # what is known must do until the link is back
        try:
            devices = await self._keys.fetch(jid)
            async with self._keys.turn() as turn:
                await turn.update(jid, devices)
        except (RequestError, OmemoXmlError):
            return
        self._heard(jid)

    def _heard(self, jid: str) -> None:
        self._fresh[jid] = self._clock()

    def _tell(self, event: Event) -> None:
        while self._events.qsize() >= MAX_EVENTS:
            self._events.get_nowait()
        self._events.put_nowait(event)

    # What the adapter tells

    def session_began(self, resent: int) -> None:
        self._fresh.clear()
        self._linked.set()
        self._note_idle()
        self._tell(Connected(resent=resent))
        if self._omemo is not None:
            self._spawn(self._begin_again())

    def session_resumed(self, resent: int) -> None:
        self._linked.set()
        self._note_idle()
        self._tell(Resumed(resent=resent))
        self._spawn(self._shape_again())

    def link_lost(self) -> None:
        self._linked.clear()
        self._tell(LinkLost())

    def ended(self, error: ClientError) -> None:
        self._tell(Disconnected(reason=str(error)))

    def confirmed(self, ids: list[str]) -> None:
        if ids:
            batch = self._open.batch()
            state.drop_unsent(batch, ids)
            batch.commit()
        self._note_idle()

    def _note_idle(self) -> None:
        if self._outbox.idle:
            self._idle.set()

    def stanza_came(self, stanza: Element, done: Callable[[], None]) -> None:
        if stanza.tag == f"{{{ns.CLIENT}}}presence":
            self._presence_came(stanza)
            done()
            return
        if self._inbox.qsize() >= MAX_INBOX:
            while not self._inbox.empty():
                self._inbox.get_nowait()
            self._link.give_up_session()
            return
        self._inbox.put_nowait(partial(self._message_came, stanza, done))

    def request_came(self, iq: Element) -> Element:
        query = iq.find(f"{{{ns.ROSTER}}}query")
        # A roster push counts only from our own account (RFC 6121 §2.1.6).
        if iq.get("type") == "set" and query is not None and bare(iq.get("from")) in ("", self._jid):
            self._update_roster(query)
            return caps.reply(iq)
        return caps.answer(iq)

    # Session

    async def _shape(self) -> None:
        """Asks the server to shape its direction as we do ours. It is asked anew on each connection."""
        policy = self._settings.link
        if policy.profile is Profile.OFF:
            return
        if policy.profile is Profile.STEADY:
            self._link.unpack()
        down = await self._ask_downlink(policy)
        if down.frames:
            self._link.pack()
        if down.profile is Profile.STEADY and down.tick == policy.tick:
            self._link.follow()
        self.shaped = Shaped(up=str(policy.profile), down=str(down.profile))
        self._tell(self.shaped)

    async def _ask_downlink(self, policy: LinkPolicy) -> downlink.Downlink:
        try:
            return downlink.answered(await self._link.request("set", downlink.ask(policy)))
        except RequestError as error:
            if error.condition not in downlink.REFUSED:
                return downlink.Downlink()  # a stock server, or a link that broke
        try:
            return downlink.answered(await self._link.request("get", downlink.look()))
        except RequestError:
            return downlink.Downlink()

    async def _shape_again(self) -> None:
        try:
            await self._shape()
        except ClientError:
            pass  # closed meanwhile

    async def _fetch_roster(self) -> None:
        answer = await self._link.request("get", build(f"{{{ns.ROSTER}}}query"))
        batch = self._open.batch()
        self._roster.replace(answer.find(f"{{{ns.ROSTER}}}query"))
        self._roster.save(batch)
        batch.commit()

    async def _be_present(self) -> None:
        try:
            await self._link.request("set", ENABLE_CARBONS)
        except RequestError:
            pass  # a server without carbons still delivers to bare JIDs
        self._put(Entry(serialise(caps.presence(), ns.CLIENT), "session"))
        # Servers deliver what waited on presence: the answer to a ping sent after it comes behind all that.
        try:
            await self._link.request("get", build(f"{{{caps.PING}}}ping"), self._jid.partition("@")[2])
        except RequestError:
            pass
        self._inbox.put_nowait(self._caught_up)

    async def _begin_again(self) -> None:
        try:
            await self._shape()
            await self._fetch_roster()
            await self._be_present()
        except RequestError:
            pass  # the link broke again; the next session does it

    async def _caught_up(self) -> None:
        async with self._keys.turn() as turn:
            await turn.caught_up()
            self._post(turn)

    async def _keep_published(self) -> None:
        """Our bundle on the server is ours, and has the prekeys we have. Outside the lock, since it takes a while."""
        keys = self._keys
        check = True
        while True:
            try:
                if check:
                    await keys.check_published()
                    check = False
                await keys.bundle_stale.wait()
                await self._link.window()
                await keys.publish_bundle()
            except RequestError:
                await asyncio.sleep(PUBLISH_RETRY_SECONDS)

    async def _keep_listed(self) -> None:
        """Two devices that publish the account's device list at one moment overwrite each other, and the notification
        that would tell may be lost with a connection: so the list is looked at again, soon and then rarely. What is
        read without this device in it is published anew."""
        for pause in chain(RELIST_SECONDS, repeat(RELIST_SECONDS[-1])):
            await asyncio.sleep(pause)
            self._fresh.pop(self._jid, None)
            await self._freshen(self._jid)

    def _update_roster(self, query: Element) -> None:
        batch = self._open.batch()
        self._roster.update(query)
        self._roster.save(batch)
        batch.commit()

    def _announce(self, device: KnownDevice, changed: bool) -> None:
        self._tell(
            DeviceAnnounced(
                jid=device.jid,
                device=device.device,
                fingerprint=device.fingerprint,
                trust=device.trust,
                changed=changed,
            )
        )

    async def _work(self) -> None:
        while True:
            await (await self._inbox.get())()

    async def _message_came(self, stanza: Element, done: Callable[[], None]) -> None:
        for attempt in range(READ_ATTEMPTS):
            await self._linked.wait()
            await self._link.calm()
            try:
                await self._reader.read(stanza)
            except RequestError:
                # The link broke while the sender's keys were fetched: the message waits for the next one.
                if attempt == READ_ATTEMPTS - 1:
                    sender, id = bare(stanza.get("from")) or self._jid, stanza.get("id", "")
                    self._tell(Undecryptable(sender=sender, id=id, reason="unknown-device"))
                continue
            break
        done()

    def _presence_came(self, presence: Element) -> None:
        sender, kind = bare(presence.get("from")), presence.get("type")
        if sender in ("", self._jid):
            return
        if kind == "subscribe":
            self._tell(SubscriptionRequest(jid=sender))
        elif kind == "subscribed":
            self._tell(Subscribed(jid=sender))
        elif kind in (None, "unavailable"):
            self._tell(Available(jid=sender, available=kind is None))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A full disk, or a mistake of ours: better to stop than to seem to listen.
            self._tell(Disconnected(reason=str(error) if isinstance(error, ClientError) else type(error).__name__))
            self._link.drop_link()


def _plain(notice: Notice) -> list[Element]:
    """As everybody reads it; of both the receipt."""
    return payloads.receipt(notice.ref) if notice.received else payloads.displayed(notice.ref)


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
