"""Presence of users: entering, changing nickname or availability, leaving (XEP-0045 §7.2, §7.6, §7.7, §7.14)."""

from __future__ import annotations

import hmac
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import STANZA_ERROR_TYPES, StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Message, Presence
from quietwire.core.xml import Element, build
from quietwire.server.rooms import lifecycle, names
from quietwire.server.rooms.history import Line, Wanted, delay
from quietwire.server.rooms.messages import spend
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.occupants import MAX_NICK, MAX_SESSIONS, Occupant, Visit, skeleton
from quietwire.server.rooms.presences import (
    MAX_PRESENCE,
    Notice,
    announce,
    announced,
    away,
    part,
    shown,
    visit_of,
    x,
)
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.state import Rooms

SPARE: Final = 20
"""Admins and owners who may enter a full room (§7.2.9)."""
MAX_NICKS: Final = 5
"""Occupants of one account in one room."""
_GHOST: Final = frozenset(
    ("gone", "item-not-found", "recipient-unavailable", "redirect", "remote-server-not-found", "remote-server-timeout")
)
"""Errors that say that somebody is not there any more (§16.1.4)."""
_PASSWORD: Final = f"{{{names.MUC}}}password"
_HISTORY: Final = f"{{{names.MUC}}}history"


def presence(rooms: Rooms, stanza: Presence) -> None:
    """Whatever presence is addressed to a room or occupant."""
    to, sender, kind = stanza.to, stanza.from_, stanza.type
    assert to is not None
    assert sender is not None
    room = rooms.find(to.bare)
    if kind == "":
        try:
            _available(rooms, room, stanza, to, sender)
        except StanzaError as error:
            refuse(rooms, stanza, error)
    elif room is None:
        if kind == "probe":
            refuse(rooms, stanza, StanzaError("not-acceptable", type="cancel"))
    elif kind == "unavailable":
        said = visit_of(stanza, rooms.now)
        if len(said.inner) > MAX_PRESENCE:
            said = Visit({}, b"", (), rooms.now)
        lifecycle.remove(rooms, room, sender, visit=said, id=stanza.id or "")
    elif kind == "error":
        # Whoever cannot take presence is not in the room, whatever the reason: he would hear all, and know of nobody.
        lifecycle.remove(rooms, room, sender, Notice(codes=(333,)))
    elif kind == "probe":
        try:
            _probed(rooms, room, to, sender)
        except StanzaError as error:
            refuse(rooms, stanza, error)


def failed(rooms: Rooms, room: Room, sender: JID, tree: Element) -> bool:
    """A stanza of the room came back as an error. -> whether the sender was a ghost, and is out now (§11.1)."""
    if condition_of(tree) not in _GHOST:
        return False
    return lifecycle.remove(rooms, room, sender, Notice(codes=(333,))) is not None


def condition_of(tree: Element) -> str:
    """The condition of an error that came back. Nothing else in it is passed on: it may name real addresses."""
    error = tree.find(f"{{{ns.CLIENT}}}error")
    names_ = [child.tag.rpartition("}")[2] for child in error] if error is not None else []
    return next((name for name in names_ if name in STANZA_ERROR_TYPES), "undefined-condition")


def refuse(rooms: Rooms, stanza: Presence, error: StanzaError) -> None:
    """The error for a presence, as §7.2 shows it."""
    assert stanza.to is not None
    body = build(
        f"{{{ns.CLIENT}}}error",
        {"type": error.type, "by": stanza.to.bare.text},
        build(f"{{{ns.STANZAS}}}{error.condition}"),
    )
    if error.text:
        body.append(build(f"{{{ns.STANZAS}}}text", text=error.text))
    answer = Presence.make(
        to=stanza.from_, from_=stanza.to, type="error", id=stanza.id, children=(build(names.MUC_X), body)
    )
    rooms.send(answer)


