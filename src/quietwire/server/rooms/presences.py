"""What occupants are told of each other: presence with the room's extension (XEP-0045 §7.2.2 to §7.2.4, §7.14)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from quietwire.core import ns
from quietwire.core.jid import JID
from quietwire.core.stanza import Message, Presence
from quietwire.core.xml import Element, escape, serialise
from quietwire.server.rooms import names
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.occupants import Occupant, Visit
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.standings import Standing
from quietwire.server.rooms.state import Rooms

MAX_PRESENCE: Final = 4_096
"""Bytes of what a client says of itself: everybody who enters gets it from everybody who is in."""
_FORGED: Final = frozenset((names.MUC_X, names.USER_X, names.OCCUPANT_ID_TAG, names.DELAY))
"""What only the room may say in an occupant's presence (§15.3)."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: the real full JID and, where there is one, the nickname."""

    jid: JID
    nick: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told with a presence: status codes, why and by whom, the next nickname, ``<destroy/>``."""

    codes: tuple[int, ...] = ()
    reason: str = ""
    actor: Actor | None = None
    nick: str = ""
    destroy: bytes = b""


NOTHING: Final = Notice()


def visit_of(presence: Presence, now: float) -> Visit:
    """What a client's presence says of itself; what it says in the room's place is left out."""
    attributes = {k: v for k, v in presence.attributes.items() if k not in ("type", "id", "from", "to")}
    inner, children = presence.inner, presence.names
    if not _FORGED.isdisjoint(children):
        kept: list[Element] = [child for child in presence.tree if child.tag not in _FORGED]
        inner = b"".join(serialise(child, ns.CLIENT) for child in kept)
        children = tuple(child.tag for child in kept)
    return Visit(attributes, inner, children, now)


def x(
    affiliation: Affiliation,
    role: Role,
    jid: JID | None,
    codes: Iterable[int] = (),
    notice: Notice = NOTHING,
    *,
    nick: str = "",
    seeing: bool = False,
) -> bytes:
    """``<x/>`` of the room; `jid` is the real full JID where it may be told. `seeing`: the recipient sees real JIDs,
    so that the actor's may be told as well."""
    item = f"<item affiliation='{affiliation.label}' role='{role.label}'"
    if jid is not None:
        item += f" jid='{escape(jid.text)}'"
    if nick or notice.nick:
        item += f" nick='{escape(nick or notice.nick)}'"
    inside = ""
    actor = notice.actor
    if actor is not None:
        inside += "<actor"
        if actor.nick:
            inside += f" nick='{escape(actor.nick)}'"
        if seeing:
            inside += f" jid='{escape(actor.jid.text)}'"
        inside += "/>"
    if notice.reason:
        inside += f"<reason>{escape(notice.reason)}</reason>"
    item += f">{inside}</item>" if inside else "/>"
    statuses = "".join(f"<status code='{code}'/>" for code in sorted((*codes, *notice.codes)))
    return b"<x xmlns='%b'>%b%b%b</x>" % (names.USER.encode(), item.encode(), notice.destroy, statuses.encode())


def shown(room: Room, occupant: Occupant, see: bool) -> Presence:
    """The occupant as others get it who do or do not see real JIDs; built once until something changes."""
    presence = occupant.shown.get(see)
    if presence is None:
        visit = occupant.visit()
        jid = occupant.primary if see else None
        presence = _presence(occupant.jid, visit, x(occupant.affiliation, occupant.role, jid), occupant.tag)
        occupant.shown[see] = presence
    return presence


def audience(room: Room, occupant: Occupant | None = None) -> tuple[list[JID], list[JID]]:
    """Sessions of all others: those that see real JIDs, those that do not."""
    seeing: list[JID] = []
    blind: list[JID] = []
    for other in room.occupants:
        if other is not occupant:
            (seeing if room.sees_jids(other) else blind).extend(other.sessions)
    return seeing, blind


def announced(room: Room, role: Role) -> bool:
    """Whether everybody is told of occupants in that role (muc#roomconfig_presencebroadcast)."""
    return role.label in room.config.presence


