from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from quietwire.seal import rows
from quietwire.seal.sizes import SMALL
from quietwire.seal.wraps import SealError

CIPHER, NONCE = AESGCM(bytes(32)), b"n" * 12
PLACE = ("sealed", b"o" * 16, b"k" * 16)
ROW = rows.seal(CIPHER, NONCE, rows.pack(1, b"romeo@b.example", b"value"), *PLACE)


@given(st.integers(0, 255), st.binary(max_size=300), st.binary(max_size=5_000))
def test_contents_come_back_and_have_one_of_few_lengths(kind: int, key: bytes, value: bytes) -> None:
    content = rows.pack(kind, key, value)
    assert rows.unpack(content) == (kind, key, value)
    assert len(content) in SMALL or len(content) > SMALL[-1]


def test_a_row_and_its_length() -> None:
    assert rows.unpack(rows.open_row(CIPHER, ROW, *PLACE)) == (1, b"romeo@b.example", b"value")
    assert len(ROW) == rows.HEAD_BYTES + SMALL[0] <= 256
    assert ROW[:13] == b"\x01" + NONCE
    assert rows.tag(ROW) == ROW[13:29]
    assert rows.tag(ROW[:20]) == ROW[13:20] + bytes(9)


@pytest.mark.parametrize(
    "place",
    [("body", *PLACE[1:]), ("sealed", b"O" * 16, PLACE[2]), (*PLACE[:2], b"K" * 16), ("sealed", b"o" * 15, b"ok" * 8)],
)
def test_bound_to_table_owner_and_key(place: tuple[str, bytes, bytes]) -> None:
    with pytest.raises(SealError):
        rows.open_row(CIPHER, ROW, *place)


def test_bound_to_form_and_cipher() -> None:
    with pytest.raises(SealError):
        rows.open_row(CIPHER, ROW, *PLACE, rows.SERVER)
    with pytest.raises(SealError):
        rows.open_row(CIPHER, bytes((rows.SERVER,)) + ROW[1:], *PLACE)
    with pytest.raises(SealError):
        rows.open_row(AESGCM(b"1" * 32), ROW, *PLACE)


@pytest.mark.parametrize("at", range(len(ROW)))
def test_every_byte_counts(at: int) -> None:
    with pytest.raises(SealError):
        rows.open_row(CIPHER, ROW[:at] + bytes([ROW[at] ^ 1]) + ROW[at + 1 :], *PLACE)


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_seal_error(data: bytes) -> None:
    with pytest.raises(SealError):
        rows.open_row(CIPHER, data, *PLACE)
    try:
        rows.unpack(data)
    except SealError:
        pass


def test_what_is_bound_reads_in_one_way_only() -> None:
    assert rows.bound("t", b"ab", b"c") != rows.bound("t", b"a", b"bc")
    assert rows.bound("t", b"", b"") != rows.bound("", b"t", b"")
