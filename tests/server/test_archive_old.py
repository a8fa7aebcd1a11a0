"""Rows of version 1, as servers before the sealed store wrote them."""

from __future__ import annotations

import pytest

from quietwire.seal.pages import Header
from quietwire.server.archive_old import month, read

KEY = b"m\x5f\x00" + bytes(range(16))
ROW = bytes.fromhex(
    "01" "03" "0000010000000001" "000001a0c4a4d07b" "00000005" "0102030405060708" "000d"
) + b"bob@b.example" + b"hello"  # fmt: skip


def test_a_row_is_read() -> None:
    header = Header(1 << 40 | 1, KEY[3:], 0x1A0C4A4D07B, "bob@b.example", 5, 0x0102030405060708, True, True)
    assert read(KEY, ROW) == (header, b"hello")
    assert month(KEY) == 2026 * 12 + 8


@pytest.mark.parametrize(
    ("key", "row"),
    [
        (KEY, b""),
        (KEY, ROW[:20]),
        (KEY, b"\x02" + ROW[1:]),
        (KEY, ROW.replace(b"bob@", b"\xff\xff\xff\xff")),
        (b"s", bytes(8)),
        (KEY + b"x", ROW),
    ],
)
def test_what_cannot_be_read_is_none(key: bytes, row: bytes) -> None:
    assert read(key, row) is None
