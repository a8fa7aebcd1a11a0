"""XEP-0030: Service Discovery. What the server and its accounts are, can do and offer."""

from __future__ import annotations

from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element
from quietwire.server import commands, disco
from quietwire.server.caps import SERVER_NODE, make_c
from quietwire.server.module import Context, Hosted, IqGet, Module, Xep
from quietwire.server.node_config import PUBSUB
from quietwire.server.nodes import Node
from quietwire.server.pep import may_read

_COMMAND: Final = (commands.NS, "jabber:x:data")
_COMMANDS: Final = disco.info((("automation", "command-list", ""),), _COMMAND)
_LEAF: Final = disco.info((("pubsub", "leaf", ""),), (PUBSUB,))


async def on_info(context: Context, iq: Iq) -> Iq:
    node = iq.payload.get("node")
    if node and _takes_commands(context):
        if node == commands.NS:
            return iq.result(_COMMANDS.query(node))
        given = context.services.commands(context.session)
        if node in given:
            return iq.result(disco.info((("automation", "command-node", given[node][0]),), _COMMAND).query(node))
    if context.account is None:
        return iq.result(_server(context, node))
    if not _admitted(context, iq):
        raise StanzaError("service-unavailable")
    if node:
        await _node(context, iq, node)
        return iq.result(_LEAF.query(node))
    return iq.result(disco.account_info(context.ports["modules"]).query(node))


async def on_items(context: Context, iq: Iq) -> Iq:
    name = iq.payload.get("node")
    if name == commands.NS and _takes_commands(context):
        given = context.services.commands(context.session)
        at = context.domain if context.account is None else context.account.jid
        entries = ({"jid": at.text, "node": node, "name": given[node][0]} for node in sorted(given))
        return iq.result(disco.items(entries, name))
    if context.account is None:
        if name:
            raise StanzaError("item-not-found")
        return iq.result(disco.items(_hosted(context), name))
    if not _admitted(context, iq):
        return nothing(iq)
    jid = context.account.jid.text
    if name:
        node = await _node(context, iq, name)
        return iq.result(disco.items(({"jid": jid, "name": item} for item in reversed(node.items)), name))
    nodes = await _nodes(context, iq)
    entries = ({"jid": jid, "node": node, **_titled(nodes[node])} for node in sorted(nodes))
    return iq.result(disco.items(entries, name))


def _takes_commands(context: Context) -> bool:
    """The server does, and the asker's own account."""
    own = context.session is not None and context.session.account is context.account
    return context.account is None or own


def _hosted(context: Context) -> list[dict[str, str]]:
    """The domains below ours."""
    found = [h for module in context.ports["modules"] for h in module.handlers if isinstance(h, Hosted)]
    return [
        {"jid": f"{h.label}.{context.domain.domain}"} | ({"name": h.name} if h.name else {})
        for h in sorted(found, key=lambda h: h.label)
    ]


def _titled(node: Node) -> dict[str, str]:
    return {"name": node.config.title} if node.config.title else {}


def _server(context: Context, node: str | None) -> Element:
    query = disco.server_info(context.ports["modules"]).query(node)
    if node and node != f"{SERVER_NODE}#{make_c(SERVER_NODE, query).get('ver')}":
        raise StanzaError("item-not-found")
    return query


def _admitted(context: Context, iq: Iq) -> bool:
    """An account answers itself and those who may see its presence; others learn no more than of one that is none."""
    account, asker = context.account, iq.from_
    assert account is not None
    assert asker is not None
    contact = account.roster.get(asker.bare)
    return asker.bare == account.jid or (contact is not None and contact.sees_user)


def nothing(iq: Iq) -> Iq:
    """§8: an account that does not exist has no items, and one that says nothing of itself has none either."""
    return iq.result(disco.items((), iq.payload.get("node")))


async def _nodes(context: Context, iq: Iq) -> dict[str, Node]:
    """The nodes that the asker may see, by name."""
    assert context.account is not None
    assert iq.from_ is not None
    owner, asker = context.account.jid, iq.from_
    book = await context.ports["pep"].book(owner)
    account = context.services.account(owner) or context.account
    return {name: node for name, node in book.nodes.items() if may_read(account, node, asker)}


async def _node(context: Context, iq: Iq, name: str) -> Node:
    node = (await _nodes(context, iq)).get(name)
    if node is None:
        raise StanzaError("item-not-found")
    return node


MODULE = Module(
    name="disco",
    xep=Xep(30, "2.5.0"),
    features=(ns.DISCO_INFO, ns.DISCO_ITEMS),
    handlers=(IqGet(disco.INFO, on_info), IqGet(disco.ITEMS, on_items)),
    keeps=(),
    emits="one reply per request; of an account, only to itself and to those who see its presence",
    needs=("modules", "pep"),
)
