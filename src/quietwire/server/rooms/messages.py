"""Messages to everybody, to one occupant, and the subject (XEP-0045 §7.4, §7.5, §8.1)."""

from __future__ import annotations

from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Message
from quietwire.core.xml import escape, serialise
from quietwire.server.mam import bare_of, stanza_id
from quietwire.server.rooms import names, persistence, record
from quietwire.server.rooms.config import ANYONE, MODERATORS
from quietwire.server.rooms.model import MAX_SUBJECT, Room, Subject
from quietwire.server.rooms.occupants import Occupant
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.state import Rooms

_ROOMS_OWN: Final = frozenset((names.USER_X, names.OCCUPANT_ID_TAG, names.ADDRESSES, names.DELAY, names.STANZA_ID))
"""What only the room may say in a message; a client's is left out."""
_NOT_KEPT: Final = frozenset(
    (f"{{{names.HINTS}}}no-store", f"{{{names.HINTS}}}no-permanent-store", f"{{{names.HINTS}}}no-storage")
)
_STORE: Final = f"{{{names.HINTS}}}store"
_LIGHT: Final = frozenset(
    (
        "http://jabber.org/protocol/chatstates", names.HINTS, names.SID, "urn:xmpp:eme:0", "urn:xmpp:receipts",
        "urn:xmpp:chat-markers:0",
    )
)  # fmt: skip
"""A message of nothing but these is of no use to who comes later."""


def groupchat(rooms: Rooms, room: Room, message: Message) -> None:
    """One message to everybody in the room. Raises StanzaError."""
    assert message.from_ is not None
    assert message.to is not None
    occupant = room.occupants.by_jid.get(message.from_)
    if occupant is None:
        raise StanzaError("not-acceptable", type="cancel")
    if message.to.resource:
        raise StanzaError("bad-request")
    children = message.names
    if names.SUBJECT in children and names.BODY not in children and names.THREAD not in children:
        _subject(rooms, room, occupant, message)
        return
    if occupant.role < Role.PARTICIPANT:
        raise StanzaError("forbidden")
    spend(rooms, occupant)
    occupant.sessions[message.from_].since = rooms.now
    if room.config.slow and names.BODY in children:
        _slow_down(rooms, room, occupant)
    inner = message.inner
    if not _ROOMS_OWN.isdisjoint(children):
        inner, children = _cleaned(room, occupant, message)
    inner += occupant.tag
    plain = Message(message.attributes, inner, children, from_=occupant.jid)
    if not worth_keeping(children):
        rooms.tell(plain, room.occupants.everybody())
        return
    id = rooms.fresh()
    if record.enabled(rooms, room):  # first: what the disk cannot take is refused, not told
        record.record(rooms, room, id, plain, occupant, message)
    out = Message(message.attributes, inner + stanza_id(id, room.jid.text), children, from_=occupant.jid)
    rooms.tell(out, room.occupants.everybody())
    room.history.add(rooms.now, out, None if room.config.anonymous else occupant.bare, id)
    if names.RETRACT_TAG in children:
        _retracted(rooms, room, occupant, message)


def worth_keeping(children: tuple[str, ...]) -> bool:
    """Whether who comes later should get a message with these children (XEP-0313 §5.1.2, XEP-0334)."""
    if not _NOT_KEPT.isdisjoint(children):
        return False
    if names.BODY in children or _STORE in children:
        return True
    return any(name != names.THREAD and name[1:].partition("}")[0] not in _LIGHT for name in children)


def spend(rooms: Rooms, occupant: Occupant) -> None:
    """A message costs one from the occupant's budget, which fills up with time. Raises StanzaError
    (policy-violation)."""
    limits = rooms.limits
    if limits.rate <= 0:
        return
    budget = min(limits.burst, occupant.budget + max(rooms.now - occupant.topped, 0.0) * limits.rate)
    occupant.topped = rooms.now
    if budget < 1.0:
        occupant.budget = budget
        raise StanzaError("policy-violation", "too many messages at once", type="wait")
    occupant.budget = budget - 1.0


def _slow_down(rooms: Rooms, room: Room, occupant: Occupant) -> None:
    """XEP-0500 §5."""
    if occupant.affiliation >= Affiliation.ADMIN:
        return
    if rooms.now < occupant.spoke + room.config.slow:
        text = f"in this room you can say something every {room.config.slow} seconds"
        raise StanzaError("policy-violation", text, type="wait")
    occupant.spoke = rooms.now


