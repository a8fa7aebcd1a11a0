"""Rooms in the store: table ``room``, owner the room's bare JID. Only persistent rooms have rows.

Keys: ``config`` (with the room's secret), ``subject``, ``vcard``, ``member:HASH`` for each bare JID that has an
affiliation (`standings.py`), and ``empty:N``: rows that say nothing, so that those of members are a power of two.
Values begin with a version byte. Every change is handed to the store in the turn that makes it, so that an
acknowledgement of what follows waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.later import Ticket, settled
from quietwire.seal.sizes import rounded
from quietwire.seal.wraps import SealError
from quietwire.server.rooms.config import RoomConfig
from quietwire.server.rooms.model import Room, Subject
from quietwire.server.rooms.ranks import AFFILIATIONS
from quietwire.server.rooms.standings import Standing
from quietwire.server.rooms.state import Rooms

TABLE: Final = "room"
CONFIG: Final = b"config"
SUBJECT: Final = b"subject"
VCARD: Final = b"vcard"
MEMBER: Final = b"member:"
EMPTY: Final = b"empty:"
SECRET: Final = b"secret"
"""Where the sealed store keeps the key to the others."""
LEGACY: Final = b"affiliation:"
"""With the address behind it: how affiliations were kept before they were sealed."""
LEAST: Final = 8
"""Rows for the members of a room that has next to none."""
VERSION: Final = b"\x01"
_PORTION: Final = 1_000
"""Rows that are written anew before the next ones wait for the disk."""


def owner(room: Room) -> bytes:
    """The owner bytes of everything the room keeps."""
    return room.jid.text.encode()


def keeps(room: Room) -> bool:
    return room.config.persistent and not room.locked


def save(rooms: Rooms, room: Room) -> None:
    """The room as it is: it has become persistent, or is no longer."""
    if keeps(room):
        save_config(rooms, room)
        save_subject(rooms, room)
        save_vcard(rooms, room)
        save_standings(rooms, room)
    elif room.stored:
        members = (MEMBER + member for member, _ in room.standings.rows())
        for key in (CONFIG, SUBJECT, VCARD, *members, *map(_empty, range(room.empty)), SECRET):
            rooms.store.delete(TABLE, owner(room), key)
        room.stored, room.rows, room.empty = False, 0, 0


def save_standings(rooms: Rooms, room: Room) -> None:
    """All affiliations."""
    for member, row in room.standings.rows():
        rooms.store.put(TABLE, owner(room), MEMBER + member, VERSION + row)
    _round(rooms, room)


def save_config(rooms: Rooms, room: Room) -> None:
    if keeps(room):
        _put(rooms, room, CONFIG, {"secret": room.secret.hex(), "config": room.config.to_dict()})
        room.stored = True


def save_subject(rooms: Rooms, room: Room) -> None:
    if not keeps(room):
        return
    subject = room.subject
    if subject is None:
        rooms.store.delete(TABLE, owner(room), SUBJECT)
    else:
        value = {"inner": subject.inner.decode(), "setter": subject.setter.text, "at": int(subject.at)}
        _put(rooms, room, SUBJECT, value)


def save_vcard(rooms: Rooms, room: Room) -> None:
    if not keeps(room):
        return
    if room.vcard:
        rooms.store.put(TABLE, owner(room), VCARD, VERSION + room.vcard)
    else:
        rooms.store.delete(TABLE, owner(room), VCARD)


def save_standing(rooms: Rooms, room: Room, bare: JID) -> None:
    """One affiliation, as it is now."""
    if not keeps(room):
        return
    member, row = room.standings.row(bare)
    if row is None:
        rooms.store.delete(TABLE, owner(room), MEMBER + member)
    else:
        rooms.store.put(TABLE, owner(room), MEMBER + member, VERSION + row)
    _round(rooms, room)


def _round(rooms: Rooms, room: Room) -> None:
    """As many empty rows as make those of members a power of two. They become fewer only when three quarters of all
    would be empty: a count that swings about a power of two costs nothing."""
    members = len(room.standings)
    if members > room.rows or members * 4 <= room.rows:
        room.rows = max(LEAST, rounded(members))
    before, room.empty = room.empty, room.rows - members
    for number in range(before, room.empty):
        rooms.store.put(TABLE, owner(room), _empty(number), VERSION)
    for number in range(room.empty, before):
        rooms.store.delete(TABLE, owner(room), _empty(number))


def _empty(number: int) -> bytes:
    return EMPTY + str(number).encode()


def forget(rooms: Rooms, room: Room) -> None:
    """Everything the room kept, its archive with it."""
    if room.stored or room.archived:
        rooms.store.erase(owner(room))
        if rooms.archive is not None:
            rooms.archive.forget(owner(room))
        room.stored = room.archived = False


def clear(rooms: Rooms, jid: JID) -> None:
    """What could not be read of a former room of that name."""
    rooms.unread.discard(jid.local)
    rooms.store.erase(jid.text.encode())
    if rooms.archive is not None:
        rooms.archive.forget(jid.text.encode())


async def load(rooms: Rooms) -> None:
    """All rooms of the service. Those from before the sealed store are written anew."""
    suffix = f"@{rooms.domain.domain}".encode()
    written = 0
    for name in await rooms.store.owners(TABLE):
        if not name.endswith(suffix):
            continue
        rows = await rooms.store.scan(TABLE, name)
        try:
            room = read(name.decode(), rows)
        except (ValueError, LookupError, TypeError, AttributeError):
            room = None
        if room is None:
            rooms.unread.add(parse_jid(name.decode()).local)
            continue
        rooms.rooms[room.jid] = room
        legacy = [key for key, _ in rows if key.startswith(LEGACY)]
        if legacy:
            written += len(legacy)
            ticket = _renew(rooms, room, legacy)
            if written >= _PORTION:
                written = 0
                await settled(ticket)


def _renew(rooms: Rooms, room: Room, legacy: Iterable[bytes]) -> Ticket:
    save_standings(rooms, room)
    for key in legacy:
        ticket: Ticket = rooms.store.delete(TABLE, owner(room), key)
    return ticket


def read(name: str, rows: Iterable[tuple[bytes, bytes]]) -> Room | None:
    """The room of those rows; None where they hold none that can be read."""
    values = {key: value[1:] for key, value in rows if value[:1] == VERSION}
    if CONFIG not in values:
        return None
    stored: dict[str, Any] = json.loads(values[CONFIG])
    room = Room(parse_jid(name), RoomConfig.from_dict(stored["config"]), bytes.fromhex(stored["secret"]))
    room.stored = True
    room.archived = room.cold = True  # unknown; erasing or reading nothing costs next to nothing
    room.vcard = values.get(VCARD, b"")
    if SUBJECT in values:
        subject = json.loads(values[SUBJECT])
        room.subject = Subject(subject["inner"].encode(), parse_jid(subject["setter"]), float(subject["at"]))
    legacy = False
    for key, value in values.items():
        if key.startswith(MEMBER):
            with suppress(SealError):  # the others can be read
                room.standings.read(key[len(MEMBER) :], value)
        elif key.startswith(LEGACY):
            legacy = True
            _read_legacy(room, key[len(LEGACY) :].decode(), json.loads(value))
        elif key.startswith(EMPTY):
            room.empty = max(room.empty, int(key[len(EMPTY) :]) + 1)
    room.rows = rounded(len(room.standings) + room.empty) if not legacy else 0
    return room


def _read_legacy(room: Room, address: str, standing: dict[str, str]) -> None:
    with suppress(JIDError):  # the rules for addresses have changed since: nobody can come under that name any more
        affiliation = AFFILIATIONS[standing["affiliation"]]
        room.stand(parse_jid(address), Standing(affiliation, standing.get("nick", ""), standing.get("reason", "")))


def _put(rooms: Rooms, room: Room, key: bytes, value: dict[str, Any]) -> None:
    rooms.store.put(TABLE, owner(room), key, VERSION + json.dumps(value, ensure_ascii=False).encode())
