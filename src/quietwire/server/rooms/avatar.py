"""The room's own vCard and the avatar in it (XEP-0486)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build, parse, serialise
from quietwire.server.rooms import names, persistence
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.rooms.state import Rooms

MAX_VCARD: Final = 96 << 10
"""Bytes: a picture of 64 KiB in base64 and some words."""
_PHOTO: Final = f"{{{names.VCARD}}}PHOTO/{{{names.VCARD}}}BINVAL"


def get(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """Who may know of the room may see it."""
    return iq.result(vcard(room) if room.vcard else build(names.VCARD_TAG))


def set(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """Raises StanzaError: forbidden for who is no owner, not-acceptable for one that is too big."""
    assert iq.from_ is not None
    if room.affiliation(iq.from_.bare) is not Affiliation.OWNER:
        raise StanzaError("forbidden")
    payload = iq.payload
    data = serialise(payload, ns.CLIENT) if len(payload) else b""
    if len(data) > MAX_VCARD:
        raise StanzaError("not-acceptable", "vCard: 96 KiB at most")
    room.vcard = data
    persistence.save_vcard(rooms, room)
    return iq.result()


def vcard(room: Room) -> Element:
    return parse(room.vcard, ns.CLIENT)


def digest(room: Room) -> str:
    """SHA-1 of the picture, as XEP-0153 §2.1 has it; '' where there is none."""
    text = vcard(room).findtext(_PHOTO) if room.vcard else None
    if not text:
        return ""
    try:
        picture = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return hashlib.sha1(picture, usedforsecurity=False).hexdigest()
