"""Another reader of a database of the server: written from docs/protocols/sealed-store.md, server-key.md and
account-secret.md, with the standard library and `cryptography` only. It imports nothing of the server.

    python second_reader.py DATABASE SERVER-KEY-FILE alice@a.example     (asks for the password)
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import hmac
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KINDS = {1: "roster", 2: "block", 3: "private", 4: "vcard", 5: "preference", 6: "device", 7: "node", 8: "item"}
DUMMY, ISOLATED, MANIFEST, BODY = 0x00, 0x7F, 0xFF, 0x80


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


# -- keys


def expand(key: bytes, purpose: str) -> bytes:
    """HKDF-Expand-SHA-256 of one block."""
    return hmac.digest(key, b"quietwire " + purpose.encode() + b"\x01", "sha256")


def extract(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, "sha256")


def keyed_hash(key: bytes, *parts: bytes) -> bytes:
    text = b"".join(len(part).to_bytes(2, "big") + part for part in parts[:-1]) + parts[-1]
    return hashlib.blake2b(text, digest_size=16, key=key).digest()


def master_of(block: bytes, server_key: bytes) -> tuple[bytes, list[bytes]]:
    """(index key, data keys, the newest last) out of a key block, by a key that is no passphrase."""
    wanted = hashlib.blake2b(b"quietwire key id 1", digest_size=8, key=server_key).digest()
    at = 2
    for _ in range(block[1]):
        start, kind, id_ = at, block[at], block[at + 5 : at + 13]
        at += 13 + (25 if kind == 2 else 0)
        head, nonce, length = block[start:at], block[at : at + 12], number(block[at + 12 : at + 16])
        box, at = block[at + 16 : at + 16 + length], at + 16 + length
        if kind == 1 and id_ == wanted:
            key = expand(server_key, "server wrap 1")
            master = AESGCM(key).decrypt(nonce, box, b"quietwire key block 1\0" + head)
            rest = master[33 + master[32] :]
            return master[:32], [rest[4 + 34 * n : 36 + 34 * n] for n in range(number(rest[:2]))]
    raise ValueError("not the key of this block")


def secret_of(record: bytes, account: str, password: str) -> bytes:
    """Out of the record of credentials, by its first entry: SCRAM-SHA-256."""
    name_length, verifier_length = record[2], number(record[3:5])
    name = record[5 : 5 + name_length]
    verifier = record[5 + name_length : 5 + name_length + verifier_length]
    wrap = record[5 + name_length + verifier_length :][:61]
    iterations, salt = number(verifier[1:5]), verifier[7 : 7 + verifier[5]]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    info = b"quietwire wrap 1\0" + name
    key = hmac.digest(extract(bytes(32), client_key), info + b"\x01", "sha256")
    return AESGCM(key).decrypt(wrap[1:13], wrap[13:], info + b"\0" + account.encode())


# -- rows


def bound(table: str, owner: bytes, key: bytes) -> bytes:
    return b"quietwire row 1\0" + table.encode() + b"\0" + len(owner).to_bytes(2, "big") + owner + key


def open_row(data_keys: list[bytes], form: int, row: bytes, table: str, owner: bytes, key: bytes) -> bytes:
    """The content. `data_keys`: those of AES, tried from the last."""
    if row[0] != form:
        raise ValueError("another form of row")
    for data_key in reversed(data_keys):
        with contextlib.suppress(Exception):
            return AESGCM(data_key).decrypt(row[1:13], row[29:] + row[13:29], bound(table, owner, key))
    raise ValueError("does not open")


def unpack(content: bytes) -> tuple[int, bytes, bytes]:
    """(kind, key, value)."""
    kind, key, value = content[0], number(content[1:3]), number(content[3:7])
    return kind, content[7 : 7 + key], content[7 + key : 7 + key + value]


def open_arrival(private: X25519PrivateKey, row: bytes, table: str, owner: bytes, key: bytes) -> bytes:
    ephemeral, count, tag, sealed = row[1:33], number(row[33:37]), row[37:53], row[53:]
    shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    own = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    chain = hmac.digest(extract(ephemeral + own, shared), b"quietwire arrivals 1\x01", "sha256")
    for _ in range(count + 1):
        both = hashlib.blake2b(b"quietwire arrival 1", digest_size=64, key=chain).digest()
        chain, row_key = both[:32], both[32:]
    return AESGCM(row_key).decrypt(bytes(12), sealed + tag, bound(table, owner, key))


def manifest_of(data: bytes) -> dict[bytes, tuple[int, bytes]]:
    """Key -> (kind, tag)."""
    if data[0] != 1:
        raise ValueError("another version")
    return {data[at + 1 : at + 17]: (data[at], data[at + 17 : at + 33]) for at in range(1, len(data), 33)}


# -- a database


class Reader:
    """Of one account. `password` b"" reads what the server's key opens alone."""

    def __init__(self, database: Path, server_key: bytes, account: str, password: str) -> None:
        self._database = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        self.account = account
        index, keys = master_of(self._rows("server")[b"", b"keys"], server_key)
        self._index = expand(index, "server index 1")
        self._data = [expand(key, "server data 1") for key in keys]
        record = self.of_server("account", b"credentials")
        assert record is not None, "no such account"
        secret = secret_of(record, account, password)
        self._own_data = [expand(secret, "account data 1")]
        self._own_index = expand(secret, "account index 1")
        self._private = X25519PrivateKey.from_private_bytes(expand(secret, "account arrivals 1"))

    def close(self) -> None:
        self._database.close()

    def _rows(self, table: str) -> dict[tuple[bytes, bytes], bytes]:
        found = self._database.execute(f"SELECT owner, key, value FROM {table}")
        return {(owner, key): value for owner, key, value in found}

    def owner(self, table: str) -> bytes:
        return keyed_hash(self._index, b"owner", table.encode(), self.account.encode())

    def mine(self, table: str) -> dict[bytes, bytes]:
        owner = self.owner(table)
        return {key: value for (whose, key), value in self._rows(table).items() if whose == owner}

    def of_server(self, table: str, key: bytes) -> bytes | None:
        """The value of a row that the server's keys open."""
        owner = self.owner(table)
        hashed = keyed_hash(self._index, b"key", table.encode(), owner, key)
        row = self.mine(table).get(hashed)
        return None if row is None else unpack(open_row(self._data, 3, row, table, owner, hashed))[2]

    def own(self) -> tuple[dict[str, dict[bytes, bytes]], list[str]]:
        """(table -> key -> value, what is wrong) of all that the account keeps for itself."""
        rows = {False: self.mine("sealed"), True: self.mine("body")}
        key = keyed_hash(self._own_index, b"manifest", b"")
        kind, _, data = unpack(open_row(self._own_data, 1, rows[False].pop(key), "sealed", self.owner("sealed"), key))
        assert kind == MANIFEST
        found: dict[str, dict[bytes, bytes]] = {name: {} for name in KINDS.values()}
        wrong = []
        for key, (listed, tag) in manifest_of(data).items():
            body, kind = bool(listed & BODY), listed & ~BODY
            row = rows[body].pop(key, None)
            if row is None or row[13:29] != tag or kind == ISOLATED:
                wrong.append("missing" if row is None else "isolated" if kind == ISOLATED else "another row")
                continue
            table = "body" if body else "sealed"
            its, name, value = unpack(open_row(self._own_data, 1, row, table, self.owner(table), key))
            if its != kind or (kind != DUMMY and keyed_hash(self._own_index, KINDS[kind].encode(), name) != key):
                wrong.append("of another place")
            elif kind != DUMMY:
                found[KINDS[kind]][name] = value
        wrong += ["foreign"] * (len(rows[False]) + len(rows[True]))
        return found, wrong

    def waiting(self) -> list[bytes]:
        """Offline messages: eight bytes of stamp, then the stanza."""
        owner, found = self.owner("spool"), []
        for key, row in self.mine("spool").items():
            if row[0] == 2:
                found.append(unpack(open_arrival(self._private, row, "spool", owner, key))[2])
            else:
                found.append(unpack(open_row(self._data, 3, row, "spool", owner, key))[2])
        return sorted(found)


def told(reader: Reader) -> dict[str, Any]:
    own, wrong = reader.own()
    bookmarks = [
        key[2 + number(key[:2]) :].decode()
        for key in own["item"]
        if key[2 : 2 + number(key[:2])] == b"urn:xmpp:bookmarks:1"
    ]
    return {
        "contacts": {key.decode(): json.loads(value[1:]) for key, value in sorted(own["roster"].items())},
        "blocked": sorted(key.decode() for key in own["block"]),
        "bookmarks": sorted(bookmarks),
        "offline": [value[8:].decode() for value in reader.waiting()],
        "wrong": wrong,
    }


if __name__ == "__main__":
    _, file, key_file, name = sys.argv
    opened = Reader(Path(file), Path(key_file).read_bytes(), name, getpass.getpass())
    print(json.dumps(told(opened), indent=2))
