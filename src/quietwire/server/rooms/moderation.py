"""Moderators take back messages of others (XEP-0425)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq, Message
from quietwire.core.xml import escape
from quietwire.server.rooms import names
from quietwire.server.rooms.model import MAX_REASON, Room
from quietwire.server.rooms.ranks import Role
from quietwire.server.rooms.state import Rooms

MAX_ID: Final = 128
"""Characters of a stanza-id: ours have far fewer."""


def moderate(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """``<moderate/>``: everybody is told that the message is taken back, and who comes later does not get it. Raises
    StanzaError: forbidden for who is no moderator, bad-request, feature-not-implemented for another wish than that."""
    assert iq.from_ is not None
    occupant = room.occupants.by_jid.get(iq.from_)
    if occupant is None or occupant.role is not Role.MODERATOR:
        raise StanzaError("forbidden")
    payload = iq.payload
    id = payload.get("id", "")
    reason = payload.findtext(f"{{{names.MODERATE}}}reason", "")
    if not 0 < len(id) <= MAX_ID or len(reason.encode()) > MAX_REASON:
        raise StanzaError("bad-request")
    if payload.find(names.RETRACT_TAG) is None:
        raise StanzaError("feature-not-implemented")
    room.history.remove(id)
    why = f"<reason>{escape(reason)}</reason>" if reason else ""
    inner = (
        f"<retract xmlns='{names.RETRACT}' id='{escape(id)}'>"
        f"<moderated xmlns='{names.MODERATE}' by='{escape(occupant.jid.text)}'>{occupant.tag.decode()}</moderated>"
        f"{why}</retract>"
    )
    own = rooms.fresh()
    inner += f"<stanza-id xmlns='{names.SID}' by='{room.address()}' id='{own}'/>"
    told = Message({"type": "groupchat", "id": own}, inner.encode(), (names.RETRACT_TAG,), from_=room.jid)
    rooms.tell(told, room.occupants.everybody())
    if rooms.archive is not None:
        rooms.archive(room, own, told, None)
    return iq.result()
