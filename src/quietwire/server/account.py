"""Accounts in memory and their sessions. An account lives here from its first bind to its last resumable end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from quietwire.core.jid import JID
from quietwire.core.stanza import Presence, Stanza
from quietwire.server.blocks import Blocks
from quietwire.server.roster import Roster
from quietwire.store.ports import Entry


class Outlet(Protocol):
    """Where a session's bytes go: the stream's 0198 queue and outbox (`server/sm.py`)."""

    def put(self, data: bytes, entry: Entry | None) -> None:
        """One stanza. `entry` is the spool's receipt that this delivery, once confirmed, answers for."""
        ...

    @property
    def paced(self) -> bool:
        """Its link is `steady`: little leaves at a time."""
        ...

    @property
    def behind(self) -> bool:
        """It leaves messages in the spool, and has `drained` told when it takes them."""
        ...

    @property
    def crowded(self) -> bool:
        """What nobody keeps had better be refused, where somebody can be told."""
        ...


@dataclass(frozen=True, slots=True)
class Client:
    """An installation of a program, as it presents itself at login (XEP-0388 §2.3). Told to nobody but its account."""

    id: str
    """Ours, made of its own secret one and the account."""
    software: str = field(repr=False)
    device: str = field(repr=False)
    by_token: bool
    """It logged in with a token (XEP-0484), not with the password."""


class Session:
    """A bound resource. It may have no connection for a while: then it waits for resumption (XEP-0198 §5)."""

    __slots__ = (
        "account", "carbons", "client", "directed", "interested", "jid", "memory", "outlet", "presence", "priority",
    )  # fmt: skip

    def __init__(self, jid: JID, account: Account, outlet: Outlet) -> None:
        self.jid = jid
        """The full JID."""
        self.account = account
        self.outlet = outlet
        self.presence: Presence | None = None
        """The last available presence it broadcast, with `from_` set; None while unavailable."""
        self.priority = 0
        self.interested = False
        """It has asked for the roster and gets pushes (RFC 6121 §2.1.6)."""
        self.carbons = False
        self.client: Client | None = None
        self.directed: set[JID] = set()
        """Who got directed available presence and must be told of the end (RFC 6121 §4.6)."""
        self.memory: dict[str, Any] = {}
        """What a module holds for the session, under the module's name."""

    def send(self, stanza: Stanza) -> None:
        self.outlet.put(stanza.to_bytes(), None)


class Account:
    """`jid` is the bare JID; `sessions` by resource, those that wait for resumption among them."""

    __slots__ = ("away", "blocks", "closed", "jid", "memory", "owner", "roster", "sessions")

    def __init__(self, jid: JID, roster: Roster, blocks: Blocks | None = None) -> None:
        self.jid = jid
        self.owner = jid.text.encode()
        """The owner bytes of everything the account keeps in the store."""
        self.roster = roster
        self.blocks = Blocks(jid) if blocks is None else blocks
        self.away = False
        """Not in memory: what is its owner's is sealed. Roster and blocks are empty here, whatever they are."""
        self.closed = False
        """It takes no messages of strangers."""
        self.sessions: dict[str, Session] = {}
        self.memory: dict[str, Any] = {}
        """What a module holds for the account while it is in memory, under the module's name."""

    @classmethod
    def absent(cls, jid: JID) -> Account:
        """What can be said of an account whose owner is away, and of one that does not exist: nothing. Nobody's."""
        account = cls(jid, Roster())
        account.away = True
        return account

    def shuts(self, sender: JID) -> bool:
        """Whether messages of `sender` are dropped: who is blocked, and where the account is closed, who is neither in
        the roster nor in a room with it nor the server. Nearly always false if `blocks` is empty and not `closed`."""
        if self.blocks and self.blocks.covers(sender):
            return True
        if not self.closed or sender.is_domain or sender.bare == self.jid:
            return False
        contact = self.roster.get(sender.bare)
        if contact is not None and contact.listed:
            return False
        return not any(sender.bare == jid.bare for session in self.sessions.values() for jid in session.directed)

    def available(self) -> list[Session]:
        """Sessions that have broadcast available presence (RFC 6121 §4.2)."""
        return [session for session in self.sessions.values() if session.presence is not None]
