"""The server without its shell: accounts, sessions, routing and modules put together.

Everything it needs from outside is handed in as `Ports`; the shell feeds it connections and time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from quietwire.core import ns, xml
from quietwire.core.errors import QuietwireError, StanzaError, StreamError
from quietwire.core.jid import JID, JIDError
from quietwire.core.later import Later, Ticket, all_of, drive
from quietwire.core.stanza import Iq, Message, Nonza, Presence, Stanza, from_tree
from quietwire.seal.credentials import Credentials
from quietwire.seal.keys import ServerKeys
from quietwire.server.account import Account, Client, Session
from quietwire.server.accounts import Accounts
from quietwire.server.admin import Admin
from quietwire.server.archive import Archive
from quietwire.server.bound import Bound
from quietwire.server.c2s import ClientStream
from quietwire.server.c2s_host import Carrier
from quietwire.server.contacts import Contacts
from quietwire.server.disco import with_forms
from quietwire.server.invitations import Invitations
from quietwire.server.links import Link
from quietwire.server.login import PLAIN_UNDER, Gate
from quietwire.server.module import Module, StreamFeature
from quietwire.server.presence import PresenceRouter
from quietwire.server.publishing import Publisher
from quietwire.server.resting import NOTICED, notice, rest, wake
from quietwire.server.router import Router
from quietwire.server.sealed.arriving import Arrivals
from quietwire.server.sealed.findings import finding
from quietwire.server.sealed.keeper import Keeper
from quietwire.server.sealed.keyring import Keyring
from quietwire.server.sealed.migration import Migration
from quietwire.server.sealed.seals import HANDLE, Seals
from quietwire.server.sealed.spool import SealedSpool
from quietwire.server.sealed.store import SealedStore
from quietwire.server.settings import Settings
from quietwire.server.sm import Incoming, Outgoing
from quietwire.server.timers import Timers
from quietwire.server.tokens import Tokens
from quietwire.server.uploads import Files, Uploads
from quietwire.store.ports import Entry, Storage

_REMEMBERED = 10_000
"""Sessions that are over, about 250 bytes each: their clients are told what arrived (XEP-0198 §5)."""
_COMMIT_SECONDS = 2.0
"""For the last commit at shutdown: a disk that refuses must not keep the streams from being closed."""


@dataclass(slots=True)
class Ports:
    """Clock, randomness, storage and the rest of the world."""

    storage: Storage
    clock: Callable[[], float]
    """Seconds since the epoch."""
    timers: Timers
    randomness: Callable[[int], bytes]
    compute: Callable[[Callable[[], bytes | None]], Later[bytes | None]]
    note: Callable[..., None]
    """`note(event, **facts)`: one line of log."""
    fault: Callable[[BaseException], None]
    """A bug: the error without its text."""
    keys: ServerKeys
    web: str = ""
    """What browsers call the web port, without a slash at the end; '' where there is none."""
    files: Files | None = None
    """Where uploads go; None where there is no web port."""
    keeper: Keeper | None = None
    """Has `keys` from the storage; None where they come from elsewhere."""


class Server:
    """Implements `c2s_host.Host`."""

    def __init__(self, settings: Settings, ports: Ports, modules: Sequence[Module]) -> None:
        self.settings = settings
        self.ports = ports
        self.timers = ports.timers
        self._storage = ports.storage
        self.randomness = ports.randomness
        self.fault = ports.fault
        self.keyring = Keyring(
            lambda work: self.router.spawn(work),  # noqa: PLW0108 - it is made below
            lambda: ports.storage.latest,
        )
        self.seals = Seals(ports.keys, settings.domain.domain, self.keyring, ports.randomness, ports.clock)
        self.store = SealedStore(ports.storage, self.seals, ports.note)
        self.spool = SealedSpool(ports.storage.spool, self.seals, self.store.findings)
        ports.storage.dress = self.spool.dress
        self.accounts = Accounts(
            self.store,
            lambda record: Credentials.from_bytes(record, settings.domain).verifier(PLAIN_UNDER).iterations,
            settings.iterations,
            self.seals.handle,
        )
        self.accounts.learnt = self.seals.learn
        self.gate = Gate(
            settings.domain,
            self.accounts,
            ports.keys.login,
            self.keyring,
            ports.randomness,
            ports.compute,
            settings.plain_login,
        )
        self.tokens = Tokens(
            ports.clock,
            ports.randomness,
            settings.token_seconds,
            lambda account: self.keyring.share(account.text.encode()),
            ports.timers,
        )
        self.router = Router(settings.domain, self.accounts, ports.timers, ports.clock, ports.randomness, ports.fault)
        self.router.admins = settings.admins
        self.arrivals = Arrivals(
            ports.storage.store, self.seals, settings.domain.domain, ports.randomness, self.store.findings
        )
        self.presence = PresenceRouter(
            self.router,
            self.store,
            settings.domain,
            hooks=self.router.presence_hooks,
            timers=ports.timers,
            arrivals=self.arrivals,
            stamp=self.router.presence_stamps,
            requested=self.router.request_hooks,
        )
        self.router.presence_in = self.presence.inbound
        self.router.presence_again = self.presence.repeat
        self.router.ending = self._end_session
        modules = self.modules = with_forms(modules, settings.modules)
        self.admin = Admin(
            domain=settings.domain,
            storage=ports.storage,
            store=self.store,
            iterations=settings.iterations,
            randomness=ports.randomness,
            compute=ports.compute,
            keyring=self.keyring,
            changed=self._changed,
            number=lambda: len(self.accounts.names),
            destroy=self._destroy,
            begin=self._begin,
            reset=self._reset,
            leaving=self._farewell,
        )
        self.invitations = Invitations(
            settings.domain,
            self.store,
            ports.clock,
            ports.randomness,
            ports.web,
            lambda owner: HANDLE + self.seals.owner("invitation", owner),
            lambda name: ports.keys.key("invitation", b"name", name),
        )
        self.uploads = Uploads(ports.files)
        self.archive = Archive(
            settings.domain.domain,
            self.store,
            ports.storage.store,
            self.seals,
            ports.randomness,
            self.router.spawn,
            lambda owner, found: self.store.findings.report(owner, (finding(*each) for each in found)),
        )
        self.keyring.locking.append(lambda unlocked: self.archive.lock(unlocked.owner))
        self.keyring.locked = ports.storage.cut_log
        self.migration = Migration(self.store, self.spool, self.archive.adopt, ports.note)
        self.router.install(
            modules,
            {
                "store": self.store,
                "spool": self.spool,
                "randomness": ports.randomness,
                "timers": ports.timers,
                "modules": self.modules,
                "archive": self.archive,
                "arrivals": self.arrivals,
                "admin": self.admin,
                "tokens": self.tokens,
                "invitations": self.invitations,
                "web": ports.web,
                "uploads": self.uploads,
                "pep": Publisher(self.store, self.router, self.router.node_changed, arrivals=self.arrivals),
                "findings": self.store.findings,
                "links": self._link,
            },
            settings.modules,
        )
        self._features = {
            before_login: b"".join(
                xml.serialise(handler.make(self.modules), ns.CLIENT)
                for module in modules
                for handler in module.handlers
                if isinstance(handler, StreamFeature) and handler.before_login == before_login
            )
            for before_login in (False, True)
        }
        self._streams: set[Carrier] = set()
        self._carriers: dict[int, Carrier] = {}
        self._resumable: dict[str, Bound] = {}
        self._over: dict[str, tuple[JID, int]] = {}
        """By the id of sessions that nobody resumed in time: whose, and how many stanzas were taken."""
        self._bounds: dict[Session, Bound] = {}
        self._leaving: dict[Ticket, None] = {}
        """Of what the present stanza caused to be sent to other servers: of one to a room that is many."""
        self.stopping = False

    async def open(self) -> None:
        """Reads what must be known before the first stream."""
        await self.store.open()
        await self.migration.start()
        await self.accounts.open()
        await self.invitations.open()
        await self.archive.open(self.ports.clock())
        await self.arrivals.open(self.archive.generation)
        await self.router.open()

    def reload(self, settings: Settings) -> None:
        """New settings: limits for streams to come, and of the modules that take them now. The domain stays."""
        self.settings = settings
        self.admin.iterations = settings.iterations
        self.gate.plain = settings.plain_login
        self.router.admins = settings.admins
        self.router.reload(settings.modules)

    def federate(self, send: Callable[[Stanza], Ticket]) -> None:
        """Gives the router its way to other servers."""

        def leave(stanza: Stanza) -> None:
            self._leaving[send(stanza)] = None

        self.router.remote = leave

    # -- connections --------------------------------------------------------------------------------------------

    def accept(self, link: Link) -> ClientStream:
        """A client has connected."""
        stream = ClientStream(self, link)
        self._streams.add(stream)
        return stream

    def closed(self, stream: Carrier) -> None:
        self._streams.discard(stream)
        stream.release()

    def features(self, *, before_login: bool = False) -> bytes:
        return self._features[before_login]

    def preauth(self, iq: Iq, memory: dict[str, Any]) -> Coroutine[Any, Any, Iq | None] | None:
        return self.router.preauth(iq, memory)

    def note(self, event: str, **facts: str) -> None:
        self.ports.note(event, **facts)

    def from_remote(self, stanza: Stanza, finished: Callable[[], None] | None = None) -> bool:
        """A stanza that another server sent, its `from_` authenticated by its stream, its `to` ours. False if its
        handler is suspended: then `finished` is called later."""
        self._leaving.clear()
        if isinstance(stanza, Iq):
            return self.router.iq(None, stanza, finished)
        if isinstance(stanza, Message):
            self.router.message(None, stanza)
        elif isinstance(stanza, Presence):
            self.router.presence(stanza)
        return True

    def caused(self) -> tuple[Ticket | None, Ticket | None]:
        """What the last stanza must wait for before it may be acknowledged: (durable, left for other servers)."""
        leaving = None
        if self._leaving:
            leaving = all_of(self._leaving)
            self._leaving.clear()
        return self.ports.storage.latest, leaving

    def shut_down(self) -> None:
        """Takes in nothing more, makes durable what was accepted, then closes every stream."""
        if self.stopping:
            return
        self.stopping = True
        for stream in self._streams:
            stream.hush()
        patience = self.timers.after(_COMMIT_SECONDS, self._say_good_bye)

        def durable() -> None:
            patience.cancel()
            self._say_good_bye()

        self.ports.storage.sync().when_settled(durable)

    def _say_good_bye(self) -> None:
        """Closes every stream; what waits for resumption waits in the spool."""
        self.router.close()
        for stream in list(self._streams):
            stream.shut_down()
        for bound in list(self._resumable.values()):
            self.end(bound)

    @property
    def streams(self) -> int:
        """Clients' connections that are still there."""
        return len(self._streams)

    @property
    def sessions(self) -> int:
        """Bound resources, those that wait for their client among them."""
        return len(self._bounds)

    def queued(self) -> list[int]:
        """Of each session on a link that is paced: bytes that wait for its cells."""
        outlets = (bound.outgoing for bound in self._bounds.values())
        return [outlet.waits + (outlet.link.backlog() if outlet.link is not None else 0) for outlet in outlets
                if outlet.paced]  # fmt: skip

    @property
    def parked(self) -> int:
        """Sessions without a connection, which wait for resumption."""
        return sum(bound.waiting is not None for bound in self._bounds.values())

    # -- sessions -------------------------------------------------------------------------------------------------

    async def bind(
        self, account: JID, resource: str, stream: Carrier, link: Link | None, client: Client | None
    ) -> Bound:
        lease = self.keyring.share(account.text.encode())
        if lease is None:
            raise StanzaError("not-allowed")  # erased, or its password was changed, since the login
        try:
            bound = await self._bind(account, resource, stream, link, client)
        except BaseException:
            lease.release()
            raise
        finally:
            lease.unlocked.cache = None  # what must be at hand is
        bound.lease = lease
        return bound

    async def _bind(
        self, account: JID, resource: str, stream: Carrier, link: Link | None, client: Client | None
    ) -> Bound:
        try:
            jid = account.with_resource(resource or self.randomness(8).hex())
        except JIDError:
            raise StanzaError("bad-request") from None
        await self.store.unlock(account.text.encode())
        prepared = await self.accounts.prepare(account, self._prepare)
        if prepared is None:
            raise StanzaError("not-allowed")
        holder = self.accounts.hold(prepared)
        for former in list(holder.sessions.values()):
            # RFC 6120 §7.7.2.2 and XEP-0386 §3.2: the newer one is the client that is really there.
            same = client is not None and former.client is not None and former.client.id == client.id
            if same or former.jid == jid:
                old = self._bounds[former]
                former.memory.pop(NOTICED, None)  # what it owes is fetched now
                self._evict(old)
                self.end(old)
        self.accounts.hold(holder)
        if len(holder.sessions) >= self.settings.sessions_per_account:
            raise StanzaError("resource-constraint")
        bound: Bound
        outgoing = Outgoing(
            link,
            self.spool.confirm,
            lambda: self._overrun(bound),
            lambda: self.router.session_hooks("drained", session),
        )
        session = Session(jid, holder, outgoing)
        session.client = client
        bound = Bound(session, outgoing, Incoming(self.timers, lambda h: None))
        bound.incoming.answer = bound.acknowledge
        holder.sessions[jid.resource] = session
        self._bounds[session] = bound
        self._carriers[id(bound)] = stream
        self.router.session_hooks("bound", session)
        return bound

    async def _prepare(self, account: Account) -> None:
        """Before the account's first session."""
        await self.router.loading(account)
        await self.arrivals.settle(account)

    def make_resumable(self, bound: Bound) -> tuple[str, int]:
        bound.resume_id = bound.registered = self.randomness(16).hex()
        self._resumable[bound.resume_id] = bound
        return bound.resume_id, int(self.settings.resume_seconds)

    def resumable(self, resume_id: str, account: JID) -> Bound | None:
        bound = self._resumable.get(resume_id)
        if bound is None or bound.resume_id != resume_id or bound.session.account.jid != account:
            return None
        return bound

    def handled(self, resume_id: str, account: JID) -> int | None:
        owner, count = self._over.get(resume_id, (None, 0))
        return count if owner == account else None

    def inline_features(self) -> tuple[str, ...]:
        return tuple(sorted((*self.router.inline_features(), ns.SM)))

    def inline(self, bound: Bound, wish: xml.Element) -> xml.Element | None:
        return self.router.switch_on(bound.session, wish)

    async def metadata(self, bound: Bound) -> list[xml.Element]:
        return await self.router.metadata(bound.session)

    def unhand(self, bound: Bound) -> None:
        self._evict(bound)
        if bound.waiting is None:
            rest(bound.session, connected=False)
            bound.waiting = self.timers.after(self.settings.resume_seconds, lambda: self.end(bound))

    def adopt(self, bound: Bound, stream: Carrier) -> None:
        self._evict(bound)
        if bound.waiting is not None:
            bound.waiting.cancel()
            bound.waiting = None
        self._carriers[id(bound)] = stream
        wake(bound.session)  # into the queue that is sent again in a moment; a resumed stream is active (XEP-0352 §6.2)
        self.router.session_hooks("resumed", bound.session)

    def _evict(self, bound: Bound) -> None:
        carrier = self._carriers.pop(id(bound), None)
        if carrier is not None:
            bound.outgoing.detach()
            carrier.evict()

    def park(self, bound: Bound) -> None:
        self._carriers.pop(id(bound), None)
        if self.stopping or bound.resume_id not in self._resumable:
            self.end(bound)
            return
        rest(bound.session, connected=False)
        if bound.outgoing.owes():
            notice(bound.session)  # it was sent into a connection that was gone already
        bound.waiting = self.timers.after(self.settings.resume_seconds, lambda: self.end(bound))

    def _overrun(self, bound: Bound) -> None:
        if bound.doomed:
            return  # every further stanza until then comes here again
        bound.doomed = True
        carrier = self._carriers.get(id(bound))
        bound.resume_id = ""
        self.note("session-queue-full")
        if carrier is not None:
            carrier.fail(StreamError("policy-violation", "unacknowledged queue full"))
        self.timers.after(0, lambda: self.end(bound))

    def end(self, bound: Bound) -> None:
        session = bound.session
        if self._bounds.pop(session, None) is None:
            return
        account = session.account
        if self._resumable.pop(bound.registered, None) is not None and bound.resume_id:
            self._over[bound.registered] = account.jid, bound.incoming.safe()
            if len(self._over) > _REMEMBERED:
                del self._over[next(iter(self._over))]
        if bound.waiting is not None:
            bound.waiting.cancel()
        self._carriers.pop(id(bound), None)
        bound.outgoing.detach()
        owed = bound.outgoing.owes()
        leftovers = bound.outgoing.leftovers()
        account.sessions.pop(session.jid.resource, None)
        self.presence.ended(session)
        self.router.session_hooks("ended", session)
        for data, entry in leftovers:
            self._return(session, data, entry)
        if owed and not self.stopping:
            notice(session)
        self.accounts.release(account)
        if bound.lease is not None:
            bound.lease.release()

    def _link(self, session: Session) -> Link | None:
        """The session's connection, if it has one."""
        bound = self._bounds.get(session)
        return bound.outgoing.link if bound is not None else None

    def _end_session(self, session: Session, condition: str) -> None:
        bound = self._bounds.get(session)
        if bound is None:
            return
        carrier = self._carriers.get(id(bound))
        bound.resume_id = ""
        if carrier is not None:
            carrier.fail(StreamError(condition))
        self.end(bound)

    def _reset(self, bare: JID, keep: JID | None) -> None:
        """The account has other credentials: what was opened with the former ones ends."""
        self.tokens.forget(bare)
        self.gate.revoke(bare)
        for stream in list(self._streams):
            if stream.account == bare and stream.bound is None:
                stream.fail(StreamError("reset"))  # logged in, and about to bind
        self.router.end_sessions(bare, keep=keep)

    def _destroy(self, bare: JID, public: bytes) -> None:
        """The account has another secret: what was sealed under the former one goes."""
        owner = bare.text.encode()
        self.store.renew(owner, public)
        self.archive.forget(owner)
        self.arrivals.forget(owner)

    def _return(self, session: Session, data: bytes, entry: Entry | None) -> None:
        """Nobody confirmed this delivery: another device gets it, or it waits in the spool (XEP-0198 §8)."""
        if entry is not None:
            if not entry.confirmed and entry.holders == 0:
                for other in session.account.available():
                    if other.priority >= 0:
                        other.outlet.put(data or entry.value[8:], entry)
        elif data.startswith(b"<iq"):
            iq = from_tree(xml.parse(data, ns.CLIENT))
            sender = iq.attributes.get("from")
            if iq.type in ("get", "set") and sender is not None:  # nobody waits for the answer to a roster push
                iq.from_, iq.to = JID.parse(sender), session.jid
                self.router.bounce(iq, "service-unavailable")

    # -- stanzas ----------------------------------------------------------------------------------------------------

    def stanza(self, bound: Bound, stanza: Stanza, finished: Callable[[], None]) -> bool:
        session = bound.session
        if self._leaving:
            self._leaving.clear()  # what others have sent since does not hold back this stanza's acknowledgement
        if isinstance(stanza, Message):
            self.router.message(session, stanza)
        elif isinstance(stanza, Presence):
            try:
                self.presence.outbound(session, stanza)
            except StanzaError as error:
                session.send(stanza.addressed(to=stanza.to, from_=session.jid).error(error))
        else:
            assert isinstance(stanza, Iq)
            if not self.router.iq(session, stanza, finished):
                return False
        self.count(bound)
        return True

    def count(self, bound: Bound) -> None:
        if self._leaving:
            bound.incoming.count(*self.caused())
        else:
            bound.incoming.count(self._storage.latest)

    def nonza(self, bound: Bound, nonza: Nonza) -> bool:
        return self.router.nonza(bound.session, nonza)

    # -- accounts -----------------------------------------------------------------------------------------------

    async def _begin(self, bare: JID, public: bytes, secret: bytearray) -> None:
        """The account was made: it gets rows of its own now, not at its first login."""
        owner = bare.text.encode()
        self.seals.learn(self.seals.handle_of(owner), public)
        lease = self.keyring.unlock(owner, secret)
        try:
            await self.store.unlock(owner)
        finally:
            lease.unlocked.cache = None
            lease.release()

    async def _farewell(self, bare: JID) -> None:
        """The account is about to be deleted."""
        account = await self.accounts.load(bare)
        if account is not None:
            Contacts(self.router, self.store).farewell(account)

    async def _changed(self, bare: JID) -> None:
        done: Later[None] = Later()
        self.account_changed(bare, lambda: done.resolve(None))
        await done

    def account_changed(self, bare: JID, done: Callable[[], None]) -> None:
        """Somebody made, changed or deleted the account in the store; its sessions end if it is gone."""

        async def work() -> None:
            await self.accounts.changed(bare)
            if not self.accounts.exists(bare):
                self.tokens.forget(bare)
                self.router.end_sessions(bare, condition="not-authorized")
                self.arrivals.forget(bare.text.encode())
                self.router.erased(bare)

        def finished(_: None, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, QuietwireError):
                self.fault(error)
            done()

        drive(work(), finished)