def announce(
    rooms: Rooms,
    room: Room,
    occupant: Occupant,
    notice: Notice = NOTHING,
    own: tuple[int, ...] = (),
    former: Role | None = None,
    only: JID | None = None,
) -> None:
    """Tells everybody what the occupant is now, last of all itself (§7.2.2). `own` are status codes for itself alone,
    `former` is the role it had before; `only` is the session that gets self-presence, where not all do."""
    if announced(room, occupant.role):
        for see, sessions in zip((True, False), audience(room, occupant), strict=True):
            if sessions:
                presence = shown(room, occupant, see)
                if notice is not NOTHING:
                    jid = occupant.primary if see else None
                    extension = x(occupant.affiliation, occupant.role, jid, (), notice, seeing=see)
                    presence = _presence(occupant.jid, occupant.visit(), extension, occupant.tag)
                rooms.tell(presence, sessions)
    elif former is not None and announced(room, former):
        _absent(rooms, room, occupant, NOTHING, Visit({}, b"", (), 0.0))
    for session, visit in list(occupant.sessions.items()):
        if only is None or session == only:
            seeing = room.sees_jids(occupant)
            extension = x(occupant.affiliation, occupant.role, session, (110, *own), notice, seeing=seeing)
            rooms.tell(_presence(occupant.jid, visit, extension, occupant.tag), (session,))


def part(
    rooms: Rooms,
    room: Room,
    occupant: Occupant,
    gone: Iterable[JID],
    notice: Notice,
    visit: Visit | None = None,
    id: str = "",
) -> None:
    """Those sessions have left, and with `occupant.sessions` empty the occupant has: first they are told, then the
    others (§7.14). `visit` is what was said on leaving, `id` of that presence is for who sent it: some clients wait for
    it."""
    said = visit or Visit({}, b"", (), 0.0)
    own = replace(said, attributes={**said.attributes, "id": id}) if id else said
    rank = occupant.affiliation
    role = occupant.role if notice.nick else Role.NONE
    for session in gone:
        extension = x(rank, role, session, (110,), notice, seeing=room.sees_jids(occupant))
        rooms.tell(_presence(occupant.jid, own, extension, occupant.tag, "unavailable"), (session,))
    if not notice.destroy and (not occupant.sessions or notice.nick) and announced(room, occupant.role):
        _absent(rooms, room, occupant, notice, said, list(gone))


def _absent(
    rooms: Rooms, room: Room, occupant: Occupant, notice: Notice, visit: Visit, gone: list[JID] | None = None
) -> None:
    rank = occupant.affiliation
    role = occupant.role if notice.nick else Role.NONE
    real = gone[-1] if gone else occupant.primary
    for see, sessions in zip((True, False), audience(room, occupant), strict=True):
        if sessions:
            extension = x(rank, role, real if see else None, (), notice, seeing=see)
            rooms.tell(_presence(occupant.jid, visit, extension, occupant.tag, "unavailable"), sessions)


def away(room: Room, bare: JID, standing: Standing, see: bool) -> Presence:
    """A registered member that is not in the room (``none`` among the roles that are broadcast)."""
    extension = x(standing.affiliation, Role.NONE, bare if see else None, nick=standing.nick)
    return _presence(
        room.jid.with_resource(standing.nick), Visit({}, b"", (), 0.0), extension, room.tag(bare), "unavailable"
    )


def status(rooms: Rooms, room: Room, codes: Iterable[int]) -> None:
    """The room tells everybody that its configuration has changed (§10.2.1)."""
    inner = "".join(f"<status code='{code}'/>" for code in codes)
    rooms.tell(_message(room, f"<x xmlns='{names.USER}'>{inner}</x>", "groupchat"), room.occupants.everybody())


def changed(rooms: Rooms, room: Room, bare: JID, reason: str, codes: tuple[int, ...]) -> None:
    """Somebody who is not in the room has another affiliation now: those hear of it who may know (§9.3)."""
    item = f"<item jid='{escape(bare.text)}' affiliation='{room.affiliation(bare).label}'"
    item += f"><reason>{escape(reason)}</reason></item>" if reason else "/>"
    item += "".join(f"<status code='{code}'/>" for code in codes)
    seeing, _ = audience(room)
    if seeing:
        rooms.tell(_message(room, f"<x xmlns='{names.USER}'>{item}</x>", ""), seeing)


def _message(room: Room, inner: str, kind: str) -> Message:
    return Message({"type": kind} if kind else {}, inner.encode(), (names.USER_X,), from_=room.jid)


def _presence(from_: JID, visit: Visit, extension: bytes, tag: bytes, kind: str = "") -> Presence:
    attributes = {**visit.attributes, "type": kind} if kind else visit.attributes
    children = (*visit.names, names.USER_X, names.OCCUPANT_ID_TAG)
    return Presence(attributes, visit.inner + extension + tag, children, from_=from_)
