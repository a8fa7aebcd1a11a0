"""Archives from before the sealed store: rows in clear, one a message, in `old_archive` under the owner's name.

    value = version u8 (1) | flags | order u64 | stamp u64 | size u32 | token u64 | length u16 | address | message

A key is ``m``, the month and the id; the row ``s`` tells up to which order provisional messages were judged.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from quietwire.seal.pages import PROVISIONAL, WEAK, Header

TABLE: Final = "old_archive"
MESSAGE: Final = b"m"
SETTLED: Final = b"s"
_HEADER: Final = Struct(">BBQQIQH")


def read(key: bytes, value: bytes) -> tuple[Header, bytes] | None:
    """Header and message; None for a row that cannot be read."""
    if len(key) != 19 or key[:1] != MESSAGE or len(value) < _HEADER.size or value[0] != 1:
        return None
    _, flags, order, stamp, _, token, length = _HEADER.unpack_from(value)
    end = _HEADER.size + length
    try:
        name = value[_HEADER.size : end].decode()
    except UnicodeDecodeError:
        return None
    body = value[end:]
    header = Header(order, key[3:], stamp, name, len(body), token, bool(flags & WEAK), bool(flags & PROVISIONAL))
    return header, body


def month(key: bytes) -> int:
    return int.from_bytes(key[1:3], "big")
