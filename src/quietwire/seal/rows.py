"""How a value lies in a row: packed with its key, padded to a size class, sealed by AES-256-GCM. Pure.

    row      = form u8 | nonce 12 | tag 16 | ciphertext
    content  = kind u8 | u16 length of key | u32 length of value | key | value | zeros

`form` says under which key: `OWN`, an account's or room's, or `SERVER`. The associated data binds the row to its table,
owner and key. docs/protocols/sealed-store.md has it whole.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidTag

from quietwire.seal.keys import Cipher
from quietwire.seal.sizes import small_class
from quietwire.seal.wraps import SealError

OWN: Final = 1
SERVER: Final = 3
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
HEAD_BYTES: Final = 1 + NONCE_BYTES + TAG_BYTES
"""Bytes before the ciphertext."""
_FIELDS = struct.Struct(">BHI")
OVERHEAD: Final = _FIELDS.size
"""Bytes of a content besides its key and value."""
_CONTEXT: Final = b"quietwire row 1\0"


def pack(kind: int, key: bytes, value: bytes) -> bytes:
    """The padded content of a row. `kind`: 0 to 255; `key`: at most 65,535 bytes."""
    size = OVERHEAD + len(key) + len(value)
    return (_FIELDS.pack(kind, len(key), len(value)) + key + value).ljust(small_class(size), b"\0")


def unpack(content: bytes) -> tuple[int, bytes, bytes]:
    """(kind, key, value). Raises SealError."""
    try:
        kind, key, value = _FIELDS.unpack_from(content)
    except struct.error:
        raise SealError("a row too short") from None
    at = OVERHEAD + key
    if at + value > len(content):
        raise SealError("a row too short")
    return kind, content[OVERHEAD:at], content[at : at + value]


def seal(cipher: Cipher, nonce: bytes, content: bytes, table: str, owner: bytes, key: bytes, form: int = OWN) -> bytes:
    """`nonce`: 12 random bytes; `owner`, `key`: as they stand in the database."""
    box = cipher.encrypt(nonce, content, bound(table, owner, key))
    return bytes((form,)) + nonce + box[-TAG_BYTES:] + box[:-TAG_BYTES]


def open_row(cipher: Cipher, row: bytes, table: str, owner: bytes, key: bytes, form: int = OWN) -> bytes:
    """The content. `form`: what may lie there. Raises SealError for a row that is damaged, of another form or key, or
    not of this place."""
    if len(row) < HEAD_BYTES or row[0] != form:
        raise SealError("not a sealed row")
    nonce = row[1 : 1 + NONCE_BYTES]
    try:
        return cipher.decrypt(nonce, row[HEAD_BYTES:] + row[1 + NONCE_BYTES : HEAD_BYTES], bound(table, owner, key))
    except InvalidTag:
        raise SealError("a sealed row does not open") from None


def tag(row: bytes) -> bytes:
    """What tells this sealing of a row from every other one; of a row that is too short, what there is and zeros."""
    return row[1 + NONCE_BYTES : HEAD_BYTES].ljust(TAG_BYTES, b"\0")


def bound(table: str, owner: bytes, key: bytes) -> bytes:
    """The associated data. Tables have no NUL, and owners are hashes of one length: it reads in one way only."""
    return b"".join((_CONTEXT, table.encode(), b"\0", len(owner).to_bytes(2, "big"), owner, key))
