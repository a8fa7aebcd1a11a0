"""What changes a roster, and what follows from it: the store's row, pushes to sessions, stanzas to the contact.

The user's own sessions are told first, then others; the row is written in the same turn, so that one commit has it all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Presence
from quietwire.core.xml import Element, build
from quietwire.server.account import Account
from quietwire.server.module import Services
from quietwire.server.roster import ITEM, MAX_ITEMS, MAX_REQUEST, QUERY, Contact, encode
from quietwire.server.strangers import room_for
from quietwire.server.subscriptions import Outcome, State, inbound, outbound
from quietwire.store.ports import Store

TABLE = "roster"
_PUSHES = "roster-pushes"
"""Key in a session's memory: pushes so far. A count of the whole server in their ids would tell others' activity."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """Made where it is needed; holds nothing of its own."""

    services: Services
    store: Store
    domain: str = ""
    """Ours. The share of other domains in an account's kept requests is bounded."""

    def set_item(
        self, account: Account, jid: JID, name: str, groups: tuple[str, ...], answer: Callable[[], None] = lambda: None
    ) -> None:
        """A roster set (RFC 6121 §2.3, §2.4). `answer` is called before the push: other servers answer first, and
        clients are used to it. Raises StanzaError(resource-constraint) when the roster is full."""
        contact = self._listed(account, jid)
        contact.name, contact.groups = name, groups
        self._save(account, contact)
        answer()
        self._push(account, contact.item())

    def remove(self, account: Account, jid: JID, answer: Callable[[], None] = lambda: None) -> None:
        """A roster set with subscription='remove' (§2.5). `answer` is called before anybody is told: what they send
        back comes after it. Raises StanzaError(item-not-found)."""
        contact = account.roster.get(jid)
        if contact is None or not contact.listed:
            raise StanzaError("item-not-found")
        sees, asked = contact.sees_user, contact.pending_in is not None
        account.roster.drop(contact)
        self.store.delete(TABLE, account.owner, encode(contact)[0])
        answer()
        self._push(account, build(ITEM, {"jid": jid.text, "subscription": "remove"}))
        if sees:
            self._withdraw(account, jid)
        if sees or asked:
            self.services.send(Presence.make(to=jid, from_=account.jid, type="unsubscribed"))
        if contact.seen_by_user or contact.ask:
            self.services.send(Presence.make(to=jid, from_=account.jid, type="unsubscribe"))

    def outbound(self, account: Account, presence: Presence) -> None:
        """A subscription stanza of the user's, addressed bare to bare. Raises StanzaError(resource-constraint)."""
        jid = presence.to
        assert jid is not None
        contact = account.roster.get(jid)
        outcome = outbound(presence.type, *_before(contact))
        if outcome.push and presence.type in ("subscribe", "subscribed"):
            contact = self._listed(
                account, jid
            )  # whoever is asked, let in or approved becomes an item (§3.1.2, §3.4.2)
        if contact is not None:
            self._apply(account, contact, outcome, None)
        if outcome.presence == "unavailable":
            self._withdraw(account, jid)
        if outcome.goes:
            self.services.send(presence)
        if outcome.presence == "available":
            self._announce(account, jid)

    def inbound(self, account: Account, presence: Presence) -> None:
        """A subscription stanza to the user, addressed bare to bare."""
        jid = presence.from_
        assert jid is not None
        contact = account.roster.get(jid)
        outcome = inbound(presence.type, *_before(contact))
        if contact is None and outcome.after.pending_in:
            if (oldest := room_for(account.roster, jid, self.domain)) is not None:
                account.roster.drop(oldest)  # in silence, as if the user had not answered
                self.store.delete(TABLE, account.owner, encode(oldest)[0])
            contact = account.roster.contacts[jid] = Contact(jid, listed=False)
        if outcome.goes:
            data = presence.to_bytes()
            for session in list(account.sessions.values()):  # a full outbox ends a session
                # A request goes to whoever is available, the rest to whoever has the roster (§3.1.3, §3.1.6).
                if session.presence is not None if presence.type == "subscribe" else session.interested:
                    session.outlet.put(data, None)
        if contact is not None:
            self._apply(account, contact, outcome, presence)
        if outcome.reply:
            self.services.send(Presence.make(to=jid, from_=account.jid, type=outcome.reply))
        if outcome.presence == "available":
            self._announce(account, jid)
        elif outcome.presence == "unavailable":
            self._withdraw(account, jid)

    def befriend(self, account: Account, jid: JID) -> None:
        """Makes `jid` a contact with a subscription both ways, without asking anybody: an invitation was accepted
        (XEP-0401 §5). Raises StanzaError(resource-constraint). The other side's roster is the caller's business."""
        contact = self._listed(account, jid)
        before = contact.sees_user
        contact.subscription, contact.ask, contact.approved, contact.pending_in = "both", False, False, None
        self._save(account, contact)
        self._push(account, contact.item())
        if not before:
            self._announce(account, jid)

    def admit(self, account: Account, guest: JID) -> None:
        """Whoever asks next from `guest` is let in, and asked back. Raises StanzaError(resource-constraint)."""
        # Approved before it is applied (RFC 6121 §3.4), so that it is answered as every approved request is.
        for kind in ("subscribed", "subscribe"):
            self.outbound(account, Presence.make(to=guest, from_=account.jid, type=kind))

    def farewell(self, account: Account) -> None:
        """The account is about to be deleted: ends every subscription, both ways. Its rows are not touched; the roster
        in memory is empty afterwards."""
        contacts, account.roster.contacts = list(account.roster), {}
        for contact in contacts:
            if contact.sees_user:
                self._withdraw(account, contact.jid)
            for wanted, kind in (
                (contact.sees_user or contact.pending_in is not None, "unsubscribed"),
                (contact.seen_by_user or contact.ask, "unsubscribe"),
            ):
                if wanted:
                    self.services.send(Presence.make(to=contact.jid, from_=account.jid, type=kind))

    def _listed(self, account: Account, jid: JID) -> Contact:
        """The contact, made an item of the roster if it is none."""
        contacts = account.roster.contacts
        contact = contacts.get(jid)
        if contact is None or not contact.listed:
            if sum(other.listed for other in contacts.values()) >= MAX_ITEMS:
                raise StanzaError("resource-constraint", "the roster is full", type="cancel")
            contact = contacts.setdefault(jid, Contact(jid))
            contact.listed = True
        return contact

    def _apply(self, account: Account, contact: Contact, outcome: Outcome, request: Presence | None) -> None:
        before = state(contact)
        after = outcome.after
        contact.subscription, contact.ask, contact.approved = after.subscription, after.ask, outcome.approved
        if not after.pending_in:
            contact.pending_in = None
        elif contact.pending_in is None and request is not None:
            contact.pending_in = kept(request)
        if outcome.push or before is not after:
            self._save(account, contact)
        if outcome.push and contact.listed:
            self._push(account, contact.item())

    def _save(self, account: Account, contact: Contact) -> None:
        key, value = encode(contact)
        if contact.listed or contact.pending_in is not None:
            self.store.put(TABLE, account.owner, key, value)
            account.roster.changed(contact)
        else:
            account.roster.drop(contact)
            self.store.delete(TABLE, account.owner, key)

    def _push(self, account: Account, item: Element) -> None:
        """To every interested session (§2.1.6). Nobody waits for their answers."""
        push: Iq | None = None
        for session in list(account.sessions.values()):  # a full outbox ends a session
            if session.interested:
                count = session.memory[_PUSHES] = session.memory.get(_PUSHES, 0) + 1
                push = push or Iq.make(type="set", children=(build(QUERY, {"ver": account.roster.version}, item),))
                one = push.addressed(to=session.jid, from_=None)
                one.attributes = {**push.attributes, "id": f"push{count}"}
                session.send(one)

    def _announce(self, account: Account, jid: JID) -> None:
        """The contact may see the user from now on (§3.1.5)."""
        for session in account.available():
            assert session.presence is not None
            self.services.send(session.presence.addressed(to=jid, from_=session.jid))

    def _withdraw(self, account: Account, jid: JID) -> None:
        """The contact may not see the user any more (§3.2.2, §3.3.3)."""
        for session in account.available():
            session.directed = {other for other in session.directed if other.bare != jid}
            self.services.send(Presence.make(to=jid, from_=session.jid, type="unavailable"))


def state(contact: Contact) -> State:
    return State.of(contact.subscription, ask=contact.ask, pending_in=contact.pending_in is not None)


def _before(contact: Contact | None) -> tuple[State, bool]:
    return (State.NONE, False) if contact is None else (state(contact), contact.approved)


def kept(request: Presence) -> bytes:
    """A subscription stanza as it waits for an answer, or for its addressee."""
    data = request.to_bytes()
    if len(data) > MAX_REQUEST:
        data = Presence.make(to=request.to, from_=request.from_, type=request.type).to_bytes()
    return data
