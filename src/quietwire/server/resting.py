"""Sessions that nobody looks at: inactive (XEP-0352) or without a connection (XEP-0198 §5).

What can wait is held until something comes that matters, or somebody looks again; then all goes out in order. Held are
presence, of each sender the latest, and personal events, of each item the latest; notices of typing are dropped: they
mean nothing later. Nothing that the spool keeps is ever held. An active session has its outlet to itself: `rest` puts
`Held` in front of it, `wake` takes it away.

Nobody else is told whether a session rests (XEP-0352 §7).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from quietwire.server.account import Outlet, Session
from quietwire.store.ports import Entry

HELD_STANZAS: Final = 1_000
HELD_BYTES: Final = 256 << 10
"""Of one session: presence and events of some hundred contacts. What exceeds it is sent, not lost."""

NOTICED: Final = "noticed"
"""Key in a session's memory: a function that is called when something said in a room reaches a resting session, and
when a connection is gone that has not confirmed what it was sent. Other messages have passed `module.Stage`s, where who
wants to know can see them."""

_START = re.compile(rb"<(presence|message)((?:\s+[^\s=>]+\s*=\s*(?:'[^']*'|\"[^\"]*\"))*)\s*/?>")
_ATTRIBUTE = re.compile(rb"\s([a-z]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")")
_NAMESPACE = re.compile(rb"\sxmlns(?::[^\s=]+)?\s*=\s*(?:'([^']*)'|\"([^\"]*)\")")
_SELF = re.compile(rb"code=['\"]110['\"]")
"""Our own presence in a room, which a client waits for when it joins (XEP-0045 §7.2.2)."""
_ITEMS = re.compile(
    rb"<items\s[^>]*?node=(?:'([^']*)'|\"([^\"]*)\")[^>]*>\s*<item\s[^>]*?id=(?:'([^']*)'|\"([^\"]*)\")"
)
_ITEM = re.compile(rb"<(?:[a-z]+:)?item[\s/>]")
_EVENT = b"http://jabber.org/protocol/pubsub#event"
_TYPING = b"http://jabber.org/protocol/chatstates"
_IDLE = frozenset(
    (
        _TYPING,
        b"jabber:client",
        b"urn:xmpp:hints",
        b"urn:xmpp:sid:0",
        b"urn:xmpp:occupant-id:0",
        b"urn:xmpp:carbons:2",
        b"urn:xmpp:forward:0",
    )
)
"""A message with a notice of typing, nothing but these and no text is no more than that, a copy of one among them."""


class Held:
    """An outlet before another one."""

    __slots__ = ("_bytes", "_held", "_number", "_session", "away", "to")

    def __init__(self, session: Session, to: Outlet) -> None:
        self.to = to
        self.away = False
        """The session has no connection."""
        self._session = session
        self._held: dict[object, bytes] = {}
        """By what a later one replaces."""
        self._bytes = 0
        self._number = 0

    def put(self, data: bytes, entry: Entry | None) -> None:
        if entry is None:
            key = self._key(data)
            if key is _DROPPED:
                return
            if key is not None:
                former = self._held.pop(key, None)  # the latest stands where it came
                self._bytes += len(data) - (len(former) if former is not None else 0)
                self._held[key] = data
                if len(self._held) > HELD_STANZAS or self._bytes > HELD_BYTES:
                    self.flush()
                return
        self.flush()
        self.to.put(data, entry)
        if entry is None and NOTICED in self._session.memory and _said_in_room(data):
            notice(self._session)

    @property
    def paced(self) -> bool:
        return self.to.paced

    @property
    def behind(self) -> bool:
        return self.to.behind

    @property
    def crowded(self) -> bool:
        return self.to.crowded

    def flush(self) -> None:
        """What was held goes out."""
        held, self._held, self._bytes = self._held, {}, 0
        for data in held.values():
            self.to.put(data, None)

    def _key(self, data: bytes) -> object:
        """What a later stanza must equal in to replace this one; None for what may not wait."""
        start = _START.match(data)
        if start is None:
            return None
        attributes = _attributes(start)
        kind = attributes.get(b"type", b"")
        if start[1] == b"presence":
            if kind not in (b"", b"unavailable") or _SELF.search(data):
                return None
            return attributes.get(b"from")
        if kind == b"error":
            return None
        if _TYPING in data and _only_typing(data):
            return _DROPPED
        if _EVENT in data and kind == b"headline" and b"<body" not in data:
            return self._event(attributes.get(b"from"), data)
        return None

    def _event(self, sender: bytes | None, data: bytes) -> object:
        found = _ITEMS.search(data)
        if found is not None and len(_ITEM.findall(data)) == 1:
            return sender, found[1] or found[2], found[3] or found[4]
        self._number += 1  # a retraction, or several at once: held in its place, replaced by nothing
        return self._number


_DROPPED: Final = object()


def _attributes(start: re.Match[bytes]) -> dict[bytes, bytes]:
    return {name: one or two for name, one, two in _ATTRIBUTE.findall(start[2])}


def _only_typing(data: bytes) -> bool:
    namespaces = {one or two for one, two in _NAMESPACE.findall(data)}
    return namespaces <= _IDLE and b"<body" not in data and b"<subject" not in data


def _said_in_room(data: bytes) -> bool:
    """Somebody has just said something in a room. What they said before is not news."""
    start = _START.match(data)
    if start is None or start[1] != b"message" or _attributes(start).get(b"type") != b"groupchat":
        return False
    return (b"<body" in data or b"<encrypted" in data) and b"urn:xmpp:delay" not in data


def rest(session: Session, *, connected: bool = True) -> None:
    """Nobody looks at the session. Idempotent."""
    held = session.outlet
    if not isinstance(held, Held):
        held = session.outlet = Held(session, held)
    held.away = not connected


def wake(session: Session) -> None:
    """Somebody looks again: what was held goes out now. Idempotent."""
    outlet = session.outlet
    if isinstance(outlet, Held):
        session.outlet = outlet.to
        outlet.flush()


def notice(session: Session) -> None:
    """There is something for it that it does not see."""
    noticed: Callable[[], None] | None = session.memory.get(NOTICED)
    if noticed is not None:
        noticed()


def rests(session: Session) -> bool:
    """Nobody looks at it, or it has no connection."""
    return isinstance(session.outlet, Held)


def away(session: Session) -> bool:
    """It has no connection and may be resumed."""
    return isinstance(session.outlet, Held) and session.outlet.away
