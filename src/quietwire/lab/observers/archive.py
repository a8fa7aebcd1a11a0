"""What a thief makes of the message archive: who wrote to whom and when, and by sizes what it was.

Rows are taken apart as docs/protocols/archive.md says: the thief knows the software.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from quietwire.lab.observers.talk import Sealed, level_of

TABLE = "archive"
_VERSION = 1
_MESSAGE = b"m"
_HEADER = Struct(">BBQQIQH")
"""Version, flags, order, stamp in ms, bytes of the message, token, bytes of the address; then address and message."""
_FROM = re.compile(r"^<message\b[^>]*?\sfrom=['\"]([^'\"]+)['\"]")
_PAYLOAD = re.compile(r"<payload[^>]*>([^<]*)<")


@dataclass(frozen=True, slots=True)
class Archived:
    """One archived message. `sender` and `other` are bare JIDs, `time` epoch seconds, `order` that of the archive."""

    time: float
    order: int
    owner: str
    other: str
    sender: str
    message: str
    ref: str


def read(owner: bytes, key: bytes, value: bytes, ref: str) -> Archived | None:
    """A row of the table; None for one that holds no message."""
    if not key.startswith(_MESSAGE) or len(value) < _HEADER.size or value[0] != _VERSION:
        return None
    _, _, order, stamp, _, _, length = _HEADER.unpack_from(value)
    name = owner.decode("utf-8", "replace")
    other = _bare(value[_HEADER.size : _HEADER.size + length].decode("utf-8", "replace"))
    message = value[_HEADER.size + length :].decode("utf-8", "replace")
    stated = _FROM.match(message)
    return Archived(stamp / 1000, order, name, other, _bare(stated[1]) if stated else "", message, ref)


def conversation(archived: Iterable[Archived]) -> list[Sealed]:
    """Each message once, though it is in two archives of this server, in order; with the size class of its payload,
    which base64 shows exactly."""
    row = []
    seen: set[str] = set()
    for one in sorted(archived, key=lambda one: (one.time, one.order)):
        payload = _PAYLOAD.search(one.message)
        if payload is None or payload[1] in seen:
            continue
        seen.add(payload[1])
        size = len(payload[1].rstrip("=")) * 3 // 4
        row.append(Sealed(one.time, one.sender, level_of(size), one.ref))
    return row


def _bare(jid: str) -> str:
    return jid.partition("/")[0]
