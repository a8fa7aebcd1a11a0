"""Reserving a nickname and giving up membership: ``jabber:iq:register`` to a room (XEP-0045 §7.10, XEP-0077)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError
from quietwire.core.stanza import Iq
from quietwire.core.xml import build
from quietwire.server import forms
from quietwire.server.rooms import affiliations, names
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.occupants import MAX_NICK, skeleton
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.rooms.state import Rooms

NICK: Final = "muc#register_roomnick"
_REGISTER: Final = f"{{{names.REGISTER}}}"


def _member(room: Room, iq: Iq) -> JID:
    """Who belongs to the room may register; nobody else becomes a member by asking. Raises StanzaError
    (registration-required), (forbidden) for who is banned."""
    assert iq.from_ is not None
    affiliation = room.affiliation(iq.from_.bare)
    if affiliation is Affiliation.OUTCAST:
        raise StanzaError("forbidden")
    if affiliation < Affiliation.MEMBER:
        raise StanzaError("registration-required")
    return iq.from_.bare


def get(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """The form, with the nickname where one is reserved."""
    standing = room.standings.get(_member(room, iq))
    nick = standing.nick if standing is not None else ""
    query = build(names.REGISTER_QUERY)
    if nick:
        query.append(build(f"{_REGISTER}registered"))
        query.append(build(f"{_REGISTER}username", text=nick))
    field = forms.field(NICK, "text-single", "Nickname", (nick,) if nick else (), required=True)
    query.append(forms.form("form", names.REGISTRATION, (field,)))
    return iq.result(query)


def set(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """Reserves a nickname, or gives up membership. Raises StanzaError: conflict where the nickname is another's,
    bad-request for no form, and what `get` raises."""
    bare = _member(room, iq)
    query = iq.payload
    if query.find(f"{_REGISTER}remove") is not None:
        if room.affiliation(bare) is Affiliation.OWNER and not room.standings.others(Affiliation.OWNER, bare):
            raise StanzaError("conflict")  # a room without an owner could never be configured again
        affiliations.change(rooms, room, bare, Affiliation.NONE)
        return iq.result()
    form = query.find(forms.X)
    if form is None:
        raise StanzaError("bad-request")
    values = forms.read(form, names.REGISTRATION).get(NICK, ())
    if len(values) != 1:
        raise StanzaError("bad-request")
    try:
        nick = room.jid.with_resource(values[0]).resource
    except JIDError:
        raise StanzaError("jid-malformed") from None
    if not skeleton(nick) or len(nick.encode()) > MAX_NICK:
        raise StanzaError("not-acceptable", "nickname: 1 to 128 bytes")
    user = room.occupants.alike(nick)
    if room.standings.taken(nick, bare) or (user is not None and user.bare != bare):
        raise StanzaError("conflict")
    affiliations.change(rooms, room, bare, room.affiliation(bare), nick=nick)
    return iq.result()
