"""A database of ours, made by hand after docs/protocols/sealed-store.md."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.lab.audit import quietwire
from quietwire.seal import rows
from quietwire.seal.key_block import KeyBlock
from quietwire.seal.keys import Cipher, ServerKeys, expand
from quietwire.seal.members import NOBODY, Members
from quietwire.seal.pages import MESSAGE, batch, segment
from quietwire.seal.server_key import RawKey, of_raw

KEY = RawKey(bytes(range(32)))
ANNA, BEN, ROOM = b"anna@x.example", b"ben@x.example", b"den@m.example"
MONTH = (2026 * 12 + 10).to_bytes(2, "big")
STAMP = 1_795_259_439_000
MOLES = b"<message from='ben@x.example/r' to='den@m.example' type='groupchat'><body>Moles!</body></message>"
_TABLE = "CREATE TABLE {} (owner BLOB, key BLOB, value BLOB NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID"


class Vault:
    """`path`: the database, closed. Anna and Ben have accounts, Ben is in a room, Anna's roster is from before."""

    def __init__(self, folder: Path) -> None:
        self._chance = random.Random(9)
        block, master = KeyBlock.create(self._chance.randbytes, of_raw(KEY))
        self.keys: ServerKeys = master.keys()
        self.path = folder / "quietwire.sqlite"
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA secure_delete=ON")
        self.db.execute("PRAGMA application_id=%d" % quietwire.APPLICATION_ID)  # noqa: UP031
        for table in ("server", "account", "push", "node", "item", "room", "archive", "sealed", "old_roster"):
            self.db.execute(_TABLE.format(table))
        self.put("server", b"", b"keys", block.to_bytes())
        for name in (ANNA, BEN):
            self.server("account", name, b"credentials", b"verifiers")
            for _ in range(8):
                self.put("sealed", self.keys.owner("sealed", name), self._chance.randbytes(16), self.noise(253))
        self.server("push", BEN, b"push.example", b"node secret")
        self.server("item", BEN, b"urn:xmpp:omemo:2:devices\0current", b"<devices><device id='7'/></devices>")
        secret = bytes(32)
        self.server("room", ROOM, b"secret", secret, name=ROOM)
        cipher = AESGCM(bytes(expand(secret, "room data 1")))
        inside = b"m" * 32
        config = json.dumps({"secret": inside.hex(), "config": {"title": "Den"}}).encode()
        self.sealed(cipher, "room", ROOM, b"config", b"\1" + config)
        members = Members(inside)
        hashed, head = members.member(BEN.decode()), b"\2" + NOBODY
        box = members.close(hashed, head, BEN.decode(), "Benny", "")
        self.sealed(cipher, "room", ROOM, b"member:" + hashed, b"\1" + head + box)
        told = MESSAGE.pack(0, 1, STAMP, len(MOLES), 0, 0, bytes(16)) + MOLES
        self.archived(cipher, b"A", batch(1, 1, 1, [told]))
        self.archived(cipher, b"S", segment([MOLES.replace(b"Moles", b"Voles")], full=False))
        self.put("old_roster", ANNA, BEN, b"\1both Benny")
        self.db.close()

    def noise(self, size: int) -> bytes:
        return b"\1" + self._chance.randbytes(size - 1)

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> None:
        self.db.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (owner, key, value))

    def server(self, table: str, owner: bytes, key: bytes, value: bytes, name: bytes = b"") -> None:
        """A row under the server's key."""
        hashed = self.keys.owner(table, owner)
        place = self.keys.key(table, hashed, key)
        content = rows.pack(0, name or key, value)
        nonce = self._chance.randbytes(12)
        self.put(table, hashed, place, rows.seal(self.keys.cipher, nonce, content, table, hashed, place, rows.SERVER))

    def archived(self, cipher: Cipher, letter: bytes, content: bytes) -> None:
        hashed, key = self.keys.owner("archive", ROOM), letter + MONTH + self._chance.randbytes(16)
        self.put("archive", hashed, key, rows.seal(cipher, self._chance.randbytes(12), content, "archive", hashed, key))

    def sealed(self, cipher: Cipher, table: str, owner: bytes, key: bytes, value: bytes) -> None:
        hashed = self.keys.owner(table, owner)
        place = self.keys.key(table, hashed, key)
        content = rows.pack(0, key, value)
        nonce = self._chance.randbytes(12)
        self.put(table, hashed, place, rows.seal(cipher, nonce, content, table, hashed, place, rows.OWN))
