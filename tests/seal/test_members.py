from __future__ import annotations

import pytest

from quietwire.seal.keys import expand, hashed
from quietwire.seal.members import Members
from quietwire.seal.wraps import SealError

KEYS = Members(bytes(range(32)))
HEAD = b"\x01" + bytes(16)


def test_a_name_is_found_by_who_has_the_secret_and_the_name() -> None:
    alice = KEYS.member("alice@a.example")
    assert alice == Members(bytes(range(32))).member("alice@a.example")
    others = KEYS.member("bob@a.example"), KEYS.nick("alice@a.example"), Members(bytes(32)).member("alice@a.example")
    assert len({alice, *others}) == 4
    assert {len(each) for each in (alice, *others)} == {16}


def test_a_box_gives_back_what_was_put_in() -> None:
    for content in (("alice@a.example", "", ""), ("käthe@b.example", "Kät he", "too\nloud"), ("", "", "")):
        member = KEYS.member(content[0])
        assert KEYS.open(member, HEAD, KEYS.close(member, HEAD, *content)) == content


def test_a_box_opens_in_its_place_only() -> None:
    alice, bob = KEYS.member("alice@a.example"), KEYS.member("bob@a.example")
    box = KEYS.close(alice, HEAD, "alice@a.example", "Al", "")
    assert b"alice" not in box
    wrong = [
        (KEYS, bob, HEAD, box),
        (KEYS, alice, b"\x03" + bytes(16), box),
        (Members(bytes(32)), alice, HEAD, box),
        (KEYS, alice, HEAD, box[:-1] + bytes((box[-1] ^ 1,))),
        (KEYS, alice, HEAD, b""),
    ]
    for keys, member, head, one in wrong:
        with pytest.raises(SealError):
            keys.open(member, head, one)


def test_names_are_hashed_as_everywhere() -> None:
    index = bytes(expand(bytes(range(32)), "room members index 1"))
    for name in ("alice@a.example", ""):
        assert KEYS.member(name) == hashed(index, b"member", name.encode())


def test_vectors() -> None:
    """Those of docs/protocols/sealed-store.md."""
    member = KEYS.member("juliet@example.com")
    assert member.hex() == "3c26fdbd42a5cd16a4b82c32c292c3c4"
    assert KEYS.nick("jules").hex() == "393d8196882122957dd2d26b4a769a8a"
    head = b"\x01" + KEYS.nick("jules")
    assert (
        KEYS.close(member, head, "juliet@example.com", "Jules", "").hex()
        == "799b38366d6c1a3b86851d52f9cb57d0e86cb7e9336dbcc4d6a6629a73a26871fa99b53d5a3040afd1af2a"
    )


def test_it_does_not_show_its_keys() -> None:
    assert repr(KEYS) == "Members(...)"
