from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from seal_vectors import draws

from quietwire.seal.key_block import MOST_DATA_KEYS, KeyBlock, Master, WrongKey
from quietwire.seal.server_key import Argon2, Passphrase, RawKey, of_passphrase, of_raw
from quietwire.seal.wraps import SealError

OLD, NEW = RawKey(b"o" * 32), RawKey(b"n" * 32)
CHEAP = Argon2(1, 8, 1, b"s" * 16)
WORDS = Passphrase(b"correct horse")


def made(login: bytes = b"") -> tuple[KeyBlock, Master]:
    return KeyBlock.create(os.urandom, of_raw(OLD), login)


def test_it_opens_with_its_key_and_with_no_other() -> None:
    block, master = made()
    again = KeyBlock.from_bytes(block.to_bytes())
    assert again == block
    opened = again.open(OLD)
    assert (opened.master, opened.number) == (master, 1)
    for wrong in (NEW, WORDS):
        with pytest.raises(WrongKey):
            again.open(wrong)


def test_it_opens_with_its_passphrase_and_with_no_other() -> None:
    block, master = KeyBlock.create(os.urandom, of_passphrase(WORDS, CHEAP, os.urandom))
    again = KeyBlock.from_bytes(block.to_bytes())
    assert again.open(WORDS).master == master
    assert again.open(WORDS).wrapping.argon2 == CHEAP
    for wrong in (Passphrase(b"incorrect horse"), OLD):
        with pytest.raises(WrongKey):
            again.open(wrong)


def test_a_change_leaves_both_until_the_new_one_has_proved_itself() -> None:
    block, master = made(b"l" * 32)
    both, renewed = block.rewrap(block.open(OLD), of_raw(NEW), os.urandom)
    assert [wrap.number for wrap in both.wraps] == [1, 2]
    assert both.open(OLD).master == both.open(NEW).master == renewed
    assert (renewed.index, renewed.login, renewed.data[0]) == (master.index, master.login, master.data[0])
    assert [id for id, _ in renewed.data] == [1, 2]
    after = both.without_older(both.open(NEW).number)
    assert after.open(NEW).master == renewed
    with pytest.raises(WrongKey):
        after.open(OLD)
    assert both.without_older(both.open(OLD).number) == both, "the former one proves nothing about the newer"


def test_a_change_that_nobody_finished_is_forgotten_by_the_next_one() -> None:
    block, _ = made()
    both, _ = block.rewrap(block.open(OLD), of_raw(NEW), os.urandom)
    words = of_passphrase(WORDS, CHEAP, os.urandom)
    again, renewed = both.rewrap(both.open(OLD), words, os.urandom, renew=False)
    assert [wrap.number for wrap in again.wraps] == [1, 3]
    assert len(renewed.data) == 2
    with pytest.raises(WrongKey):
        again.open(NEW)
    assert again.open(WORDS).master == renewed


def test_old_rows_open_and_new_ones_are_under_the_new_key() -> None:
    block, master = made()
    before = master.keys()
    row = before.cipher.encrypt(b"n" * 12, b"text", b"place")
    _, renewed = block.rewrap(block.open(OLD), of_raw(NEW), os.urandom)
    keys = renewed.keys()
    assert (keys.index, keys.login) == (before.index, before.login)
    assert keys.cipher.decrypt(b"n" * 12, row, b"place") == b"text"
    newer = keys.cipher.encrypt(b"n" * 12, b"text", b"place")
    with pytest.raises(InvalidTag):
        before.cipher.decrypt(b"n" * 12, newer, b"place")
    before.cipher.renew(renewed.data_keys())
    assert before.cipher.decrypt(b"n" * 12, newer, b"place") == b"text"
    with pytest.raises(InvalidTag):
        keys.cipher.decrypt(b"n" * 12, row, b"another place")


def test_the_secret_of_logins_before_there_was_a_block_stays() -> None:
    assert made(b"l" * 32)[1].keys().login == b"l" * 32
    assert made()[1].keys().login not in (b"", b"l" * 32)


