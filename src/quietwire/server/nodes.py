"""The nodes of personal eventing: an account's `Book` of them in memory, its rows in the store.

Table ``node``: key the node's name, value its configuration, who subscribed, and the names of its items in order.
Table ``item``: key node and item name, value the payload. Both are the owner's and sealed. Of a node that is open to
everybody there is a copy without people in ``open_node``, and its items are in ``open_item`` instead: these can be read
while the owner is away. A change writes the item first and then the node, in one turn and so in one commit; memory
changes when all were accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from weakref import WeakValueDictionary

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import Later
from quietwire.server.node_config import NodeConfig, pubsub_error
from quietwire.server.sealed.seals import Sealed
from quietwire.store.ports import Store

MAX_NODE: Final = 1_023
"""Bytes of a node's name: a namespace; the bound that RFC 7622 sets for the parts of an address."""

MAX_ITEM_ID: Final = 3_071
"""Bytes of an item's name: a whole address, as in bookmarks (XEP-0402). With its node it fills a key of the store."""

MAX_PAYLOAD: Final = 131_072
"""Bytes of one item. The largest in use, an avatar of 64 KB, has 90 KB in Base64; the answer that carries it must also
pass peers whose stanzas end at 256 KB."""

MAX_NODES: Final = 100
"""Nodes of one account. Rich clients use about 20, each another set; their rows are read together."""

MAX_BYTES: Final = 16 << 20
"""Bytes that one account may store here, as much as for its offline messages; an item counts `OVERHEAD` more."""

OVERHEAD: Final = 1_024
"""What an item costs besides its payload, in memory and on the disk; so an account has at most 16,384 of them."""

MAX_SUBSCRIBERS: Final = 200
"""Explicit subscriptions to a node. Strangers make them, and each multiplies what a publication costs."""

MAX_AFFILIATIONS: Final = 1_000
"""Addresses on a node's whitelist or shut out of it: half of a full roster."""

VERSION: Final = 1
"""First byte of a row's value."""

OPEN_NODE: Final = "open_node"
OPEN_ITEM: Final = "open_item"


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `items`: name -> bytes, oldest first. `affiliations`: bare JID -> member or outcast; the account is the
    owner. `subscribers`: who subscribed explicitly, bare or full JIDs."""

    name: str
    config: NodeConfig = field(default_factory=NodeConfig)
    items: dict[str, int] = field(default_factory=dict)
    affiliations: dict[JID, str] = field(default_factory=dict)
    subscribers: frozenset[JID] = frozenset()

    @property
    def last(self) -> str | None:
        """The name of the newest item."""
        return next(reversed(self.items), None)

    @property
    def open(self) -> bool:
        """Everybody may read it, but outcasts while the owner is there."""
        return self.config.access_model == "open"

    @property
    def shown(self) -> Node:
        """What strangers may know of an open node: not the people."""
        return replace(self, affiliations={}, subscribers=frozenset())

    @property
    def cost(self) -> int:
        return sum(self.items.values()) + OVERHEAD * (1 + len(self.items))

    def encode(self) -> tuple[bytes, bytes]:
        """(key, value) of its row."""
        values: dict[str, Any] = {"items": list(self.items.items())}
        if config := self.config.to_dict():
            values["config"] = config
        if self.affiliations:
            values["affiliations"] = {jid.text: affiliation for jid, affiliation in self.affiliations.items()}
        if self.subscribers:
            values["subscribers"] = sorted(jid.text for jid in self.subscribers)
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        return self.name.encode(), bytes((VERSION,)) + text.encode()

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Node:
        """Raises ValueError for a row that is damaged or of another version."""
        _check(value)
        values = json.loads(value[1:])
        try:
            return cls(
                key.decode(),
                NodeConfig.from_dict(values.get("config", {})),
                dict(values["items"]),
                {parse_jid(jid): affiliation for jid, affiliation in values.get("affiliations", {}).items()},
                frozenset(map(parse_jid, values.get("subscribers", ()))),
            )
        except (LookupError, TypeError, AttributeError):
            raise ValueError("a damaged row") from None


def _read(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[Node]:
    """Without those that cannot be read: one node is lost then, and not the account, whose login reads them."""
    for row in rows:
        with suppress(ValueError):
            yield Node.decode(*row)


def _check(value: bytes) -> None:
    if value[:1] != bytes((VERSION,)):
        raise ValueError("a row of another version")


def item_key(node: str, item: str) -> bytes:
    """Unambiguous: the node's length comes first."""
    name = node.encode()
    return len(name).to_bytes(2, "big") + name + item.encode()


