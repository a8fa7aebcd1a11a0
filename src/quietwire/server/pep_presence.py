"""Personal eventing and presence: learns what available clients want, and sends them what they missed.

A client that became available gets the last item of each node it wants (XEP-0163 §4.3.4). A local client is served
when it comes, from all local accounts that it sees, whether those are there or away. A client elsewhere, and a local
one that is none of the contacts, is served by each account that its presence reaches. From accounts that are away all
get what is open to everybody.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from quietwire.core.jid import JID
from quietwire.core.stanza import Presence
from quietwire.server.account import Account, Session
from quietwire.server.caps import Caps, Claim, claim
from quietwire.server.module import Context
from quietwire.server.nodes import Book, Node
from quietwire.server.pep import MEMORY, Interest, audience_of, interest_of, item_event, may_read, tell

MAX_VISITORS: Final = 2_000
"""Clients that were served by accounts that are away: one that is forgotten is served again at its next presence."""


@dataclass(frozen=True, slots=True)
class State:
    """Of the module: one for the life of the server."""

    caps: Caps = field(default_factory=Caps)
    visitors: OrderedDict[tuple[JID, JID], Claim] = field(default_factory=OrderedDict)
    """Of accounts that are away: (the account, who is available to it and was served) -> what that client is."""


async def book_of(context: Context, owner: JID) -> Book:
    """See `Publisher.book`."""
    book: Book = await context.ports["pep"].book(owner)
    return book


async def send_last(context: Context, owner: JID, to: JID, nodes: list[Node], book: Book) -> None:
    """The last item of each of `nodes` to one address, if it may see them."""
    account = context.services.account(owner) or Account.absent(owner)
    readable = [node for node in nodes if may_read(account, node, to)]
    for node in readable:
        name = node.last
        payload = None if name is None else await book.payload(node, name)
        if name is not None and payload is not None:
            tell(context.services, owner, node.config, (to,), item_event(owner, node.config, node.name, name, payload))


async def greet(context: Context, owner: JID, to: JID, wanted: frozenset[str]) -> None:
    """To a client that became available: the last items of the nodes it wants."""
    book = await book_of(context, owner)
    nodes = [
        node
        for name in sorted(wanted)
        if (node := book.nodes.get(name)) is not None
        and node.config.send_last_published_item == "on_sub_and_presence"
        and node.config.deliver_notifications
        and node.items
    ]
    if nodes:
        await send_last(context, owner, to, nodes, book)


# -- local clients ----------------------------------------------------------------------------------------------------


def on_out(context: Context, presence: Presence) -> None:
    """A local client is available, has changed what it wants, or is gone."""
    session, account = context.session, context.account
    assert session is not None
    assert account is not None
    if session.presence is None:
        session.memory.pop(MEMORY, None)
        return
    interest: Interest = session.memory.setdefault(MEMORY, Interest())
    said = claim(presence)
    if said is None or (said == interest.claim and interest.known):
        return  # without capabilities it wants nothing new (XEP-0115 §7.3)
    interest.claim = said

    def learnt(features: frozenset[str]) -> None:
        if interest_of(session) is interest and interest.claim == said:
            interest.learnt(features)
            context.services.spawn(_greet_session(context, session, interest))

    context.state.caps.learn(context.services, said, account.jid, session.jid, learnt)


async def _greet_session(context: Context, session: Session, interest: Interest) -> None:
    account, domain = session.account, context.domain.domain
    contacts = [c.jid for c in account.roster if c.seen_by_user and c.jid.domain == domain]
    for owner in (account.jid, *contacts):
        if interest_of(session) is not interest:
            return
        if context.services.exists(owner) and (due := interest.due(owner)):
            await greet(context, owner, session.jid, due)


# -- presence that reached an account ---------------------------------------------------------------------------------


def on_in(context: Context, presence: Presence) -> None:
    account, sender = context.account, presence.from_
    assert account is not None
    if sender is None or sender.bare == account.jid:
        return
    if account.away:
        _visited(context, account.jid, sender, presence)
        return
    if presence.type == "unavailable":
        audience_of(account).forget(sender)
        return
    if presence.type or not sender.resource:
        return
    contact = account.roster.get(sender.bare)
    sees_user = contact is not None and contact.sees_user
    if sender.domain == context.domain.domain:
        if contact is not None and contact.seen_by_user:
            _greet_from(context, account, sender.bare)
        if sees_user:
            return  # served by `on_out`, and found as a session
    said = claim(presence)
    if said is None:
        return
    if sees_user:
        _hear(context, account, sender, said, contact=True)
    else:
        context.services.spawn(_hear_stranger(context, account.jid, sender, said))


def _greet_from(context: Context, account: Account, owner: JID) -> None:
    """A local contact is available, perhaps because it has just let us see it: then its items were never sent."""
    for session in account.available():
        interest = interest_of(session)
        if interest is not None and (due := interest.due(owner)):
            context.services.spawn(greet(context, owner, session.jid, due))


def _visited(context: Context, owner: JID, sender: JID, presence: Presence) -> None:
    """Presence for an account that is away, or for a name that is none: only one with open nodes asks what the sender
    wants, as it would any stranger."""
    visitors: OrderedDict[tuple[JID, JID], Claim] = context.state.visitors
    who = owner, sender
    if presence.type:
        visitors.pop(who, None)
        return
    said = claim(presence)
    if not sender.resource or said is None or visitors.get(who) == said:
        return
    if not context.ports["pep"].library.shows(context.ports["store"], owner) or _sees_anyway(context, owner, sender):
        return
    visitors[who] = said
    visitors.move_to_end(who)
    if len(visitors) > MAX_VISITORS:
        visitors.popitem(last=False)

    def learnt(features: frozenset[str]) -> None:
        wanted = Interest()
        wanted.learnt(features)
        if wanted.nodes and visitors.get(who) == said and context.services.account(owner) is None:
            context.services.spawn(greet(context, owner, sender, wanted.nodes))

    context.state.caps.learn(context.services, said, owner, sender, learnt)


def _sees_anyway(context: Context, owner: JID, sender: JID) -> bool:
    """A local contact, served by `on_out`."""
    local = context.services.account(sender.bare)
    contact = local.roster.get(owner) if local is not None else None
    return contact is not None and contact.seen_by_user


async def _hear_stranger(context: Context, owner: JID, sender: JID, said: Claim) -> None:
    """A stranger is asked only by an account with an open node: the question would tell that the account exists."""
    book = await book_of(context, owner)
    account = context.services.account(owner)
    if account is not None and any(node.config.access_model == "open" for node in book.nodes.values()):
        _hear(context, account, sender, said, contact=False)


def _hear(context: Context, account: Account, sender: JID, said: Claim, *, contact: bool) -> None:
    audience = audience_of(account)
    interest = audience.hear(sender, contact=contact)
    if said == interest.claim and interest.known:
        return
    interest.claim = said

    def learnt(features: frozenset[str]) -> None:
        live = context.services.account(account.jid) is account and audience.get(sender) is interest
        if live and interest.claim == said:
            interest.learnt(features)
            if due := interest.due(account.jid):
                context.services.spawn(greet(context, account.jid, sender, due))

    context.state.caps.learn(context.services, said, account.jid, sender, learnt)
