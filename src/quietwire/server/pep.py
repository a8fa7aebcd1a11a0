"""Personal eventing (XEP-0163 1.2.2): who may read a node, who is told of it, and in what words.

A client says what it wants to be told with ``NODE+notify`` among its features (XEP-0060 §9.2), learnt through its
presence (`server/caps.py`). Nobody else gets a notification, except who has subscribed explicitly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from quietwire.core.jid import JID
from quietwire.core.stanza import Message
from quietwire.core.xml import escape
from quietwire.server.account import Account, Session
from quietwire.server.caps import Claim
from quietwire.server.module import Services
from quietwire.server.node_config import PUBSUB, NodeConfig
from quietwire.server.nodes import Book, Node

EVENT: Final = f"{PUBSUB}#event"
NOTIFY: Final = "+notify"
MEMORY: Final = "pep"
"""The key of what is held in `Session.memory` and `Account.memory`."""

MAX_RESOURCES: Final = 10
"""Devices of one correspondent elsewhere whose wishes are remembered; the oldest is forgotten first."""

MAX_STRANGERS: Final = 100
"""People without a subscription whose directed presence is remembered for open nodes; the oldest is forgotten first.
Contacts are bounded by the roster."""


def may_read(account: Account, node: Node, asker: JID) -> bool:
    """Whether `asker` may see the node of `account` (XEP-0060 §4.5), by what the roster says now."""
    bare = asker.bare
    if bare == account.jid:
        return True
    if account.blocks and account.blocks.covers(asker):
        return False
    affiliation = node.affiliations.get(bare)
    if affiliation == "outcast":
        return False
    model = node.config.access_model
    if model == "open":
        return True
    if model == "whitelist":
        return affiliation == "member"
    contact = account.roster.get(bare)
    if contact is None or not contact.sees_user:
        return False
    return model == "presence" or not set(contact.groups).isdisjoint(node.config.roster_groups_allowed)


# -- what clients want ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Interest:
    """What one client wants. `claim`: what its last presence said of itself. `served`: for each account, the nodes
    whose last items it was sent since it became available."""

    claim: Claim | None = None
    known: bool = False
    """`nodes` is what the client of `claim` wants."""
    nodes: frozenset[str] = frozenset()
    served: dict[JID, frozenset[str]] = field(default_factory=dict)

    def learnt(self, features: frozenset[str]) -> None:
        self.known = True
        self.nodes = frozenset(f.removesuffix(NOTIFY) for f in features if f.endswith(NOTIFY))

    def due(self, owner: JID) -> frozenset[str]:
        """The nodes of `owner` whose last items it has not had; it is taken to get them now."""
        due = self.nodes - self.served.get(owner, frozenset())
        if due:
            self.served[owner] = self.nodes
        return due


class Audience:
    """What an account in memory knows of clients that sent it presence: those of contacts elsewhere, and strangers'."""

    __slots__ = ("_contacts", "_strangers", "book")

    def __init__(self) -> None:
        self.book: Book | None = None
        """Keeps the account's book in memory as long as the account."""
        self._contacts: dict[JID, dict[JID, Interest]] = {}
        self._strangers: dict[JID, dict[JID, Interest]] = {}

    def hear(self, full: JID, *, contact: bool) -> Interest:
        """The interest of an available client, a new one if it was not known as such."""
        here, there = (self._contacts, self._strangers) if contact else (self._strangers, self._contacts)
        bare = full.bare
        moved = there.pop(bare, None)
        clients = here.setdefault(bare, moved or {})
        interest = clients.setdefault(full, Interest())
        if len(clients) > MAX_RESOURCES:
            del clients[next(iter(clients))]
        if len(self._strangers) > MAX_STRANGERS:
            del self._strangers[next(iter(self._strangers))]
        return interest

    def forget(self, full: JID) -> None:
        """It is unavailable; a bare JID is all of its clients."""
        for people in (self._contacts, self._strangers):
            clients = people.get(full.bare)
            if clients is None:
                continue
            if full.resource:
                clients.pop(full, None)
            else:
                clients.clear()
            if not clients:
                del people[full.bare]

    def get(self, full: JID) -> Interest | None:
        for people in (self._contacts, self._strangers):
            interest = people.get(full.bare, {}).get(full)
            if interest is not None:
                return interest
        return None

    def __iter__(self) -> Iterator[tuple[JID, Interest]]:
        for people in (self._contacts, self._strangers):
            for clients in people.values():
                yield from clients.items()


def interest_of(session: Session) -> Interest | None:
    """What a local session wants; None while it is unavailable."""
    interest = session.memory.get(MEMORY)
    return interest if isinstance(interest, Interest) and session.presence is not None else None


def audience_of(account: Account) -> Audience:
    audience = account.memory.get(MEMORY)
    if not isinstance(audience, Audience):
        audience = account.memory[MEMORY] = Audience()
    return audience


def recipients(services: Services, account: Account, node: Node) -> list[JID]:
    """Who is told of a change (XEP-0163 §4.3), each once: the account's own clients, contacts' and those that sent
    presence, if they want the node and may see it; then explicit subscribers whom this has not reached."""
    found: dict[JID, None] = {}
    contacts = [contact.jid for contact in account.roster if may_read(account, node, contact.jid)]
    for bare in (account.jid, *contacts):
        local = services.account(bare)
        for session in local.available() if local is not None else ():
            interest = interest_of(session)
            if interest is not None and node.name in interest.nodes:
                found[session.jid] = None
    for full, interest in audience_of(account):
        if node.name in interest.nodes and may_read(account, node, full):
            found[full] = None
    reached = {jid.bare for jid in found}
    for subscriber in sorted(node.subscribers, key=lambda jid: jid.text):
        if may_read(account, node, subscriber) and (subscriber.resource or subscriber not in reached):
            found[subscriber] = None
    return list(found)


# -- words ------------------------------------------------------------------------------------------------------------


def item(name: str, payload: bytes, publisher: str = "") -> bytes:
    """``<item/>`` around a stored payload, which declares its own namespace."""
    said = f" publisher='{escape(publisher)}'" if publisher else ""
    return b"<item id='%b'%b>%b</item>" % (escape(name).encode(), said.encode(), payload)


def item_event(account: JID, config: NodeConfig, node: str, name: str, payload: bytes) -> bytes:
    """The news of an item (§7.1.2 of XEP-0060), with or without its payload."""
    publisher = account.text if config.itemreply == "publisher" else ""
    return _event("items", node, item(name, payload if config.deliver_payloads else b"", publisher))


def retract_event(node: str, names: Iterable[str]) -> bytes:
    return _event("items", node, b"".join(b"<retract id='%b'/>" % escape(name).encode() for name in names))


def purge_event(node: str) -> bytes:
    return _event("purge", node)


def delete_event(node: str) -> bytes:
    return _event("delete", node)


def _event(kind: str, node: str, inner: bytes = b"") -> bytes:
    return b"<event xmlns='%b'><%b node='%b'>%b</%b></event>" % (
        EVENT.encode(), kind.encode(), escape(node).encode(), inner, kind.encode(),
    )  # fmt: skip


def tell(services: Services, account: JID, config: NodeConfig, to: Iterable[JID], event: bytes) -> None:
    """A message from the account's bare JID to each. Which device published is not told: the replyto of XEP-0163 §4.3.1
    would name it; nor when, which nobody keeps."""
    attributes = {} if config.notification_type == "normal" else {"type": config.notification_type}
    for jid in to:
        services.send(Message(attributes, event, (f"{{{EVENT}}}event",), to=jid, from_=account))
