"""XEP-0160: offline messages, and the receipt that makes an accepted message survive a crash.

Every message worth keeping is handed to the spool before it is routed; the recipient's confirmation takes it out
again. What nobody confirmed is delivered when a session becomes available.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Message, Presence
from quietwire.core.xml import escape
from quietwire.server.account import Account, Session
from quietwire.server.module import Context, Keeps, MessageHook, Module, PresenceHook, Setting, Stage, Xep
from quietwire.server.pipeline import Passage
from quietwire.store.ports import Entry

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
_FLUSH = "offline"


@dataclass(slots=True)
class State:
    stanzas: int
    size: int
    last: int = 0
    """The last stamp given out, in microseconds: stamps order an account's messages, so no two are alike."""

    def stamp(self, now: float) -> bytes:
        stamp = int(now * 1e6)
        if stamp <= self.last:
            stamp = self.last + 1
        self.last = stamp
        return stamp.to_bytes(_STAMP, "big")


def make_state(settings: Mapping[str, Any]) -> State:
    return State(int(settings.get("stanzas", 2_000)), int(settings.get("bytes", 16 << 20)))


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
    if not passage.known or not passage.to.local or not worth_keeping(passage.message):
        return
    spool = context.ports["spool"]
    account = passage.account
    if account is not None:
        owner = account.owner
    else:
        owner = passage.to.bare.text.encode()
        stanzas, size = spool.usage(owner)
        if stanzas >= context.state.stanzas or size >= context.state.size:
            raise StanzaError("service-unavailable", "the recipient's offline storage is full")
    entry: Entry = spool.keep(owner, context.state.stamp(context.now) + passage.bytes())
    passage.entry = entry
    if account is not None:
        flush = account.memory.get(_FLUSH)
        if flush is not None:
            # Older messages are on their way from the disk: this one goes after them.
            flush.append(entry)
            passage.drop()


def on_presence(context: Context, presence: Presence) -> None:
    session, account = context.session, context.account
    if session is None or account is None or session.presence is None or session.priority < 0:
        return
    spool = context.ports["spool"]
    if _FLUSH in account.memory or spool.usage(account.owner)[0] == 0:
        return
    account.memory[_FLUSH] = []
    context.services.spawn(_flush(context, account, session))


async def _flush(context: Context, account: Account, session: Session) -> None:
    try:
        entries = await context.ports["spool"].load(account.owner)
    finally:
        later = account.memory.pop(_FLUSH)
    seen = {id(entry) for entry in later}
    waiting = [entry for entry in entries if not entry.confirmed and entry.holders == 0 and id(entry) not in seen]
    waiting.sort(key=lambda entry: entry.value[:_STAMP])
    receivers = [s for s in account.available() if s.priority >= 0]
    # Who asked may be gone again; another one that came meanwhile takes its place.
    first = session if session in receivers else next(iter(receivers), None)
    if first is None:
        return
    for entry in waiting:
        first.outlet.put(_delayed(entry.value, context.domain.text), entry)
    for entry in later:
        for receiver in receivers:
            receiver.outlet.put(entry.value[_STAMP:], entry)


def _delayed(value: bytes, domain: str) -> bytes:
    """The kept message with the time it came (XEP-0203)."""
    when = datetime.datetime.fromtimestamp(int.from_bytes(value[:_STAMP], "big") / 1e6, datetime.UTC)
    stamp = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    delay = f"<delay xmlns='{ns.DELAY}' from='{escape(domain)}' stamp='{stamp}'/></message>"
    return value[_STAMP : -len(b"</message>")] + delay.encode()


MODULE = Module(
    name="offline",
    xep=Xep(160, "1.0.1"),
    features=("msgoffline",),
    handlers=(
        MessageHook(Stage.KEEP, keep),
        PresenceHook("out", on_presence),
        Setting("stanzas", 2_000, "offline messages of one account"),
        Setting("bytes", 16 << 20, "bytes of offline messages of one account"),
    ),
    keeps=(
        Keeps(
            what="messages with sender, time and content that no device of the recipient has confirmed",
            table="spool",
            sealed=False,
            until="a device confirms it",
        ),
    ),
    emits="kept messages with the time they came, when a device becomes available",
    needs=("spool",),
    state=make_state,
)
