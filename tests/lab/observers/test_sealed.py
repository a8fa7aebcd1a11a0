from __future__ import annotations

from pathlib import Path

from quietwire.lab.observers.sealed import read_keys
from quietwire.seal import rows
from quietwire.seal.key_block import KeyBlock
from quietwire.seal.keys import ServerKeys
from quietwire.seal.server_key import RawKey, of_raw

KEY = bytes(range(32))


def randomness(size: int) -> bytes:
    return bytes(7 * n % 251 for n in range(size))


def made() -> tuple[bytes, ServerKeys]:
    block, master = KeyBlock.create(randomness, of_raw(RawKey(KEY)))
    return block.to_bytes(), master.keys()


def test_the_key_file_opens_what_the_server_can_open_and_tests_names(tmp_path: Path) -> None:
    block, server = made()
    (tmp_path / "another").write_bytes(bytes(32))
    (tmp_path / "server.key").write_bytes(KEY)
    keys = read_keys(block, tmp_path)
    assert keys is not None
    owner = server.owner("item", b"alice@a.example")
    key = server.key("item", owner, b"k")
    row = rows.seal(server.cipher, bytes(12), rows.pack(0, b"k", b"<devices/>"), "item", owner, key, rows.SERVER)
    assert ("item", "alice@a.example", owner) in set(keys.names(["a.example"]))
    assert keys.open("item", owner, key, row) == (b"k", b"<devices/>")
    assert keys.open("node", owner, key, row) is None
    assert keys.open("item", owner, key, rows.seal(server.cipher, bytes(12), b"", "item", owner, key)) is None


def test_after_a_rotation_older_rows_open_too(tmp_path: Path) -> None:
    block, _ = made()
    before = KeyBlock.from_bytes(block).open(RawKey(KEY))
    (tmp_path / "new.key").write_bytes(bytes(reversed(KEY)))
    rotated, _ = KeyBlock.from_bytes(block).rewrap(before, of_raw(RawKey(bytes(reversed(KEY)))), randomness)
    keys = read_keys(rotated.to_bytes(), tmp_path)
    server = before.master.keys()
    row = rows.seal(server.cipher, bytes(12), rows.pack(0, b"k", b"v"), "item", b"o" * 16, b"k" * 16, rows.SERVER)
    assert keys is not None
    assert keys.open("item", b"o" * 16, b"k" * 16, row) == (b"k", b"v")


def test_without_the_key_there_is_nothing(tmp_path: Path) -> None:
    block, _ = made()
    assert read_keys(block, tmp_path) is None
    (tmp_path / "wrong").write_bytes(bytes(32))
    assert read_keys(block, tmp_path) is None
    (tmp_path / "right").write_bytes(KEY)
    assert read_keys(b"\x01\x05" + b"?" * 20, tmp_path) is None
