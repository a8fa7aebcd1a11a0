from __future__ import annotations

import struct
import zlib

import pytest
from erlang_terms import encode, term

from quietwire.lab.audit import erlang
from quietwire.lab.audit.erlang import Atom, TermError

ROSTER = (Atom("roster"), (b"anna", b"x.example"), [b"Friends", 7, -70_000])


def test_a_term_is_read_back() -> None:
    data = term(ROSTER)
    assert erlang.read(data) == (ROSTER, len(data))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x83k\0\x03abc", [97, 98, 99]),
        (b"\x83n\x02\x00\x01\x02", 513),
        (b"\x83n\x01\x01\x05", -5),
        (b"\x83F" + struct.pack(">d", 1.5), 1.5),
        (b"\x83w\x02ok", Atom("ok")),
        (b"\x83t\0\0\0\x01a\x01a\x02", {1: 2}),
        (b"\x83i\0\0\0\x01a\x09", (9,)),
        (b"\x83l\0\0\0\x01a\x01a\x02", [1, 2]),
    ],
)
def test_other_forms(data: bytes, value: object) -> None:
    assert erlang.read(data)[0] == value


def test_compressed() -> None:
    inner = encode(ROSTER)
    data = b"\x83P" + struct.pack(">I", len(inner)) + zlib.compress(inner)
    assert erlang.read(data + b"more")[0] == ROSTER


def test_terms_are_found_wherever_they_stand() -> None:
    data = b"head\x83h" + term(ROSTER) + b"\0\x12\x34" + term((Atom("last"), 3)) + term(ROSTER)[:20]
    assert [found for _, found in erlang.carve(data)] == [ROSTER, (Atom("last"), 3)]


def test_records_are_found_inside_of_terms() -> None:
    nested = (Atom("commit"), [((Atom("roster"), b"key"), {1: (Atom("inner"),)})], b"x")
    assert [record[0] for record in erlang.records(nested)] == ["commit", "roster", "inner"]


@pytest.mark.parametrize(
    "data", [b"", b"\x83", b"\x83h\x05a\x01", b"\x83m\xff\xff\xff\xffabc", b"\x83\xfe", b"\x83h\x01" * 99]
)
def test_what_is_no_term_is_refused(data: bytes) -> None:
    with pytest.raises(TermError):
        erlang.read(data)


def test_texts_and_words() -> None:
    assert erlang.text(b"h\xc3\xa9") == "hé"
    assert erlang.text([104, 105]) == "hi"
    assert erlang.text(Atom("none")) == ""
    assert erlang.words((Atom("xmlel"), b"body", [(b"lang", b"en")], [(Atom("xmlcdata"), b"Hi")])) == (
        "xmlel body lang en xmlcdata Hi"
    )