def _available(rooms: Rooms, room: Room | None, stanza: Presence, to: JID, sender: JID) -> None:
    if not to.resource:
        raise StanzaError("jid-malformed")
    if not sender.resource:
        raise StanzaError("bad-request")
    visit = visit_of(stanza, rooms.now)
    if len(visit.inner) > MAX_PRESENCE:
        raise StanzaError("policy-violation", "presence in rooms: 4 KiB at most")
    request = stanza.child(names.MUC_X)
    occupant = room.occupants.by_jid.get(sender) if room is not None else None
    if room is not None and occupant is not None:
        spend(rooms, occupant)  # it is told to as many as a message is
        if to.resource != occupant.nick and not (request is not None and _same(room, occupant, to.resource)):
            _rename(rooms, room, occupant, sender, to, visit)
        elif request is not None:
            _again(rooms, room, occupant, sender, visit, request)
        else:
            _update(rooms, room, occupant, sender, visit)
    elif request is None:
        # An update of somebody who believes to be in the room (§7.2.16).
        notice = Notice(codes=(307, 333), reason="You are not in the room.")
        inner = x(Affiliation.NONE, Role.NONE, None, (110,), notice)
        rooms.send(Presence({"type": "unavailable"}, inner, (names.USER_X,), to=sender, from_=to))
    else:
        _enter(rooms, room, to, sender, visit, request)


def _same(room: Room, occupant: Occupant, nick: str) -> bool:
    """A client that enters again under the nickname it asked for, not the one it was given."""
    return room.occupants.alike(nick) is occupant


def _enter(rooms: Rooms, room: Room | None, to: JID, sender: JID, visit: Visit, request: Element) -> None:
    _check_nick(to.resource)
    bare = sender.bare
    own: tuple[int, ...] = ()
    if room is None:
        lifecycle.may_create(rooms, bare, to.local)
        room = lifecycle.create(rooms, to.bare, bare)
        own = (201,)
    else:
        _admit(rooms, room, bare, request)
    occupant = room.occupants.alike(to.resource)
    if occupant is not None:
        if occupant.bare != bare:
            raise StanzaError("conflict")
        if len(occupant.sessions) >= MAX_SESSIONS:
            raise StanzaError("resource-constraint")
        if occupant.nick != to.resource:
            own += (210,)
    else:
        _check_reserved(room, to.resource, bare)
        if len(room.occupants.of(bare)) >= MAX_NICKS:
            raise StanzaError("resource-constraint")
        occupant = Occupant(to, bare, room.affiliation(bare), room.role_for(bare), room.tag(bare))
        occupant.budget, occupant.topped = rooms.limits.burst, rooms.now
    wanted = Wanted.parse(request.find(_HISTORY))
    room.occupants.enter(occupant, sender, visit)
    _welcome(rooms, room, occupant, sender, own, wanted, tell_others=True)


def _admit(rooms: Rooms, room: Room, bare: JID, request: Element) -> None:
    """§7.2.5 to §7.2.10. Raises StanzaError."""
    rank = room.affiliation(bare)
    if room.locked and rank is not Affiliation.OWNER:
        raise StanzaError("item-not-found")
    if rank is Affiliation.OUTCAST:
        raise StanzaError("forbidden")
    if room.config.members_only and rank < Affiliation.MEMBER:
        raise StanzaError("registration-required")
    password = room.config.password
    if password and rank is not Affiliation.OWNER:
        given = request.findtext(_PASSWORD, "")
        if not hmac.compare_digest(given.encode(), password.encode()):
            raise StanzaError("not-authorized")
    most = rooms.limits.occupants
    if room.config.max_users:
        most = min(most, room.config.max_users)
    if rank >= Affiliation.ADMIN:
        most += SPARE
    if len(room.occupants) >= most and not room.occupants.of(bare):
        raise StanzaError("service-unavailable", type="wait")


def _check_nick(nick: str) -> None:
    if not skeleton(nick) or len(nick.encode()) > MAX_NICK:
        raise StanzaError("not-acceptable", "nickname: 1 to 128 bytes")


def _check_reserved(room: Room, nick: str, bare: JID) -> None:
    if room.standings.taken(nick, bare):
        raise StanzaError("conflict")


