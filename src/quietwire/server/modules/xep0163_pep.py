"""XEP-0163: Personal Eventing Protocol. Each account is a publish-subscribe service of its own (XEP-0060 1.30.0).

Whoever may not see a node is told that it does not exist, in the words that a node and an account get which do not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build, escape, serialise
from quietwire.server import pep
from quietwire.server.account import Account
from quietwire.server.module import (
    AccountHook,
    Context,
    IqGet,
    IqSet,
    Keeps,
    Loading,
    Module,
    Opening,
    PresenceHook,
    Xep,
)
from quietwire.server.node_config import (
    ERRORS,
    NODE_CONFIG,
    PUBLISH_OPTIONS,
    PUBSUB,
    NodeConfig,
    defaults,
    pubsub_error,
    read_form,
)
from quietwire.server.nodes import MAX_AFFILIATIONS, Book, Node
from quietwire.server.pep_presence import State, book_of, on_in, on_out, send_last
from quietwire.server.publishing import Publisher, stored

OWNER: Final = f"{PUBSUB}#owner"
RSM: Final = "http://jabber.org/protocol/rsm"
ITEM: Final = f"{{{PUBSUB}}}item"

MAX_ANSWER: Final = 200_000
"""Bytes of payload in one answer: with its frame a stanza of 256 KB, which passes everywhere. The rest can be had by
name."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to an account, and what it is about. `node`: the existing one of that name."""

    context: Context
    account: Account
    book: Book
    iq: Iq
    action: Element
    name: str
    node: Node | None

    @property
    def asker(self) -> JID:
        assert self.iq.from_ is not None
        return self.iq.from_

    @property
    def existing(self) -> Node:
        if self.node is None:
            raise StanzaError("item-not-found")
        return self.node

    def sibling(self, name: str) -> Element | None:
        return self.iq.payload.find(f"{{{PUBSUB}}}{name}")

    @property
    def publisher(self) -> Publisher:
        publisher: Publisher = self.context.ports["pep"]
        return publisher

    def notify(self, node: Node, event: bytes) -> None:
        self.publisher.tell(self.account, node, event)

    def changed(self) -> None:
        """Tells modules that follow the node."""
        self.publisher.changed(self.account.jid, self.name)

    def unsupported(self, feature: str) -> Iq:
        error = build(
            f"{{{ns.CLIENT}}}error",
            {"type": "cancel"},
            build(f"{{{ns.STANZAS}}}feature-not-implemented"),
            build(f"{{{ERRORS}}}unsupported", {"feature": feature}),
        )
        return Iq.make(to=self.iq.from_, from_=self.iq.to, type="error", id=self.iq.id, children=(error,))


_NOWHERE = Node("")


async def serve(context: Context, iq: Iq) -> Iq:
    if context.account is None or iq.from_ is None:
        raise StanzaError("service-unavailable")  # the server itself has no nodes
    owner = context.account.jid
    book = await book_of(context, owner)
    account = context.services.account(owner) or context.account
    pubsub = iq.payload
    action = pubsub[0] if len(pubsub) else build("none")
    name = action.get("node", "")
    node = book.nodes.get(name)
    mine = iq.from_.bare == owner
    # Asked of a node that is not there as well: how long that takes must not tell.
    readable = mine or pep.may_read(account, node or _NOWHERE, iq.from_)
    if not mine and (node is None or not readable):
        raise StanzaError("item-not-found")
    rule = _RULES.get((iq.type, action.tag))
    if rule is None:
        raise StanzaError("bad-request")
    if rule.owner and not mine:
        raise StanzaError("forbidden")
    request = Request(context, account, book, iq, action, name, node)
    if rule.feature:
        return request.unsupported(rule.feature)
    if rule.named and not name:
        raise pubsub_error(rule.unnamed, "nodeid-required")
    assert rule.act is not None
    return await rule.act(request)


# -- items ------------------------------------------------------------------------------------------------------------


