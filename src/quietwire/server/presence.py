"""Presence (RFC 6121 §3 and §4): what local clients send, and what reaches local accounts.

Who hears of whom is in the roster alone (`contacts.py`, `subscriptions.py`); this file carries presence along it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.stanza import Presence, from_tree
from quietwire.core.xml import parse
from quietwire.server.account import Account, Session
from quietwire.server.blocks import blocked
from quietwire.server.contacts import Contacts, kept
from quietwire.server.module import Services
from quietwire.server.sealed.arriving import ADMIT, BEFRIEND, PRESENCE, Arrivals
from quietwire.server.strangers import Strangers
from quietwire.server.subscriptions import KINDS
from quietwire.server.timers import Timers
from quietwire.store.ports import Store

MAX_DIRECTED: Final = 1_000
"""Addresses that got a session's directed presence, mostly rooms. Each is told when the session ends, at once."""

_UNSTAMPED: Final = "presence"
"""Key in a session's memory: its presence as the client sent it."""

PRIORITY: Final = f"{{{ns.CLIENT}}}priority"
_BYTE = re.compile(r"[+-]?[0-9]{1,3}")

Hooks = Callable[[Literal["in", "out"], Session | None, Account, Presence], None]


def _nothing(*_: object) -> None:
    return None


class PresenceRouter:
    """`hooks(direction, session, account, presence)` runs the modules' `PresenceHook`s; `stamp(session, presence)`
    gives available presence as it goes out. `timers`: where there are none, requests for subscription are not slowed
    down. `arrivals` keeps subscription stanzas for accounts that are away; it is given what applies them."""

    def __init__(
        self,
        services: Services,
        store: Store,
        domain: JID,
        *,
        hooks: Hooks = _nothing,
        requested: Callable[[Account, Presence], None] = _nothing,
        stamp: Callable[[Session, Presence], Presence] = lambda session, presence: presence,
        timers: Timers | None = None,
        arrivals: Arrivals,
    ) -> None:
        self._services = services
        self._contacts = Contacts(services, store, domain.domain)
        self._domain = domain.domain
        self._hooks = hooks
        self._stamp = stamp
        self._requested = requested
        self._strangers = Strangers(timers) if timers is not None else None
        self._arrivals = arrivals
        arrivals.appliers[PRESENCE] = self._arrived
        arrivals.appliers[BEFRIEND] = lambda account, jid: self._contacts.befriend(account, parse_jid(jid.decode()))
        arrivals.appliers[ADMIT] = lambda account, jid: self._contacts.admit(account, parse_jid(jid.decode()))

    # -- from local clients ---------------------------------------------------------------------------------------

    def outbound(self, session: Session, presence: Presence) -> None:
        """Everything a local client sends. Its `from_` is not looked at. Raises StanzaError, for the caller to answer:
        bad-request (unknown type, bad priority, subscription without `to`), policy-violation (too
        many directed presences), resource-constraint (roster full)."""
        kind, to = presence.type, presence.to
        blocks = session.account.blocks
        if blocks and to is not None and blocks.covers(to):
            if kind != "error":
                raise blocked()
        elif kind in KINDS:
            self._subscription(session.account, presence)
        elif kind == "probe":
            if to is None:
                raise StanzaError("bad-request")
            # The server probes for its clients (§4.3), who ask rooms themselves (XEP-0045 §15.3). Who may not see the
            # user or is not there is silent about it.
            self._services.send(presence.addressed(to=to, from_=session.jid))
        elif kind not in ("", "unavailable", "error"):
            raise StanzaError("bad-request")
        elif to is not None:
            self._directed(session, presence.addressed(to=to, from_=session.jid))
        elif kind == "":
            self._available(session, presence.addressed(to=None, from_=session.jid))
        elif kind == "unavailable":
            goodbye = presence.addressed(to=None, from_=session.jid)
            was_available = session.presence is not None
            self._unavailable(session, goodbye)
            if was_available:  # §4.5.2: also to who sent it
                self._tell([session], goodbye, session.account.jid)

    def ended(self, session: Session) -> None:
        """The session is gone for good: tells all that must know (§4.5.3)."""
        self._unavailable(session, Presence.make(from_=session.jid, type="unavailable"))

    def _subscription(self, account: Account, presence: Presence) -> None:
        if presence.to is None:
            raise StanzaError("bad-request")
        to = presence.to.bare
        if to != account.jid:  # one's own sessions see each other without being asked
            if presence.type == "subscribe" and self._strangers is not None:
                self._strangers.asked(account.jid)
            self._contacts.outbound(account, presence.addressed(to=to, from_=account.jid))

    def _directed(self, session: Session, presence: Presence) -> None:
        to = presence.to
        assert to is not None
        if presence.type == "unavailable":
            session.directed.discard(to)
        elif presence.type == "" and to.bare != session.account.jid:
            if len(session.directed) >= MAX_DIRECTED and to not in session.directed:
                raise StanzaError("policy-violation", "too many directed presences")
            session.directed.add(to)
        if presence.type == "":
            presence = self._stamp(session, presence)
        self._services.send(presence)

    def _available(self, session: Session, presence: Presence) -> None:
        priority = parse_priority(presence)
        account = session.account
        initial = session.presence is None
        alone = initial and not account.available()
        presence = self._stamped(session, presence)
        session.priority = priority
        self._broadcast(account, presence)
        self._tell(account.available(), presence, account.jid)
        if initial:
            for other in account.available():
                if other is not session and other.presence is not None:
                    session.send(other.presence.addressed(to=session.jid, from_=other.jid))
            self._probe_contacts(session, alone)
        self._hooks("out", session, account, presence)

    def repeat(self, session: Session) -> None:
        """Broadcasts the session's presence once more: what the server adds to it has changed."""
        if session.presence is not None:
            account = session.account
            presence = self._stamped(session, session.memory.pop(_UNSTAMPED, session.presence))
            self._broadcast(account, presence)
            self._tell(account.available(), presence, account.jid)

    def _stamped(self, session: Session, presence: Presence) -> Presence:
        """Takes it as the session's presence; what the client said is kept where modules added something."""
        stamped = session.presence = self._stamp(session, presence)
        if stamped is not presence:
            session.memory[_UNSTAMPED] = presence
        else:
            session.memory.pop(_UNSTAMPED, None)
        return stamped

    def _unavailable(self, session: Session, presence: Presence) -> None:
        account = session.account
        was_available = session.presence is not None
        session.presence, session.priority = None, 0
        if was_available:
            self._broadcast(account, presence)
            self._tell(account.available(), presence, account.jid)
        directed, session.directed = session.directed, set()
        for jid in directed:
            if account.blocks and account.blocks.covers(jid):
                continue  # told when it was blocked
            contact = account.roster.get(jid.bare)
            if not was_available or contact is None or not contact.sees_user:
                self._services.send(presence.addressed(to=jid, from_=session.jid))
        if was_available:
            self._hooks("out", session, account, presence)

    def _broadcast(self, account: Account, presence: Presence) -> None:
        """To every contact that sees the user (§4.2.2)."""
        send, blocks = self._services.send, account.blocks
        # A copy, since an answer may come back at once and change the roster.
        for jid in [contact.jid for contact in account.roster if contact.sees_user]:
            if blocks and blocks.covers(jid):
                continue
            send(presence.addressed(to=jid, from_=presence.from_))

    def _probe_contacts(self, session: Session, alone: bool) -> None:
        """Asks for the presence of all whom the user sees (§4.3.1) and hands out requests that have no answer (§3.1.3).
        The account's first session repeats the user's own to other servers, which may have lost them (§3.1.2)."""
        account = session.account
        for contact in list(account.roster):
            jid = contact.jid
            if account.blocks and account.blocks.covers(jid):
                continue
            local = jid.domain == self._domain
            if contact.seen_by_user:
                if not local:
                    self._services.send(Presence.make(to=jid, from_=session.jid, type="probe"))
                elif (other := self._services.account(jid)) is not None:
                    self._answer_probe(other, account.jid, session)
            if contact.ask and alone and not local:
                self._services.send(Presence.make(to=jid, from_=account.jid, type="subscribe"))
            if contact.pending_in is not None:
                session.outlet.put(contact.pending_in, None)

    def _answer_probe(self, account: Account, asker: JID, session: Session) -> None:
        """A local user's probe: the presence of all sessions of `account`, without a stanza for the question."""
        contact = account.roster.get(asker)
        if contact is not None and contact.sees_user and not (account.blocks and account.blocks.covers(session.jid)):
            blocks = session.account.blocks
            for other in account.available():
                assert other.presence is not None
                if blocks and blocks.covers(other.jid):
                    continue
                session.send(other.presence.addressed(to=session.jid, from_=other.jid))

    # -- to local accounts ----------------------------------------------------------------------------------------

    def inbound(self, presence: Presence, to: JID, account: Account | None) -> None:
        """Presence for the local address `to`, from a local user or, its `from_` authenticated, from another server.
        `account` is the one of `to` if in memory. What cannot be delivered is dropped in silence, whether or not there
        is such an account; presence is never bounced."""
        sender, kind = presence.from_, presence.type
        if sender is None or not to.local:
            return
        if kind in KINDS:
            if sender.bare != to.bare and not (
                account is not None and account.blocks and account.blocks.covers(sender)
            ):
                self._admit(presence.addressed(to=to.bare, from_=sender.bare), account)
        elif account is None:
            # Away, or no account: nobody is available, so that probes get silence as well.
            if kind in ("", "unavailable") and not to.resource:
                self._hooks("in", None, Account.absent(to), presence)
        elif account.blocks and account.blocks.covers(sender):
            return
        elif kind == "probe":
            self._probed(account, to, sender)
        elif kind == "error":
            self._failed(account, presence, to)
        elif kind in ("", "unavailable"):
            if not to.resource:
                self._tell(account.available(), presence, to)
            elif (session := account.sessions.get(to.resource)) is not None:
                self._tell([session], presence, to)
            self._hooks("in", None, account, presence)

    def _admit(self, presence: Presence, account: Account | None) -> None:
        """Strangers from elsewhere wait their turn."""
        sender, strangers = presence.from_, self._strangers
        assert sender is not None
        if strangers is None or sender.domain == self._domain:
            self._queue(presence, account)
        elif presence.type == "subscribe" and (account is None or account.roster.get(sender) is None):
            strangers.come(presence, self._now)
        elif not strangers.follow(presence, self._now):
            self._queue(presence, account)

    def _now(self, presence: Presence) -> None:
        assert presence.to is not None
        self._queue(presence, self._services.account(presence.to))

    def _queue(self, presence: Presence, account: Account | None) -> None:
        """Applies a subscription stanza, now or when its addressee is there. Whoever that is, and whether or not there
        is such an account: it is acknowledged after a commit."""
        to, sender = presence.to, presence.from_
        assert to is not None
        assert sender is not None
        if account is not None:
            self._apply(account, presence)
            self._arrivals.pretend(to)
        elif self._services.exists(to):
            if presence.type == "subscribe":
                self._requested(Account.absent(to), presence)
            self._arrivals.keep(to, PRESENCE, sender, kept(presence))
        else:
            self._arrivals.pretend(to)

    def _apply(self, account: Account, presence: Presence) -> None:
        if presence.type == "subscribe":
            self._requested(account, presence)
        self._contacts.inbound(account, presence)

    def _arrived(self, account: Account, data: bytes) -> None:
        """A subscription stanza that came while the account was away."""
        tree = parse(data, ns.CLIENT)
        sender = parse_jid(tree.attrib.pop("from"))
        del tree.attrib["to"]
        presence = from_tree(tree, to=account.jid, from_=sender)
        assert isinstance(presence, Presence)
        if not (account.blocks and account.blocks.covers(sender)):
            self._apply(account, presence)

    def _probed(self, account: Account, to: JID, asker: JID) -> None:
        """§4.3.2. Who may not see the user gets silence, as from an account that does not exist."""
        contact = account.roster.get(asker.bare)
        if contact is None or not contact.sees_user:
            return
        for session in account.available():
            if to.resource in ("", session.jid.resource):
                assert session.presence is not None
                self._services.send(session.presence.addressed(to=asker, from_=session.jid))

    def _failed(self, account: Account, presence: Presence, to: JID) -> None:
        """Somebody could not be reached or has refused: the session that wrote to them is told, and needs not tell them
        of its end. An error for the bare address answers our own broadcast: nobody waits for it (§8.5.2.1.2)."""
        session = account.sessions.get(to.resource) if to.resource else None
        if session is not None and presence.from_ is not None:
            session.directed.discard(presence.from_)
            self._tell([session], presence, to)

    @staticmethod
    def _tell(sessions: list[Session], presence: Presence, to: JID) -> None:
        """One stanza to all of them, its bytes built once."""
        if sessions:
            if presence.to is not to:
                presence = presence.addressed(to=to, from_=presence.from_)
            data = presence.to_bytes()
            for session in sessions:
                session.outlet.put(data, None)


def parse_priority(presence: Presence) -> int:
    """-128 to 127, 0 where there is none (§4.7.2.3). Raises StanzaError(bad-request)."""
    count = presence.names.count(PRIORITY)
    if count == 0:
        return 0
    element = presence.child(PRIORITY)
    assert element is not None
    text = (element.text or "").strip(" \t\r\n")
    if count > 1 or len(element) or not _BYTE.fullmatch(text) or not -128 <= int(text) <= 127:
        raise StanzaError("bad-request", "priority: -128 to 127")
    return int(text)
