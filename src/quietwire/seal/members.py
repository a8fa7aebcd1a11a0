"""Who belongs to a room, kept so that one can ask for a name without a list of names. Pure.

A member is found by a keyed hash of the address; the address itself lies in a box under another key. Both keys come
from the room's secret, so whoever has that can do both: what it keeps apart is asking and listing.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from quietwire.seal.keys import HASH_BYTES, begun, expand, hashed
from quietwire.seal.wraps import SealError

_SIV_BYTES: Final = 64
"""Of a key of AES-256-SIV (RFC 5297)."""
_LENGTHS = struct.Struct(">HH")


class Members:
    """The keys of one room. `secret`: 32 bytes.

    Boxes are AES-SIV: there is one for each content, so that no nonce is needed. The row around them is sealed anew
    each time, so the store shows none of this.
    """

    __slots__ = ("_box", "_index", "_member", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._index = bytes(expand(secret, "room members index 1"))
        self._member = begun(self._index, b"member")
        self._box: AESSIV | None = None

    @property
    def _cipher(self) -> AESSIV:
        if self._box is None:  # most rooms are asked only
            self._box = AESSIV(bytes(expand(self._secret, "room members data 1", _SIV_BYTES)))
        return self._box

    def __repr__(self) -> str:
        return "Members(...)"

    def member(self, address: str) -> bytes:
        """What stands for a bare JID."""
        digest = self._member.copy()  # everybody who comes is looked up, and who makes a room in all of them
        digest.update(address.encode())
        return digest.digest()

    def nick(self, skeleton: str) -> bytes:
        """What stands for a reserved nickname."""
        return hashed(self._index, b"nick", skeleton.encode())

    def close(self, member: bytes, head: bytes, address: str, nick: str, reason: str) -> bytes:
        """The box. `head`: what stands outside of it, and cannot be changed without it."""
        first, second = address.encode(), nick.encode()
        content = _LENGTHS.pack(len(first), len(second)) + first + second + reason.encode()
        return self._cipher.encrypt(content, [member, head])

    def open(self, member: bytes, head: bytes, box: bytes) -> tuple[str, str, str]:
        """(address, nick, reason). Raises SealError."""
        try:
            content = self._cipher.decrypt(box, [member, head])
        except (InvalidTag, ValueError):
            raise SealError("a member's box does not open") from None
        first, second = _LENGTHS.unpack_from(content)
        start = _LENGTHS.size
        address, rest = content[start : start + first], content[start + first :]
        return address.decode(), rest[:second].decode(), rest[second:].decode()


NOBODY: Final = bytes(HASH_BYTES)
"""In the place of a nickname's hash where none is reserved."""
