"""XEP-0313: Message Archive Management. Each account's own messages of the last weeks, for all its devices.

A message is archived once in each archive it belongs to, however many devices get it. The recipient's devices are told
the archive's id with the message (XEP-0359), the sender's with their copies; neither learns the other's. What a device
fetches before it becomes available is not sent to it again as an offline message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Message
from quietwire.core.xml import Element
from quietwire.server.account import Account, Session
from quietwire.server.archive import FETCHED, PAGE_MESSAGES, Archive
from quietwire.server.archive_prefs import MEMORY, Prefs, archivable, settle, token
from quietwire.server.mam import (
    EXTENDED,
    GROUPCHAT_FIELD,
    METADATA,
    NS,
    QUERY,
    RESULT,
    fin,
    form,
    metadata,
    read_query,
    result,
    stanza_id,
)
from quietwire.server.module import (
    AccountHook,
    BoundMetadata,
    Context,
    Every,
    IqGet,
    IqSet,
    Keeps,
    MessageHook,
    Module,
    Opening,
    SessionHook,
    Setting,
    Stage,
    Xep,
)
from quietwire.server.pipeline import Passage
from quietwire.store.ports import StorageError

DAYS = 30
STANZAS = 50_000
BYTES = 64 << 20
SWEEP_SECONDS = 4 * 3600.0
"""Between two looks for what is too old."""
FETCHED_AT_MOST = 40 * PAGE_MESSAGES
"""Ids that a session is remembered to have fetched before it became available: more than may wait offline."""


@dataclass(slots=True)
class State:
    days: float
    stanzas: int
    size: int


def make_state(settings: Mapping[str, Any]) -> State:
    return State(
        float(settings.get("days", DAYS)), int(settings.get("stanzas", STANZAS)), int(settings.get("bytes", BYTES))
    )


def nothing_kept(state: State) -> bool:
    return state.days <= 0


async def on_open(context: Context) -> None:
    archive: Archive = context.ports["archive"]
    archive.stanzas, archive.bytes = context.state.stanzas, context.state.size


# -- archiving --------------------------------------------------------------------------------------------------------


def stamp(context: Context, passage: Passage) -> None:
    """Decides which archives the message goes to, and under which ids."""
    message = passage.message
    if not archivable(message):
        return
    archive: Archive = context.ports["archive"]
    sender = passage.session.account if passage.session is not None else None
    notes: list[tuple[bytes, str, str, bool]] = []
    if passage.known and passage.to.local and message.from_ is not None:
        account = passage.account
        if account is None or _wants(account, message.from_):
            id = archive.new_id()
            to = passage.to.bare.text
            passage.added = stanza_id(id, to)
            # To oneself: the other side is what it was sent to, one's own address with or without a resource.
            other = passage.to if account is sender and sender is not None else message.from_
            notes.append((to.encode(), id, other.text, account is None))
        if account is sender and sender is not None:
            passage.own = passage.added
            sender = None
    if sender is not None and _wants(sender, passage.to):
        id = archive.new_id()
        if len(sender.sessions) > 1:
            passage.own = stanza_id(id, sender.jid.text)
        notes.append((sender.owner, id, passage.to.text, False))
    if notes:
        passage.kept = notes


def _wants(account: Account, other: JID) -> bool:
    prefs: Prefs | None = account.memory.get(MEMORY)
    return prefs is None or prefs.plain or prefs.wants(other, account)


def record(context: Context, passage: Passage) -> None:
    """Nobody refused the message: it is archived, in one commit with what the spool keeps of it."""
    notes = passage.kept
    if notes is None:
        return
    archive: Archive = context.ports["archive"]
    message = passage.message
    data = passage.plain()
    same, weak = token(message)
    for owner, id, with_, provisional in notes:
        archive.append(owner, id, context.now, with_, data, token=same, weak=weak, provisional=provisional)


# -- asking -----------------------------------------------------------------------------------------------------------


def _own(context: Context, iq: Iq) -> Session:
    """The session, if it asks for its own account's archive; of any other address nothing is told."""
    session = context.session
    if session is None or context.account is not session.account:
        raise StanzaError("forbidden" if iq.to is not None and iq.to.local else "service-unavailable")
    return session


async def on_query(context: Context, iq: Iq) -> Iq | None:
    session = _own(context, iq)
    account = session.account
    asked = read_query(iq.payload, groupchat=True)
    try:
        await settle(context.ports["archive"], account)
        page = await context.ports["archive"].query(account.owner, asked.query)
    except StorageError:
        raise StanzaError("internal-server-error", type="wait") from None
    if account.sessions.get(session.jid.resource) is not session:
        return None
    for item in asked.order(page):
        session.outlet.put(
            Message({}, result(item, asked.queryid, item.message), (RESULT,), to=session.jid, from_=iq.to).to_bytes(),
            None,
        )
    if session.presence is None:
        fetched: set[str] = session.memory.setdefault(FETCHED, set())
        if len(fetched) < FETCHED_AT_MOST:
            fetched.update(item.id for item in page.items)
    return iq.result(fin(page))


async def on_form(context: Context, iq: Iq) -> Iq:
    _own(context, iq)
    return iq.result(form(groupchat=True))


async def on_metadata(context: Context, iq: Iq) -> Iq:
    account = _own(context, iq).account
    try:
        await settle(context.ports["archive"], account)
        return iq.result(metadata(await context.ports["archive"].ends(account.owner)))
    except StorageError:
        raise StanzaError("internal-server-error", type="wait") from None


async def at_binding(context: Context) -> Element | None:
    """The ends of the archive, for a session that begins (XEP-0386 §3.2)."""
    account = context.account
    assert account is not None
    try:
        await settle(context.ports["archive"], account)
        return metadata(await context.ports["archive"].ends(account.owner))
    except StorageError:
        return None


# -- keeping it small -------------------------------------------------------------------------------------------------


def sweep(context: Context) -> None:
    """What is older than the setting goes, of every account of this domain."""
    before = context.now - context.state.days * 86_400
    context.services.spawn(context.ports["archive"].sweep(before))


def on_ended(context: Context) -> None:
    account = context.account
    assert account is not None
    if not account.sessions:
        context.ports["archive"].release(account.owner)


def on_erased(context: Context) -> None:
    assert context.account is not None
    context.ports["archive"].forget(context.account.owner)


MODULE = Module(
    name="archive",
    xep=Xep(313, "1.1.0"),
    features=(),
    account_features=(NS, EXTENDED, GROUPCHAT_FIELD),
    handlers=(
        Opening(on_open),
        MessageHook(Stage.STAMP, stamp, off=nothing_kept),
        MessageHook(Stage.RECORD, record, off=nothing_kept),
        IqSet(QUERY, on_query),
        IqGet(QUERY, on_form),
        IqGet(METADATA, on_metadata),
        BoundMetadata(at_binding),
        SessionHook("ended", on_ended),
        AccountHook("erased", on_erased),
        Every(SWEEP_SECONDS, sweep),
        Setting("days", DAYS, "how long an account's messages are archived; 0: not at all"),
        Setting("stanzas", STANZAS, "archived messages of one account; then the oldest go"),
        Setting("bytes", BYTES, "bytes of archived messages of one account; then the oldest go"),
    ),
    keeps=(
        Keeps(
            what="messages the owner sent and got, with the other side's address and the time, but for chat states and "
            "what their senders ask not to be stored",
            table="archive",
            sealed=True,
            until="30 days old, or as configured",
        ),
    ),
    emits="archived messages to the owner's device that asks for them; with each message that is archived its id, to "
    "the devices of the archive's owner",
    needs=("archive",),
    state=make_state,
)
