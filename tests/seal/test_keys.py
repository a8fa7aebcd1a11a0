from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.seal.keys import AccountKeys, DataCipher, ServerKeys, expand, hashed
from quietwire.seal.wraps import SealError

SECRET = bytes(range(32))


def account() -> AccountKeys:
    return AccountKeys(bytearray(SECRET))


def by_hand(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, b"quietwire " + purpose + b"\x01", "sha256")  # HKDF-Expand, RFC 5869 §2.3


def test_keys_are_expanded_for_one_purpose_each() -> None:
    assert bytes(expand(SECRET, "account data 1")) == by_hand(SECRET, b"account data 1")
    assert expand(SECRET, "a") != expand(SECRET, "b")


def test_hashes_keep_their_parts_apart() -> None:
    assert hashed(SECRET, b"a", b"bc") == hashlib.blake2b(b"\0\x01abc", digest_size=16, key=SECRET).digest()
    assert len({hashed(SECRET, b"a", b"bc"), hashed(SECRET, b"ab", b"c"), hashed(SECRET, b"abc")}) == 3


def test_an_accounts_rows_can_be_opened_with_its_secret_alone() -> None:
    """Whatever the library does with the key it was given: it is this one that seals."""
    keys = account()
    assert keys.cipher is not None
    sealed = keys.cipher.encrypt(b"n" * 12, b"content", b"place")
    assert AESGCM(by_hand(SECRET, b"account data 1")).decrypt(b"n" * 12, sealed, b"place") == b"content"
    assert keys.key(b"roster", b"romeo") == hashed(by_hand(SECRET, b"account index 1"), b"roster", b"romeo")
    assert keys.arrival_public() == account().arrival_public()
    assert keys.secret == SECRET
    with pytest.raises(ValueError, match="32 bytes"):
        AccountKeys(bytearray(31))


def test_a_locked_account_has_no_keys() -> None:
    keys, secret, told = account(), bytearray(SECRET), []
    keys = AccountKeys(secret)
    index, data = keys._index, keys._data
    keys.parting = lambda: told.append(bytes(secret))  # for the last time they are there
    keys.wipe()
    keys.wipe()
    assert told == [SECRET]
    assert keys.cipher is None
    assert secret == index == data == bytes(32)
    for use in (lambda: keys.key(b"a", b"b"), keys.arrival_key, keys.arrival_public):
        with pytest.raises(SealError):
            use()


def test_the_newest_data_key_seals_and_all_open() -> None:
    old, new = DataCipher([b"1" * 32]), DataCipher([b"1" * 32, b"2" * 32])
    former, fresh = old.encrypt(b"n" * 12, b"former", b""), new.encrypt(b"n" * 12, b"fresh", b"")
    assert new.decrypt(b"n" * 12, former, b"") == b"former"
    assert DataCipher([b"2" * 32]).decrypt(b"n" * 12, fresh, b"") == b"fresh"
    with pytest.raises(InvalidTag):
        old.decrypt(b"n" * 12, fresh, b"")
    old.renew([b"1" * 32, b"2" * 32])
    assert old.decrypt(b"n" * 12, fresh, b"") == b"fresh"
    with pytest.raises(InvalidTag):
        new.decrypt(b"N" * 12, fresh, b"")


def test_the_servers_names() -> None:
    keys = ServerKeys(SECRET, b"d" * 32)
    index = by_hand(SECRET, b"server index 1")
    owner = keys.owner("account", b"alice@a.example")
    assert owner == hashed(index, b"owner", b"account", b"alice@a.example")
    assert keys.key("account", owner, b"credentials") == hashed(index, b"key", b"account", owner, b"credentials")
    assert owner != keys.owner("push", b"alice@a.example")
    assert keys.login == by_hand(SECRET, b"server login 1")
    assert ServerKeys(SECRET, b"d" * 32, login=b"l" * 32).login == b"l" * 32


def test_keys_do_not_show_themselves() -> None:
    assert repr(account()) == "AccountKeys(...)"
    assert repr(ServerKeys(SECRET, SECRET)) == "ServerKeys(...)"
