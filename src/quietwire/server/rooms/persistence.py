"""Rooms in the store: table ``room``, owner the room's bare JID. Only persistent rooms have rows.

Keys: ``config`` (with the room's secret), ``subject``, ``vcard``, and ``affiliation:JID`` for each bare JID that has
one. Values begin with a version byte. Every change is handed to the store in the turn that makes it, so that an
acknowledgement of what follows waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.server.rooms.config import RoomConfig
from quietwire.server.rooms.model import Room, Standing, Subject
from quietwire.server.rooms.ranks import AFFILIATIONS
from quietwire.server.rooms.state import Rooms

TABLE: Final = "room"
ARCHIVE: Final = "archive"
CONFIG: Final = b"config"
SUBJECT: Final = b"subject"
VCARD: Final = b"vcard"
AFFILIATION: Final = b"affiliation:"
VERSION: Final = b"\x01"


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
        for bare in room.standings:
            save_standing(rooms, room, bare)
    elif room.stored:
        for key in (CONFIG, SUBJECT, VCARD, *(AFFILIATION + bare.text.encode() for bare in room.standings)):
            rooms.store.delete(TABLE, owner(room), key)
        room.stored = False


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
    key = AFFILIATION + bare.text.encode()
    standing = room.standings.get(bare)
    if standing is None:
        rooms.store.delete(TABLE, owner(room), key)
    else:
        value = {"affiliation": standing.affiliation.label}
        value |= {"nick": standing.nick} if standing.nick else {}
        value |= {"reason": standing.reason} if standing.reason else {}
        _put(rooms, room, key, value)


def forget(rooms: Rooms, room: Room) -> None:
    """Everything the room kept, its archive with it."""
    if room.stored or room.archived:
        rooms.store.erase(owner(room))
        if rooms.archive is not None:
            rooms.archive.forget(owner(room))
        room.stored = room.archived = False


async def load(rooms: Rooms) -> None:
    """All rooms of the service."""
    suffix = f"@{rooms.domain.domain}".encode()
    for name in await rooms.store.owners(TABLE):
        if name.endswith(suffix):
            room = read(name.decode(), await rooms.store.scan(TABLE, name))
            if room is not None:
                rooms.rooms[room.jid] = room
    if rooms.archive is not None:  # rooms that were not persistent have ended with the server
        for name in await rooms.store.owners(ARCHIVE):
            if name.endswith(suffix) and parse_jid(name.decode()) not in rooms.rooms:
                rooms.store.erase(name)


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
    for key, value in values.items():
        if key.startswith(AFFILIATION):
            standing = json.loads(value)
            try:
                bare = parse_jid(key[len(AFFILIATION) :].decode())
            except JIDError:
                continue  # the rules for addresses have changed since: nobody can come under that name any more
            room.stand(
                bare,
                Standing(
                    AFFILIATIONS[standing["affiliation"]],
                    standing.get("nick", ""),
                    standing.get("reason", ""),
                ),
            )
    return room


def _put(rooms: Rooms, room: Room, key: bytes, value: dict[str, Any]) -> None:
    rooms.store.put(TABLE, owner(room), key, VERSION + json.dumps(value, ensure_ascii=False).encode())