class Book:
    """All nodes of one account, or those that are open: then it cannot be changed. Every change is one turn; the same
    object serves all who use it at a time. `changed(book)` is called after each."""

    def __init__(
        self,
        store: Store,
        owner: bytes,
        nodes: Iterable[Node] = (),
        changed: Callable[[Book], None] | None = lambda book: None,
    ) -> None:
        """`changed`: None for a book of open nodes only."""
        self._store = store
        self._owner = owner
        self._changed = changed
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}

    @property
    def cost(self) -> int:
        return sum(node.cost for node in self.nodes.values())

    async def configure(self, node: Node, values: Mapping[str, tuple[str, ...]]) -> None:
        """Changes the configuration (`node_config.read_form`). Raises StanzaError: item-not-found if it is deleted
        meanwhile, and as `NodeConfig.apply`."""
        while True:
            changed = replace(node, config=node.config.apply(values))
            rows: dict[bytes, bytes] = {}
            if changed.open != node.open:
                keys = [item_key(node.name, item) for item in node.items]
                rows = await self._store.get_many(_item_table(node), self._owner, keys)
            now = self.nodes.get(node.name)
            if now is node:
                self.put(changed, rows)
                return
            if now is None:
                raise StanzaError("item-not-found")
            node = now

    def put(self, node: Node, moved: Mapping[bytes, bytes] = MappingProxyType({})) -> None:
        """A new node or a changed one, whose items are no others than before, and at most `max_items`. `moved`: rows of
        the items where it opens or closes to everybody. Raises StanzaError: not-acceptable (name too long), conflict
        (too many nodes), recipient-unavailable (a book that cannot be changed)."""
        former = self.nodes.get(node.name)
        if former is None:
            if not 0 < len(node.name.encode()) <= MAX_NODE:
                raise StanzaError("not-acceptable", f"a node's name has 1 to {MAX_NODE} bytes")
            if len(self.nodes) >= MAX_NODES:
                raise pubsub_error("conflict", "max-nodes-exceeded")
        limit = node.config.max_items if node.config.persist_items else 0
        kept = dict(list(node.items.items())[-limit:]) if limit else {}
        dropped = node.items.keys() - kept.keys()
        self._write(replace(node, items=kept), dropped, moved)

    def publish(self, node: Node, item: str, payload: bytes) -> None:
        """Adds an item, or replaces the one of that name, as the newest; the oldest give way. A node that does not keep
        items is only made. Raises StanzaError as `put`, and: not-acceptable (item too long), resource-constraint."""
        if len(item.encode()) > MAX_ITEM_ID:
            raise StanzaError("not-acceptable", f"an item's name has at most {MAX_ITEM_ID} bytes")
        if len(payload) > MAX_PAYLOAD:
            raise pubsub_error("not-acceptable", "payload-too-big", f"at most {MAX_PAYLOAD} bytes")
        if not node.config.persist_items:
            self.put(node)
            return
        items = {name: size for name, size in node.items.items() if name != item}
        items[item] = len(payload)
        changed = replace(node, items=dict(list(items.items())[-node.config.max_items :]))
        former = self.nodes.get(node.name)
        if self.cost + changed.cost - (former.cost if former else 0) > MAX_BYTES:
            raise StanzaError("resource-constraint", f"at most {MAX_BYTES} bytes an account")
        if former is None:
            self.put(replace(node, items={}))  # its limits
        self._check_owned()
        self._store.put(_item_table(node), self._owner, item_key(node.name, item), bytes((VERSION,)) + payload)
        self._write(changed, node.items.keys() - changed.items.keys())

    def retract(self, node: Node, items: Iterable[str]) -> None:
        dropped = set(items)
        self._write(replace(node, items={i: size for i, size in node.items.items() if i not in dropped}), dropped)

    def delete(self, node: Node) -> None:
        changed = self._check_owned()
        for item in node.items:
            self._store.delete(_item_table(node), self._owner, item_key(node.name, item))
        self._store.delete("node", self._owner, node.name.encode())
        if node.open:
            self._store.delete(OPEN_NODE, self._owner, node.name.encode())
        del self.nodes[node.name]
        changed(self)

    def _write(self, node: Node, dropped: Iterable[str], moved: Mapping[bytes, bytes] = MappingProxyType({})) -> None:
        changed = self._check_owned()
        former = self.nodes.get(node.name, node)
        self._store.put("node", self._owner, *node.encode())
        if node.open:
            self._store.put(OPEN_NODE, self._owner, *node.shown.encode())
        elif former.open:
            self._store.delete(OPEN_NODE, self._owner, node.name.encode())
        for item in dropped:
            self._store.delete(_item_table(former), self._owner, item_key(node.name, item))
        kept = {item_key(node.name, item) for item in node.items} if moved else ()
        for key in moved.keys() & kept:
            self._store.delete(_item_table(former), self._owner, key)
            self._store.put(_item_table(node), self._owner, key, moved[key])
        self.nodes[node.name] = node
        changed(self)

    def _check_owned(self) -> Callable[[Book], None]:
        if self._changed is None:
            raise Sealed
        return self._changed

    async def payload(self, node: Node, item: str) -> bytes | None:
        """The item's payload, an element with its namespace; None if it has gone meanwhile."""
        value = await self._store.get(_item_table(node), self._owner, item_key(node.name, item))
        if value is None:
            return None
        _check(value)
        return value[1:]


