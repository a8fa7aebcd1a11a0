"""The archive of a room (XEP-0313 §5.1.2): what goes in, who may ask, and history after a restart."""

from __future__ import annotations

import re
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.stanza import Iq, Message
from quietwire.core.xml import escape, parse, serialise
from quietwire.server import mam
from quietwire.server.archive import Archive
from quietwire.server.archive_index import Query
from quietwire.server.archive_prefs import token
from quietwire.server.rooms import names, persistence
from quietwire.server.rooms.history import stamp
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.occupants import Occupant
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.state import Rooms
from quietwire.store.ports import StorageError

_MARK: Final = b"<x xmlns='%b'><item" % names.USER.encode()
"""How the room's own extension begins."""
_END: Final = b"</message>"
# What is the room's stands at the end, behind everything a client wrote, and is looked for there alone: deeper inside,
# in what somebody quotes or invents, a client's bytes may look like it.
_ITEM: Final = re.compile(_MARK + rb" affiliation='[a-z]+' role='[a-z]+' jid='[^'<>]*'/></x></message>\Z")
_TAG: Final = re.compile(rb"(<occupant-id xmlns='urn:xmpp:occupant-id:0' id='[0-9a-f]+'/>)</message>\Z")
_BURIED: Final = re.compile(rb"<message[^>]*>(<occupant-id xmlns='urn:xmpp:occupant-id:0' id='[0-9a-f]+'/>)<retracted ")


def enabled(rooms: Rooms, room: Room) -> bool:
    return rooms.archive is not None and (room.config.archive or room.config.logging)


def record(rooms: Rooms, room: Room, id: str, out: Message, occupant: Occupant | None, said: Message | None) -> None:
    """Archives `out`, from the occupant JID or the room, without the room's stanza-id in it. In a non-anonymous room
    with the sender's bare JID: who reads it later must know whose keys belong to it. `said` is what the client sent."""
    archive: Archive = rooms.archive
    data = out.to_bytes()
    if occupant is not None and not room.config.anonymous:
        rank = occupant.affiliation
        item = f" affiliation='{rank.label}' role='{occupant.role.label}' jid='{escape(occupant.bare.text)}'/></x>"
        data = data[: -len(_END)] + _MARK + item.encode() + _END
    same, weak = token(said) if said is not None else (0, False)
    assert out.from_ is not None
    archive.append(persistence.owner(room), id, rooms.now, out.from_.text, data, token=same, weak=weak)
    room.archived = True


def _bare(data: bytes) -> bytes:
    """An archived message without the sender's real address."""
    found = _ITEM.search(data)
    return data if found is None else data[: found.start()] + _END


def check(rooms: Rooms, room: Room, asker: JID) -> None:
    """Who is in the room, or belongs to it, may read. Raises StanzaError(forbidden), (service-unavailable) where
    nothing is archived."""
    if not enabled(rooms, room):
        raise StanzaError("service-unavailable")
    affiliation = room.affiliation(asker.bare)
    if affiliation is Affiliation.OUTCAST:
        raise StanzaError("forbidden")
    if asker not in room.occupants.by_jid and affiliation < Affiliation.MEMBER:
        raise StanzaError("forbidden")


async def query(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """One page of the archive. Raises StanzaError."""
    assert iq.from_ is not None
    asker = iq.from_
    check(rooms, room, asker)
    asked = mam.read_query(iq.payload)
    try:
        page = await rooms.archive.query(persistence.owner(room), asked.query)
    except StorageError:
        raise StanzaError("internal-server-error", type="wait") from None
    if rooms.find(room.jid) is not room:
        raise StanzaError("item-not-found")
    check(rooms, room, asker)  # it may have been banned meanwhile
    occupant = room.occupants.by_jid.get(asker)
    moderator = occupant is not None and occupant.role is Role.MODERATOR
    named = not room.config.anonymous or moderator or room.affiliation(asker.bare) >= Affiliation.ADMIN
    for item in asked.order(page):
        data = item.message if named else _bare(item.message)
        rooms.tell(Message({}, mam.result(item, asked.queryid, data), (mam.RESULT,), from_=room.jid), (asker,))
    return iq.result(mam.fin(page))


async def form(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    assert iq.from_ is not None
    check(rooms, room, iq.from_)
    return iq.result(mam.form())


async def metadata(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    assert iq.from_ is not None
    check(rooms, room, iq.from_)
    try:
        return iq.result(mam.metadata(await rooms.archive.ends(persistence.owner(room))))
    except StorageError:
        raise StanzaError("internal-server-error", type="wait") from None


async def restore(rooms: Rooms, room: Room) -> None:
    """What was said last before the server stopped, for who enters now."""
    try:
        page = await rooms.archive.query(persistence.owner(room), Query(max=room.history.length, before=""))
    except StorageError:
        return  # a room without a past is better than none
    for item in page.items:
        tree = parse(_bare(item.message), ns.CLIENT)
        children = tuple(child.tag for child in tree)
        if names.BODY not in children and names.SUBJECT in children:
            continue
        inner = b"".join(serialise(child, ns.CLIENT) for child in tree) + mam.stanza_id(item.id, room.jid.text)
        from_ = parse_jid(tree.attrib.pop("from"))
        message = Message(dict(tree.attrib), inner, children, from_=from_)
        room.history.add(item.stamp / 1000, message, _sender(item.message), item.id)


def _sender(data: bytes) -> JID | None:
    """The real address in an archived message, where there is one."""
    found = _ITEM.search(data)
    if found is None:
        return None
    element = parse(data[found.start() : -len(_END)], ns.CLIENT).find(f"{{{names.USER}}}item")
    jid = element.get("jid") if element is not None else None
    return parse_jid(jid) if jid else None


async def bury(rooms: Rooms, room: Room, id: str, why: bytes, author: bytes = b"") -> None:
    """Replaces an archived message by what says that it was taken back (XEP-0424 §5): `why` is what stands in
    ``<retracted/>``, behind the stamp. With `author`, an occupant's tag, only if it is that occupant's."""
    when = stamp(rooms.now).encode()

    def tombstone(data: bytes) -> bytes:
        if author and not _bare(data).endswith(author + _END):
            return data
        start = data[: data.index(b">")]
        found = _TAG.search(_bare(data)) or _BURIED.match(data)
        tag = found[1] if found is not None else b""
        return b"%b>%b<retracted xmlns='%b' stamp='%b'%b</message>" % (start, tag, names.RETRACT.encode(), when, why)

    try:
        await rooms.archive.rewrite(persistence.owner(room), id, tombstone)
    except (StanzaError, StorageError):
        return  # it is not in there, or cannot be reached: nothing to bury
