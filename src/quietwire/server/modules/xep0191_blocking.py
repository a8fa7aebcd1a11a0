"""XEP-0191: Blocking Command, with the reports of XEP-0377. The owner's view of the list; `server/router.py` and
`server/presence.py` enforce it.

Blocking is polite (XEP-0191 §4): subscriptions stay as they are, and the blocked one sees the user go offline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from quietwire.core import ns
from quietwire.core.errors import ConfigError, StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Iq, Message, Presence
from quietwire.core.xml import Element, build
from quietwire.server.account import Account
from quietwire.server.blocks import MAX_BLOCKED, MAX_SIZE, TABLE, VERSION
from quietwire.server.module import Context, IqGet, IqSet, Keeps, Module, Setting, Xep

NS: Final = "urn:xmpp:blocking"
REPORTING: Final = "urn:xmpp:reporting:1"
BLOCKLIST: Final = f"{{{NS}}}blocklist"
BLOCK: Final = f"{{{NS}}}block"
UNBLOCK: Final = f"{{{NS}}}unblock"
ITEM: Final = f"{{{NS}}}item"
REPORT: Final = f"{{{REPORTING}}}report"
TEXT: Final = f"{{{REPORTING}}}text"
_BODY: Final = f"{{{ns.CLIENT}}}body"
_REASONS: Final = frozenset(("urn:xmpp:reporting:spam", "urn:xmpp:reporting:abuse"))
_MEMORY: Final = "blocking"
"""Key in a session's memory, there once it has asked for the list: how many pushes it got. Key in an account's: how
many of its reports were passed on."""

MAX_REPORTS: Final = 50
"""Of one account while it is in memory. Who blocks and reports in a loop must not fill the operator's screen."""
MAX_TEXT: Final = 1_000
"""Characters of a report's text that are passed on: some sentences."""


@dataclass(frozen=True, slots=True)
class State:
    abuse: JID | None
    """Who gets reports."""


def make_state(settings: Mapping[str, Any]) -> State:
    address = str(settings.get("abuse_address", ""))
    try:
        return State(parse_jid(address) if address else None)
    except JIDError:
        raise ConfigError("[modules.blocking]", "abuse_address", "an address like abuse@example.org") from None


def _owner(context: Context, iq: Iq) -> Account:
    """The account, if one of its sessions asks for its own list; others are told what they are told of no account."""
    session = context.session
    if session is None or iq.to not in (None, session.account.jid):
        raise StanzaError("service-unavailable")
    return session.account


async def on_list(context: Context, iq: Iq) -> Iq:
    account = _owner(context, iq)
    assert context.session is not None
    context.session.memory.setdefault(_MEMORY, 0)
    return iq.result(build(BLOCKLIST, None, *(build(ITEM, {"jid": text}) for text in sorted(account.blocks))))


async def on_block(context: Context, iq: Iq) -> None:
    account = _owner(context, iq)
    assert context.session is not None
    asked = _addresses(iq.payload)
    if not asked:
        raise StanzaError("bad-request", "one address at least")
    blocks, store = account.blocks, context.ports["store"]
    if any(jid.bare == account.jid for jid in asked):
        raise StanzaError("not-acceptable", "one's own address", type="cancel")
    added = [jid for jid in asked if jid.text not in blocks]
    size = sum(map(len, blocks)) + sum(len(jid.text) for jid in added)
    if added and (len(blocks) + len(added) > MAX_BLOCKED or size > MAX_SIZE):
        raise StanzaError("resource-constraint", f"at most {MAX_BLOCKED} addresses", type="cancel")
    seen = _seen(account, added)
    for jid in added:
        store.put(TABLE, account.owner, jid.text.encode(), VERSION)
    blocks.update(jid.text for jid in added)
    context.session.send(iq.result())  # before what follows from it
    _push(account, BLOCK, asked)
    _hide(context, account, [jid for jid in seen if blocks.covers(jid)])
    _report(context, account, iq.payload)


async def on_unblock(context: Context, iq: Iq) -> None:
    account = _owner(context, iq)
    assert context.session is not None
    asked = _addresses(iq.payload)
    blocks, store = account.blocks, context.ports["store"]
    removed = [parse_jid(text) for text in blocks] if not asked else [jid for jid in asked if jid.text in blocks]
    full = [jid for jid in removed if jid.resource and _sees(account, jid)]
    hidden = [c.jid for c in account.roster if blocks.covers(c.jid)]
    for jid in removed:
        store.delete(TABLE, account.owner, jid.text.encode())
    blocks.difference_update([jid.text for jid in removed])
    context.session.send(iq.result())
    _push(account, UNBLOCK, asked)
    _show(context, account, [jid for jid in hidden if not blocks.covers(jid)], full)