def _welcome(
    rooms: Rooms,
    room: Room,
    occupant: Occupant,
    session: JID,
    own: tuple[int, ...],
    wanted: Wanted,
    *,
    tell_others: bool,
) -> None:
    """What a newcomer gets, in this order: the others, itself, what was said, the subject (§7.1)."""
    here = (session,)
    see = room.sees_jids(occupant)
    for other in room.occupants:
        if other is not occupant and announced(room, other.role):
            rooms.tell(shown(room, other, see), here)
    if "none" in room.config.presence:
        for bare, standing in room.standings.with_nicks().items():
            if not room.occupants.of(bare):
                rooms.tell(away(room, bare, standing, see), here)
    if not room.config.anonymous:
        own += (100,)
    if room.config.logging:
        own += (170,)
    if tell_others:
        announce(rooms, room, occupant, own=own)
    else:
        extension = x(occupant.affiliation, occupant.role, session, (110, *own))
        visit = occupant.sessions[session]
        self_presence = Presence(
            visit.attributes,
            visit.inner + extension + occupant.tag,
            (*visit.names, names.USER_X, names.OCCUPANT_ID_TAG),
            from_=occupant.jid,
        )
        rooms.tell(self_presence, here)
    for line in room.history.select(wanted, rooms.now):
        rooms.tell(_old(room, line), here)
    rooms.tell(subject_of(room), here)


def _old(room: Room, line: Line) -> Message:
    message = line.message
    inner = message.inner + delay(room.jid, line.at)
    if not room.config.anonymous and line.sender is not None:
        # Who was it: clients that read encrypted messages must know (§7.2.13). The bare JID says enough.
        address = build(f"{{{names.ADDRESS}}}address", {"type": "ofrom", "jid": line.sender.text})
        element = build(names.ADDRESSES, {}, address)
        return Message(message.attributes, inner, message.names, from_=message.from_).with_children(element)
    return Message(message.attributes, inner, message.names, from_=message.from_)


def subject_of(room: Room) -> Message:
    """The subject as who enters gets it, empty where there is none (§7.2.15)."""
    subject = room.subject
    if subject is None:
        return Message({"type": "groupchat"}, b"<subject/>", (names.SUBJECT,), from_=room.jid)
    inner = subject.inner + delay(room.jid, subject.at)
    return Message({"type": "groupchat"}, inner, (names.SUBJECT, names.DELAY), from_=subject.setter)


def _again(rooms: Rooms, room: Room, occupant: Occupant, session: JID, visit: Visit, request: Element) -> None:
    """Somebody who is in enters again: the client has lost what it knew and gets all of it (§7.2.1)."""
    before = occupant.sessions[session]
    occupant.sessions[session] = visit
    same = (before.attributes, before.inner) == (visit.attributes, visit.inner) and occupant.primary == session
    if not same:
        occupant.primary = session
        occupant.shown.clear()
    wanted = Wanted.parse(request.find(_HISTORY))
    own = (201,) if room.locked else ()
    _welcome(rooms, room, occupant, session, own, wanted, tell_others=not same)


def _update(rooms: Rooms, room: Room, occupant: Occupant, session: JID, visit: Visit) -> None:
    occupant.sessions[session] = visit
    occupant.primary = session
    occupant.shown.clear()
    announce(rooms, room, occupant)


def _rename(rooms: Rooms, room: Room, occupant: Occupant, session: JID, to: JID, visit: Visit) -> None:
    """§7.6. Of an occupant with several sessions all change their name with one of them."""
    _check_nick(to.resource)
    other = room.occupants.alike(to.resource)
    if other is not None and other is not occupant:
        raise StanzaError("conflict")
    _check_reserved(room, to.resource, occupant.bare)
    notice = Notice(codes=(303,), nick=to.resource)
    part(rooms, room, occupant, list(occupant.sessions), notice)
    room.occupants.rename(occupant, to)
    occupant.sessions[session] = visit
    occupant.primary = session
    announce(rooms, room, occupant)


def _probed(rooms: Rooms, room: Room, to: JID, sender: JID) -> None:
    """§15.3: an occupant asks how another one is; everybody else is told nothing."""
    asker = room.occupants.by_jid.get(sender)
    if asker is None:
        raise StanzaError("not-acceptable", type="cancel")
    see = room.sees_jids(asker)
    found = room.occupants.by_nick.get(to.resource) if to.resource else asker
    if found is not None and (announced(room, found.role) or found is asker or asker.role is Role.MODERATOR):
        rooms.tell(shown(room, found, see or found is asker), (sender,))
        return
    reserved = room.standings.reserved(to.resource) if found is None and to.resource and see else None
    if reserved is None:
        raise StanzaError("item-not-found")
    rooms.tell(away(room, *reserved, see), (sender,))
