"""Modules as the server runs them, without streams: the real router and presence over a storage in memory.

    house = Assembly((MODULE,))
    house.add("alice@a.example")
    alice = house.log_in("alice@a.example/phone")
    alice.write("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert alice.take() == ["<iq to='alice@a.example/phone' type='result' id='1'/>"]

A fault of a module is raised where it happens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any, NoReturn

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import Later, drive
from quietwire.core.stanza import Iq, Message, Presence, Stanza, from_tree
from quietwire.core.xml import parse
from quietwire.server import blocks
from quietwire.server.account import Account, Session
from quietwire.server.accounts import Accounts
from quietwire.server.archive import Archive
from quietwire.server.blocks import Blocks
from quietwire.server.disco import with_forms
from quietwire.server.invitations import Invitations
from quietwire.server.module import Module
from quietwire.server.presence import PresenceRouter
from quietwire.server.publishing import Publisher
from quietwire.server.roster import Contact, Roster, encode
from quietwire.server.router import Router
from quietwire.server.sealed.arriving import Arrivals
from quietwire.server.sealed.findings import Findings
from quietwire.server.timers import Timers
from quietwire.server.uploads import Uploads
from quietwire.store.memory import MemoryStorage
from quietwire.testing.safe import PlainSafe
from quietwire.testing.services import Inbox


def stanza(text: str, *, from_: JID | None = None) -> Stanza:
    """A stanza as somebody writes it, in ``jabber:client``; `from_` is who that is."""
    element = parse(text.encode(), ns.CLIENT)
    to = element.attrib.pop("to", None)
    return from_tree(element, to=None if to is None else parse_jid(to), from_=from_)


class Client:
    """A session of the house."""

    def __init__(self, house: Assembly, session: Session, inbox: Inbox) -> None:
        self.house = house
        self.session = session
        self.inbox = inbox

    def write(self, text: str) -> None:
        """The client sends a stanza."""
        sent = stanza(text, from_=self.session.jid)
        router = self.house.router
        if isinstance(sent, Message):
            router.message(self.session, sent)
        elif isinstance(sent, Iq):
            router.iq(self.session, sent)
        else:
            assert isinstance(sent, Presence)
            try:
                self.house.presence.outbound(self.session, sent)
            except StanzaError as error:
                self.session.send(sent.error(error))

    def take(self) -> list[str]:
        """What it got since the last call."""
        return self.inbox.take()

    def leave(self) -> None:
        """The session ends for good."""
        account = self.session.account
        del account.sessions[self.session.jid.resource]
        self.house.presence.ended(self.session)
        self.house.router.session_hooks("ended", self.session)
        self.house.accounts.release(account)


class Slow:
    """A store whose reads end when the test says so. Everything else is the store's own."""

    def __init__(self, store: MemoryStorage) -> None:
        self._store = store
        self.held = False
        self._waiting: list[Callable[[], None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, table: str, owner: bytes, key: bytes) -> Later[bytes | None]:
        return self._read(lambda: self._store.get(table, owner, key).result())

    def get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> Later[dict[bytes, bytes]]:
        return self._read(lambda: self._store.get_many(table, owner, keys).result())

    def scan(
        self, table: str, owner: bytes, first: bytes = b"", stop: bytes | None = None, head: int | None = None
    ) -> Later[list[tuple[bytes, bytes]]]:
        return self._read(lambda: self._store.scan(table, owner, first, stop, head).result())

    def _read(self, read: Callable[[], Any]) -> Later[Any]:
        later: Later[Any] = Later()
        if self.held:
            self._waiting.append(lambda: later.resolve(read()))
        else:
            later.resolve(read())
        return later

    def release(self, reads: int | None = None) -> None:
        """Lets the oldest `reads` end, or all, and those that they lead to."""
        if reads is None:
            self.held = False
        while self._waiting and reads != 0:
            self._waiting.pop(0)()
            reads = None if reads is None else reads - 1


class Assembly:
    """One domain with these modules. `remote`: what went to other servers; `now`: the time, moved by `pass_time`."""

    def __init__(
        self,
        modules: Sequence[Module],
        domain: str = "a.example",
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """`extra`: ports besides those that are made here, by name ("admin")."""
        modules = with_forms(modules, settings or {})
        numbers = count(1)
        self.domain = parse_jid(domain)
        self.now = 1_000_000_000.0
        self.timers = Timers(lambda: self.now)
        self.remote: list[Stanza] = []
        self.storage = MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))
        self.store = Slow(self.storage)
        self.accounts = Accounts(self.store, lambda _: 1, 1)
        self.router = Router(
            self.domain,
            self.accounts,
            self.timers,
            lambda: self.now,
            lambda size: next(numbers).to_bytes(size, "big"),
            _raise,
        )
        findings = Findings(lambda event, **facts: None, lambda owner: owner)
        self.arrivals = Arrivals(
            self.store, PlainSafe(), domain, lambda size: next(numbers).to_bytes(size, "big"), findings
        )
        self.presence = PresenceRouter(
            self.router,
            self.store,
            self.domain,
            hooks=self.router.presence_hooks,
            stamp=self.router.presence_stamps,
            requested=self.router.request_hooks,
            timers=self.timers,
            arrivals=self.arrivals,
        )
        self.router.presence_in = self.presence.inbound
        self.router.presence_again = self.presence.repeat
        self.router.ending = self._end
        self.endings: list[tuple[str, str]] = []
        """Sessions that a module has ended: (full JID, condition)."""
        self.router.remote = self.remote.append
        self.archive = Archive(
            domain,
            self.store,
            self.store,
            PlainSafe(),
            lambda size: hashlib.shake_256(next(numbers).to_bytes(8, "big")).digest(size),
            self.router.spawn,
        )
        self.invitations = Invitations(
            self.domain, self.store, lambda: self.now, lambda size: next(numbers).to_bytes(size, "big")
        )
        ports = {
            "store": self.store,
            "spool": self.storage.spool,
            "randomness": lambda size: next(numbers).to_bytes(size, "big"),
            "timers": self.timers,
            "modules": tuple(modules),
            "uploads": Uploads(None),
            "web": "",
            "invitations": self.invitations,
            "archive": self.archive,
            "arrivals": self.arrivals,
            "pep": Publisher(self.store, self.router, self.router.node_changed, arrivals=self.arrivals),
            "findings": findings,
            "links": lambda session: None,
        }
        self.router.install(modules, {**ports, **(extra or {})}, settings or {})
        self.router.spawn(self.archive.open())
        self.router.spawn(self.router.open())

    def _end(self, session: Session, condition: str) -> None:
        self.endings.append((session.jid.text, condition))
        Client(self, session, Inbox()).leave()

    def preauth(self, text: str, memory: dict[str, Any]) -> Iq | None:
        """The answer to a request before login; `memory` is the stream's."""
        request = stanza(text)
        assert isinstance(request, Iq)
        work = self.router.preauth(request, memory)
        if work is None:
            return None
        answers: list[Iq | None] = []

        def done(reply: Iq | None, error: BaseException | None) -> None:
            if isinstance(error, StanzaError):
                reply = request.error(error)
            elif error is not None:
                raise error
            answers.append(reply)

        drive(work, done)
        return answers[0] if answers else None

    def add(self, bare: str, *contacts: Contact) -> JID:
        """Makes an account whose stored roster has `contacts`."""
        self.accounts.names.add(bare.encode())
        for contact in contacts:
            self.storage.store.put("roster", bare.encode(), *encode(contact))
        return parse_jid(bare)

    def log_in(self, full: str, presence: str = "") -> Client:
        """Binds a resource; `presence` is what it sends first. What that brings stays in the inbox."""
        jid = parse_jid(full)
        assert self.accounts.exists(jid.bare)
        rows = self.storage.store.scan("roster", jid.bare.text.encode()).result()
        found = self.accounts.loaded.get(jid.bare)
        if found is None:
            blocked = self.storage.store.scan(blocks.TABLE, jid.bare.text.encode()).result()
            found = Account(jid.bare, Roster.from_rows(rows), Blocks(jid.bare, blocked))
            found.closed = self.accounts.closed
            self.router.spawn(self._prepare(found))  # the store answers at once
        account = self.accounts.hold(found)
        inbox = Inbox()
        session = account.sessions[jid.resource] = Session(jid, account, inbox)
        self.router.session_hooks("bound", session)
        client = Client(self, session, inbox)
        if presence:
            client.write(presence)
        return client

    async def _prepare(self, account: Account) -> None:
        await self.router.loading(account)
        await self.arrivals.settle(account)

    def receive(self, text: str, from_: str) -> None:
        """Another server sends a stanza of `from_`."""
        sent = stanza(text, from_=parse_jid(from_))
        if isinstance(sent, Message):
            self.router.message(None, sent)
        elif isinstance(sent, Iq):
            self.router.iq(None, sent)
        else:
            assert isinstance(sent, Presence)
            self.router.presence(sent)

    def take_remote(self) -> list[str]:
        """What went to other servers since the last call."""
        taken, self.remote[:] = list(self.remote), []
        return [each.to_bytes().decode() for each in taken]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.timers.fire(self.now)


def _raise(error: BaseException) -> NoReturn:
    raise error
