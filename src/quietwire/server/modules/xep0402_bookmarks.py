"""XEP-0402: PEP Native Bookmarks, in step with what older clients read and write (XEP-0048): `server/bookmarks.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.server.bookmarks import LEGACY, NODE, collate, published, replace
from quietwire.server.module import AccountHook, Context, Module, NodeHook, Xep


@dataclass(frozen=True, slots=True)
class State:
    changed: dict[JID, set[str]] = field(default_factory=dict)
    """Items that the list does not show yet, for the moment until it does."""


def on_items(context: Context) -> None:
    assert context.account is not None
    owner = context.account.jid
    book = context.ports["pep"].library.held(owner)
    node = book.nodes.get(NODE) if book is not None else None
    changed = context.state.changed.setdefault(owner, set())
    if node is not None and node.last is not None:
        changed.add(node.last)
    context.services.spawn(_collate(context, owner, changed))


async def _collate(context: Context, owner: JID, changed: set[str]) -> None:
    try:
        await collate(context.ports["pep"], owner, changed)
    finally:
        if not changed:
            context.state.changed.pop(owner, None)


def on_list(context: Context) -> None:
    assert context.account is not None
    context.services.spawn(_replace(context, context.account.jid))


async def _replace(context: Context, owner: JID) -> None:
    publisher = context.ports["pep"]
    storage = await published(publisher, owner)
    if storage is None:
        return  # the list was deleted: an older client tidies up what it does not use any more
    try:
        await replace(publisher, owner, storage)
    except StanzaError:
        await collate(publisher, owner, set())  # no room for it: the list says again what there is


def on_erased(context: Context) -> None:
    assert context.account is not None
    context.state.changed.pop(context.account.jid, None)


MODULE = Module(
    name="bookmarks",
    xep=Xep(402, "1.2.0"),
    features=(),
    account_features=(f"{NODE}#compat", f"{NODE}#compat-pep"),
    handlers=(NodeHook(NODE, on_items), NodeHook(LEGACY, on_list), AccountHook("erased", on_erased)),
    keeps=(),
    emits="for each change of a bookmark a second notification, to the account's own devices that want the older list",
    needs=("pep",),
    state=lambda _: State(),
)
