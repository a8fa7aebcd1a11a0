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
from quietwire.server.vcard import FOUR, NODE, PHOTO, TEMP, VCARD, VCARD4, to_temp, to_vcard4

TABLE: Final = "vcard"
KEY: Final = b"card"
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
    row = await context.ports["store"].get(TABLE, owner.text.encode(), KEY)
    photo = await avatars.photo(publisher, owner, asker)
    account = await context.services.load(owner)
    if account is None:
        raise StanzaError("service-unavailable")
    readable = may_read(account, _node(context, book), asker)
    card = _decode(row) if row is not None and readable else None
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
    context.ports["store"].put(TABLE, account.owner, KEY, bytes((VERSION,)) + value)
    await avatars.refresh(publisher, owner)
    return iq.result()


def _node(context: Context, book: Book) -> Node:
    """The node whose readers may read the vCard, made or as it would be made."""
    open: bool = context.state
    config = replace(defaults(NODE), access_model="open") if open else defaults(NODE)
    return book.nodes.get(NODE) or Node(NODE, config)


def on_vcard4(context: Context) -> None:
    assert context.account is not None
    context.services.spawn(_convert(context, context.account.jid))


async def _convert(context: Context, owner: JID) -> None:
    """A client has published or removed its vCard4."""
    publisher, store = _publisher(context), context.ports["store"]
    book = await publisher.book(owner)
    node = book.nodes.get(NODE)
    payload = await book.payload(node, node.last) if node is not None and node.last is not None else None
    if not context.services.exists(owner):
        return
    found = parse(payload, ns.CLIENT) if payload is not None else None
    if found is None or found.tag != VCARD4:
        store.delete(TABLE, owner.text.encode(), KEY)
        return
    value = serialise(to_temp(found), ns.CLIENT)
    if len(value) <= MAX_CARD:
        store.put(TABLE, owner.text.encode(), KEY, bytes((VERSION,)) + value)


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
        IqSet(VCARD, on_set, absent="forbidden"),
        NodeHook(NODE, on_vcard4),
        Setting("open", False, "Everybody may read a new vCard; its owner can close it with the node urn:xmpp:vcard4."),
    ),
    keeps=(Keeps("the vCard, without its picture", TABLE, False, "replaced by another one"),),
    emits="one reply per request; the vCard only to those who may read the node of the vCard4, the picture only to "
    "those who may read the avatar; a notification of the vCard4 and the avatar for each change",
    needs=("store", "pep"),
    state=lambda settings: bool(settings.get("open", False)),
)
