"""A small server around the rosters and presence: accounts, sessions and a store in memory, for tests of modules.

`Inbox` is what one client got, `House` the services. A test logs clients in, sends what they write and reads inboxes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import drive
from quietwire.core.stanza import Iq, Presence, Stanza
from quietwire.server.account import Account, Session
from quietwire.server.commands import Answer, Call
from quietwire.server.module import Services
from quietwire.server.presence import PresenceRouter
from quietwire.server.roster import Contact, Roster, encode
from quietwire.server.sealed.arriving import Arrivals
from quietwire.server.sealed.findings import Findings
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import Entry
from quietwire.testing.safe import PlainSafe


class Inbox:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.paced = self.behind = self.crowded = False

    def put(self, data: bytes, entry: Entry | None) -> None:
        self.data.append(data)

    def take(self) -> list[str]:
        """Everything since the last call, as it would be on the wire."""
        taken, self.data = self.data, []
        return [data.decode() for data in taken]


class Client:
    """A session and its inbox."""

    def __init__(self, house: House, session: Session, inbox: Inbox) -> None:
        self.house = house
        self.session = session
        self.inbox = inbox

    def presence(self, to: str = "", type: str = "", stanza: Presence | None = None) -> None:
        """What the client writes. Raises what the server answers with."""
        stanza = stanza or Presence.make(to=parse_jid(to) if to else None, type=type)
        self.house.presence.outbound(self.session, stanza)

    def take(self) -> list[str]:
        return self.inbox.take()

    def leave(self) -> None:
        """The session ends for good."""
        account = self.session.account
        del account.sessions[self.session.jid.resource]
        if not account.sessions:
            del self.house.loaded[account.jid]
        self.house.presence.ended(self.session)


class House(Services):
    """`Services` of one domain, with a `PresenceRouter` in it.

    `remote` collects what would go to other servers. `hooked` records the router's calls of `hooks`.
    """

    def __init__(self, domain: str = "a.example") -> None:
        numbers = count(1)
        self.domain = parse_jid(domain)
        self.store = MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))
        self.loaded: dict[JID, Account] = {}
        self.names: set[JID] = set()
        self.remote: list[Stanza] = []
        self.answers: list[Stanza] = []
        """Messages and iq for local addresses; this house routes presence only."""
        self.hooked: list[tuple[str, str, str]] = []
        """(direction, the account's bare JID, the presence's type)."""
        self.arrivals = Arrivals(
            self.store,
            PlainSafe(),
            domain,
            lambda size: next(numbers).to_bytes(size, "big"),
            Findings(lambda event, **facts: None, lambda owner: owner),
        )
        self.presence = self.route()

    def route(self, **more: Any) -> PresenceRouter:
        """A router of presence for this house."""
        return PresenceRouter(self, self.store, self.domain, hooks=self._hooks, arrivals=self.arrivals, **more)

    # -- set-up -----------------------------------------------------------------------------------------------------

    def add(self, bare: str, *contacts: Contact) -> JID:
        """Makes an account whose stored roster has `contacts`."""
        jid = parse_jid(bare)
        self.names.add(jid)
        for contact in contacts:
            self.store.put("roster", bare.encode(), *encode(contact))
        return jid

    def log_in(self, full: str, *, interested: bool = False, available: bool = False) -> Client:
        """Binds a resource of an existing account; what its initial presence brings is thrown away."""
        jid = parse_jid(full)
        assert jid.bare in self.names
        account = self.loaded.get(jid.bare)
        if account is None:
            account = Account(jid.bare, self.stored(jid.bare))
            self.spawn(self.arrivals.settle(account))
            self.loaded[jid.bare] = account
        inbox = Inbox()
        session = account.sessions[jid.resource] = Session(jid, account, inbox)
        session.interested = interested
        client = Client(self, session, inbox)
        if available:
            client.presence()
            inbox.take()
            self.remote.clear()
        return client

    def stored(self, bare: JID) -> Roster:
        """The roster as the store has it, without what waits for the account's next login."""
        return Roster.from_rows(self.store.scan("roster", bare.text.encode()).result())

    def receive(self, type: str, from_: str, to: str) -> None:
        """A presence comes from another server."""
        self.send(Presence.make(to=parse_jid(to), from_=parse_jid(from_), type=type))

    def take_remote(self) -> list[str]:
        """What went to other servers since the last call."""
        taken, self.remote = self.remote, []
        return [stanza.to_bytes().decode() for stanza in taken]

    # -- Services -----------------------------------------------------------------------------------------------------

    def send(self, stanza: Stanza) -> None:
        to = stanza.to
        assert to is not None
        if to.domain != self.domain.domain:
            self.remote.append(stanza)
        elif isinstance(stanza, Presence):
            self.presence.inbound(stanza, to, self.loaded.get(to.bare))
        else:
            self.answers.append(stanza)

    def fan_out(self, stanza: Stanza, recipients: Iterable[JID]) -> list[JID]:
        for to in recipients:
            self.send(stanza.addressed(to=to, from_=stanza.from_))
        return []

    def ask(self, iq: Iq, answered: Callable[[Iq | None], None]) -> None:
        raise NotImplementedError("nobody answers in this house")

    def account(self, bare: JID) -> Account | None:
        return self.loaded.get(bare)

    def exists(self, bare: JID) -> bool:
        return bare in self.names

    def commands(self, session: Session | None) -> Mapping[str, tuple[str, Callable[[Call], Awaitable[Answer]]]]:
        return {}

    def client_revoked(self, account: Account, id: str, sessions: Sequence[Session]) -> None:
        raise NotImplementedError

    def is_admin(self, jid: JID) -> bool:
        return False

    async def load(self, bare: JID) -> Account | None:
        return self.loaded.get(bare) or (Account.absent(bare) if bare in self.names else None)

    def end_sessions(self, jid: JID, *, keep: JID | None = None, condition: str = "reset") -> None:
        raise NotImplementedError("sessions of this house end by themselves")

    def presence_again(self, session: Session) -> None:
        self.presence.repeat(session)

    def spawn(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        def done(_: None, error: BaseException | None) -> None:
            if error is not None:
                raise error

        drive(run(), done)

    def _hooks(self, direction: str, session: Session | None, account: Account, presence: Presence) -> None:
        self.hooked.append((direction, account.jid.text, presence.type))
