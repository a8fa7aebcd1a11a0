"""OMEMO 2 (XEP-0384 0.9.1) on the `omemo` and `twomemo` libraries: one lock, one transaction a message, explicit trust.

The library is asynchronous because bundles come over the network; two of its operations at once break the ratchet
(both read the same chain key). So everything runs inside a `Turn`: lock taken, a batch of writes open, committed
together with what the caller adds (outbox, history), dropped if anything fails.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, Protocol, cast
from xml.etree.ElementTree import Element

import doubleratchet
from omemo.bundle import Bundle
from omemo.message import Message
from omemo.session_manager import (
    BundleDownloadFailed,
    BundleNotFound,
    BundleUploadFailed,
    DeviceListDownloadFailed,
    DeviceListUploadFailed,
    MessageNotForUs,
    NoEligibleDevices,
    NoSession,
    PublicDataInconsistency,
    SenderDistrusted,
    SenderNotFound,
    SessionManager,
)
from omemo.types import DeviceInformation, DeviceList, TrustLevel
from twomemo.twomemo import BundleImpl, KeyExchangeImpl, Twomemo

from quietwire.client.db import Batch, Database
from quietwire.client.errors import ClientError, NoDevices, RequestError
from quietwire.client.omemo_library import BatchStorage, manager_class
from quietwire.client.omemo_xml import (
    BUNDLES,
    DEVICES,
    NS,
    OmemoXmlError,
    read_bundle,
    read_devices,
    read_message,
    write_bundle,
    write_devices,
    write_message,
)
from quietwire.client.ratchets import Ratchets, Snapshot, same_exchange
from quietwire.client.trust import Decision, Policy, Trust, first_decision, judge

ROTATE_SECONDS: Final = 7 * 24 * 3600
"""Age at which the signed prekey is replaced: 0384 says once a week to once a month."""

_NEVER: Final = 10 * 365 * 24 * 3600
"""The library's own rotation would write outside a turn: it gets a period that does not end."""

Reason = Literal["not-for-this-device", "no-session", "distrusted", "unknown-device", "forged", "broken"]

_REASONS: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (MessageNotForUs, "not-for-this-device"),
    (SenderNotFound, "unknown-device"),
    (SenderDistrusted, "distrusted"),
    (NoSession, "no-session"),
    (PublicDataInconsistency, "forged"),
)
"""Anything else is ``broken``."""


class Pep(Protocol):
    """What OMEMO asks of personal eventing (XEP-0163). Both raise RequestError."""

    async def fetch(self, jid: str, node: str, item: str | None) -> Element | None:
        """The payload of an item, None if there is no such node or item. No `item`: the newest."""

    async def publish(self, node: str, item: str, payload: Element, *, many: bool) -> None:
        """With access model open, persistent; `many`: the node keeps more than one item."""


class Unreadable(ClientError):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Duplicate(ClientError):
    """Read before: to be dropped without a word (0384 §Business Rules)."""


@dataclass(frozen=True)
class KnownDevice:
    jid: str
    device: int
    fingerprint: str
    trust: Trust
    active: bool
    own: bool


@dataclass(frozen=True)
class Decrypted:
    plaintext: bytes | None
    """None: an empty message, which only moves the ratchet."""
    device: int
    trust: Trust


