"""docs/protocols/sealed-store.md: its vectors by the server's code, and by a reader that knows the document only."""

from __future__ import annotations

import second_reader
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sealed_vectors import VECTORS, data

from quietwire.seal import rows
from quietwire.seal.arrivals import Chain, Opener
from quietwire.seal.keys import AccountKeys, ServerKeys, expand
from quietwire.seal.manifest import Manifest
from quietwire.seal.sizes import small_class
from quietwire.server.sealed import own

ACCOUNT = VECTORS["account"].encode()
SERVER = ServerKeys(data("server", "index"), data("server", "data"))
KEYS = AccountKeys(bytearray(data("secret")))


def test_keys_and_names() -> None:
    assert (
        SERVER.index == data("server", "index_key") == second_reader.expand(data("server", "index"), "server index 1")
    )
    assert data("server", "data_key") == second_reader.expand(data("server", "data"), "server data 1")
    assert bytes(expand(data("secret"), "account data 1")) == data("own", "data_key")
    assert bytes(expand(data("secret"), "account index 1")) == data("own", "index_key")
    for place, table in (
        (VECTORS["server"]["row"], "account"),
        (VECTORS["own"], "sealed"),
        (VECTORS["arrivals"], "spool"),
    ):
        hashed = second_reader.keyed_hash(SERVER.index, b"owner", table.encode(), ACCOUNT)
        assert SERVER.owner(table, ACCOUNT) == bytes.fromhex(place["owner_hash"]) == hashed
    key = b"romeo@example.net"
    hashed = second_reader.keyed_hash(data("own", "index_key"), b"roster", key)
    assert KEYS.key(b"roster", key) == data("own", "row", "key_hash") == hashed


def test_a_row_of_the_servers() -> None:
    row, place = VECTORS["server"]["row"], ("account", data("server", "row", "owner_hash"))
    key = SERVER.key(*place, row["key"].encode())
    assert key == data("server", "row", "key_hash")
    content = rows.pack(0, row["key"].encode(), row["value"].encode())
    sealed = rows.seal(SERVER.cipher, data("server", "row", "nonce"), content, *place, key, rows.SERVER)
    assert sealed == data("server", "row", "row")
    opened = second_reader.open_row([data("server", "data_key")], 3, sealed, *place, key)
    assert second_reader.unpack(opened) == (0, row["key"].encode(), row["value"].encode())


def test_an_accounts_rows_and_their_manifest() -> None:
    place, cipher = ("sealed", data("own", "owner_hash")), KEYS.cipher
    assert cipher is not None
    manifest = Manifest()
    row, dummy, whole = (VECTORS["own"][name] for name in ("row", "dummy", "manifest"))
    name, value = row["key"].encode(), data("own", "row", "value")
    for kind, key, content, made in (
        (own.KINDS["roster"], data("own", "row", "key_hash"), (name, value), row),
        (0, data("own", "dummy", "key"), (b"", b""), dummy),
    ):
        sealed = rows.seal(cipher, bytes.fromhex(made["nonce"]), rows.pack(kind, *content), *place, key)
        assert sealed.hex() == made["row"]
        opened = second_reader.open_row([data("own", "data_key")], 1, sealed, *place, key)
        assert second_reader.unpack(opened) == (kind, *content)
        manifest.put(kind, key, rows.tag(sealed))
    assert manifest.to_bytes().hex() == whole["content"]
    key = KEYS.key(b"manifest", b"")
    content = rows.pack(own.MANIFEST, b"", manifest.to_bytes())
    assert key.hex() == whole["key_hash"]
    assert rows.seal(cipher, bytes.fromhex(whole["nonce"]), content, *place, key).hex() == whole["row"]
    listed = second_reader.manifest_of(manifest.to_bytes())
    assert listed == {key: (kind, tag) for kind, key, tag in manifest}


def test_arrivals() -> None:
    arrivals, place = VECTORS["arrivals"], ("spool", data("arrivals", "owner_hash"))
    assert KEYS.arrival_public().hex() == arrivals["public"]
    private = X25519PrivateKey.from_private_bytes(data("arrivals", "private"))
    chain = Chain(KEYS.arrival_public(), data("arrivals", "ephemeral_private"))
    opener = Opener(KEYS.arrival_key())
    for number, made in enumerate(arrivals["rows"]):
        key, row = bytes.fromhex(made["key"]), bytes.fromhex(made["row"])
        content = rows.pack(0, b"", made["value"].encode())
        assert chain.seal(content, *place, key) == row
        assert row[1:33].hex() == arrivals["ephemeral_public"]
        assert opener.open(row, *place, key) == content
        assert second_reader.open_arrival(private, row, *place, key) == content
        row_key = bytes.fromhex(arrivals["row_keys"][number])
        bound = second_reader.bound(*place, key)
        assert AESGCM(row_key).decrypt(bytes(12), row[53:] + row[37:53], bound) == content


def test_a_row_of_a_room() -> None:
    room = VECTORS["room"]
    owner, secret = room["room"].encode(), data("room", "secret")
    assert expand(secret, "room data 1").hex() == room["data_key"]
    place = ("room", SERVER.owner("room", owner))
    key = SERVER.key(*place, room["key"].encode())
    assert (place[1].hex(), key.hex()) == (room["owner_hash"], room["key_hash"])
    content = rows.pack(0, room["key"].encode(), room["value"].encode())
    sealed = rows.seal(AESGCM(data("room", "data_key")), data("room", "nonce"), content, *place, key)
    assert sealed.hex() == room["row"]
    assert second_reader.open_row([data("room", "data_key")], 1, sealed, *place, key) == content


def test_sizes_and_kinds() -> None:
    for size, padded in VECTORS["sizes"]["row"]:
        assert small_class(size) == padded
    assert {number: name for name, number in own.KINDS.items()} == second_reader.KINDS
