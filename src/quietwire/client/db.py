"""One SQLite file of opaque pairs: names are keyed hashes, values AES-256-GCM. A reader without the key learns how
many pairs there are and how long each is, in steps of 256 bytes.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from quietwire.client.errors import StoreError
from quietwire.client.keys import NONCE, Lock, Source, new_lock, open_lock

STEP: Final = 256
"""Bytes: values are padded to multiples of it, so that a text's length does not show."""

APPLICATION_ID: Final = 0x51574331
"""SQLite's application_id of our files."""

_SCHEMA: Final = """
CREATE TABLE lock (id INTEGER PRIMARY KEY CHECK (id = 1), source TEXT NOT NULL, salt BLOB NOT NULL,
  time_cost INTEGER NOT NULL, memory_kib INTEGER NOT NULL, lanes INTEGER NOT NULL, wrapped BLOB NOT NULL) STRICT;
CREATE TABLE pair (name BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""


class Database:
    """Use through `Batch`. Not for two threads, not for two processes."""

    def __init__(self, connection: sqlite3.Connection, master: bytes, random: Callable[[int], bytes]) -> None:
        self._connection = connection
        self._random = random
        self._names = HKDFExpand(SHA256(), 32, b"names").derive(master)
        self._seal = AESGCM(HKDFExpand(SHA256(), 32, b"values").derive(master))

    @classmethod
    def open(cls, path: Path, source: Source, random: Callable[[int], bytes] = os.urandom) -> Database:
        """Opens the file, or makes it with mode 0600. Raises StoreError."""
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            # Opened in a thread, since Argon2 takes a while; used by the event loop's thread alone from then on.
            connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the store cannot be opened: {error.__class__.__name__}") from None
        try:
            return cls(connection, _unlock(connection, source, random), random)
        except StoreError:
            connection.close()
            raise
        except sqlite3.OperationalError as error:
            connection.close()
            busy = "locked" in str(error)
            raise StoreError("another process uses this store" if busy else "the store cannot be opened") from None
        except sqlite3.DatabaseError:
            connection.close()
            raise StoreError("the file is not a store of this client") from None

    def close(self) -> None:
        self._connection.close()

    def batch(self) -> Batch:
        return Batch(self)

    def name(self, key: str) -> bytes:
        return hmac.digest(self._names, key.encode(), "sha256")[:16]

    def read(self, name: bytes) -> bytes | None:
        row = self._connection.execute("SELECT value FROM pair WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        value: bytes = row[0]
        try:
            padded = self._seal.decrypt(value[:NONCE], value[NONCE:], name)
        except InvalidTag:
            raise StoreError("the store is damaged") from None
        length = int.from_bytes(padded[:4], "big")
        return padded[4 : 4 + length]

    def write(self, pairs: dict[bytes, bytes | None]) -> None:
        """All of it or nothing, durable when it returns."""
        if not pairs:
            return
        rows = [(name, self._sealed(name, value)) for name, value in sorted(pairs.items()) if value is not None]
        gone = [(name,) for name, value in pairs.items() if value is None]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO pair VALUES (?, ?)", rows)
            self._connection.executemany("DELETE FROM pair WHERE name = ?", gone)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StoreError("the store cannot be written") from None

    def _sealed(self, name: bytes, value: bytes) -> bytes:
        length = len(value) + 4
        padded = len(value).to_bytes(4, "big") + value + bytes(-length % STEP)
        nonce = self._random(NONCE)
        return nonce + self._seal.encrypt(nonce, padded, name)


class Batch:
    """Reads through to the database, writes kept until `commit`: one transaction a message.

    It may live across awaits; the rule is that no two batches that are open at once write the same keys.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[bytes, bytes | None] = {}

    def get(self, key: str) -> bytes | None:
        name = self._database.name(key)
        if name in self._pending:
            return self._pending[name]
        return self._database.read(name)

    def put(self, key: str, value: bytes) -> None:
        self._pending[self._database.name(key)] = value

    def delete(self, key: str) -> None:
        self._pending[self._database.name(key)] = None

    def mark(self) -> dict[bytes, bytes | None]:
        """For `back`: what is pending now."""
        return dict(self._pending)

    def back(self, mark: dict[bytes, bytes | None]) -> None:
        """Forgets what was written since `mark`."""
        self._pending = dict(mark)

    def commit(self) -> None:
        """Raises StoreError, and keeps everything pending then."""
        self._database.write(self._pending)
        self._pending = {}


def _unlock(connection: sqlite3.Connection, source: Source, random: Callable[[int], bytes]) -> bytes:
    # EXCLUSIVE: a second process with the same ratchets would use keys twice. secure_delete: what is gone is gone.
    # synchronous=FULL: a ratchet step that a power cut takes back would be taken again with another message.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN EXCLUSIVE")
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and found != APPLICATION_ID:
        connection.execute("ROLLBACK")
        raise StoreError("the file is not a store of this client")
    if tables:
        row = connection.execute("SELECT source, salt, time_cost, memory_kib, lanes, wrapped FROM lock").fetchone()
        connection.execute("COMMIT")
        return open_lock(Lock(*row), source)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    lock, master = new_lock(source, random)
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    row = (lock.source, lock.salt, lock.time_cost, lock.memory_kib, lock.lanes, lock.wrapped)
    connection.execute("INSERT INTO lock VALUES (1, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("COMMIT")
    return master
