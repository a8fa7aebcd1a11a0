"""Cells of one size, whatever is in them; what comes out is what went in; the vectors of docs/protocols/shield.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.tunnel import (
    DATA,
    END,
    HEAD,
    LARGEST,
    SMALLEST,
    Cells,
    Opener,
    PaddedTunnel,
    SteadyTunnel,
    TunnelError,
    cell,
    greeting,
)

POLICY = Policy(Profile.STEADY, cell=64)
VECTORS = {
    "greeting": greeting(64),
    "cover": cell(DATA, b"", 64),
    "data, `hello`": cell(DATA, b"hello", 64),
    "data, full: 61 times `61`": cell(DATA, b"a" * 61, 64),
    "end": cell(END, b"", 64),
}


def test_the_vectors_of_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "protocols" / "shield.md").read_text()
    table = dict(re.findall(r"^\| (.+?) \| `([0-9a-f]+)", text.partition("Vectors,")[2], re.MULTILINE))
    assert set(table) == set(VECTORS)
    for name, made in VECTORS.items():
        head = bytes.fromhex(table[name])
        body = b"a" * 61 if "full" in name else b""
        assert made == (head + body).ljust(64, b"\0")


@pytest.mark.parametrize("size", [0, SMALLEST - 1, LARGEST + 1])
def test_a_size_that_a_tunnel_cannot_have(size: int) -> None:
    with pytest.raises(ValueError, match="has 64 to 16384 bytes"):
        greeting(size)


def test_more_than_a_cell_holds() -> None:
    with pytest.raises(ValueError, match="more than"):
        cell(DATA, b"x" * 62, 64)


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(SMALLEST, 200), st.integers(1, 70), st.booleans())
def test_what_goes_in_comes_out_however_it_is_cut(parts: list[bytes], size: int, cut: int, ends: bool) -> None:
    cells, queue, wire = Cells(size), bytearray(b"".join(parts)), b""
    if ends:
        cells.end()
    while queue or cells.owing:
        wire += cells.next(queue)[0]
    assert len(wire) % size == 0
    wire += cells.next(queue)[0]  # cover
    opener, out = Opener(), b""
    for at in range(0, len(wire), cut):
        out += opener.feed(wire[at : at + cut])
    assert out == b"".join(parts)
    assert opener.greeted
    assert opener.ended == ends


@given(st.lists(st.binary(max_size=500), max_size=6), st.lists(st.binary(max_size=500), max_size=6))
def test_sizes_and_number_of_cells_do_not_depend_on_what_is_put(one: list[bytes], other: list[bytes]) -> None:
    def shown(parts: list[bytes]) -> list[int]:
        tunnel = SteadyTunnel(POLICY, 0, 0)
        sizes = []
        for tick in range(12):
            if tick < len(parts):
                tunnel.parts.append(parts[tick])
            tunnel.fill()
            sizes.append(len(tunnel.cell()))
        return sizes

    assert shown(one) == shown(other) == [64] * 12


def test_waiting_counts_what_has_not_been_said_yet() -> None:
    tunnel = SteadyTunnel(POLICY, 0, 0)
    assert tunnel.waiting(), "the greeting"
    tunnel.cell()
    assert not tunnel.waiting()
    tunnel.parts.append(b"x" * 100)
    assert tunnel.waiting() == 100
    tunnel.cells.end()
    tunnel.fill()
    assert tunnel.waiting() == 101
    assert tunnel.room() == 64 - 39 - HEAD
    opener = Opener()
    opener.feed(greeting(64))
    assert opener.feed(tunnel.cell() + tunnel.cell()) == b"x" * 100
    assert tunnel.waiting(), "the end"
    tunnel.fill()
    assert tunnel.waiting(), "it is in the next cell, and not written"
    opener.feed(tunnel.cell())
    assert opener.ended
    assert not tunnel.waiting()


def test_padded_writes_at_once_and_whole_cells() -> None:
    tunnel, opener = PaddedTunnel(64), Opener()
    assert opener.feed(tunnel.take()) == b""
    assert opener.greeted
    tunnel.parts += [b"a" * 61, b"b"]
    wire = tunnel.take()
    assert len(wire) == 128
    assert opener.feed(wire) == b"a" * 61 + b"b"
    assert tunnel.take() == b""
    tunnel.cells.end()
    assert len(tunnel.take()) == 64


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"\x16\x03\x01", "no tunnel"),
        (b"<stream:stream", "no tunnel"),
        (b"\x51\0\3\x02\0\x40" + bytes(58), "version"),
        (b"\x51\0\3\x01\0\x3f" + bytes(57), "version"),
        (b"\x51\0\x04\x01\0\x40" + bytes(58), "version"),
        (b"\x51\0\3\x01\0\x40" + bytes(57) + b"x", "greeting"),
        (greeting(64) + greeting(64), "bad cell"),
        (greeting(64) + b"\2\0\0" + bytes(61), "bad cell"),
        (greeting(64) + b"\0\0\x3e" + bytes(61), "bad cell"),
        (greeting(64) + b"\0\0\1xy" + bytes(59), "bad cell"),
        (greeting(64) + b"\1\0\1x" + bytes(60), "bad cell"),
        (greeting(64) + cell(END, b"", 64) + cell(DATA, b"x", 64), "bad cell"),
    ],
)
def test_what_is_no_tunnel_is_refused(wire: bytes, why: str) -> None:
    with pytest.raises(TunnelError, match=why):
        Opener().feed(wire)


def test_what_is_stopped_owes_nothing() -> None:
    tunnel = SteadyTunnel(POLICY, 0, 0)
    tunnel.parts.append(b"x" * 200)
    tunnel.fill()
    tunnel.parts.append(b"x")
    tunnel.cells.end()
    assert tunnel.waiting() > 200
    tunnel.stop()
    assert (tunnel.waiting(), tunnel.parts, bytes(tunnel.queue)) == (0, [], b"")
