"""Where stanzas for the service, a room or an occupant go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.later import Later
from quietwire.core.stanza import Iq, Message, Presence
from quietwire.core.xml import build
from quietwire.server import disco, forms, mam
from quietwire.server.rooms import (
    admin,
    avatar,
    info,
    invitations,
    join,
    lifecycle,
    messages,
    moderation,
    names,
    owner,
    record,
    registration,
    relay,
    voice,
)
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.presences import Notice
from quietwire.server.rooms.state import Rooms

_INVITE: Final = f"{{{names.USER}}}invite"
_DECLINE: Final = f"{{{names.USER}}}decline"
_ERROR: Final = f"{{{ns.CLIENT}}}error"

Handler = Callable[[Rooms, Room, Iq], Iq | None]
HANDLERS: Final[dict[tuple[str, str], Handler]] = {
    ("get", disco.INFO): info.room_info,
    ("get", disco.ITEMS): info.room_items,
    ("get", names.ADMIN_QUERY): admin.get,
    ("set", names.ADMIN_QUERY): admin.set,
    ("get", names.OWNER_QUERY): owner.get,
    ("get", names.REGISTER_QUERY): registration.get,
    ("set", names.REGISTER_QUERY): registration.set,
    ("get", names.VCARD_TAG): avatar.get,
    ("set", names.MODERATE_TAG): moderation.moderate,
}
"""What a room answers; those that tell everybody something afterwards are in `_room`."""

ARCHIVE: Final[dict[tuple[str, str], Callable[[Rooms, Room, Iq], Awaitable[Iq]]]] = {
    ("set", mam.QUERY): record.query,
    ("get", mam.QUERY): record.form,
    ("get", mam.METADATA): record.metadata,
}


def presence(rooms: Rooms, stanza: Presence) -> None:
    assert stanza.to is not None
    if stanza.to.local:
        if not _waits(rooms, stanza, lambda: presence(rooms, stanza)):
            join.presence(rooms, stanza)
            settle(rooms)
    elif stanza.type == "":
        join.refuse(rooms, stanza, StanzaError("service-unavailable"))


def message(rooms: Rooms, stanza: Message) -> None:
    """Raises StanzaError, to be sent back."""
    assert stanza.to is not None
    room = rooms.find(stanza.to.bare)
    if _waits(rooms, stanza, lambda: _late(rooms, stanza)):
        return
    try:
        if stanza.type == "error":
            if room is not None:
                _failed(rooms, room, stanza)
        elif room is None or (room.locked and stanza.from_ not in room.occupants.by_jid):
            raise StanzaError("item-not-found" if stanza.to.local else "service-unavailable")
        elif stanza.type == "groupchat":
            messages.groupchat(rooms, room, stanza)
        elif stanza.to.resource:
            messages.private(rooms, room, stanza)
        else:
            _to_room(rooms, room, stanza)
    finally:
        settle(rooms)


def _to_room(rooms: Rooms, room: Room, stanza: Message) -> None:
    """Invitations, declines and forms; everything else said to a room must be said to everybody (§15.2)."""
    x = stanza.child(names.USER_X)
    if x is not None:
        invites = x.findall(_INVITE)
        if invites:
            invitations.invite(rooms, room, stanza, invites)
            return
        decline = x.find(_DECLINE)
        if decline is not None:
            invitations.decline(rooms, room, stanza, decline)
            return
    form = stanza.child(forms.X)
    if form is not None and form.get("type", "submit") == "submit":
        voice.form(rooms, room, stanza, form)
        return
    if form is not None and form.get("type") == "cancel":
        return
    if stanza.from_ not in room.occupants.by_jid:
        raise StanzaError("not-acceptable", type="cancel")
    raise StanzaError("bad-request")


def _failed(rooms: Rooms, room: Room, stanza: Message) -> None:
    """A message of the room came back. What an occupant could not take of another one is told to that one."""
    assert stanza.from_ is not None
    assert stanza.to is not None
    sender = room.occupants.by_jid.get(stanza.from_)
    if sender is None or join.failed(rooms, room, stanza.from_, stanza.tree) or not stanza.to.resource:
        return
    other = room.occupants.by_nick.get(stanza.to.resource)
    if other is not None and _ERROR in stanza.names:
        error = Message({"id": stanza.id} if stanza.id else {}, to=sender.jid, from_=other.jid)
        rooms.tell(error.error(join.condition_of(stanza.tree)), other.sessions)


async def iq(rooms: Rooms, stanza: Iq, name: str) -> Iq | None:
    """Raises StanzaError, to be sent back. `name` is the service's."""
    assert stanza.to is not None
    try:
        if not stanza.to.local:
            return _service(rooms, stanza, name)
        room = rooms.find(stanza.to.bare)
        if room is None or (room.locked and stanza.from_ not in room.occupants.by_jid):
            if stanza.to.resource:  # whether somebody is in a room is nobody's business who is not
                disco_asked = stanza.names[0] in (disco.INFO, disco.ITEMS)
                raise StanzaError("bad-request") if disco_asked else StanzaError("not-acceptable", type="cancel")
            raise StanzaError("item-not-found")
        if room.waiting is not None:
            there: Later[None] = Later()
            room.waiting.append(lambda: there.resolve(None))
            await there
            if rooms.find(room.jid) is not room:
                raise StanzaError("item-not-found")  # it has ended meanwhile
        if stanza.to.resource:
            return relay.forward(rooms, room, stanza)
        archived = ARCHIVE.get((stanza.type, stanza.names[0]))
        if archived is not None:
            return await archived(rooms, room, stanza)
        return _room(rooms, room, stanza)
    finally:
        settle(rooms)