class Turn:
    """One operation under the lock. `empties`: (bare JID, <encrypted/>) to be sent besides; add them to the batch."""

    def __init__(self, omemo: Omemo, batch: Batch) -> None:
        self._omemo = omemo
        self.batch = batch
        self.empties: list[tuple[str, Element]] = []
        self.after: list[Callable[[], None]] = []
        """Called once everything is durable, before the next turn: where stanzas are written."""
        self.unreachable = False
        """Something could not be fetched: what failed for want of it may be tried again."""

    async def encrypt(self, to: str, plaintext: bytes) -> Element:
        """For all devices that may read of `to` and of our own account. Raises NoDevices."""
        return await self._omemo._encrypt(to, plaintext)

    async def decrypt(self, encrypted: Element, sender: str) -> Decrypted:
        """Raises Unreadable, Duplicate; RequestError if the network was in the way: worth another turn."""
        return await self._omemo._decrypt(self, encrypted, sender)

    async def update(self, jid: str, devices: Element) -> None:
        """A device list came by notification. Raises OmemoXmlError."""
        await self._omemo._manager.update_device_list(NS, jid, read_devices(devices))
        await self._omemo._settle(jid)

    async def caught_up(self) -> None:
        """What waited at the server has been read: first messages are now answered at once."""
        await self._omemo._manager.after_history_sync()

    async def devices(self, jid: str) -> list[KnownDevice]:
        return await self._omemo._devices(jid)

    async def decide(self, jid: str, device: int, decision: Decision) -> None:
        for info in await self._omemo._manager.get_device_information(jid):
            if info.device_id == device:
                await self._omemo._manager.set_trust(jid, info.identity_key, decision.value)


