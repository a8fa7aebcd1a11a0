"""RFC 6121 §2: the roster, asked for and changed by its owner's clients."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server.account import Session
from quietwire.server.contacts import Contacts
from quietwire.server.module import Context, IqGet, IqSet, Keeps, Module, StreamFeature
from quietwire.server.roster import GROUP, ITEM, MAX_GROUP, MAX_GROUPS, MAX_NAME, MAX_TEXT, QUERY

VERSIONING: Final = "urn:xmpp:features:rosterver"


def _owner(context: Context, iq: Iq, refusal: str) -> Session:
    """The session, if it asks for its own roster. Others' are refused as they are where there is no such account."""
    session = context.session
    if session is None or iq.to not in (None, session.account.jid):
        raise StanzaError(refusal)
    return session


async def on_get(context: Context, iq: Iq) -> Iq:
    session = _owner(context, iq, "service-unavailable")
    if len(iq.payload):
        raise StanzaError("bad-request", "a get has no items")  # §2.1.3
    session.interested = True
    roster = session.account.roster
    version = roster.version
    if iq.payload.get("ver") == version:
        return iq.result()  # it has this roster already (§2.6.3)
    return iq.result(build(QUERY, {"ver": version}, *(contact.item() for contact in roster.items())))


async def on_set(context: Context, iq: Iq) -> Iq | None:
    session = _owner(context, iq, "forbidden")  # §2.3.3
    account = session.account
    query = iq.payload
    if len(query) != 1 or query[0].tag != ITEM:
        raise StanzaError("bad-request", "one item")
    item = query[0]
    jid = _contact(item)
    contacts = Contacts(context.services, context.ports["store"])
    if item.get("subscription") == "remove":
        contacts.remove(account, jid, lambda: session.send(iq.result()))
    elif jid == account.jid:
        raise StanzaError("not-allowed", "one's own address")
    else:
        # Whatever else the item says of subscription, ask and approval is the server's to know (§2.1.2).
        contacts.set_item(account, jid, *_texts(item), lambda: session.send(iq.result()))
    return None


def feature(modules: object) -> Element:
    """Roster versioning (§2.6.1)."""
    return build(f"{{{VERSIONING}}}ver")


def _contact(item: Element) -> JID:
    try:
        jid = parse_jid(item.get("jid", ""))
    except JIDError:
        raise StanzaError("jid-malformed" if item.get("jid") else "bad-request") from None
    if jid.resource:
        raise StanzaError("bad-request", "a contact is a bare address")
    return jid


def _texts(item: Element) -> tuple[str, tuple[str, ...]]:
    """The item's name and groups, within the limits (§2.3.3)."""
    name = item.get("name", "")
    groups = tuple(group.text or "" for group in item if group.tag == GROUP)
    sizes = [len(group.encode()) for group in groups]
    if len(set(groups)) != len(groups):
        raise StanzaError("bad-request", "the same group twice")
    if not all(sizes) or max(sizes, default=0) > MAX_GROUP or len(groups) > MAX_GROUPS:
        raise StanzaError("not-acceptable", f"at most {MAX_GROUPS} groups of 1 to {MAX_GROUP} bytes")
    if len(name.encode()) > MAX_NAME or len(name.encode()) + sum(sizes) > MAX_TEXT:
        raise StanzaError("not-acceptable", f"a name of at most {MAX_NAME} bytes, {MAX_TEXT} with the groups")
    return name, groups


MODULE = Module(
    name="roster",
    xep=None,
    features=(),
    handlers=(IqGet(QUERY, on_get), IqSet(QUERY, on_set), StreamFeature(feature)),
    keeps=(
        Keeps("contacts, their names and groups, who sees whom, requests without an answer", "roster", True, "removed"),
        Keeps(
            "subscription stanzas, and whom an accepted invitation makes a contact, that came while the owner was away",
            "arrival",
            True,
            "the owner's next login",
        ),
    ),
    emits="one reply per request; a push to each of the owner's devices per change; what removing a contact takes back",
    needs=("store",),
)
