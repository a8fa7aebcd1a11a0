"""Lists and changes of affiliations and roles: ``muc#admin`` (XEP-0045 §8.2 to §8.5, §9, §10.3 to §10.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server.rooms import affiliations, names
from quietwire.server.rooms.model import MAX_REASON, Room
from quietwire.server.rooms.occupants import MAX_NICK, Occupant, skeleton
from quietwire.server.rooms.presences import Actor
from quietwire.server.rooms.ranks import (
    AFFILIATIONS,
    ROLES,
    Affiliation,
    Role,
    default_role,
    may_affiliate,
    may_change_role,
)
from quietwire.server.rooms.state import Rooms

MAX_ITEMS: Final = 1_000
"""Changes in one request: a list of members pasted in at once."""
_REASON: Final = f"{{{names.ADMIN}}}reason"


@dataclass(frozen=True, slots=True)
class _Change:
    """One item, read and allowed: exactly one of `affiliation` and `role` is there."""

    reason: str
    bare: JID | None = None
    affiliation: Affiliation | None = None
    nick: str | None = None
    occupant: Occupant | None = None
    role: Role | None = None


def get(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """A list, by affiliation or role. Raises StanzaError: bad-request, forbidden."""
    assert iq.from_ is not None
    items = iq.payload.findall(names.ADMIN_ITEM)
    found: list[Element] = []
    if not items or len(items) > len(AFFILIATIONS) + len(ROLES):
        raise StanzaError("bad-request")
    for item in items:
        affiliation, role = item.get("affiliation"), item.get("role")
        if (affiliation is None) == (role is None):
            raise StanzaError("bad-request")
        if affiliation is not None:
            found += _affiliated(room, iq.from_, AFFILIATIONS.get(affiliation))
        else:
            found += _in_role(room, iq.from_, ROLES.get(role or ""))
    return iq.result(build(names.ADMIN_QUERY, {}, *found))


def may_list(room: Room, asker: JID, affiliation: Affiliation) -> bool:
    """Whether somebody (a full JID) may have that list: admins always; members of a non-anonymous room get those that
    encryption needs, in the room or not, where the configuration allows it for their role (§9.5)."""
    rank = room.affiliation(asker.bare)
    if rank >= Affiliation.ADMIN:
        return True
    if rank < Affiliation.MEMBER or affiliation < Affiliation.MEMBER or room.config.anonymous:
        return False
    occupant = room.occupants.by_jid.get(asker)
    role = occupant.role if occupant is not None else default_role(rank, moderated=room.config.moderated)
    return role.label in room.config.member_list


def _affiliated(room: Room, asker: JID, affiliation: Affiliation | None) -> list[Element]:
    if affiliation is None:
        raise StanzaError("bad-request")
    if not may_list(room, asker, affiliation):
        raise StanzaError("forbidden")
    found = []
    for bare, standing in room.standings.opened(affiliation).items():
        attributes = {"affiliation": affiliation.label, "jid": bare.text}
        if standing.nick:
            attributes["nick"] = standing.nick
        reason = (build(_REASON, text=standing.reason),) if standing.reason else ()
        found.append(build(names.ADMIN_ITEM, attributes, *reason))
    return found


def _in_role(room: Room, asker: JID, role: Role | None) -> list[Element]:
    if role is None:
        raise StanzaError("bad-request")
    occupant = room.occupants.by_jid.get(asker)
    if occupant is None or occupant.role is not Role.MODERATOR:
        raise StanzaError("forbidden")
    return [
        build(
            names.ADMIN_ITEM,
            {
                "affiliation": other.affiliation.label,
                "jid": other.primary.text,
                "nick": other.nick,
                "role": role.label,
            },
        )
        for other in room.occupants
        if other.role is role
    ]


def set(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """Changes, all of them or none. Raises StanzaError."""
    assert iq.from_ is not None
    items = iq.payload.findall(names.ADMIN_ITEM)
    if not items or len(items) > MAX_ITEMS:
        raise StanzaError("bad-request")
    occupant = room.occupants.by_jid.get(iq.from_)
    actor = Actor(iq.from_, occupant.nick if occupant is not None else "")
    changes = [_read(room, item, iq.from_, occupant) for item in items]
    newcomers = sum(
        1 for c in changes if c.bare is not None and c.affiliation is not None and c.bare not in room.standings
    )
    if newcomers:
        affiliations.check_room_left(rooms, room, newcomers)
    if not _owners_left(room, changes):
        raise StanzaError("conflict")
    for each in changes:
        if each.affiliation is not None:
            assert each.bare is not None
            affiliations.change(
                rooms, room, each.bare, each.affiliation, actor=actor, reason=each.reason, nick=each.nick
            )
        elif each.occupant is not None and each.role is not None and each.occupant.sessions:
            affiliations.set_role(rooms, room, each.occupant, each.role, actor=actor, reason=each.reason)
    return iq.result()


def _owners_left(room: Room, changes: list[_Change]) -> bool:
    wanted = {each.bare: each.affiliation for each in changes if each.bare is not None and each.affiliation is not None}
    if Affiliation.OWNER in wanted.values():
        return True
    lost = sum(room.affiliation(bare) is Affiliation.OWNER for bare in wanted)
    return not lost or room.standings.count(Affiliation.OWNER) > lost


def _read(room: Room, item: Element, sender: JID, occupant: Occupant | None) -> _Change:
    affiliation, role = item.get("affiliation"), item.get("role")
    if (affiliation is None) == (role is None):
        raise StanzaError("bad-request")  # one of them, and not both (§15.4)
    reason = item.findtext(_REASON, "")
    if len(reason.encode()) > MAX_REASON:
        raise StanzaError("not-acceptable", "reason: 1 KiB at most")
    if role is not None:
        return _role(room, item, sender, occupant, role, reason)
    new = AFFILIATIONS.get(affiliation or "")
    if new is None:
        raise StanzaError("bad-request")
    bare = _whom(room, item)
    rank = room.affiliation(sender.bare)
    others = room.standings.others(Affiliation.OWNER, bare)
    may_affiliate(rank, room.affiliation(bare), new, oneself=bare == sender.bare, other_owners=others)
    nick = item.get("nick") if item.get("jid") is not None else None
    if nick:
        nick = _nick(room, nick, bare)
    return _Change(reason, bare, new, nick)


def _whom(room: Room, item: Element) -> JID:
    """The bare JID that an item means, by address or by nickname."""
    text = item.get("jid")
    if text is None:
        occupant = room.occupants.by_nick.get(item.get("nick", ""))
        if occupant is None:
            raise StanzaError("item-not-found" if item.get("nick") else "bad-request")
        return occupant.bare
    try:
        return parse_jid(text).bare
    except JIDError:
        raise StanzaError("jid-malformed") from None


def _nick(room: Room, nick: str, bare: JID) -> str:
    """A nickname to be reserved, prepared."""
    try:
        prepared = room.jid.with_resource(nick).resource
    except JIDError:
        raise StanzaError("jid-malformed") from None
    if not skeleton(prepared) or len(prepared.encode()) > MAX_NICK:
        raise StanzaError("not-acceptable", "nickname: 1 to 128 bytes")
    if room.standings.taken(prepared, bare):
        raise StanzaError("conflict")
    return prepared


def _role(room: Room, item: Element, sender: JID, actor: Occupant | None, name: str, reason: str) -> _Change:
    role = ROLES.get(name)
    nick = item.get("nick")
    if role is None or nick is None:
        raise StanzaError("bad-request")
    if actor is None or actor.role is not Role.MODERATOR:
        raise StanzaError("forbidden")
    target = room.occupants.by_nick.get(nick)
    if target is None:
        raise StanzaError("item-not-found")
    may_change_role(
        (actor.affiliation, actor.role),
        (target.affiliation, target.role),
        role,
        oneself=target is actor,
    )
    return _Change(reason, occupant=target, role=role)