class Omemo:
    """The devices of one account's correspondents, and this device. Made by `create`."""

    def __init__(
        self,
        database: Database,
        jid: str,
        pep: Pep,
        *,
        policy: Policy,
        clock: Callable[[], float],
        announce: Callable[[KnownDevice, bool], None],
    ) -> None:
        self._database = database
        self._jid = jid
        self._pep = pep
        self._policy = policy
        self._announce = announce
        self._lock = asyncio.Lock()
        self._storage = BatchStorage(database)
        self._backend = Twomemo(self._storage)
        self._ratchets = Ratchets(self._storage, clock)
        self._turn: Turn | None = None
        self._encrypting = False
        self._manager: SessionManager
        self.bundle_stale = asyncio.Event()
        """Our bundle has changed and is to be published outside the lock: `publish_bundle`."""
        self._ready = False
        self.device = 0

    @classmethod
    async def create(
        cls,
        database: Database,
        jid: str,
        pep: Pep,
        *,
        policy: Policy,
        clock: Callable[[], float],
        announce: Callable[[KnownDevice, bool], None],
    ) -> Omemo:
        """Loads this device, or makes and publishes it. `announce(device, changed)` is called in a turn.

        Raises RequestError if the server does not let us publish.
        """
        self = cls(database, jid, pep, policy=policy, clock=clock, announce=announce)
        async with self.turn():
            try:
                self._manager = await manager_class(self).create(
                    [self._backend],
                    self._storage,
                    jid,
                    None,  # a label would tell the server what we run on
                    Decision.UNDECIDED.value,
                    signed_pre_key_rotation_period=_NEVER,
                )
            except (BundleUploadFailed, DeviceListUploadFailed, DeviceListDownloadFailed):
                raise RequestError("the server does not accept this device's keys") from None
            own, _ = await self._manager.get_own_device_information()
            self.device = own.device_id
            if await self._backend.signed_pre_key_age() > ROTATE_SECONDS:
                await self._backend.rotate_signed_pre_key()
                self.bundle_stale.set()
            await self._ratchets.forget_spent()
        self._ready = True
        return self

    async def close(self) -> None:
        await self._manager.shutdown()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        async with self._lock:
            turn = self._turn = Turn(self, self._database.batch())
            self._storage.batch = turn.batch
            try:
                yield turn
                turn.batch.commit()
                for call in turn.after:
                    call()
            finally:
                self._turn = self._storage.batch = None

    async def fetch(self, jid: str) -> Element:
        """The device list of `jid` for `Turn.update`, empty if there is none. Raises RequestError."""
        payload = await self._pep.fetch(jid, DEVICES, None)
        return write_devices({}) if payload is None else payload

    async def publish_bundle(self) -> None:
        """Raises RequestError; the bundle stays stale then."""
        self.bundle_stale.clear()
        async with self._lock:
            bundle = await self._backend.get_bundle(self._jid, self.device)
        try:
            await self._pep.publish(BUNDLES, str(self.device), write_bundle(bundle), many=True)
        except RequestError:
            self.bundle_stale.set()
            raise

    async def check_published(self) -> None:
        """Publishes our bundle again if the server has another, or none. Raises RequestError."""
        payload = await self._pep.fetch(self._jid, BUNDLES, str(self.device))
        async with self._lock:
            bundle = await self._backend.get_bundle(self._jid, self.device)
        try:
            same = payload is not None and read_bundle(payload, self._jid, self.device) == bundle
        except OmemoXmlError:
            same = False
        if not same:
            await self.publish_bundle()

    # Inside a turn

    async def _encrypt(self, to: str, plaintext: bytes) -> Element:
        await self._settle(to)
        self._encrypting = True
        try:
            messages, _ = await self._manager.encrypt(frozenset({to}), {NS: plaintext})
        except NoEligibleDevices:
            raise NoDevices("no device of the recipient can read this: none announced, or none trusted") from None
        finally:
            self._encrypting = False
        if not messages:
            raise NoDevices("no other device of this account can read this")
        return write_message(next(iter(messages)))

    async def _decrypt(self, turn: Turn, encrypted: Element, sender: str) -> Decrypted:
        try:
            message = read_message(encrypted, sender, self._jid, self.device)
        except OmemoXmlError:
            raise Unreadable("broken") from None
        exchange = next((key[1] for key in message.keys), None)
        mine = message.device_id
        current = await self._ratchets.current(sender, mine)
        known = ([] if current is None else [current]) + await self._ratchets.superseded(sender, mine)
        tries = known
        before: dict[str, Any] = {}
        if isinstance(exchange, KeyExchangeImpl):
            ephemeral = base64.urlsafe_b64encode(exchange.header.ephemeral_key).decode("ascii")
            tries = [old for old in known if same_exchange(old, exchange, ephemeral)][:1]
            if not tries:
                await self._ratchets.revive(exchange)
            before = await self._ratchets.prekeys()
        found, used = await self._try_each(turn, message, sender, tries or [None])
        if isinstance(exchange, KeyExchangeImpl):
            await self._ratchets.note_spent(before, exchange)
        if known and used is not current:
            await self._ratchets.keep(sender, mine, [old for old in known if old is not used])
        return found

    async def _try_each(
        self, turn: Turn, message: Message, sender: str, tries: Sequence[Snapshot | None]
    ) -> tuple[Decrypted, Snapshot | None]:
        mark, sent = turn.batch.mark(), len(turn.empties)
        failure: Exception = NoSession()
        for snapshot in tries:
            if snapshot is not None:
                await self._ratchets.use(sender, message.device_id, snapshot)
            try:
                plaintext, info, _ = await self._manager.decrypt(message)
            except Exception as error:  # hostile input finds exceptions that the libraries do not name
                if _is_duplicate(error):
                    raise Duplicate("read before") from None
                if turn.unreachable:
                    raise RequestError("remote-server-timeout") from None
                failure = error
                turn.batch.back(mark)
                del turn.empties[sent:]
                continue
            await self._settle(sender)
            return Decrypted(plaintext, info.device_id, await self._trust(sender, info.identity_key)), snapshot
        raise Unreadable(next((reason for kind, reason in _REASONS if isinstance(failure, kind)), "broken")) from None

    async def _settle(self, jid: str) -> None:
        """Decides on devices seen for the first time, and announces them."""
        key = f"/quietwire/known/{jid}"
        known = cast(dict[str, Any], (await self._storage.load(key)).maybe({}))
        infos = await self._manager.get_device_information(jid)
        for info in sorted(infos, key=lambda info: info.device_id):
            if str(info.device_id) in known or (jid == self._jid and info.device_id == self.device):
                continue
            decisions = [await self._decision(jid, other.identity_key) for other in infos if other is not info]
            decision = await self._decision(jid, info.identity_key)
            if decision is Decision.UNDECIDED:
                decision = first_decision(self._policy, decisions)
                await self._manager.set_trust(jid, info.identity_key, decision.value)
            known[str(info.device_id)] = fingerprint(info.identity_key)
            await self._storage.store(key, known)
            device = self._known(info, judge(decision, self._policy))
            if self._turn is not None:
                self._turn.after.append(partial(self._announce, device, False))

    async def _devices(self, jid: str) -> list[KnownDevice]:
        infos = sorted(await self._manager.get_device_information(jid), key=lambda info: info.device_id)
        return [self._known(info, await self._trust(jid, info.identity_key)) for info in infos]

    def _known(self, info: DeviceInformation, trust: Trust) -> KnownDevice:
        own = info.bare_jid == self._jid and info.device_id == self.device
        return KnownDevice(
            info.bare_jid,
            info.device_id,
            fingerprint(info.identity_key),
            Trust.VERIFIED if own else trust,
            dict(info.active).get(NS, False),
            own,
        )

    async def _decision(self, jid: str, key: bytes) -> Decision:
        name = f"/trust/{jid}/{base64.urlsafe_b64encode(key).decode('ascii')}"
        return Decision((await self._storage.load_primitive(name, str)).maybe(Decision.UNDECIDED.value))

    async def _trust(self, jid: str, key: bytes) -> Trust:
        return judge(await self._decision(jid, key), self._policy)

    # What the library asks of us

    async def fetch_bundle(self, jid: str, device: int) -> Bundle:
        try:
            payload = await self._pep.fetch(jid, BUNDLES, str(device))
            if payload is None:
                raise BundleNotFound
            bundle = read_bundle(payload, jid, device)
        except (RequestError, OmemoXmlError) as error:
            self._note(error)
            raise BundleDownloadFailed from error
        known = (await self._storage.load_bytes(f"/devices/{jid}/{device}/identity_key")).maybe(None)
        if known is not None and known != bundle.identity_key:
            # The library would encrypt to the new key under the old one's trust.
            trust = await self._trust(jid, bundle.identity_key)
            shown = Trust.UNDECIDED if trust is Trust.BLIND else trust
            self._announce(KnownDevice(jid, device, fingerprint(bundle.identity_key), shown, True, False), True)
            raise BundleDownloadFailed
        return bundle

    async def publish_new_bundle(self, bundle: BundleImpl) -> None:
        if self._ready:
            self.bundle_stale.set()
            return
        # A device must never be on the server and not on the disk: a crash would leave a ghost behind.
        if self._turn is not None:
            self._turn.batch.commit()
        try:
            await self._pep.publish(BUNDLES, str(bundle.device_id), write_bundle(bundle), many=True)
        except RequestError as error:
            raise BundleUploadFailed from error

    async def fetch_devices(self, jid: str) -> DeviceList:
        try:
            payload = await self._pep.fetch(jid, DEVICES, None)
            return {} if payload is None else read_devices(payload)
        except (RequestError, OmemoXmlError) as error:
            self._note(error)
            raise DeviceListDownloadFailed from error

    def _note(self, error: ClientError) -> None:
        if self._turn is not None and isinstance(error, RequestError) and error.condition == "remote-server-timeout":
            self._turn.unreachable = True

    async def publish_devices(self, devices: DeviceList) -> None:
        try:
            await self._pep.publish(DEVICES, "current", write_devices(devices), many=False)
        except RequestError as error:
            raise DeviceListUploadFailed from error

    def send_empty(self, jid: str, encrypted: Element) -> None:
        if self._turn is not None:
            self._turn.empties.append((jid, encrypted))

    async def level(self, info: DeviceInformation) -> TrustLevel:
        trust = judge(Decision(info.trust_level_name), self._policy)
        if trust.may_read:
            return TrustLevel.TRUSTED
        # For sending, an undecided device is left out like a distrusted one; the library would refuse to send at all.
        if trust is Trust.DISTRUSTED or self._encrypting:
            return TrustLevel.DISTRUSTED
        return TrustLevel.UNDECIDED


def fingerprint(key: bytes) -> str:
    """Of an Ed25519 identity key: its Curve25519 form in eight groups of eight hex digits."""
    return " ".join(SessionManager.format_identity_key(key))


def _is_duplicate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, doubleratchet.DuplicateMessageException):
            return True
        error = error.__cause__ or error.__context__
    return False
