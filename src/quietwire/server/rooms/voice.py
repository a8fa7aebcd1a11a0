"""Asking for voice in a moderated room, and granting it by form (XEP-0045 §7.13, §8.6)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Message
from quietwire.core.xml import Element
from quietwire.server import forms
from quietwire.server.rooms import affiliations, names
from quietwire.server.rooms.messages import spend
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.presences import Actor
from quietwire.server.rooms.ranks import Role
from quietwire.server.rooms.state import Rooms

_ROLE: Final = "muc#role"
_JID: Final = "muc#jid"
_NICK: Final = "muc#roomnick"
_ALLOW: Final = "muc#request_allow"
_REQUESTED: Final = (("Participant", "participant"),)


def form(rooms: Rooms, room: Room, message: Message, x: Element) -> None:
    """A request for voice, or a moderator's answer to one. Raises StanzaError: not-acceptable for who is not in the
    room, bad-request, forbidden."""
    assert message.from_ is not None
    occupant = room.occupants.by_jid.get(message.from_)
    if occupant is None:
        raise StanzaError("not-acceptable", type="cancel")
    values = forms.read(x, names.REQUEST)
    if _ALLOW in values:
        if occupant.role is not Role.MODERATOR:
            raise StanzaError("forbidden")
        if values[_ALLOW] in (("1",), ("true",)):
            _grant(rooms, room, Actor(message.from_, occupant.nick), values)
        return
    if values.get(_ROLE) != ("participant",):
        raise StanzaError("bad-request")
    if occupant.role is not Role.VISITOR:
        return  # it has what it asks for
    spend(rooms, occupant)
    asked = forms.form(
        "form",
        names.REQUEST,
        (
            forms.field(_ROLE, "list-single", "Requested role", ("participant",), _REQUESTED),
            forms.field(_JID, "jid-single", "Address", (occupant.primary.text,)),
            forms.field(_NICK, "text-single", "Nickname", (occupant.nick,)),
            forms.field(_ALLOW, "boolean", "Let this person speak?", ("false",)),
        ),
        title="Somebody asks to speak",
    )
    moderators = [s for other in room.occupants if other.role is Role.MODERATOR for s in other.sessions]
    if moderators:
        rooms.tell(Message.make(from_=room.jid, children=(asked,)), moderators)


def _grant(rooms: Rooms, room: Room, actor: Actor, values: forms.Fields) -> None:
    nick = values.get(_NICK, ())
    other = room.occupants.by_nick.get(nick[0]) if nick else None
    if other is None:
        raise StanzaError("item-not-found")
    if other.role is Role.VISITOR:
        affiliations.set_role(rooms, room, other, Role.PARTICIPANT, actor=actor)
