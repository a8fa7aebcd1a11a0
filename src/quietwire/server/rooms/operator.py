"""What the operator may do with rooms, for the command line.

The rooms of a running server: ``server.router.hosted["conference.DOMAIN"][1].state``, a `state.Rooms` that is open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.server.rooms import affiliations, lifecycle
from quietwire.server.rooms.dispatch import settle
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.ranks import AFFILIATIONS, Affiliation
from quietwire.server.rooms.state import Rooms


@dataclass(frozen=True, slots=True)
class Summary:
    """A room in a list. `occupants` is how many are in it now."""

    jid: str
    name: str
    public: bool
    members_only: bool
    persistent: bool
    occupants: int
    members: int


def listing(rooms: Rooms) -> list[Summary]:
    """All rooms, hidden ones as well, by address."""
    return [
        Summary(
            room.jid.text,
            room.config.name,
            room.config.public,
            room.config.members_only,
            room.config.persistent,
            len(room.occupants),
            room.standings.count(Affiliation.MEMBER),
        )
        for room in sorted(rooms.rooms.values(), key=lambda room: room.jid.text)
    ]


def create(rooms: Rooms, local: str, owner: JID, *, name: str = "", public: bool = False, open: bool = False) -> Room:
    """A persistent room with that owner (its bare JID is taken). Raises StanzaError(conflict) where there is one of
    that name, (resource-constraint) where there are too many, JIDError for what is no address."""
    jid = JID.of(local, rooms.domain.domain)
    if jid in rooms.rooms:
        raise StanzaError("conflict")
    if len(rooms.rooms) >= rooms.limits.rooms:
        raise StanzaError("resource-constraint")
    room = lifecycle.create(rooms, jid, owner.bare)
    room.config = replace(room.config, name=name, public=public, members_only=not open, persistent=True)
    lifecycle.unlock(rooms, room)
    return room


def destroy(rooms: Rooms, jid: JID, reason: str = "") -> None:
    """Raises StanzaError(item-not-found)."""
    lifecycle.destroy(rooms, _find(rooms, jid), reason=reason)
    settle(rooms)


def members(rooms: Rooms, jid: JID) -> list[tuple[str, str]]:
    """(bare JID, affiliation) of everybody who has one, owners first. Raises StanzaError(item-not-found)."""
    room = _find(rooms, jid)
    found = sorted(room.standings.opened().items(), key=lambda item: (-item[1].affiliation, item[0].text))
    return [(bare.text, standing.affiliation.label) for bare, standing in found]


def affiliate(rooms: Rooms, jid: JID, bare: JID, affiliation: str) -> None:
    """Sets an affiliation: owner, admin, member, none, outcast. Raises StanzaError(item-not-found) for no such room,
    (bad-request) for no such affiliation, (resource-constraint) where the room has too many."""
    room = _find(rooms, jid)
    if affiliation not in AFFILIATIONS:
        raise StanzaError("bad-request")
    if bare.bare not in room.standings:
        affiliations.check_room_left(rooms, room)
    affiliations.change(rooms, room, bare.bare, AFFILIATIONS[affiliation])
    settle(rooms)


def _find(rooms: Rooms, jid: JID) -> Room:
    room = rooms.find(jid.bare)
    if room is None:
        raise StanzaError("item-not-found")
    return room
