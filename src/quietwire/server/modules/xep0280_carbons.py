"""XEP-0280: Message Carbons. Other devices of either side see what one device says or gets."""

from __future__ import annotations

from quietwire.core import ns
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, escape
from quietwire.server.account import Account, Session
from quietwire.server.module import BindInline, Context, IqSet, MessageHook, Module, SessionHook, Stage, Xep
from quietwire.server.pipeline import Passage
from quietwire.store.ports import Entry

NS = "urn:xmpp:carbons:2"
FORWARD = "urn:xmpp:forward:0"
_HINTS = "{urn:xmpp:hints}"
_EXCLUDED = frozenset((f"{{{NS}}}private", f"{_HINTS}no-copy"))
_BODY = f"{{{ns.CLIENT}}}body"
_MUC_USER = "{http://jabber.org/protocol/muc#user}x"
_INSTANT = frozenset(
    (
        "http://jabber.org/protocol/chatstates",
        "urn:xmpp:receipts",
        "urn:xmpp:chat-markers:0",
        "urn:xmpp:omemo:2",
        "eu.siacs.conversations.axolotl",
        "urn:xmpp:eme:0",
    )
)
"""Payloads that make a message without a body part of a conversation (XEP-0280 §6.1)."""


async def on_switch(context: Context, iq: Iq) -> Iq:
    session = context.session
    if session is None or context.account is not session.account:
        return iq.error("service-unavailable")
    session.carbons = iq.names[0] == f"{{{NS}}}enable"
    return iq.result()


def eligible(passage: Passage) -> bool:
    """XEP-0280 §6.1, the recommended rules."""
    message = passage.message
    names = message.names
    if message.type == "chat":
        eligible = True
    elif message.type in ("", "normal"):
        eligible = any(name == _BODY or name[1:].partition("}")[0] in _INSTANT for name in names)
    elif message.type == "error":
        eligible = bool(passage.to.resource) and _MUC_USER not in names
    else:
        return False
    return eligible and _EXCLUDED.isdisjoint(names) and (_MUC_USER not in names)


def copy(context: Context, passage: Passage) -> None:
    """To the other devices of the sender as sent, to those of the recipient as received (§6, §7)."""
    sender = passage.session.account if passage.session is not None else None
    recipient = passage.account if passage.local else None
    if (sender is None or len(sender.sessions) == 1) and (recipient is None or len(recipient.sessions) == 1):
        return  # most accounts have one session
    sent = [s for s in sender.sessions.values() if s.carbons and s is not passage.session] if sender else []
    targets = passage.targets
    received = [s for s in recipient.sessions.values() if s.carbons and s not in targets] if recipient else []
    if recipient is sender:
        received = []
        sent = [s for s in sent if s not in targets]
    if not (sent or received) or not eligible(passage):
        return
    if sender is not None and sent:
        _send(sender, sent, b"sent", passage.sent(), None)
    if recipient is not None and targets:
        # A device that has the copy answers for the message, as one that has the message itself does.
        _send(recipient, received, b"received", passage.bytes(), passage.entry)


def _send(account: Account, sessions: list[Session], direction: bytes, message: bytes, entry: Entry | None) -> None:
    if not sessions:
        return
    inner = b"<message xmlns='jabber:client'" + message[len(b"<message") :]
    start = f"<message from='{escape(account.jid.text)}' to='"
    rest = b"' type='chat'><%b xmlns='%b'><forwarded xmlns='%b'>%b</forwarded></%b></message>" % (
        direction, NS.encode(), FORWARD.encode(), inner, direction,
    )  # fmt: skip
    for session in sessions:
        session.outlet.put(_head(start, session.jid) + rest, entry)


def _head(start: str, to: JID) -> bytes:
    return (start + escape(to.text)).encode()


def on_bound(context: Context) -> None:
    assert context.session is not None
    context.session.carbons = False


def on_bind(context: Context, wish: Element) -> None:
    """Switched on along with binding (XEP-0386 §3.2)."""
    assert context.session is not None
    context.session.carbons = True


MODULE = Module(
    name="carbons",
    xep=Xep(280, "1.0.1"),
    features=(NS, "urn:xmpp:carbons:rules:0"),
    handlers=(
        IqSet(f"{{{NS}}}enable", on_switch),
        IqSet(f"{{{NS}}}disable", on_switch),
        BindInline(NS, f"{{{NS}}}enable", on_bind),
        MessageHook(Stage.COPY, copy),
        SessionHook("bound", on_bound),
    ),
    keeps=(),
    emits="a copy of every conversation's message to each other device of its account that asked for copies",
)
