"""Changing what somebody is to a room, and what follows from it (XEP-0045 §9, §10.3 to §10.8)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.server.rooms import persistence
from quietwire.server.rooms.lifecycle import destroy, eject
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.occupants import Occupant
from quietwire.server.rooms.presences import Actor, Notice, announce, announced, changed, shown
from quietwire.server.rooms.ranks import Affiliation, Role, role_after
from quietwire.server.rooms.standings import Standing
from quietwire.server.rooms.state import Rooms

RESERVED: Final = "This nickname is reserved"


def check_room_left(rooms: Rooms, room: Room, more: int = 1) -> None:
    """Raises StanzaError(resource-constraint) where a room would have too many affiliations."""
    if len(room.standings) + more > rooms.limits.affiliations:
        raise StanzaError("resource-constraint")


def change(
    rooms: Rooms,
    room: Room,
    bare: JID,
    new: Affiliation,
    *,
    actor: Actor | None = None,
    reason: str = "",
    nick: str | None = None,
) -> None:
    """Sets it, whoever may ask for it. `nick` is reserved for the account; '' for none any more, None: as it was."""
    old = room.standings.get(bare)
    before = old.affiliation if old is not None else Affiliation.NONE
    if new <= Affiliation.NONE:
        nick = ""
    elif nick is None:
        nick = old.nick if old is not None else ""
    kept = Standing(new, nick, reason if new is Affiliation.OUTCAST else "")
    room.stand(bare, None if new is Affiliation.NONE else kept)
    persistence.save_standing(rooms, room, bare)
    if nick:
        _evict(rooms, room, nick, bare)
    if new is not before:
        room.roles.pop(bare, None)
    occupants = room.occupants.of(bare)
    if not occupants:
        changed(rooms, room, bare, reason, (301,) if new is Affiliation.OUTCAST else ())
    for occupant in occupants:
        occupant.affiliation = new
    for occupant in occupants:
        _follow(rooms, room, occupant, before, new, Notice(reason=reason, actor=actor))


def _follow(
    rooms: Rooms, room: Room, occupant: Occupant, before: Affiliation, new: Affiliation, notice: Notice
) -> None:
    """What an occupant's new affiliation does to it."""
    if new is Affiliation.OUTCAST:
        eject(rooms, room, occupant, Notice((301,), notice.reason, notice.actor))
    elif new < Affiliation.MEMBER and room.config.members_only:
        eject(rooms, room, occupant, Notice((321,), notice.reason, notice.actor))
    else:
        former = occupant.role
        occupant.role = role_after(former, before, new, moderated=room.config.moderated)
        occupant.shown.clear()
        announce(rooms, room, occupant, notice, former=former)
        introduce(rooms, room, occupant, former)


def _evict(rooms: Rooms, room: Room, nick: str, bare: JID) -> None:
    """Somebody else uses the nickname that is reserved now."""
    squatter = room.occupants.alike(nick)
    if squatter is not None and squatter.bare != bare:
        eject(rooms, room, squatter, Notice((307,), RESERVED))


def set_role(
    rooms: Rooms, room: Room, occupant: Occupant, role: Role, *, actor: Actor | None = None, reason: str = ""
) -> None:
    """Gives an occupant another role, whoever may ask for it; NONE is a kick (§8.2)."""
    if role is Role.NONE:
        eject(rooms, room, occupant, Notice((307,), reason, actor))
        return
    former, occupant.role = occupant.role, role
    occupant.shown.clear()
    if role is not Role.MODERATOR:
        room.remember_role(occupant.bare, role)
    announce(rooms, room, occupant, Notice(reason=reason, actor=actor), former=former)
    introduce(rooms, room, occupant, former)


def introduce(rooms: Rooms, room: Room, occupant: Occupant, former: Role) -> None:
    """In a semi-anonymous room a new moderator gets the addresses that it may see now (§5.1.1)."""
    if room.config.anonymous and occupant.role is Role.MODERATOR and former is not Role.MODERATOR:
        for other in room.occupants:
            if other is not occupant and announced(room, other.role):
                rooms.tell(shown(room, other, True), occupant.sessions)


def close(rooms: Rooms, room: Room) -> None:
    """The room has become members-only: everybody else leaves (§10.2)."""
    for occupant in room.occupants:
        if occupant.affiliation < Affiliation.MEMBER:
            eject(rooms, room, occupant, Notice((322,)))


def erase(rooms: Rooms, bare: JID) -> None:
    """The account is gone: no room remembers it. A room it alone owned gets its admins as owners; one to which nobody
    else belongs ends with it."""
    for room in list(rooms.rooms.values()):
        room.roles.pop(bare, None)
        room.invited.pop(bare, None)
        if bare not in room.standings:
            continue
        owned = room.affiliation(bare) is Affiliation.OWNER
        change(rooms, room, bare, Affiliation.NONE)
        if owned and room.jid in rooms.rooms and not room.standings.count(Affiliation.OWNER):
            for admin in room.with_affiliation(Affiliation.ADMIN):
                change(rooms, room, admin, Affiliation.OWNER)
            if not room.standings.count(Affiliation.MEMBER):
                destroy(rooms, room)