def test_there_is_an_end_to_data_keys() -> None:
    full = Master(b"i" * 32, tuple((number, b"d" * 32) for number in range(1, MOST_DATA_KEYS + 1)))
    block = KeyBlock.sealed(full, ((1, of_raw(OLD)),), os.urandom)
    assert KeyBlock.from_bytes(block.to_bytes()).open(OLD).master == full
    with pytest.raises(SealError, match="as many as there can be"):
        block.rewrap(block.open(OLD), of_raw(NEW), os.urandom)


def test_nothing_secret_is_shown() -> None:
    block, master = KeyBlock.create(draws(b"i" * 32, b"d" * 32, b"n" * 12), of_raw(OLD))
    for shown in (repr(block), repr(master), repr(block.open(OLD)), repr(master.keys())):
        assert "iiii" not in shown
        assert "dddd" not in shown
        assert "oooo" not in shown


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(at: int, bit: int) -> None:
    block, _ = KeyBlock.create(os.urandom, of_raw(OLD))
    data = bytearray(block.to_bytes())
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(SealError):
        KeyBlock.from_bytes(bytes(data)).open(OLD)


@given(st.binary(max_size=200))
def test_bytes_that_are_none(data: bytes) -> None:
    with pytest.raises(SealError):
        KeyBlock.from_bytes(data)
    with pytest.raises(SealError):
        KeyBlock.from_bytes(b"\x01\x01" + data).open(OLD)


def test_cut_short_or_too_long() -> None:
    data = made()[0].to_bytes()
    for spoilt in (*(data[:length] for length in range(len(data))), data + b"\0"):
        with pytest.raises(SealError):
            KeyBlock.from_bytes(spoilt)


DOCUMENT = Path(__file__).parents[2] / "docs" / "protocols" / "server-key.md"


def vectors() -> dict[str, Any]:
    found = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def test_vectors() -> None:
    told = vectors()
    raw, words = RawKey(bytes.fromhex(told["server_key"])), Passphrase(told["passphrase"].encode())
    block = KeyBlock.from_bytes(bytes.fromhex(told["block"]))
    for secret in (raw, words):
        master = block.open(secret).master
        assert master.index.hex() == told["index"]
        assert [[id, key.hex()] for id, key in master.data] == told["data"]
        assert master.login.hex() == told["login"]
    keys = master.keys()
    assert keys.owner("account", b"juliet@example.com").hex() == told["owner"]
    nonces = (wrap.nonce for wrap in block.wraps)
    argon2 = block.wraps[1].argon2
    assert argon2 is not None
    again = KeyBlock.sealed(
        master,
        ((1, of_raw(raw)), (2, of_passphrase(words, argon2, lambda size: block.wraps[1].id))),
        lambda n: next(nonces),
    )
    assert again.to_bytes().hex() == told["block"]


def test_a_second_reader_of_the_document_can_open_the_block() -> None:
    told = vectors()
    data = bytes.fromhex(told["block"])
    assert data[:2] == b"\x01\x02"
    at, opened = 2, []
    for kind in (1, 2):
        start, key = at, bytes.fromhex(told["server_key"])
        assert data[at] == kind
        at += 13
        if kind == 2:
            time_cost, memory, lanes, salt = struct.unpack_from(">IIB16s", data, at)
            key = hash_secret_raw(told["passphrase"].encode(), salt, time_cost, memory, lanes, 32, Type.ID)
            at += 25
        bound = b"quietwire key block 1\0" + data[start:at]
        nonce, length = data[at : at + 12], int.from_bytes(data[at + 12 : at + 16], "big")
        box, at = data[at + 16 : at + 16 + length], at + 16 + length
        wrapping = HKDFExpand(SHA256(), 32, b"quietwire server wrap 1").derive(key)
        opened.append(AESGCM(wrapping).decrypt(nonce, box, bound))
    assert at == len(data)
    assert opened[0] == opened[1]
    assert opened[0][:32].hex() == told["index"]
