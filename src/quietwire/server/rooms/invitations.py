"""Mediated invitations and what becomes of them (XEP-0045 §7.8.2)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Message
from quietwire.core.xml import Element, build
from quietwire.server.rooms import affiliations, names
from quietwire.server.rooms.messages import spend
from quietwire.server.rooms.model import MAX_INVITED, MAX_REASON, Room
from quietwire.server.rooms.occupants import Occupant
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.state import Rooms

MAX_AT_ONCE: Final = 20
"""Invitations in one message."""
_USER: Final = f"{{{names.USER}}}"


def invite(rooms: Rooms, room: Room, message: Message, invites: list[Element]) -> None:
    """Somebody in the room invites others; in a members-only room they become members by it (§9.5). Raises
    StanzaError: not-acceptable for who is not in the room, forbidden for who may not invite, jid-malformed."""
    assert message.from_ is not None
    occupant = room.occupants.by_jid.get(message.from_)
    if occupant is None:
        raise StanzaError("not-acceptable", type="cancel")
    _check(room, occupant)
    if len(invites) > MAX_AT_ONCE:
        raise StanzaError("bad-request")
    invitees = [_address(element) for element in invites]
    for element, invitee in zip(invites, invitees, strict=True):
        if len(_reason(element).encode()) > MAX_REASON:
            raise StanzaError("not-acceptable", "reason: 1 KiB at most")
        if room.affiliation(invitee.bare) is Affiliation.OUTCAST:
            raise StanzaError("forbidden")
    for element, invitee in zip(invites, invitees, strict=True):
        spend(rooms, occupant)
        if room.config.members_only and room.affiliation(invitee.bare) < Affiliation.MEMBER:
            affiliations.check_room_left(rooms, room)
            affiliations.change(rooms, room, invitee.bare, Affiliation.MEMBER)
        room.invited.pop(invitee.bare, None)
        room.invited[invitee.bare] = occupant.bare
        if len(room.invited) > MAX_INVITED:
            del room.invited[next(iter(room.invited))]
        rooms.send(_invitation(room, occupant, element, invitee, message.id))


def _check(room: Room, occupant: Occupant) -> None:
    if occupant.affiliation >= Affiliation.ADMIN:
        return
    if room.config.members_only and not room.config.allow_invites:
        raise StanzaError("forbidden")
    if occupant.role < Role.PARTICIPANT:
        raise StanzaError("forbidden")


def _address(element: Element) -> JID:
    try:
        return parse_jid(element.get("to", ""))
    except JIDError:
        raise StanzaError("jid-malformed") from None


def _reason(element: Element) -> str:
    return element.findtext(f"{_USER}reason", "")


def _invitation(room: Room, occupant: Occupant, element: Element, invitee: JID, id: str) -> Message:
    """The inviter is named by the occupant JID: the room tells no address that it does not have to."""
    invite = build(f"{_USER}invite", {"from": occupant.jid.text}, build(f"{_USER}reason", text=_reason(element)))
    more = element.find(f"{_USER}continue")
    if more is not None:
        thread = more.get("thread")
        invite.append(build(f"{_USER}continue", {"thread": thread} if thread else {}))
    x = build(names.USER_X, {}, invite)
    direct = {"jid": room.jid.text}
    if room.config.password:
        x.append(build(f"{_USER}password", text=room.config.password))
        direct["password"] = room.config.password
    text = f"{occupant.jid.text} invited you to the room {room.jid.text}"
    body = build(names.BODY, text=text)
    reason = _reason(element) or None
    return Message.make(
        to=invitee,
        from_=room.jid,
        id=id,
        children=(x, body, build(f"{{{names.CONFERENCE}}}x", direct, text=reason)),
    )


def decline(rooms: Rooms, room: Room, message: Message, element: Element) -> None:
    """The inviter is told. Silence for who was not invited: a room is no way to write to strangers."""
    assert message.from_ is not None
    invitee = message.from_.bare
    inviter = room.invited.pop(invitee, None)
    reason = _reason(element)
    if inviter is None or len(reason.encode()) > MAX_REASON:
        return
    x = build(
        names.USER_X,
        {},
        build(f"{_USER}decline", {"from": invitee.text}, *((build(f"{_USER}reason", text=reason),) if reason else ())),
    )
    told = Message.make(from_=room.jid, id=message.id, children=(x,))
    sessions = [session for occupant in room.occupants.of(inviter) for session in occupant.sessions]
    if sessions:
        rooms.tell(told, sessions)
    else:
        rooms.send(told.addressed(to=inviter, from_=room.jid))
