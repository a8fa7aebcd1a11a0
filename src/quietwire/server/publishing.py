"""Publishing in an account's name: what a client asks for (XEP-0060 §7) and what modules do for it (XEP-0398 §3).

`Publisher` is the port "pep". Modules that keep a node in step with something else register `module.NodeHook`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from quietwire.core.jid import JID, parse_jid
from quietwire.core.xml import Element, serialise
from quietwire.server import pep
from quietwire.server.account import Account
from quietwire.server.module import Services
from quietwire.server.node_config import defaults, pubsub_error
from quietwire.server.nodes import MAX_SUBSCRIBERS, Book, Library, Node
from quietwire.server.sealed.arriving import NODE, Arrivals
from quietwire.store.ports import Store

_NOWHERE: Final = "\0"
"""No namespace: a payload that is stored declares its own, even if that is the empty one."""


def stored(payload: Element) -> bytes:
    """The payload as an item keeps it."""
    return serialise(payload, _NOWHERE)


@dataclass(slots=True)
class Publisher:
    """`changed(account, node)` is told of what the account's own clients change, after it happened; never of what
    modules publish here, so that two that follow each other come to rest."""

    store: Store
    services: Services
    changed: Callable[[JID, str], None] = lambda account, node: None
    library: Library = field(default_factory=Library)
    arrivals: Arrivals | None = None
    """Where subscriptions wait that come while the owner is away."""

    _nothing: Book = field(init=False)
    """Of all of whom nothing is open: what strangers ask of them costs the same as of an account that is there."""

    def __post_init__(self) -> None:
        self._nothing = Book(self.store, b"", (), None)
        if self.arrivals is not None:
            self.arrivals.appliers[NODE] = self._arrived

    async def load(self, account: Account) -> Book:
        """The book of an account that is there, or about to be, from now on held by it. Raises StorageError."""
        audience = pep.audience_of(account)
        if audience.book is None:
            audience.book = await self.library.book(self.store, account.jid)
        return audience.book

    async def book(self, owner: JID) -> Book:
        """The account's book; of an account that is not in memory, or does not exist, what is open to everybody. Raises
        StorageError."""
        account, shows = self.services.account(owner), self.library.shows(self.store, owner)
        if account is not None:
            return pep.audience_of(account).book or await self.load(account)
        return await self.library.shown(self.store, owner) if shows else self._nothing

    def publish(self, account: Account, book: Book, node: Node | str, item: str, payload: bytes) -> None:
        """Publishes and tells who wants to know. `node`: a name stands for the node of that name, made with its
        defaults if there is none. Raises StanzaError as `Book.publish`."""
        if isinstance(node, str):
            node = book.nodes.get(node) or Node(node, defaults(node))
        book.publish(node, item, payload)
        node = book.nodes[node.name]
        self.tell(account, node, pep.item_event(account.jid, node.config, node.name, item, payload))

    def retract(self, account: Account, book: Book, node: Node, items: Iterable[str], *, notify: bool = False) -> None:
        """Retracts items that are there; `notify`: tell of it whatever the node's configuration says."""
        names = list(items)
        book.retract(node, names)
        if notify or node.config.notify_retract:
            self.tell(account, node, pep.retract_event(node.name, names))

    def subscribe(self, account: Account, book: Book, node: Node, jid: JID) -> None:
        """An explicit subscription. Raises StanzaError(policy-violation): too many."""
        if jid not in node.subscribers:
            # Who may not see it any more is forgotten (XEP-0163 §7.1).
            subscribers = {former for former in node.subscribers if pep.may_read(account, node, former)}
            if len(subscribers) >= MAX_SUBSCRIBERS:
                raise pubsub_error("policy-violation", "too-many-subscriptions", type="wait")
            book.put(replace(node, subscribers=frozenset((*subscribers, jid))))

    def subscribe_later(self, owner: JID, node: Node, jid: JID, *, ends: bool = False) -> None:
        """The same, or its end, for an account that is away. Raises StanzaError(policy-violation)."""
        content = json.dumps([node.name, jid.text, ends]).encode()
        if self.arrivals is None or not self.arrivals.keep(owner, NODE, jid.bare, content):
            raise pubsub_error("policy-violation", "too-many-subscriptions", type="wait")

    def _arrived(self, account: Account, content: bytes) -> None:
        name, text, ends = json.loads(content)
        jid, book = parse_jid(text), pep.audience_of(account).book
        node = book.nodes.get(name) if book is not None else None
        if book is None or node is None or not pep.may_read(account, node, jid):
            return
        if not ends:
            self.subscribe(account, book, node, jid)
        elif jid in node.subscribers:
            book.put(replace(node, subscribers=node.subscribers - {jid}))

    def tell(self, account: Account, node: Node, event: bytes) -> None:
        """The event, to all who are to have it."""
        if node.config.deliver_notifications:
            services = self.services
            pep.tell(services, account.jid, node.config, pep.recipients(services, account, node), event)
