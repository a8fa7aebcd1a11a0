"""What rooms and their service say of themselves (XEP-0045 §6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build, parse
from quietwire.server import disco, forms, mam
from quietwire.server.rooms import avatar, names, record
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.rooms.state import Rooms

RSM: Final = "http://jabber.org/protocol/rsm"
PAGE: Final = 100
"""Rooms in one answer: some ten kilobytes."""
NICK_NODE: Final = "x-roomuser-item"
SERVICE_FEATURES: Final = (
    ns.DISCO_INFO, ns.DISCO_ITEMS, RSM, names.MUC, names.UNIQUE, names.STABLE_ID, names.OCCUPANT_ID, names.VCARD,
    names.PING,
)  # fmt: skip
ROOM_FEATURES: Final = (
    ns.DISCO_INFO, ns.DISCO_ITEMS, names.MUC, names.STABLE_ID, names.SELF_PING, names.OCCUPANT_ID, names.SID,
    names.MODERATE, names.RETRACT, names.REGISTER, names.REQUEST, names.VCARD, names.PING,
)  # fmt: skip


def service_info(rooms: Rooms, iq: Iq, name: str) -> Iq:
    if iq.payload.get("node"):
        raise StanzaError("item-not-found")
    identity = ("conference", "text", name)
    return iq.result(disco.info((identity,), SERVICE_FEATURES).query())


def service_items(rooms: Rooms, iq: Iq) -> Iq:
    """Rooms that are listed, in pages where there are many (XEP-0059)."""
    if iq.payload.get("node"):
        raise StanzaError("item-not-found")
    listed = sorted(
        (room for room in rooms.rooms.values() if room.config.public and not room.locked), key=lambda r: r.jid.text
    )
    wanted = iq.payload.find(f"{{{RSM}}}set")
    start, most = 0, PAGE
    if wanted is not None:
        after = wanted.findtext(f"{{{RSM}}}after")
        if after is not None:
            start = next((i for i, room in enumerate(listed) if room.jid.text > after), len(listed))
        limit = wanted.findtext(f"{{{RSM}}}max", "")
        if limit.isascii() and limit.isdigit() and len(limit) < 6:
            most = min(int(limit), PAGE)
    page = listed[start : start + most]
    query = disco.items({"jid": room.jid.text, "name": room.name()} for room in page)
    if wanted is not None or len(page) < len(listed):
        query.append(_set(page, start, len(listed)))
    return iq.result(query)


def _set(page: list[Room], start: int, count: int) -> Element:
    element = build(f"{{{RSM}}}set")
    if page:
        element.append(build(f"{{{RSM}}}first", {"index": str(start)}, text=page[0].jid.text))
        element.append(build(f"{{{RSM}}}last", text=page[-1].jid.text))
    element.append(build(f"{{{RSM}}}count", text=str(count)))
    return element


def room_info(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """Raises StanzaError: item-not-found for who may not know of the room."""
    assert iq.from_ is not None
    node = iq.payload.get("node")
    asker = iq.from_.bare
    if node == NICK_NODE:
        standing = room.standings.get(asker)
        query = build(disco.INFO, {"node": NICK_NODE})
        if standing is not None and standing.nick:
            identity = {"category": "conference", "type": "text", "name": standing.nick}
            query.append(build(disco.IDENTITY, identity))
        return iq.result(query)
    if not room.knows(asker):
        raise StanzaError("item-not-found")
    if node == names.TRAFFIC:
        raise StanzaError("service-unavailable")  # nothing is left out (§16.1.3)
    if node:
        raise StanzaError("item-not-found")
    query = disco.info((("conference", "text", room.name()),), (*ROOM_FEATURES, *_types(rooms, room))).query()
    query.append(_form(room, iq))
    return iq.result(query)


def _types(rooms: Rooms, room: Room) -> Iterable[str]:
    config = room.config
    yield "muc_public" if config.public else "muc_hidden"
    yield "muc_membersonly" if config.members_only else "muc_open"
    yield "muc_moderated" if config.moderated else "muc_unmoderated"
    yield "muc_semianonymous" if config.anonymous else "muc_nonanonymous"
    yield "muc_passwordprotected" if config.password else "muc_unsecured"
    yield "muc_persistent" if config.persistent else "muc_temporary"
    if record.enabled(rooms, room):
        yield from (mam.NS, mam.EXTENDED, f"{names.RETRACT}#tombstone")


def inside(room: Room, iq: Iq) -> bool:
    """Whether the asker is in the room or belongs to it: others are not told who and what is going on (§13.4)."""
    assert iq.from_ is not None
    return iq.from_ in room.occupants.by_jid or room.affiliation(iq.from_.bare) >= Affiliation.MEMBER


def _form(room: Room, iq: Iq) -> Element:
    config = room.config
    flag = {True: "1", False: "0"}
    fields = [
        forms.field("muc#roomconfig_roomname", "text-single", "Name", (config.name,)),
        forms.field("muc#roominfo_description", "text-single", "Description", (config.description,)),
        forms.field("muc#roominfo_lang", "text-single", "Language", (config.lang,)),
        forms.field("muc#roomconfig_changesubject", "boolean", "", (flag[config.change_subject],)),
        forms.field("muc#roomconfig_allowinvites", "boolean", "", (flag[config.allow_invites],)),
        forms.field("muc#roomconfig_allowpm", "text-single", "", (config.allow_pm,)),
        forms.field("muc#maxhistoryfetch", "text-single", "", (str(config.history),)),
        forms.field("muc#roominfo_slow_mode_duration", "text-single", "", (str(config.slow),)),
    ]
    picture = avatar.digest(room)
    if picture:
        fields.append(forms.field("muc#roominfo_avatarhash", "text-multi", "", (picture,)))
    if inside(room, iq) or (config.public and not config.members_only and not config.password):
        count = str(len(room.occupants))
        fields.append(forms.field("muc#roominfo_occupants", "text-single", "Occupants", (count,)))
    if inside(room, iq) and room.subject is not None:
        subject = parse(b"<s>" + room.subject.inner + b"</s>", ns.CLIENT).findtext(names.SUBJECT, "")
        fields.append(forms.field("muc#roominfo_subject", "text-single", "Subject", (subject,)))
    return forms.form("result", names.ROOMINFO, fields)


def room_items(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """Occupants, to those who would see them anyway; nobody else gets more than an empty list (§6.5)."""
    assert iq.from_ is not None
    if not room.knows(iq.from_.bare):
        raise StanzaError("item-not-found")
    config = room.config
    if iq.payload.get("node"):
        raise StanzaError("item-not-found")
    if not (inside(room, iq) or (config.public and not config.members_only and not config.password)):
        return iq.result(disco.items(()))
    shown = [occupant for occupant in room.occupants if occupant.role.label in config.presence]
    return iq.result(disco.items({"jid": occupant.jid.text} for occupant in shown))
