"""XEP-0160: offline messages, and the receipt that makes an accepted message survive a crash.

Every message worth keeping is handed to the spool before it is routed; the recipient's confirmation takes it out
again. What nobody confirmed is delivered when a session becomes available.
"""

from __future__ import annotations

import datetime
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.later import Later
from quietwire.core.stanza import Message, Presence
from quietwire.core.xml import escape, parse
from quietwire.server.account import Account, Session
from quietwire.server.archive import FETCHED
from quietwire.server.module import (
    Context,
    Keeps,
    MessageHook,
    Module,
    Opening,
    PresenceHook,
    Reload,
    SessionHook,
    Setting,
    Stage,
    Xep,
)
from quietwire.server.pipeline import Passage
from quietwire.server.queueing import whose
from quietwire.server.timers import Timers
from quietwire.shaping.fair import Fair
from quietwire.store.ports import Entry, StorageError

_FORGOTTEN = frozenset(
    (
        "http://jabber.org/protocol/chatstates",
        "urn:xmpp:hints",
        "urn:xmpp:sid:0",
        "urn:xmpp:eme:0",
    )
)
"""A message of nothing but these is worthless later."""
_NO_STORE = frozenset(("{urn:xmpp:hints}no-store", "{urn:xmpp:hints}no-storage"))
_STORE = "{urn:xmpp:hints}store"
_BODY = f"{{{ns.CLIENT}}}body"
_THREAD = f"{{{ns.CLIENT}}}thread"
_STAMP = 8
"""Bytes before each kept message, which order them: the server's start in the upper bits, then microseconds."""
_TIME_BITS = 52
"""Enough until the year 2112; the other twelve are for 4,096 starts, after which they begin again."""
_STANZA_ID = re.compile(rb"<stanza-id xmlns='urn:xmpp:sid:0' by='[^']*' id='([0-9a-f]{32})'/></message\s*>\Z")
_TAIL = 8_192
"""Bytes at the end of a message that the id stands in: an address has at most 3,071, escaped up to twice as many."""
_FLUSH = "offline"
"""Key in an account's memory while its kept messages are on their way: the entries that came meanwhile, in order."""
_AGAIN = "offline-again"
"""The same: a session that asked meanwhile."""
_PORTION = 1 << 20
"""Bytes that are sent before the client must have confirmed them: a backlog may be four times what a session may owe,
and who could not take it all at once could never log in again."""
_PAUSE_SECONDS = 0.1
"""Between two looks at whether a portion was confirmed."""


@dataclass(slots=True)
class State:
    stanzas: int
    size: int
    generation: int = 0
    """The server's start that this is: a clock that was set back in between puts nothing before what is waiting."""
    last: int = 0
    """The last stamp given out, in microseconds: stamps order an account's messages, so no two are alike."""

    def stamp(self, now: float) -> bytes:
        """The stamp of a message that comes now; later than every one before, whatever the clock does."""
        stamp = int(now * 1e6)
        if stamp <= self.last:
            stamp = self.last + 1
        self.last = stamp
        return (self.generation << _TIME_BITS | stamp).to_bytes(_STAMP, "big")


def make_state(settings: Mapping[str, Any]) -> State:
    return State(int(settings.get("stanzas", 2_000)), int(settings.get("bytes", 16 << 20)))


async def on_open(context: Context) -> None:
    context.state.generation = context.ports["archive"].generation % (1 << 8 * _STAMP - _TIME_BITS)


def worth_keeping(message: Message) -> bool:
    """XEP-0160 §3 and XEP-0334 §4."""
    if message.type not in ("", "normal", "chat"):
        return False
    names = message.names
    if not names:
        return False
    if not _NO_STORE.isdisjoint(names):
        return False
    if _BODY in names or _STORE in names:
        return True
    return any(name != _THREAD and name[1:].partition("}")[0] not in _FORGOTTEN for name in names)


def keep(context: Context, passage: Passage) -> None:
    """From here on the message is not lost. Raises StanzaError(service-unavailable) when the store is full."""
    if not passage.to.local or not worth_keeping(passage.message):
        return
    if not passage.known:
        context.ports["arrivals"].pretend(passage.to.bare)  # acknowledged as late as what is kept
        return
    spool = context.ports["spool"]
    account = passage.account
    owner = account.owner if account is not None else passage.to.bare.text.encode()
    stanzas, size = spool.usage(owner)
    if (stanzas >= context.state.stanzas or size >= context.state.size) and not _flows(account):
        raise StanzaError("service-unavailable", "the recipient's offline storage is full")
    entry: Entry = spool.keep(owner, context.state.stamp(context.now) + passage.bytes())
    passage.entry = entry
    if account is not None:
        flush = account.memory.get(_FLUSH)
        if flush is not None:
            # Older messages are on their way from the disk: this one goes after them, for now to nobody.
            flush.append(entry)
            passage.account = None


def _flows(account: Account | None) -> bool:
    """Somebody takes the messages: what is kept is only not confirmed yet, and the sessions' queues bound it."""
    if account is None or _FLUSH in account.memory:
        return False
    return any(
        session.presence is not None and session.priority >= 0 and not session.outlet.behind
        for session in account.sessions.values()
    )


def on_presence(context: Context, presence: Presence) -> None:
    """A session can take messages: what was kept is on its way."""
    session, account = context.session, context.account
    if session is not None and account is not None:
        _fetch(context, account, session)


