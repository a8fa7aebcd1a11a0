"""Occupants of other servers who went without a word (XEP-0045 §16.1.4): they are pinged, and put out if gone.

The server knows how its own accounts are; of others it hears nothing when their server has lost them.
"""

from __future__ import annotations

from typing import Final

from quietwire.core import ns
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq
from quietwire.core.xml import build
from quietwire.server.rooms import lifecycle, names
from quietwire.server.rooms.join import failed
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.presences import Notice
from quietwire.server.rooms.state import Rooms

SILENCE: Final = 3_600.0
"""Seconds without a word after which somebody is asked. A phone is not woken more often than that."""
AT_ONCE: Final = 200
"""Pings of one round: what goes to other servers must not crowd out what people say."""


def look(rooms: Rooms) -> None:
    """One round: those who have been silent for longest in each room."""
    left = AT_ONCE
    for room in list(rooms.rooms.values()):
        for occupant in room.occupants:
            for session, visit in list(occupant.sessions.items()):  # who is known to be gone is out at once
                if left == 0:
                    return
                if rooms.local(session) or rooms.now - visit.since < SILENCE:
                    continue
                visit.since = rooms.now
                left -= 1
                ask(rooms, room, session)


def ask(rooms: Rooms, room: Room, session: JID) -> None:
    """No answer, or one that says that nobody is there, ends the visit; whoever answers anything else is there."""

    asked = False

    def answered(reply: Iq | None) -> None:
        if rooms.find(room.jid) is not room or session not in room.occupants.by_jid:
            return
        if reply is None and not asked:
            return  # too much is being asked already: nothing was sent
        if reply is None:
            lifecycle.remove(rooms, room, session, Notice(codes=(333,)))
        elif reply.type == "error" and f"{{{ns.CLIENT}}}error" in reply.names:
            failed(rooms, room, session, reply.tree)

    rooms.services.ask(Iq.make(to=session, from_=room.jid, type="get", children=(build(names.PING_TAG),)), answered)
    asked = True
