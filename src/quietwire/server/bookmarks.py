"""Bookmarks of rooms: an item each (XEP-0402), and the one list of older clients (XEP-0048), kept in step.

The list is the item ``current`` of the node ``storage:bookmarks``; private storage (XEP-0049) shows the same list.
Nodes are values that are replaced when they change: work that awaited reads looks whether they still are the same, and
starts again if not.
"""

from __future__ import annotations

from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.xml import Element, build, parse
from quietwire.server.node_config import MAX_ITEMS
from quietwire.server.nodes import Book, Node
from quietwire.server.publishing import Publisher, stored

NODE: Final = "urn:xmpp:bookmarks:1"
LEGACY: Final = "storage:bookmarks"
STORAGE: Final = f"{{{LEGACY}}}storage"
CURRENT: Final = "current"
"""The item of the list (XEP-0048 §3.1)."""

_OLD: Final = f"{{{LEGACY}}}conference"
_NEW: Final = f"{{{NODE}}}conference"
_PARTS: Final = ("nick", "password")
_TRUE: Final = ("1", "true")


def to_old(jid: str, conference: Element) -> Element:
    """An item's payload as an entry of the list. What only newer clients know stays in the item."""
    return build(_OLD, {"jid": jid, **_attributes(conference)}, *_copied(conference, NODE, LEGACY))


def to_new(conference: Element, former: Element | None) -> Element:
    """An entry of the list as an item's payload; `former`: the payload it replaces, whose extensions stay."""
    extensions = (child for child in former if child.tag == f"{{{NODE}}}extensions") if former is not None else ()
    return build(_NEW, _attributes(conference), *_copied(conference, LEGACY, NODE), *extensions)


def _attributes(conference: Element) -> dict[str, str]:
    return {str(key): conference.attrib[key] for key in ("name", "autojoin") if key in conference.attrib}


def _copied(conference: Element, before: str, after: str) -> list[Element]:
    texts = ((part, conference.findtext(f"{{{before}}}{part}")) for part in _PARTS)
    return [build(f"{{{after}}}{part}", text=text) for part, text in texts if text]


def _says(conference: Element, space: str) -> tuple[object, ...]:
    """What both kinds can say, to be compared."""
    parts = (conference.findtext(f"{{{space}}}{part}") or "" for part in _PARTS)
    return (conference.get("name", ""), conference.get("autojoin") in _TRUE, *parts)


async def read(publisher: Publisher, owner: JID) -> Element:
    """The list, ``<storage/>``. Raises StorageError."""
    book = await publisher.book(owner)
    if LEGACY not in book.nodes and NODE in book.nodes:
        await collate(publisher, owner, set())
    return await _list(book) or build(STORAGE)


async def collate(publisher: Publisher, owner: JID, changed: set[str]) -> None:
    """Items have changed: brings the list up to date. `changed`: those that may differ from the list; emptied."""
    book = await publisher.book(owner)
    while True:
        node, legacy = book.nodes.get(NODE), book.nodes.get(LEGACY)
        doing = set(changed)
        present = await _list(book)
        entries = {element.get("jid", ""): element for element in present or () if element.tag == _OLD}
        rest = [element for element in present or () if element.tag != _OLD]
        rooms = []
        for name in node.items if node is not None else ():
            if name in entries and name not in doing:
                rooms.append(entries[name])
            elif (found := await _item(book, node, name)) is not None:
                rooms.append(to_old(name, found))
        account = await publisher.services.load(owner)
        if account is None:
            return
        if book.nodes.get(NODE) is node and book.nodes.get(LEGACY) is legacy:
            break
    changed -= doing
    payload = stored(build(STORAGE, None, *rooms, *rest))
    if payload == (stored(present) if present is not None else b""):
        return
    try:
        publisher.publish(account, book, LEGACY, CURRENT, payload)
    except StanzaError:  # too long for one item: better no list than one from which an older client would drop rooms
        if legacy is not None:
            book.delete(book.nodes[LEGACY])


async def replace(publisher: Publisher, owner: JID, storage: Element) -> None:
    """An older client has set the list: changes the items that differ. Raises StanzaError as `Book.publish`."""
    wanted = _rooms(storage)
    book = await publisher.book(owner)
    while True:
        node = book.nodes.get(NODE)
        present = {name: await _item(book, node, name) for name in (node.items if node is not None else ())}
        account = await publisher.services.load(owner)
        if account is None:
            return
        if book.nodes.get(NODE) is node:
            break
    for jid, conference in wanted.items():
        former = present.get(jid)
        if former is None or _says(former, NODE) != _says(conference, LEGACY):
            publisher.publish(account, book, NODE, jid, stored(to_new(conference, former)))
    gone = [name for name in present if name not in wanted]
    if gone:
        publisher.retract(account, book, book.nodes[NODE], gone)


async def set_list(publisher: Publisher, owner: JID, storage: Element) -> None:
    """The list as private storage gets it: the items and the list itself. Raises StanzaError as `Book.publish`."""
    await replace(publisher, owner, storage)
    book = await publisher.book(owner)
    account = await publisher.services.load(owner)
    if account is not None:
        publisher.publish(account, book, LEGACY, CURRENT, stored(storage))


def _rooms(storage: Element) -> dict[str, Element]:
    """The entries by the room's bare JID; those without a good one are nobody's."""
    found: dict[str, Element] = {}
    for conference in storage.iterfind(_OLD):
        try:
            jid = parse_jid(conference.get("jid", ""))
        except JIDError:
            continue
        if len(found) < MAX_ITEMS:
            found[jid.bare.text] = conference
    return found


async def published(publisher: Publisher, owner: JID) -> Element | None:
    """The list as its node has it now."""
    return await _list(await publisher.book(owner))


async def _list(book: Book) -> Element | None:
    legacy = book.nodes.get(LEGACY)
    if legacy is None or legacy.last is None:
        return None
    payload = await book.payload(legacy, legacy.last)
    element = parse(payload, ns.CLIENT) if payload is not None else None
    return element if element is not None and element.tag == STORAGE else None


async def _item(book: Book, node: Node | None, name: str) -> Element | None:
    payload = await book.payload(node, name) if node is not None else None
    element = parse(payload, ns.CLIENT) if payload is not None else None
    return element if element is not None and element.tag == _NEW else None
