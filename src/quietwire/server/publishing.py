"""Publishing in an account's name: what a client asks for (XEP-0060 §7) and what modules do for it (XEP-0398 §3).

`Publisher` is the port "pep". Modules that keep a node in step with something else register `module.NodeHook`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from quietwire.core.jid import JID
from quietwire.core.xml import Element, serialise
from quietwire.server import pep
from quietwire.server.account import Account
from quietwire.server.module import Services
from quietwire.server.node_config import defaults
from quietwire.server.nodes import Book, Library, Node
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

    async def book(self, owner: JID) -> Book:
        """The account's book, from now on held by the account if that is in memory. Raises StorageError."""
        book = await self.library.book(self.store, owner)
        account = self.services.account(owner)
        if account is not None:
            pep.audience_of(account).book = book
        return book

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

    def tell(self, account: Account, node: Node, event: bytes) -> None:
        """The event, to all who are to have it."""
        if node.config.deliver_notifications:
            services = self.services
            pep.tell(services, account.jid, node.config, pep.recipients(services, account, node), event)
