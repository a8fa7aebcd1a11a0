"""What is packed comes out whole however it is cut; what nobody packed so is refused, for little work."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.core.errors import StreamError
from quietwire.shaping.frames import DICTIONARY, HEAD, MARK, MOST, RATIO, VERSION, Unpacker, pack

MESSAGE = (
    b"<message to='ben@chat.example' type='chat' id='24ce323c52a23c511a2fc36bdeaed286'><encrypted xmlns="
    b"'urn:xmpp:omemo:2'><header sid='1515490846'><keys jid='ben@chat.example'><key rid='546181700'>ChBZHs+UIdzO</key>"
    b"</keys></header><payload>siFoAdoQuMm4JPqxQQ==</payload></encrypted><store xmlns='urn:xmpp:hints'/></message>"
)
CIPHERTEXT = base64.b64encode(bytes(range(256)) * 2)
DEFINED = ("policy-violation", "not-well-formed")
part = st.one_of(
    st.just(MESSAGE),
    st.sampled_from([b"<r xmlns='urn:xmpp:sm:3'/>", b"<a xmlns='urn:xmpp:sm:3' h='17'/>", b"<presence/>"]),
    st.text("abc <>'&\u00e9\u4e2d", min_size=1, max_size=600).map(str.encode),
    st.sampled_from([CIPHERTEXT, CIPHERTEXT[:-1], CIPHERTEXT[:64], b"A" * 67 + b"=", b"B" * 66 + b"==", b"=" * 70]).map(
        lambda text: b"<message id='%b' to='a@b/%b'>%b</message>" % (b"0f" * 16, b"0f" * 8, text)
    ),
    st.text("ab", min_size=1).map(lambda text: b"<iq type='result' id='%b'/>" % (text.encode() * 100)),
)
"""What may be put, and what is text in between, or looks so."""


def framed(packed: bytes) -> bytes:
    return MARK + len(packed).to_bytes(3, "big") + packed


def deflated(text: bytes, level: int = 9, window: int = 13) -> bytes:
    packing = zlib.compressobj(level, zlib.DEFLATED, -window, zdict=DICTIONARY)
    return packing.compress(text) + packing.flush()


def answer(*received: bytes, limit: int = MOST) -> list[tuple[bytes, bool]] | str:
    """What comes out, or the condition."""
    unpacker = Unpacker(limit)
    try:
        return [piece for data in received for piece in unpacker.feed(data)]
    except StreamError as error:
        return error.condition


def refused(data: bytes, limit: int = MOST) -> str:
    with pytest.raises(StreamError) as failure:
        list(Unpacker(limit).feed(data))
    return failure.value.condition


@settings(deadline=None)
@given(st.lists(st.tuples(part, st.integers(0, 40)), max_size=8), st.lists(st.integers(0, 4000), max_size=12))
def test_any_mixture_cut_anywhere(said: list[tuple[bytes, int]], cuts: list[int]) -> None:
    wire = b"".join(pack(data) + b" " * spaces for data, spaces in said)
    ends = sorted({min(cut, len(wire)) for cut in cuts} | {0, len(wire)})
    unpacker, got = Unpacker(), b""
    for begin, end in pairwise(ends):
        got += b"".join(piece for piece, _ in unpacker.feed(wire[begin:end]))
    assert got == b"".join(data + b" " * spaces for data, spaces in said)


def test_every_place_to_cut() -> None:
    wire = b"<presence/>" + pack(MESSAGE) + b"  " + pack(b"<r xmlns='urn:xmpp:sm:3'/>")
    for cut in range(len(wire) + 1):
        unpacker = Unpacker()
        pieces = [*unpacker.feed(wire[:cut]), *unpacker.feed(wire[cut:])]
        assert [piece for piece, packed in pieces if packed] == [MESSAGE, b"<r xmlns='urn:xmpp:sm:3'/>"]
        assert b"".join(piece for piece, packed in pieces if not packed) == b"<presence/>  "


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(1, 2000))
def test_garbage_has_an_answer(data: bytes, limit: int) -> None:
    found = answer(data, MARK + data, limit=limit)
    if isinstance(found, str):
        assert found in DEFINED
    else:
        assert all(len(piece) <= limit for piece, packed in found if packed)
        assert all(MARK not in piece for piece, packed in found if not packed)


@settings(deadline=None)
@given(part, st.data())
def test_a_frame_that_was_changed(text: bytes, data: st.DataObject) -> None:
    wire = bytearray(pack(text * 3))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    found = answer(bytes(wire))
    assert found in DEFINED or isinstance(found, list)


def test_what_gets_smaller_is_packed_and_nothing_else() -> None:
    assert len(pack(MESSAGE)) < len(MESSAGE) * 0.5
    assert pack(b"<r xmlns='urn:xmpp:sm:3'/>")[:HEAD] == b"\1\0\0\4"
    for plain in (b" ", b"<x/>", bytes(range(32, 128)) * 1, b"<x>" + b"y" * MOST + b"</x>"):
        assert pack(plain) is plain
    assert pack(b"<stream:error/>" * 20 + b"</stream:stream>")[:1] == b"<"
    assert pack(b"<x>" + b"y " * 5_000 + b"</x>")[:1] == b"<"  # a reader would take it for a bomb


def test_noise_is_as_long_as_its_bytes() -> None:
    """512 of ciphertext, 16 and 8 of ids; what is not written as we would write it stays as it is."""
    long, short = (hashlib.sha256(word).hexdigest()[:size].encode() for word, size in ((b"id", 32), (b"b", 16)))
    text = b"<message id='%b' to='a@b/%b'>%b</message>" % (long, short, CIPHERTEXT)
    packed = pack(text)
    assert 512 + 24 < len(packed) < 512 + 24 + 50
    assert answer(packed) == [(text, True)]
    for other in (text.replace(b"=", b""), text.replace(long, long.upper()), text.replace(short, short[1:])):
        assert len(pack(other)) > len(packed)
        assert answer(pack(other)) == [(other, True)]
    assert answer(pack(b"\2<presence/>" * 3)) == [(b"\2<presence/>" * 3, False)]


def test_the_work_is_as_long_as_the_text() -> None:
    """Quadratic, each would take minutes."""
    for noise in (b"/", b">", b"'", b"A", b"0", b">A", b"/0", b"/0123456789abcdef", b">" + b"A" * 64):
        text = b"<x>" + noise * (60_000 // len(noise)) + b" </x>"
        assert answer(pack(text)) in ([(text, True)], [(text, False)])


def test_noise_that_is_missing_or_left_over() -> None:
    packed = pack(b"<message id='%b'>%b</message>" % (b"0f" * 16, CIPHERTEXT))[HEAD:]
    for wrong in (
        packed[:-1],
        packed + b"\0",
        deflated(b"<x>\2\2\2\3\4</x>" * 9),
        deflated(b"<x>%b</x>" % (b"\2" * 60)),
    ):
        assert refused(framed(wrong)) == "not-well-formed"


def test_a_stanza_at_the_limit() -> None:
    text = b"<message>" + bytes(48 + number * number * 7 % 75 for number in range(900)) + b"</message>"
    wire = framed(deflated(text))
    assert list(Unpacker(len(text)).feed(wire)) == [(text, True)]
    assert refused(wire, len(text) - 1) == "policy-violation"


def test_too_much() -> None:
    assert refused(MARK + (MOST + 1).to_bytes(3, "big")) == "policy-violation"  # before any of it has come
    assert refused(MARK + b"\0\4\1", 1024) == "policy-violation"
    bomb = deflated(b"<x>" + b" " * 60_000 + b"</x>")
    assert len(bomb) * RATIO < 60_000
    assert refused(framed(bomb)) == "policy-violation"


def test_what_is_not_as_it_should_be() -> None:
    packed = deflated(MESSAGE)
    for wrong in (b"", b"\xff" * 8, packed[:-1], packed + b"\0", deflated(MESSAGE, 0), zlib.compress(MESSAGE)):
        assert refused(framed(wrong)) == "not-well-formed"


def test_the_dictionary_is_the_protocol() -> None:
    assert (VERSION, len(DICTIONARY)) == ("1", 3564)
    digest = hashlib.sha256(DICTIONARY).hexdigest()
    page = (Path(__file__).parents[2] / "docs" / "protocols" / "links.md").read_text("utf-8")
    assert re.findall(r"`([0-9a-f]{64})`", page) == [digest]