async def _items(request: Request) -> Iq:
    """§6.5, newest first."""
    node = request.existing
    asked = [element.get("id", "") for element in request.action.iterfind(ITEM)]
    newest = list(reversed(node.items))
    names = [name for name in asked if name in node.items] if asked else newest[: _max_items(request.action)]
    taken: list[str] = []
    size = 0
    for name in names:
        size += node.items[name]
        if taken and size > MAX_ANSWER:
            break
        taken.append(name)
    out = [f"<pubsub xmlns='{PUBSUB}'><items node='{escape(node.name)}'>".encode()]
    for name in taken:
        payload = await request.book.payload(node, name)
        if payload is not None:
            out.append(pep.item(name, payload))
    out.append(b"</items>")
    if len(taken) < len(names):
        count = build(f"{{{RSM}}}count", text=str(len(names)))
        first = build(f"{{{RSM}}}first", {"index": "0"}, text=taken[0])
        out.append(
            serialise(build(f"{{{RSM}}}set", None, first, build(f"{{{RSM}}}last", text=taken[-1]), count), PUBSUB)
        )
    out.append(b"</pubsub>")
    iq = request.iq
    return Iq({"type": "result", "id": iq.id}, b"".join(out), (f"{{{PUBSUB}}}pubsub",), to=iq.from_, from_=iq.to)


def _max_items(action: Element) -> int | None:
    text = action.get("max_items")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text)):
        raise StanzaError("bad-request", "max_items: a number from 1")
    return int(text)


async def _publish(request: Request) -> Iq:
    """§7.1, with automatic creation and preconditions."""
    items = request.action.findall(ITEM)
    if len(items) != 1:
        raise pubsub_error("bad-request", "invalid-payload" if items else "item-required", "one item")
    if len(items[0]) != 1:
        raise pubsub_error("bad-request", "invalid-payload" if len(items[0]) else "payload-required")
    options = request.sibling("publish-options")
    wanted = read_form(options, PUBLISH_OPTIONS) if options is not None else None
    node = request.node
    if node is None:
        node = Node(request.name, defaults(request.name).apply(wanted or {}))
    elif not node.config.meets(wanted or {}):
        raise pubsub_error("conflict", "precondition-not-met")
    name = items[0].get("id") or request.context.ports["randomness"](16).hex()
    request.publisher.publish(request.account, request.book, node, name, stored(items[0][0]))
    request.changed()
    published = build(f"{{{PUBSUB}}}publish", {"node": node.name}, build(ITEM, {"id": name}))
    return request.iq.result(build(f"{{{PUBSUB}}}pubsub", None, published))


async def _retract(request: Request) -> Iq:
    """§7.2."""
    node = request.existing
    names = [element.get("id", "") for element in request.action.iterfind(ITEM)]
    if not names or not all(names):
        raise pubsub_error("bad-request", "item-required")
    if any(name not in node.items for name in names):
        raise StanzaError("item-not-found")
    notify = request.action.get("notify") in ("1", "true")
    request.publisher.retract(request.account, request.book, node, names, notify=notify)
    request.changed()
    return request.iq.result()


# -- nodes ------------------------------------------------------------------------------------------------------------


async def _create(request: Request) -> Iq:
    """§8.1."""
    if request.node is not None:
        raise StanzaError("conflict")
    form = request.sibling("configure")
    values = read_form(form, NODE_CONFIG) if form is not None else None
    request.book.put(Node(request.name, defaults(request.name).apply(values or {})))
    return request.iq.result()


async def _show_config(request: Request) -> Iq:
    """§8.2.2."""
    form = request.existing.config.form("form")
    configure = build(f"{{{OWNER}}}configure", {"node": request.name}, form)
    return request.iq.result(build(f"{{{OWNER}}}pubsub", None, configure))


async def _show_default(request: Request) -> Iq:
    """§8.3."""
    return request.iq.result(
        build(f"{{{OWNER}}}pubsub", None, build(f"{{{OWNER}}}default", None, NodeConfig().form("form")))
    )


async def _configure(request: Request) -> Iq:
    """§8.2.4."""
    node = request.existing
    values = read_form(request.action, NODE_CONFIG)
    if values:
        await request.book.configure(node, values)
        request.changed()
    return request.iq.result()


async def _delete(request: Request) -> Iq:
    """§8.4."""
    node = request.existing
    request.book.delete(node)
    if node.config.notify_delete:
        request.notify(node, pep.delete_event(node.name))
    request.changed()
    return request.iq.result()


