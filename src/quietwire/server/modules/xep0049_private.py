"""XEP-0049: Private XML Storage. An element of each name, for the account itself alone. Bookmarks (XEP-0048) are those
of XEP-0402 seen by older clients, and are not kept here."""

from __future__ import annotations

from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build, parse
from quietwire.server import bookmarks
from quietwire.server.module import Context, IqGet, IqSet, Keeps, Module, Xep
from quietwire.server.publishing import stored

NS: Final = "jabber:iq:private"
QUERY: Final = f"{{{NS}}}query"
TABLE: Final = "private"
VERSION: Final = 1
"""First byte of a row's value."""

MAX_NAME: Final = 1_023
"""Bytes of an element's name with its namespace; the bound that RFC 7622 sets for the parts of an address."""

MAX_ELEMENTS: Final = 100
"""Of one account, and of one request. Clients keep three: bookmarks, notes on contacts, their own settings."""

MAX_BYTES: Final = 1 << 20
"""Of one account: the longest stanza four times."""


async def on_get(context: Context, iq: Iq) -> Iq:
    owner = _owner(context, iq)
    found = [await _element(context, owner, wanted) for wanted in _children(iq)]
    return iq.result(build(QUERY, None, *found))


async def on_set(context: Context, iq: Iq) -> Iq:
    owner = _owner(context, iq)
    elements = _children(iq)
    rows = dict(await context.ports["store"].scan(TABLE, owner.text.encode()))
    new: dict[bytes, bytes] = {}
    for element in elements:
        name = element.tag.encode()
        if element.tag == bookmarks.STORAGE:
            continue
        if len(name) > MAX_NAME or not element.tag.startswith("{"):
            raise StanzaError("not-acceptable", "an element needs a namespace, and a name of a reasonable length")
        new[name] = bytes((VERSION,)) + stored(element)
    if len({*rows, *new}) > MAX_ELEMENTS or sum(map(len, (rows | new).values())) > MAX_BYTES:
        raise StanzaError("resource-constraint", f"at most {MAX_ELEMENTS} elements of {MAX_BYTES} bytes together")
    if not context.services.exists(owner):
        raise StanzaError("forbidden")  # deleted meanwhile
    for name, value in new.items():
        context.ports["store"].put(TABLE, owner.text.encode(), name, value)
    for element in elements:
        if element.tag == bookmarks.STORAGE:
            await bookmarks.set_list(context.ports["pep"], owner, element)
    return iq.result()


def _owner(context: Context, iq: Iq) -> JID:
    account = context.account
    if account is None or iq.from_ is None or iq.from_.bare != account.jid:
        raise StanzaError("forbidden")
    return account.jid


def _children(iq: Iq) -> list[Element]:
    children = list(iq.payload)
    if not 0 < len(children) <= MAX_ELEMENTS:
        raise StanzaError("bad-request", "name an element")
    return children


async def _element(context: Context, owner: JID, wanted: Element) -> Element:
    if wanted.tag == bookmarks.STORAGE:
        return await bookmarks.read(context.ports["pep"], owner)
    name = wanted.tag.encode()
    row = await context.ports["store"].get(TABLE, owner.text.encode(), name) if len(name) <= MAX_NAME else None
    if row is None:
        return build(wanted.tag)
    if row[:1] != bytes((VERSION,)):
        raise ValueError("a private element's row of another version")
    return parse(row[1:], ns.CLIENT)


MODULE = Module(
    name="private",
    xep=Xep(49, "1.2"),
    features=(),
    account_features=(NS,),
    handlers=(IqGet(QUERY, on_get), IqSet(QUERY, on_set)),
    keeps=(Keeps("what clients store there for themselves: notes on contacts, settings", TABLE, True, "replaced"),),
    emits="one reply per request, to the account itself",
    needs=("store", "pep"),
)
