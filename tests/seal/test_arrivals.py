from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from quietwire.seal.arrivals import HEAD_BYTES, LONGEST_CHAIN, MOST_CHAINS, Chain, Opener, chain_of
from quietwire.seal.wraps import SealError

PRIVATE = X25519PrivateKey.from_private_bytes(b"p" * 32)
PUBLIC = PRIVATE.public_key().public_bytes_raw()
PLACE = ("spool", b"o" * 16)


def chain(seed: bytes = b"e" * 32) -> Chain:
    return Chain(PUBLIC, seed)


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(count)]


def test_rows_open_in_any_order_and_with_others_missing() -> None:
    sealing = chain()
    made = [(key, sealing.seal(b"content " + key, *PLACE, key)) for key in keys(9)]
    opener = Opener(PRIVATE)
    for key, row in (*made[::-2], made[3], made[3]):
        assert opener.open(row, *PLACE, key) == b"content " + key
    assert [chain_of(row)[1] for _, row in made] == list(range(9))
    assert len(made[0][1]) == HEAD_BYTES + len(b"content ") + 16


def test_two_chains_of_a_day_are_apart() -> None:
    first, second = chain(b"1" * 32), chain(b"2" * 32)
    one, two = first.seal(b"same", *PLACE, b"k"), second.seal(b"same", *PLACE, b"k")
    assert one[HEAD_BYTES:] != two[HEAD_BYTES:]
    opener = Opener(PRIVATE)
    assert opener.open(one, *PLACE, b"k") == opener.open(two, *PLACE, b"k") == b"same"


def test_who_has_the_chain_now_cannot_open_what_it_sealed() -> None:
    sealing = chain()
    sealing.seal(b"first", *PLACE, b"k")
    kept = bytes(sealing._key)
    again = chain()
    again.seal(b"", *PLACE, b"k")
    assert kept == again._key  # what is kept is the key after the row, from which the row's does not come


@pytest.mark.parametrize("place", [("archive", PLACE[1], b"k"), ("spool", b"O" * 16, b"k"), (*PLACE, b"K")])
def test_bound_to_its_place(place: tuple[str, bytes, bytes]) -> None:
    row = chain().seal(b"content", *PLACE, b"k")
    with pytest.raises(SealError):
        Opener(PRIVATE).open(row, *place)


def test_every_byte_counts() -> None:
    row = chain().seal(b"content", *PLACE, b"k")
    opener = Opener(PRIVATE)
    for at in range(len(row)):
        with pytest.raises(SealError):
            opener.open(row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :], *PLACE, b"k")
    with pytest.raises(SealError):
        Opener(X25519PrivateKey.from_private_bytes(b"P" * 32)).open(row, *PLACE, b"k")


@given(st.binary(max_size=120))
def test_no_bytes_raise_anything_but_a_seal_error(data: bytes) -> None:
    with pytest.raises(SealError):
        Opener(PRIVATE).open(data, *PLACE, b"k")
    with pytest.raises(SealError):
        Opener(PRIVATE).open(b"\x02" + data, *PLACE, b"k")


def test_forged_rows_cost_little_and_nothing_is_kept_of_them() -> None:
    row = chain().seal(b"content", *PLACE, b"k")
    opener = Opener(PRIVATE)
    with pytest.raises(SealError, match="beyond"):
        opener.open(row[:33] + LONGEST_CHAIN.to_bytes(4, "big") + row[37:], *PLACE, b"k")
    for number in range(5):
        with pytest.raises(SealError):
            opener.open(
                row[:1] + bytes([number + 9]) * 32 + (LONGEST_CHAIN - 1).to_bytes(4, "big") + row[37:], *PLACE, b"k"
            )
    assert opener._chains == {}
    for number in range(MOST_CHAINS + 3):
        opener.open(chain(bytes([number + 1]) * 32).seal(b"", *PLACE, b"k"), *PLACE, b"k")
    assert len(opener._chains) == MOST_CHAINS


def test_what_is_no_public_key_is_refused() -> None:
    for bad in (bytes(32), b"short", b"\x01" + bytes(31)):
        with pytest.raises(SealError):
            Chain(bad, b"e" * 32)
