"""What a thief with the server key opens in a stolen database: rows under the server's key, of owners whose names the
thief guesses.

A second reader of docs/protocols/server-key.md and sealed-store.md: it shares no code with the server.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES = 32
TABLES = ("account", "node", "item", "vcard", "push", "upload")
"""Those of the server's rows that are found by their owner's name."""
BLOCK = "server"
"""The table with the key block."""
NAMES = (
    "admin", "alice", "anna", "anne", "ben", "bob", "carol", "charlie", "chris", "clara", "dan", "dave", "david",
    "emma", "eva", "eve", "felix", "frank", "hannah", "ivan", "jan", "jana", "joe", "john", "julia", "juliet",
    "karl", "kim", "lena", "leo", "lisa", "lucy", "lukas", "maria", "mark", "martin", "max", "mia", "mike",
    "nina", "oscar", "paul", "peter", "romeo", "sam", "sara", "sophie", "test", "tim", "tom",
)  # fmt: skip
"""Who can test names tests these first."""
_CONTEXT = b"quietwire row 1\0"
_BLOCK_CONTEXT = b"quietwire key block 1\0"
_SERVER = 3
_HEAD, _FIELDS, _LENGTH = struct.Struct(">BI8s"), struct.Struct(">BHI"), struct.Struct(">I")
_NONCE, _TAG = 12, 16


@dataclass(frozen=True, slots=True)
class Keys:
    """`index` hashes names; `data` opens rows, the newest first."""

    index: bytes
    data: tuple[AESGCM, ...]

    def owner(self, table: str, name: str) -> bytes:
        return _hashed(self.index, b"owner", table.encode(), name.encode())

    def open(self, table: str, owner: bytes, key: bytes, row: bytes) -> tuple[bytes, bytes] | None:
        """(key, value) as the server wrote them; None for a row that is not under the server's key."""
        if len(row) < 1 + _NONCE + _TAG or row[0] != _SERVER:
            return None
        nonce, tag, box = row[1 : 1 + _NONCE], row[1 + _NONCE : 1 + _NONCE + _TAG], row[1 + _NONCE + _TAG :]
        bound = _CONTEXT + table.encode() + b"\0" + len(owner).to_bytes(2, "big") + owner + key
        for cipher in self.data:
            with contextlib.suppress(InvalidTag):
                content = cipher.decrypt(nonce, box + tag, bound)
                _, name, value = _FIELDS.unpack_from(content)
                at = _FIELDS.size + name
                return content[_FIELDS.size : at], content[at : at + value]
        return None

    def names(self, domains: Iterable[str]) -> Iterator[tuple[str, str, bytes]]:
        """(table, bare JID, hash) of every guess."""
        for domain in domains:
            for name in NAMES:
                for table in TABLES:
                    jid = f"{name}@{domain}"
                    yield table, jid, self.owner(table, jid)


def read_keys(block: bytes, folder: Path) -> Keys | None:
    """Tries every file of 32 bytes as the server key; None where none is."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size == KEY_BYTES:
            with contextlib.suppress(struct.error, IndexError, ValueError):
                master = _master(block, path.read_bytes())
                if master is not None:
                    return _keys(master)
    return None


def _master(block: bytes, key: bytes) -> bytes | None:
    id = hashlib.blake2b(b"quietwire key id 1", digest_size=8, key=key).digest()
    at = 2
    for _ in range(block[1]):
        head = block[at : at + _HEAD.size]
        kind, _, found = _HEAD.unpack(head)
        at += _HEAD.size
        if kind != 1:
            head += block[at : at + 25]
            at += 25
        nonce = block[at : at + _NONCE]
        (length,) = _LENGTH.unpack_from(block, at + _NONCE)
        start = at + _NONCE + _LENGTH.size
        at = start + length
        if kind == 1 and found == id:
            with contextlib.suppress(InvalidTag):
                return AESGCM(_expand(key, "server wrap 1")).decrypt(nonce, block[start:at], _BLOCK_CONTEXT + head)
    return None


def _keys(master: bytes) -> Keys:
    at = KEY_BYTES + 1 + master[KEY_BYTES]
    count = int.from_bytes(master[at : at + 2], "big")
    first = at + 2
    found = [master[first + 34 * n + 2 : first + 34 * n + 34] for n in range(count)]
    ciphers = tuple(AESGCM(_expand(key, "server data 1")) for key in reversed(found))
    return Keys(_expand(master[:KEY_BYTES], "server index 1"), ciphers)


def _expand(secret: bytes, purpose: str) -> bytes:
    return HKDFExpand(SHA256(), KEY_BYTES, f"quietwire {purpose}".encode()).derive(secret)


def _hashed(key: bytes, *parts: bytes) -> bytes:
    text = b"".join([*(len(part).to_bytes(2, "big") + part for part in parts[:-1]), parts[-1]])
    return hashlib.blake2b(text, digest_size=16, key=key).digest()
