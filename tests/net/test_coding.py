"""A gzip of a given length."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.net.coding import BLOCK, Coder, accepts_gzip, least


def coded(content: bytes, total: int, piece: int) -> bytes:
    coder = Coder(len(content), total)
    out = coder.begin()
    for at in range(0, len(content), piece):
        out += coder.add(content[at : at + piece])
    return out + b"".join(coder.finish())


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@given(more=st.integers(0, 3000), piece=st.integers(1, 70_000))
def test_it_is_as_long_as_it_is_to_be_and_holds_what_it_is_to_hold(size: int, more: int, piece: int) -> None:
    content = bytes(number * 7 % 256 for number in range(size))
    data = coded(content, least(size) + more, max(piece, 1 + size // 50))
    assert len(data) == least(size) + more
    assert gzip.decompress(data) == content
    assert zlib.decompress(data, 31) == content  # one member, nothing after it


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="more than"):
        Coder(100, least(100) - 1)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip, deflate", True),
        ("br;q=1.0, GZIP;q=0.8, *;q=0.1", True),
        ("x-gzip", True),
        ("identity", False),
        ("", False),
        ("*", False),
        ("deflate, gzip; q=0", False),
        ("gzip;q=0.000", False),
    ],
)
def test_who_accepts_it(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
