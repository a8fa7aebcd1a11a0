"""What rows of an archive hold inside their seals: written and read again, cut short, of another version."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from quietwire.seal import pages
from quietwire.seal.pages import (
    FULL,
    LEAST,
    MESSAGE,
    Catalogue,
    Header,
    Page,
    Row,
    batch,
    read_batch,
    read_segment,
    rounded,
    segment,
    segment_bytes,
)
from quietwire.seal.wraps import SealError

_DOCUMENT = Path(__file__).parents[2] / "docs" / "protocols" / "archive.md"
_BLOCK = re.search(r"```json\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
assert _BLOCK is not None
VECTORS: dict[str, Any] = json.loads(_BLOCK[1])


def header(number: int, with_: str = "bob@b.example/é", **more: object) -> Header:
    known = {"order": number, "id": number.to_bytes(16, "big"), "stamp": 1_000 * number, "with_": with_, "size": 5}
    return Header(**{**known, **more})  # type: ignore[arg-type]


def parts(*messages: tuple[Header, bytes]) -> list[bytes]:
    found = []
    for each, body in messages:
        name = each.with_.encode()
        flags = each.provisional * pages.PROVISIONAL | each.weak * pages.WEAK
        found.append(MESSAGE.pack(flags, each.order, each.stamp, len(body), each.token, len(name), each.id))
        found += [name, body]
    return found


def page() -> Page:
    row, other = Row(b"s\x01\x02" + b"r" * 16, b"t" * 16), Row(b"s\x01\x02" + b"q" * 16, b"u" * 16)
    made = Page(0x0102, b"p\x01\x02" + b"k" * 16, b"T" * 16)
    made.add(header(3, token=9, weak=True), row, 7)
    made.add(header(4, "carol@c.example", provisional=True), row, 8)
    made.add(header(6), other, 0)
    made.add(header(8, stamp=1), other, 2)
    made.aliases = {b"a" * 16: (3).to_bytes(16, "big")}
    made.segments = 2
    return made


def test_a_batch_is_read_as_it_was_written() -> None:
    one, two = header(1, token=1 << 63, weak=True), header(2, "c@c.example", provisional=True, size=3)
    content = batch(7, 8, 2, parts((one, b"hello"), (two, b"hey")))
    assert len(content) == 224
    assert read_batch(content) == (7, 8, [one, two], [b"hello", b"hey"])
    assert read_batch(content, bodies=False) == (7, 8, [one, two], [])


def test_a_segment_is_read_as_it_was_written() -> None:
    bodies = [b"one", b"", b"three" * 100]
    assert read_segment(segment(bodies, full=False)) == bodies
    assert len(segment(bodies, full=False)) == LEAST
    assert len(segment(bodies, full=True)) == FULL
    assert segment_bytes(bodies) == 5 + 12 + 503
    assert read_segment(segment([], full=True)) == []


@pytest.mark.parametrize(("size", "padded"), [(1_000, 1_024), (1_200, 2_048), (40_000, FULL), (FULL + 1, 67_584)])
def test_sizes_are_few(size: int, padded: int) -> None:
    assert len(segment([bytes(size)], full=False)) == padded


def test_a_page_is_read_as_it_was_written() -> None:
    made = page()
    read = Page(0x0102)
    rows: dict[bytes, Row] = {}
    read.load(made.to_bytes(full=False), b"s\x01\x02", rows)
    read.measure()
    assert list(read.headers()) == list(made.headers())
    assert [(row.key, row.tag, place) for row, place in read.places()] == [
        (row.key, row.tag, place) for row, place in made.places()
    ]
    assert read.aliases == made.aliases
    assert set(rows) == {row.key for row, _, _ in made.runs}
    for name in ("count", "total", "first", "last", "oldest", "newest", "judge"):
        assert getattr(read, name) == getattr(made, name), name
    assert (read.oldest, read.newest, read.first, read.last, read.judge) == (1, 6_000, 3, 8, 4)
    assert [read.place(at) for at in range(4)] == read.places()
    assert len(made.to_bytes(full=True)) == FULL


def test_rows_are_shared_by_the_pages_that_are_read() -> None:
    content, rows = page().to_bytes(full=False), dict[bytes, Row]()
    first, second = Page(1), Page(1)
    first.load(content, b"s\x01\x02", rows)
    second.load(content, b"s\x01\x02", rows)
    assert first.runs[0][0] is second.runs[0][0]


def test_an_id_is_found_where_it_begins() -> None:
    made = Page(1)
    made.add(header(1, id=b"\x01" * 15 + b"\x02"), Row(b""), 0)
    made.add(header(2, id=b"\x03" * 15 + b"\x04"), Row(b""), 1)
    assert made.find(b"\x03" * 15 + b"\x04") == 1
    assert made.find(b"\x01" * 14 + b"\x02\x03") == -1
    assert made.find(b"\x02" + b"\x03" * 15) == -1, "across two ids"


def test_without_some_messages_the_rest_is_where_it_was() -> None:
    made = page()
    left = made.without({(4).to_bytes(16, "big")})
    assert [each.order for each in left.headers()] == [3, 6, 8]
    assert [place for _, place in left.places()] == [7, 0, 2]
    assert left.aliases == made.aliases
    assert left.judge == 0
    assert made.without({(3).to_bytes(16, "big")}).aliases == {}, "a repetition goes with what it repeats"


def test_bodies_that_have_moved() -> None:
    made = page()
    row, other = made.runs[0][0], made.runs[-1][0]
    made.moved({(row, 7): (row, 0), (row, 8): (row, 1), (other, 2): (other, 1)})
    assert [place for _, place in made.places()] == [0, 1, 0, 1]
    assert len(made.runs) == 2


def test_a_page_is_full_with_many_messages_or_long_names(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Page(1)
    for number in range(50):
        assert not made.full
        made.add(header(number, f"{number}" + "x" * 1_150), Row(b""), number)
    assert made.full
    assert len(made.to_bytes(full=True)) == FULL
    monkeypatch.setattr(pages, "PAGE_HEADERS", 2)
    small = Page(1)
    small.add(header(1), Row(b""), 0)
    assert not small.full
    small.add(header(2), Row(b""), 1)
    assert small.full


def test_a_catalogue_is_read_as_it_was_written() -> None:
    made = Catalogue(5, 6, 7, 8, [page()], [b"d" * 19, b"e" * 19])
    read = Catalogue.from_bytes(made.to_bytes() + bytes(100))
    assert (read.settled, read.next, read.dummies) == (5, (6, 7, 8), made.dummies)
    (one,) = read.pages
    for name in ("key", "tag", "month", "count", "total", "segments", "first", "last", "oldest", "newest", "judge"):
        assert getattr(one, name) == getattr(made.pages[0], name), name
    assert not one.loaded
    assert len(one) == 4


def test_what_is_cut_short_or_of_another_version_is_refused() -> None:
    whole = {
        "batch": batch(1, 2, 1, parts((header(1, size=300), bytes(300)))).rstrip(b"\0"),
        "segment": segment([b"x" * 9_000], full=False)[:9_009],
        "page": page().to_bytes(full=False).rstrip(b"\0"),
        "catalogue": Catalogue(pages=[page()], dummies=[b"d" * 19]).to_bytes(),
    }
    readers = {
        "batch": read_batch,
        "segment": read_segment,
        "page": lambda content: Page(1).load(content, b"s\x01\x02", {}),
        "catalogue": Catalogue.from_bytes,
    }
    for kind, content in whole.items():
        for cut in {0, 1, 7, len(content) // 3, len(content) // 2, len(content) - 1}:
            with pytest.raises(SealError):
                readers[kind](content[:cut])  # type: ignore[operator]
        with pytest.raises(SealError):
            readers[kind](b"\x01" + content[1:])  # type: ignore[operator]


def test_a_page_that_lacks_a_name_is_refused() -> None:
    made = page()
    made.peers[0] = 9
    with pytest.raises(SealError):
        Page(1).load(made.to_bytes(full=False), b"s\x01\x02", {})


@pytest.mark.parametrize(
    ("count", "stands"), [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 10), (17, 18), (500, 512)]
)
def test_counts_of_rows_are_rounded(count: int, stands: int) -> None:
    assert rounded(count) == stands
    assert count <= 8 or rounded(count) <= count * 1.125


def test_the_vectors_of_the_document() -> None:
    said = VECTORS["messages"]
    headers = [
        Header(**{**{k: v for k, v in each.items() if k != "body"}, "id": bytes.fromhex(each["id"])}) for each in said
    ]
    bodies = [each["body"].encode() for each in said]
    content = {kind: bytes.fromhex(VECTORS[kind]) for kind in ("batch", "segment", "page", "catalogue")}
    assert read_batch(content["batch"]) == (1, 3, headers, bodies)
    made = batch(1, 3, 2, parts(*zip(headers, bodies, strict=True)))
    assert made.rstrip(b"\0") == content["batch"].rstrip(b"\0")
    assert read_segment(content["segment"]) == bodies
    assert segment(bodies, full=False).rstrip(b"\0") == content["segment"].rstrip(b"\0")
    catalogue = Catalogue.from_bytes(content["catalogue"])
    (one,) = catalogue.pages
    one.load(content["page"], b"s\x5f\x00", {})
    assert list(one.headers()) == headers
    assert [place for _, place in one.places()] == [0, 1]
    assert one.aliases == {bytes(range(0x20, 0x30)): headers[0].id}
    assert one.to_bytes(full=False).rstrip(b"\0") == content["page"].rstrip(b"\0")
    assert catalogue.to_bytes() == content["catalogue"]