async def _purge(request: Request) -> Iq:
    """§8.5."""
    node = request.existing
    if not node.config.persist_items:
        return request.unsupported("persistent-items")
    request.book.retract(node, list(node.items))
    if node.config.notify_retract:
        request.notify(node, pep.purge_event(node.name))
    request.changed()
    return request.iq.result()


# -- people -----------------------------------------------------------------------------------------------------------


async def _affiliations(request: Request) -> Iq:
    """§8.9.1."""
    everybody = {request.account.jid: "owner", **request.existing.affiliations}
    entries = (
        build(f"{{{OWNER}}}affiliation", {"jid": jid.text, "affiliation": affiliation})
        for jid, affiliation in everybody.items()
    )
    affiliations = build(f"{{{OWNER}}}affiliations", {"node": request.name}, *entries)
    return request.iq.result(build(f"{{{OWNER}}}pubsub", None, affiliations))


async def _affiliate(request: Request) -> Iq:
    """§8.9.2: members are a whitelist, outcasts are shut out of every access model."""
    node = request.existing
    affiliations = dict(node.affiliations)
    for element in request.action.iterfind(f"{{{OWNER}}}affiliation"):
        jid, affiliation = _address(element, "jid-malformed").bare, element.get("affiliation", "")
        if jid == request.account.jid or affiliation not in ("member", "outcast", "none"):
            raise StanzaError("not-acceptable", "others may be member, outcast or none")
        affiliations.pop(jid, None)
        if affiliation != "none":
            affiliations[jid] = affiliation
    if len(affiliations) > MAX_AFFILIATIONS:
        raise StanzaError("resource-constraint", f"at most {MAX_AFFILIATIONS} affiliations")
    request.book.put(replace(node, affiliations=affiliations))
    return request.iq.result()


async def _subscribe(request: Request) -> Iq:
    """§6.1. Who may see a node may subscribe to it."""
    node = request.existing
    jid = _address(request.action)
    if jid.bare != request.asker.bare:
        raise pubsub_error("bad-request", "invalid-jid")
    if request.account.away:
        request.publisher.subscribe_later(request.account.jid, node, jid)
    else:
        request.publisher.subscribe(request.account, request.book, node, jid)
    if node.config.send_last_published_item != "never" and node.config.deliver_notifications and node.items:
        context = request.context
        context.services.spawn(send_last(context, request.account.jid, jid, [node], request.book))
    return _subscription(request, jid, "subscribed")


async def _unsubscribe(request: Request) -> Iq:
    """§6.2. While the owner is away nobody can say who has subscribed: it is believed."""
    node = request.existing
    jid = _address(request.action)
    if jid.bare != request.asker.bare:
        raise StanzaError("forbidden")
    if request.account.away:
        request.publisher.subscribe_later(request.account.jid, node, jid, ends=True)
        return _subscription(request, jid, "none")
    if jid not in node.subscribers:
        raise pubsub_error("unexpected-request", "not-subscribed", type="cancel")
    request.book.put(replace(node, subscribers=node.subscribers - {jid}))
    return _subscription(request, jid, "none")


def _subscription(request: Request, jid: JID, state: str) -> Iq:
    attributes = {"node": request.name, "jid": jid.text, "subscription": state}
    return request.iq.result(build(f"{{{PUBSUB}}}pubsub", None, build(f"{{{PUBSUB}}}subscription", attributes)))


def _address(element: Element, otherwise: str = "bad-request") -> JID:
    try:
        return parse_jid(element.get("jid", ""))
    except JIDError:
        raise pubsub_error(otherwise, "invalid-jid") from None


# -- what there is ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    act: Callable[[Request], Awaitable[Iq]] | None
    owner: bool = True
    """Only the account itself may."""
    named: bool = True
    """It is about a node."""
    unnamed: str = "bad-request"
    feature: str = ""
    """XEP-0060's name of what is not there."""


def _lacking(feature: str) -> _Rule:
    return _Rule(None, owner=False, feature=feature)


def _in(space: str, rules: Iterable[tuple[str, str, _Rule]]) -> dict[tuple[str, str], _Rule]:
    return {(kind, f"{{{space}}}{name}"): rule for kind, name, rule in rules}