def _cleaned(room: Room, occupant: Occupant, message: Message) -> tuple[bytes, tuple[str, ...]]:
    """Without what only the room may say. An owner may bring an older conversation along, with its times (§7.9)."""
    owner = occupant.affiliation is Affiliation.OWNER
    kept = []
    for child in message.tree:
        if child.tag in _ROOMS_OWN:
            theirs = child.tag == names.DELAY and owner and bare_of(child.get("from", room.jid.text)) != room.jid.text
            others = child.tag == names.STANZA_ID and bare_of(child.get("by", "")) != room.jid.text
            if not (theirs or others):
                continue
        kept.append(child)
    return b"".join(serialise(child, ns.CLIENT) for child in kept), tuple(child.tag for child in kept)


def _retracted(rooms: Rooms, room: Room, occupant: Occupant, message: Message) -> None:
    """What somebody takes back is not repeated to who comes later (XEP-0424 §5)."""
    retract = message.child(names.RETRACT_TAG)
    id = retract.get("id", "") if retract is not None else ""
    line = room.history.find(id)
    if line is not None and line.message.inner.endswith(occupant.tag + stanza_id(id, room.jid.text)):
        room.history.remove(line.id)
    if id and record.enabled(rooms, room):
        by = f" id='{escape(message.id)}'/>" if message.id else "/>"
        rooms.services.spawn(record.bury(rooms, room, id, by.encode(), occupant.tag))


def _subject(rooms: Rooms, room: Room, occupant: Occupant, message: Message) -> None:
    if not (occupant.role is Role.MODERATOR or (room.config.change_subject and occupant.role is Role.PARTICIPANT)):
        raise StanzaError("forbidden")
    spend(rooms, occupant)
    inner, children = message.inner, message.names
    if not _ROOMS_OWN.isdisjoint(children):
        inner, children = _cleaned(room, occupant, message)
    subjects = [child for child in message.tree if child.tag == names.SUBJECT]
    text = b"".join(serialise(child, ns.CLIENT) for child in subjects)
    if len(text) > MAX_SUBJECT:
        raise StanzaError("policy-violation", "subject: 8 KiB at most")
    room.subject = Subject(text + occupant.tag, occupant.jid, rooms.now)
    persistence.save_subject(rooms, room)
    id = rooms.fresh()
    inner += occupant.tag
    if record.enabled(rooms, room):
        plain = Message(message.attributes, inner, children, from_=occupant.jid)
        record.record(rooms, room, id, plain, occupant, message)
    out = Message(message.attributes, inner + stanza_id(id, room.jid.text), children, from_=occupant.jid)
    rooms.tell(out, room.occupants.everybody())


def private(rooms: Rooms, room: Room, message: Message) -> None:
    """From one occupant to another, who learns no more than the nickname (§7.5). Raises StanzaError."""
    assert message.from_ is not None
    assert message.to is not None
    occupant = room.occupants.by_jid.get(message.from_)
    if occupant is None:
        raise StanzaError("not-acceptable", type="cancel")
    if message.type not in ("", "normal", "chat", "headline"):
        raise StanzaError("bad-request")
    other = room.occupants.by_nick.get(message.to.resource)
    if other is None:
        raise StanzaError("item-not-found")
    if not _may_whisper(room, occupant, other):
        raise StanzaError("forbidden")
    spend(rooms, occupant)
    inner, children = message.inner, message.names
    if not _ROOMS_OWN.isdisjoint(children):
        inner, children = _cleaned(room, occupant, message)
    mark = b"<x xmlns='%b'/>" % names.USER.encode()
    out = Message(message.attributes, inner + mark + occupant.tag, (*children, names.USER_X), from_=occupant.jid)
    deliver(rooms, other, out)


def deliver(rooms: Rooms, occupant: Occupant, message: Message) -> None:
    """To every session of an occupant. One of them gets it the way of all messages, with what the account has set up
    for its messages: blocks, an archive, keeping it until it is confirmed; the others get it as well."""
    rooms.send(message.addressed(to=occupant.primary, from_=message.from_))
    others: list[JID] = [session for session in occupant.sessions if session != occupant.primary]
    if others:
        rooms.tell(message, others)


def _may_whisper(room: Room, sender: Occupant, recipient: Occupant) -> bool:
    allowed = room.config.allow_pm
    if allowed == ANYONE:
        return True
    if Role.MODERATOR in (sender.role, recipient.role) and allowed != "none":
        return True  # moderators can always be turned to
    if allowed in (MODERATORS, "none"):
        return False
    return sender.role >= Role.PARTICIPANT
