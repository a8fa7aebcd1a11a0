"""XEP-0054: vcard-temp, in step with vCard4 (XEP-0292) and the published avatar (XEP-0398).

Who may read the node of the vCard4 may read the vCard: by default those who see the user's presence. Who may not is
answered as for an account that does not exist. The owner opens it by configuring the node ``urn:xmpp:vcard4``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build, parse, serialise
from quietwire.server import avatars
from quietwire.server.module import Context, IqGet, IqSet, Keeps, Module, NodeHook, Setting, Xep
from quietwire.server.node_config import defaults
from quietwire.server.nodes import Book, Node
from quietwire.server.pep import may_read
from quietwire.server.publishing import Publisher, stored
from quietwire.server.vcard import (
    FOUR,
    KEY,
    NODE,
    OPEN_TABLE,
    PHOTO,
    TABLE,
    TEMP,
    VCARD,
    VCARD4,
    to_temp,
    to_vcard4,
)

ITEM: Final = "current"
VERSION: Final = 1
"""First byte of a row's value."""

MAX_CARD: Final = 65_536
"""Bytes of a vCard without its picture: people fill in some hundred."""

_BINVAL: Final = f"{{{TEMP}}}BINVAL"
_TYPE: Final = f"{{{TEMP}}}TYPE"


async def on_get(context: Context, iq: Iq) -> Iq:
    asker, account = iq.from_, context.account
    if account is None or asker is None:
        raise StanzaError("service-unavailable")
    owner, publisher = account.jid, _publisher(context)
    book = await publisher.book(owner)
    account = context.services.account(owner) or account
    node, row = _node(context, book), None
    if (asker.bare == owner or NODE in book.nodes) and may_read(account, node, asker):
        # Nothing is read for who may not see it: that would take its time.
        row = await context.ports["store"].get(_table(node), owner.text.encode(), KEY)
    photo = await avatars.photo(book, account, asker)
    card = _decode(row) if row is not None else None
    if card is None and photo is None and asker.bare != owner:
        raise StanzaError("service-unavailable")  # in one word for all reasons (XEP-0054 §3.3)
    if card is None:
        card = build(VCARD)
    if photo is not None:
        card.append(photo)
    return iq.result(card)


async def on_set(context: Context, iq: Iq) -> Iq:
    account = context.account
    if account is None or iq.from_ is None or iq.from_.bare != account.jid:
        raise StanzaError("forbidden")
    owner, publisher = account.jid, _publisher(context)
    card, photo = _split(iq.payload)
    value = serialise(card, ns.CLIENT)
    if len(value) > MAX_CARD:
        raise StanzaError("not-acceptable", f"a vCard has at most {MAX_CARD} bytes besides its picture")
    data = avatars.picture(photo.findtext(_BINVAL)) if photo is not None else b""
    if data:
        assert photo is not None
        await avatars.publish(publisher, owner, data, (photo.findtext(_TYPE) or "").strip().lower())
    else:
        await avatars.withdraw(publisher, owner)
    book = await publisher.book(owner)
    account = await context.services.load(owner)
    if account is None:
        raise StanzaError("item-not-found")
    if len(card) or NODE in book.nodes:
        publisher.publish(account, book, _node(context, book), ITEM, stored(to_vcard4(card)))
    _keep(context, account.owner, _node(context, book), bytes((VERSION,)) + value)
    await avatars.refresh(publisher, owner)
    return iq.result()


def _node(context: Context, book: Book) -> Node:
    """The node whose readers may read the vCard, made or as it would be made."""
    open: bool = context.state
    config = replace(defaults(NODE), access_model="open") if open else defaults(NODE)
    return book.nodes.get(NODE) or Node(NODE, config)


def _table(node: Node) -> str:
    """Where the vCard is: what everybody may read can be read while its owner is away."""
    return OPEN_TABLE if node.open else TABLE


def _keep(context: Context, owner: bytes, node: Node, value: bytes | None) -> None:
    """`value`: the row, None for no vCard."""
    store = context.ports["store"]
    store.delete(TABLE if node.open else OPEN_TABLE, owner, KEY)
    if value is None:
        store.delete(_table(node), owner, KEY)
    else:
        store.put(_table(node), owner, KEY, value)


def on_vcard4(context: Context) -> None:
    assert context.account is not None
    context.services.spawn(_convert(context, context.account.jid))


async def _convert(context: Context, owner: JID) -> None:
    """A client has published or removed its vCard4, or opened or closed its node."""
    publisher, store, key = _publisher(context), context.ports["store"], owner.text.encode()
    book = await publisher.book(owner)
    node = book.nodes.get(NODE)
    payload = await book.payload(node, node.last) if node is not None and node.last is not None else None
    rows = [await store.get(table, key, KEY) for table in (TABLE, OPEN_TABLE)]
    if context.services.account(owner) is None:
        return  # gone meanwhile
    found = parse(payload, ns.CLIENT) if payload is not None else None
    row = next((row for row in rows if row is not None), None)
    if found is None or found.tag != VCARD4:
        row = None
    elif row is None or stored(to_vcard4(_decode(row))) != payload:  # else it is in more detail than what came of it
        value = serialise(to_temp(found), ns.CLIENT)
        row = bytes((VERSION,)) + value if len(value) <= MAX_CARD else row
    _keep(context, key, node or _node(context, book), row)


def _split(card: Element) -> tuple[Element, Element | None]:
    """The card without the picture, and the picture if it is in the card itself."""
    photo = next((field for field in card if field.tag == PHOTO and (field.findtext(_BINVAL) or "").strip()), None)
    rest = build(card.tag, card.attrib, *(field for field in card if field is not photo and not _empty(field)))
    return rest, photo


def _empty(field: Element) -> bool:
    """``<PHOTO/>`` without a picture or a link to one."""
    return field.tag == PHOTO and not any((child.text or "").strip() for child in field if child.tag != _TYPE)


def _decode(value: bytes) -> Element:
    if value[:1] != bytes((VERSION,)):
        raise ValueError("a vCard's row of another version")
    return parse(value[1:], ns.CLIENT)


def _publisher(context: Context) -> Publisher:
    publisher: Publisher = context.ports["pep"]
    return publisher


MODULE = Module(
    name="vcard",
    xep=Xep(54, "1.3.0"),
    features=(TEMP,),
    account_features=(FOUR,),
    handlers=(
        IqGet(VCARD, on_get),
        IqSet(VCARD, on_set),
        NodeHook(NODE, on_vcard4),
        Setting("open", False, "Everybody may read a new vCard; its owner can close it with the node urn:xmpp:vcard4."),
    ),
    keeps=(
        Keeps("the vCard, without its picture", TABLE, True, "replaced by another one"),
        Keeps("the vCard, while its node is open to everybody", OPEN_TABLE, False, "replaced, or the node is closed"),
    ),
    emits="one reply per request; the vCard only to those who may read the node of the vCard4, the picture only to "
    "those who may read the avatar; a notification of the vCard4 and the avatar for each change",
    needs=("store", "pep"),
    state=lambda settings: bool(settings.get("open", False)),
)
