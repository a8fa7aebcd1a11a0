"""How rooms come to be and end (XEP-0045 §10.1, §10.9)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.xml import escape
from quietwire.server.rooms import persistence
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.occupants import Occupant, Visit
from quietwire.server.rooms.presences import NOTHING, Notice, announce, part
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.rooms.standings import Standing
from quietwire.server.rooms.state import LOCAL, NOBODY, Rooms

MAX_LOCALPART: Final = 256
"""Bytes of a room's name in its address: it stands in every stanza of the room."""
PATIENCE: Final = 900.0
"""Seconds in which a new room must be configured: somebody may fill in a form, and locked rooms do not pile up."""


def may_create(rooms: Rooms, bare: JID, local: str) -> None:
    """Raises StanzaError(not-allowed) or (resource-constraint)."""
    create = rooms.limits.create
    if local in rooms.unread:
        raise StanzaError("not-allowed")
    if create == NOBODY or (create == LOCAL and not (rooms.local(bare) and bare.local)):
        raise StanzaError("not-allowed")
    if len(local.encode()) > MAX_LOCALPART or rooms.owned(bare) >= rooms.limits.rooms_per_account:
        raise StanzaError("not-allowed")
    if len(rooms.rooms) >= rooms.limits.rooms:
        raise StanzaError("resource-constraint")


def create(rooms: Rooms, jid: JID, owner: JID) -> Room:
    """A locked room with one owner (a bare JID)."""
    if jid.local in rooms.unread:  # the operator has said so
        persistence.clear(rooms, jid)
    room = Room(jid, rooms.defaults, rooms.randomness(32), since=rooms.now)
    room.locked = True
    room.stand(owner, Standing(Affiliation.OWNER))
    rooms.rooms[jid] = room
    return room


def unlock(rooms: Rooms, room: Room) -> None:
    """Its owner has configured it: it exists now."""
    room.locked = False
    persistence.save(rooms, room)


def destroy(rooms: Rooms, room: Room, *, reason: str = "", alternate: str = "", password: str = "") -> None:
    """Everybody is told and out, nothing is kept (§10.9). `alternate` is the address of another room."""
    rooms.rooms.pop(room.jid, None)
    persistence.forget(rooms, room)
    inner = f"<password>{escape(password)}</password>" if password else ""
    inner += f"<reason>{escape(reason)}</reason>" if reason else ""
    start = "<destroy" + (f" jid='{escape(alternate)}'" if alternate else "")
    notice = Notice(destroy=(f"{start}>{inner}</destroy>" if inner else f"{start}/>").encode())
    for occupant in room.occupants:
        sessions = list(occupant.sessions)
        for session in sessions:
            room.occupants.leave(session)
        part(rooms, room, occupant, sessions, notice)


def remove(
    rooms: Rooms, room: Room, session: JID, notice: Notice = NOTHING, visit: Visit | None = None, id: str = ""
) -> Occupant | None:
    """One session leaves the room, of itself (`visit` and `id` are those of its presence) or because it cannot be
    reached. -> whose it was."""
    occupant = room.occupants.by_jid.get(session)
    if occupant is None:
        return None
    stood = occupant.primary == session
    room.occupants.leave(session)
    # No <destroy/> where an unconfigured room ends with it (§10.1.3): who leaves of himself knows, and Smack would wait
    # for its own listener.
    part(rooms, room, occupant, (session,), notice, visit, id)
    if occupant.sessions and stood:
        announce(rooms, room, occupant)  # another of its sessions stands for it now
    _if_empty(rooms, room)
    return occupant


def eject(rooms: Rooms, room: Room, occupant: Occupant, notice: Notice) -> None:
    """All sessions of an occupant leave, not of their own will."""
    sessions = list(occupant.sessions)
    for session in sessions:
        room.occupants.leave(session)
    part(rooms, room, occupant, sessions, notice)
    _if_empty(rooms, room)


def _if_empty(rooms: Rooms, room: Room) -> None:
    """A room that is not persistent ends with its last occupant (§7.14)."""
    if not len(room.occupants) and (room.locked or not room.config.persistent):
        rooms.rooms.pop(room.jid, None)
        persistence.forget(rooms, room)


def close(rooms: Rooms) -> None:
    """The service ends: occupants on other servers are told (status 332), ours see their streams end. Nothing is
    changed, nobody else is told: all leave."""
    notice = Notice(codes=(332,))
    for room in rooms.rooms.values():
        for occupant in room.occupants:
            remote = [session for session in occupant.sessions if not rooms.local(session)]
            if remote:
                part(rooms, room, occupant, remote, notice)


def expire(rooms: Rooms) -> None:
    """Rooms that nobody has configured in time."""
    for room in list(rooms.rooms.values()):
        if room.locked and rooms.now - room.since > PATIENCE:
            destroy(rooms, room)