def _room(rooms: Rooms, room: Room, stanza: Iq) -> Iq | None:
    assert stanza.from_ is not None
    kind, tag = stanza.type, stanza.names[0]
    if tag == names.PING_TAG and kind == "get":
        if stanza.from_ not in room.occupants.by_jid:
            raise StanzaError("not-acceptable", type="cancel")
        return stanza.result()
    if (kind, tag) == ("set", names.OWNER_QUERY):
        answer, codes = owner.set(rooms, room, stanza)
        _then(rooms, room, answer, codes)
        return None
    if (kind, tag) == ("set", names.VCARD_TAG):
        _then(rooms, room, avatar.set(rooms, room, stanza), (104,))
        return None
    handler = HANDLERS.get((kind, tag))
    if handler is None:
        raise StanzaError("service-unavailable")
    if tag == names.VCARD_TAG and not room.knows(stanza.from_.bare):
        raise StanzaError("item-not-found")
    return handler(rooms, room, stanza)


def _then(rooms: Rooms, room: Room, answer: Iq, codes: tuple[int, ...]) -> None:
    """The answer first, then what everybody is told."""
    rooms.send(answer)
    if room.jid in rooms.rooms:
        owner.tell(rooms, room, codes)


def _service(rooms: Rooms, stanza: Iq, name: str) -> Iq:
    kind, tag = stanza.type, stanza.names[0]
    if kind == "get":
        if tag == disco.INFO:
            return info.service_info(rooms, stanza, name)
        if tag == disco.ITEMS:
            return info.service_items(rooms, stanza)
        if tag == names.PING_TAG:
            return stanza.result()
        if tag == names.UNIQUE_QUERY:
            return stanza.result(build(names.UNIQUE_QUERY, text=rooms.fresh()))
    raise StanzaError("service-unavailable")


def _waits(rooms: Rooms, stanza: Presence | Message, again: Callable[[], None]) -> bool:
    """Whether the stanza has to wait: somebody enters a room for the first time since the server was started, and what
    was said before is being read."""
    assert stanza.to is not None
    room = rooms.find(stanza.to.bare)
    if room is None:
        return False
    if room.waiting is not None:
        room.waiting.append(again)
        return True
    if not room.cold or not isinstance(stanza, Presence) or stanza.type:
        return False
    room.cold = False
    if not record.enabled(rooms, room):
        return False
    room.waiting = [again]
    rooms.services.spawn(_restore(rooms, room))
    return True


async def _restore(rooms: Rooms, room: Room) -> None:
    try:
        await record.restore(rooms, room)
    finally:
        waiting, room.waiting = room.waiting or [], None
        for action in waiting:
            action()


def _late(rooms: Rooms, stanza: Message) -> None:
    try:
        message(rooms, stanza)
    except StanzaError as error:
        if stanza.type != "error":
            rooms.send(stanza.error(error))


def settle(rooms: Rooms) -> None:
    """Takes out who could not be reached while something was told."""
    while rooms.lost:
        jid, session = rooms.lost.pop()
        room = rooms.find(jid)
        if room is not None:
            lifecycle.remove(rooms, room, session, Notice(codes=(333,)))
