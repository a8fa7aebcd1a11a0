from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from quietwire.core.errors import QuietwireError
from quietwire.lab.audit import raw
from quietwire.lab.audit.raw import Canary, Searcher

CANARY = Canary("zqbmvjfkbfkl", "body", "anna")
OTHER = Canary("grün & blau <3")


def found(data: bytes) -> list[tuple[str, str]]:
    return [(hit.canary.text, hit.form) for hit in Searcher([CANARY, OTHER]).search(data)]


def test_a_canary_is_found_as_it_is_and_more_than_once() -> None:
    hits = list(Searcher([CANARY]).search(b"zq zqbmvjfkbfkl, zqbmvjfkbfk zqbmvjfkbfklm"))
    assert [(hit.canary, hit.offset) for hit in hits] == [(CANARY, 3), (CANARY, 29)]


@pytest.mark.parametrize("form", raw.forms(OTHER.text))
def test_in_every_form(form: str) -> None:
    assert OTHER.text in {text for text, _ in found(b"\x00before" + raw.forms(OTHER.text)[form] + b"after")}


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_in_wide_characters_of_either_order(order: str) -> None:
    assert found("before zqbmvjfkbfkl after".encode(order)) == [(CANARY.text, "UTF-16")]


@pytest.mark.parametrize("before", range(7))
def test_inside_of_base64_wherever_it_begins(before: int) -> None:
    data = base64.b64encode(b"p" * before + CANARY.text.encode() + b"afterwards")
    assert CANARY.text in {text for text, _ in found(data)}


def test_overlapping_ones() -> None:
    both = [Canary("abcdefgh"), Canary("efghijkl"), Canary("abcdef")]
    assert {hit.canary for hit in Searcher(both).search(b"abcdefghijkl")} == set(both)


def test_nothing_to_search_for_finds_nothing() -> None:
    assert list(Searcher([]).search(b"anything")) == []


def test_a_file_of_canaries(tmp_path: Path) -> None:
    path = tmp_path / "canaries"
    path.write_text(f"a plain text\n\n{json.dumps({'text': 'zqzqzqzq', 'field': 'nick', 'owner': 'anna'})}\n")
    assert raw.load_canaries(path) == [Canary("a plain text"), Canary("zqzqzqzq", "nick", "anna")]


@pytest.mark.parametrize("line", ["short", '{"field": "x"}', "{not json"])
def test_a_line_that_is_no_canary_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "canaries"
    path.write_text(f"long enough\n{line}\n")
    with pytest.raises(QuietwireError, match="line 2"):
        raw.load_canaries(path)


def test_strings_of_any_bytes() -> None:
    data = (
        b"\0\x81to='anna@x.example/r' xmlns='jabber:iq:roster' 192.0.2.7:5222 [2026-11-21T11:10:39Z]\xff"
        + "ben@y.example sits here".encode("utf-16-le")
    )
    told = raw.strings(data)
    assert told.jids == ("anna@x.example", "ben@y.example")
    assert told.namespaces == ("jabber:iq:roster",)
    assert told.addresses == ("192.0.2.7",)
    assert told.stamps == ("2026-11-21T11:10:39Z",)
    assert told.runs[0] == 1


def test_noise_has_no_strings() -> None:
    noise = bytes((i * 167 + 13) % 256 for i in range(4_096))
    told = raw.strings(noise)
    assert (told.jids, told.namespaces, told.addresses, told.stamps) == ((), (), (), ())


def test_compressed_logs_are_unpacked() -> None:
    assert raw.unpacked(gzip.compress(b"anna@x.example")) == b"anna@x.example"
    assert raw.unpacked(b"\x1f\x8b\x08broken") == b"\x1f\x8b\x08broken"