def _addresses(query: Element) -> list[JID]:
    """The items' addresses, each once."""
    found: dict[JID, None] = {}
    for item in query:
        text = item.get("jid", "")
        if item.tag != ITEM or not text:
            raise StanzaError("bad-request", "items with an address")
        try:
            found[parse_jid(text)] = None
        except JIDError:
            raise StanzaError("jid-malformed") from None
    return list(found)


# -- presence ---------------------------------------------------------------------------------------------------------


def _sees(account: Account, jid: JID) -> bool:
    contact = account.roster.get(jid.bare)
    return contact is not None and contact.sees_user


def _seen(account: Account, added: Iterable[JID]) -> list[JID]:
    """Those not yet blocked who get the user's presence: contacts, and full addresses of contacts among `added`."""
    blocks = account.blocks
    contacts = [c.jid for c in account.roster if c.sees_user and not blocks.covers(c.jid)]
    return contacts + [jid for jid in added if jid.resource and _sees(account, jid) and not blocks.covers(jid)]


def _hide(context: Context, account: Account, gone: list[JID]) -> None:
    """The user's sessions become unavailable to them, and to those among the blocked who got directed presence."""
    for session in list(account.sessions.values()):
        directed = {jid for jid in session.directed if account.blocks.covers(jid)}
        session.directed -= directed
        told = gone if session.presence is not None else []
        known = set(told)
        for jid in (*told, *sorted((j for j in directed if not {j, j.bare} & known), key=str)):
            context.services.send(Presence.make(to=jid, from_=session.jid, type="unavailable"))


def _show(context: Context, account: Account, back: list[JID], full: list[JID]) -> None:
    """The user's sessions are there again for contacts, who are asked for theirs: what they sent meanwhile is lost."""
    for session in account.available():
        assert session.presence is not None
        for jid in back:
            contact = account.roster.get(jid)
            if contact is not None and contact.sees_user:
                context.services.send(session.presence.addressed(to=jid, from_=session.jid))
            if contact is not None and contact.seen_by_user:
                context.services.send(Presence.make(to=jid, from_=session.jid, type="probe"))
        for jid in full:
            if jid.bare not in back and not account.blocks.covers(jid):
                context.services.send(session.presence.addressed(to=jid, from_=session.jid))


def _push(account: Account, tag: str, items: Iterable[JID]) -> None:
    """To every session that has asked for the list. Nobody waits for the answers."""
    payload = build(tag, None, *(build(ITEM, {"jid": jid.text}) for jid in items))
    for session in list(account.sessions.values()):
        if _MEMORY in session.memory:
            session.memory[_MEMORY] += 1
            session.send(Iq.make(to=session.jid, type="set", id=f"block{session.memory[_MEMORY]}", children=(payload,)))


# -- reports ----------------------------------------------------------------------------------------------------------


def _report(context: Context, account: Account, query: Element) -> None:
    """Passes reports on to the operator's address, without who made them; nothing of them is kept. What is wrong with a
    report is no reason not to block (XEP-0377 §5)."""
    if context.state.abuse is None:
        return
    for item in query:
        report = item.find(REPORT)
        if report is None or report.get("reason") not in _REASONS:
            continue
        sent = account.memory.get(_MEMORY, 0)
        if sent >= MAX_REPORTS:
            return
        account.memory[_MEMORY] = sent + 1
        reason, text = report.get("reason", ""), (report.findtext(TEXT) or "").strip()[:MAX_TEXT]
        lines = f"{reason.rpartition(':')[2]}: {parse_jid(item.get('jid', '')).text}\n{text}".rstrip()
        copy = build(REPORT, {"reason": reason})
        body = build(_BODY, text=lines)
        context.services.send(Message.make(to=context.state.abuse, from_=context.domain, children=(body, copy)))


MODULE = Module(
    name="blocking",
    xep=Xep(191, "1.3"),
    features=(NS, REPORTING),
    handlers=(
        IqGet(BLOCKLIST, on_list),
        IqSet(BLOCK, on_block),
        IqSet(UNBLOCK, on_unblock),
        Setting(
            "refuse", False, "answer messages of blocked senders with an error; it tells them that they are blocked"
        ),
        Setting("strangers", True, "messages of people who are not in the recipient's roster are delivered"),
        Setting("abuse_address", "", "who gets reports of spam and abuse, without the name of who made them"),
    ),
    keeps=(Keeps("addresses that the owner has blocked", TABLE, True, "unblocked"),),
    emits="one reply per request; a push to each of the owner's devices that asked for the list; unavailable presence "
    "to who is blocked, presence to who is not any more; reports to the operator's address, where there is one",
    needs=("store",),
    state=make_state,
)