_RULES: Final[dict[tuple[str, str], _Rule]] = _in(
    PUBSUB,
    (
        ("get", "items", _Rule(_items, owner=False)),
        ("get", "subscriptions", _lacking("retrieve-subscriptions")),
        ("get", "affiliations", _lacking("retrieve-affiliations")),
        ("get", "options", _lacking("subscription-options")),
        ("get", "default", _lacking("retrieve-default-sub")),
        ("set", "publish", _Rule(_publish)),
        ("set", "retract", _Rule(_retract)),
        ("set", "create", _Rule(_create, unnamed="not-acceptable")),
        ("set", "subscribe", _Rule(_subscribe, owner=False)),
        ("set", "unsubscribe", _Rule(_unsubscribe, owner=False)),
        ("set", "options", _lacking("subscription-options")),
    ),
) | _in(
    OWNER,
    (
        ("get", "configure", _Rule(_show_config)),
        ("get", "default", _Rule(_show_default, named=False)),
        ("get", "affiliations", _Rule(_affiliations)),
        ("get", "subscriptions", _lacking("manage-subscriptions")),
        ("set", "configure", _Rule(_configure)),
        ("set", "delete", _Rule(_delete)),
        ("set", "purge", _Rule(_purge)),
        ("set", "affiliations", _Rule(_affiliate)),
        ("set", "subscriptions", _lacking("manage-subscriptions")),
    ),
)


async def on_open(context: Context) -> None:
    await context.ports["pep"].library.open(context.ports["store"])


async def on_loading(context: Context) -> None:
    """What strangers ask is answered from memory then, as for an account that is away: no read tells them apart."""
    assert context.account is not None
    await context.ports["pep"].load(context.account)


def on_erased(context: Context) -> None:
    assert context.account is not None
    context.ports["pep"].library.forget(context.ports["store"], context.account.jid)


_PUBSUB_TAG = f"{{{PUBSUB}}}pubsub"
_OWNER_TAG = f"{{{OWNER}}}pubsub"
_OPTIONS = f"{PUBSUB}#publish-options"
_FEATURES = (
    "access-open", "access-presence", "access-roster", "access-whitelist", "auto-create", "auto-subscribe",
    "config-node", "config-node-max", "create-and-configure", "create-nodes", "delete-items", "delete-nodes",
    "filtered-notifications", "item-ids", "last-published", "member-affiliation", "modify-affiliations",
    "multi-items", "outcast-affiliation", "persistent-items", "presence-subscribe", "publish", "publish-options",
    "pubsub-on-a-jid", "purge-nodes", "retract-items", "retrieve-default", "retrieve-items", "subscribe",
)  # fmt: skip

MODULE = Module(
    name="pep",
    xep=Xep(163, "1.2.2"),
    # Of the account, in truth; but there are clients that ask the server alone before they publish (profanity's OMEMO).
    # No more than that: with all features others take the server for a service where anybody may publish (Smack).
    features=(_OPTIONS,),
    handlers=(
        IqGet(_PUBSUB_TAG, serve),
        IqSet(_PUBSUB_TAG, serve),
        IqGet(_OWNER_TAG, serve),
        IqSet(_OWNER_TAG, serve),
        Opening(on_open),
        Loading(on_loading),
        PresenceHook("out", on_out),
        PresenceHook("in", on_in),
        AccountHook("erased", on_erased),
    ),
    keeps=(
        Keeps("names and settings of nodes, names and sizes of their items in order, who subscribed, who is let in or "
              "kept out", "node", True, "the node is deleted"),
        Keeps("items: bookmarks, avatars for contacts and what else clients publish", "item", True,
              "retracted, pushed out by newer ones, or the node is deleted or purged"),
        Keeps("of nodes that are open to everybody names and settings, names and sizes of items", "open_node", False,
              "the node is deleted or closed"),
        Keeps("items of open nodes: OMEMO devices and bundles, public avatars", "open_item", False,
              "retracted, pushed out by newer ones, or the node is deleted, purged or closed"),
        Keeps("who subscribed to an open node while its owner was away", "arrival", True, "the owner's next login"),
    ),
    emits="one reply per request; for each publication one message to each device that wants the node and may see it; "
    "to a device that becomes available the last item of each such node; to one of unknown kind a disco#info request",
    needs=("store", "randomness", "pep"),
    state=lambda _: State(),
    account_features=(PUBSUB, *(f"{PUBSUB}#{feature}" for feature in _FEATURES)),
    identities=(("pubsub", "pep", ""),),
)  # fmt: skip