def on_drained(context: Context) -> None:
    """A session on a slow link has room for what waits in the spool."""
    session, account = context.session, context.account
    if session is None or account is None:
        return
    if _FLUSH in account.memory:
        account.memory[_AGAIN] = session
    else:
        _fetch(context, account, session)


def _fetch(context: Context, account: Account, session: Session) -> None:
    if session.presence is None or session.priority < 0:
        return
    spool = context.ports["spool"]
    if _FLUSH in account.memory or spool.usage(account.owner)[0] == 0:
        return
    account.memory[_FLUSH] = []
    context.services.spawn(_flush(context, account, session))


async def _flush(context: Context, account: Account, session: Session) -> None:
    later: list[Entry] = account.memory[_FLUSH]
    try:
        await _deliver(context, account, session, later)
    finally:
        del account.memory[_FLUSH]
        again: Session | None = account.memory.pop(_AGAIN, None)
        if again is not None and account.sessions.get(again.jid.resource) is again:
            _fetch(context, account, again)


async def _deliver(context: Context, account: Account, session: Session, later: list[Entry]) -> None:
    """What was kept goes to `session`, then what came meanwhile to all; a portion when the one before is confirmed."""
    try:
        entries = await context.ports["spool"].load(account.owner)
    except StorageError:
        entries = []  # those wait for another presence; what is in memory need not
    seen = {id(entry) for entry in later}
    waiting = [entry for entry in entries if id(entry) not in seen]
    waiting.sort(key=lambda entry: entry.value[:_STAMP])
    old = deque(waiting if not session.outlet.paced else _fairly(waiting))
    fetched: set[str] = session.memory.pop(FETCHED, set())
    position = size = 0
    sent: list[Entry] = []
    while old or position < len(later):
        receivers = [s for s in account.available() if s.priority >= 0]
        if not receivers:
            return
        if size > _PORTION:
            if any(entry.holders and not entry.confirmed for entry in sent):
                await _pause(context.ports["timers"])
                continue
            size = 0
            sent.clear()
        if old:
            entry = old.popleft()
            if entry.confirmed or entry.holders:
                continue
            if (account.blocks or account.closed) and _shut(account, entry):
                context.ports["spool"].confirm(entry)  # came while the account was away and its list unread
                continue
            if fetched and _archived_as(entry) in fetched:
                context.ports["spool"].confirm(entry)  # the session has it from the archive (XEP-0313 §6.1.1)
                continue
            data = _delayed(entry.value, context.domain.text)
            # Who asked may be gone again; another one that came meanwhile takes its place.
            receivers = [session if session in receivers else receivers[0]]
        else:
            entry = later[position]
            position += 1
            if entry.confirmed or entry.holders:
                continue
            data = entry.value[_STAMP:]
        for receiver in receivers:
            receiver.outlet.put(data, entry)
        if session.outlet.behind:
            old.clear()  # it will say when it takes them
        size += len(data)
        sent.append(entry)


def _fairly(entries: Iterable[Entry]) -> list[Entry]:
    """For a link that takes a while: in turns by sender, so that nobody's flood comes before what others have said."""
    fair: Fair[Entry] = Fair()
    for entry in entries:
        fair.push(whose(entry.value[_STAMP:])[0], len(entry.value), entry)
    return [fair.pop() for _ in range(len(fair))]


def _archived_as(entry: Entry) -> str:
    """The archive's id of the message, '' if it is in none: the last child, see `Passage.added`."""
    found = _STANZA_ID.search(entry.value, max(0, len(entry.value) - _TAIL))
    return found[1].decode() if found is not None else ""


def _shut(account: Account, entry: Entry) -> bool:
    """The account takes nothing of who sent it."""
    sender = parse(entry.value[_STAMP:], ns.CLIENT).get("from")
    return sender is not None and account.shuts(parse_jid(sender))


def _pause(timers: Timers) -> Later[None]:
    later: Later[None] = Later()
    timers.after(_PAUSE_SECONDS, lambda: later.resolve(None))
    return later


def _delayed(value: bytes, domain: str) -> bytes:
    """The kept message with the time it came (XEP-0203). White space may stand in its end tag."""
    when = datetime.datetime.fromtimestamp(
        (int.from_bytes(value[:_STAMP], "big") & ((1 << _TIME_BITS) - 1)) / 1e6, datetime.UTC
    )
    stamp = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    delay = f"<delay xmlns='{ns.DELAY}' from='{escape(domain)}' stamp='{stamp}'/></message>"
    return value[_STAMP : value.rindex(b"</")] + delay.encode()


def on_reload(context: Context, settings: Mapping[str, Any]) -> None:
    fresh = make_state(settings)
    context.state.stanzas, context.state.size = fresh.stanzas, fresh.size


MODULE = Module(
    name="offline",
    xep=Xep(160, "1.0.1"),
    features=("msgoffline",),
    handlers=(
        Opening(on_open),
        MessageHook(Stage.KEEP, keep),
        PresenceHook("out", on_presence),
        SessionHook("drained", on_drained),
        Setting(
            "stanzas",
            2_000,
            "Offline messages of one account. One more comes back to its sender with service-unavailable.",
        ),
        Setting("bytes", 16 << 20, "Their bytes together."),
        Reload(on_reload),
    ),
    keeps=(
        Keeps(
            what="messages with sender, time and content that no device of the recipient has confirmed",
            table="spool",
            sealed=True,
            until="a device confirms it",
        ),
    ),
    emits="kept messages with the time they came, when a device becomes available",
    needs=("spool", "timers", "archive", "arrivals"),
    state=make_state,
)