def _item_table(node: Node) -> str:
    return OPEN_ITEM if node.open else "item"


class Library:
    """Books by account. One book an account at a time, however many use it; nobody keeps one here: an account in memory
    holds its own. Of one that is not there `shown` gives what everybody may see."""

    def __init__(self) -> None:
        self._books: WeakValueDictionary[JID, Book] = WeakValueDictionary()
        self._loading: dict[JID, Later[Book]] = {}
        self._open: set[bytes] = set()
        """Handles of those with an open node. Of all others strangers learn nothing, and nothing is read for it: no
        more than for a name that does not exist."""

    async def open(self, store: Store) -> None:
        """Before the first stream. Raises StorageError."""
        self._open.update(await store.owners(OPEN_NODE))

    def held(self, owner: JID) -> Book | None:
        """The account's book if it is in memory."""
        return self._books.get(owner)

    def shows(self, store: Store, owner: JID) -> bool:
        """Whether there is such an account with an open node."""
        return store.handle(OPEN_NODE, owner.text.encode()) in self._open

    async def shown(self, store: Store, owner: JID) -> Book:
        """The open nodes of an account, or of none. Raises StorageError."""
        key = owner.text.encode()
        rows = await store.scan(OPEN_NODE, key) if self.shows(store, owner) else ()
        return Book(store, key, _read(rows), None)

    async def book(self, store: Store, owner: JID) -> Book:
        """The whole book of an account whose owner is there. Raises StorageError."""
        book = self._books.get(owner)
        if book is not None:
            return book
        loading = self._loading.get(owner)
        if loading is None:
            loading = self._loading[owner] = Later()
            try:
                key = owner.text.encode()
                rows = await store.scan("node", key)
                book = Book(store, key, _read(rows), partial(self._changed, store, key))
            except BaseException as error:
                del self._loading[owner]
                loading.fail(error)
                raise
            del self._loading[owner]
            self._books[owner] = book
            loading.resolve(book)
            return book
        return await loading

    def forget(self, store: Store, owner: JID) -> None:
        """The account is erased: who still has its book keeps a dead one."""
        self._books.pop(owner, None)
        self._open.discard(store.handle(OPEN_NODE, owner.text.encode()))

    def _changed(self, store: Store, owner: bytes, book: Book) -> None:
        handle = store.handle(OPEN_NODE, owner)
        if any(node.open for node in book.nodes.values()):
            self._open.add(handle)
        else:
            self._open.discard(handle)
