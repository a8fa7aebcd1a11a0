"""Moderators take back messages of others (XEP-0425)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq, Message
from quietwire.core.xml import escape
from quietwire.server.mam import stanza_id
from quietwire.server.rooms import names, record
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
    moderated = (
        f"<moderated xmlns='{names.MODERATE}' by='{escape(occupant.jid.text)}'>{occupant.tag.decode()}</moderated>"
    )
    inner = f"<retract xmlns='{names.RETRACT}' id='{escape(id)}'>{moderated}{why}</retract>"
    own = rooms.fresh()
    attributes, children = {"type": "groupchat", "id": own}, (names.RETRACT_TAG,)
    if record.enabled(rooms, room):
        record.record(rooms, room, own, Message(attributes, inner.encode(), children, from_=room.jid), None, None)
        rooms.services.spawn(record.bury(rooms, room, id, f">{moderated}{why}</retracted>".encode()))
    told = Message(attributes, inner.encode() + stanza_id(own, room.jid.text), children, from_=room.jid)
    rooms.tell(told, room.occupants.everybody())
    return iq.result()
