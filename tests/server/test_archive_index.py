"""Headers in memory: order, repetitions, pages."""

from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.seal import pages
from quietwire.seal.pages import Header, Page, Row
from quietwire.server.archive_index import AGAIN_MS, Index, Query, Selection


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def name(number: int) -> str:
    return id_of(number).hex()


def header(number: int, with_: str = "bob@b.example/x", **more: object) -> Header:
    return Header(**{"id": id_of(number), "order": number, "stamp": number * 1000, "with_": with_, "size": 100, **more})  # type: ignore[arg-type]


def tail(*headers: Header) -> Index:
    index = Index()
    index.take(Row(b"a"), 1, 1, 0, headers)
    return index


def folded(*headers: Header, size: int = 3) -> Index:
    """The same messages in pages of `size`."""
    index = Index()
    row = Row(b"s", b"tag")
    for number, each in enumerate(headers):
        if number % size == 0:
            index.catalogue.pages.append(Page(1, b"p%d" % number))
        index.catalogue.pages[-1].add(each, row, number)
    index.changed()
    return index


def ids(index: Index) -> list[bytes]:
    return [index.id(position) for position in range(len(index))]


TEN = [header(number, "bob@b.example/x" if number % 2 else "carol@c.example") for number in range(10)]
BOTH = folded(*TEN[:7])
BOTH.take(Row(b"a"), 1, 1, 0, TEN[7:])
INDEXES = [tail(*TEN), folded(*TEN), BOTH]


def page(
    query: Query, at_most: int = 100, size: int = 1 << 20, index: Index = INDEXES[0]
) -> tuple[list[int], bool, int, int]:
    found: Selection = index.select(query, at_most, size)
    return list(found.positions), found.complete, found.index, found.count


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), (list(range(10)), True, 0, 10)),
        (Query(max=3), ([0, 1, 2], False, 0, 10)),
        (Query(max=3, after=name(2)), ([3, 4, 5], False, 3, 10)),
        (Query(max=3, after=name(6)), ([7, 8, 9], True, 7, 10)),
        (Query(max=3, after=name(9)), ([], True, 10, 10)),
        (Query(max=3, before=""), ([7, 8, 9], False, 7, 10)),
        (Query(max=3, before=name(7)), ([4, 5, 6], False, 4, 10)),
        (Query(max=3, before=name(3)), ([0, 1, 2], True, 0, 10)),
        (Query(max=3, before=name(0)), ([], True, 0, 10)),
        (Query(max=3, after=name(2), before=name(9)), ([6, 7, 8], False, 6, 10)),
        (Query(after=name(8), before=name(3)), ([], True, 9, 10)),
        (Query(max=0), ([], False, 0, 10)),
        (Query(max=2, index=4), ([4, 5], False, 4, 10)),
        (Query(index=10), ([], True, 10, 10)),
        (Query(index=99), ([], True, 10, 10)),
        (Query(after_id=name(2), before_id=name(6)), ([3, 4, 5], True, 0, 3)),
        (Query(after_id=name(6), before_id=name(2)), ([], True, 0, 0)),
        (Query(after_id=name(2), max=2, before=""), ([8, 9], False, 5, 7)),
        (Query(start=2000, end=4000), ([2, 3, 4], True, 0, 3)),
        (Query(start=2001), ([3, 4, 5, 6, 7, 8, 9], True, 0, 7)),
        (Query(end=-1), ([], True, 0, 0)),
        (Query(with_=parse_jid("bob@b.example")), ([1, 3, 5, 7, 9], True, 0, 5)),
        (Query(with_=parse_jid("bob@b.example/x"), max=2, before=""), ([7, 9], False, 3, 5)),
        (Query(with_=parse_jid("bob@b.example/y")), ([], True, 0, 0)),
        (Query(with_=parse_jid("bob@b.exampl")), ([], True, 0, 0)),
        (Query(with_=parse_jid("bob@b.example"), after=name(4), max=1), ([5], False, 2, 5)),
        (Query(with_=parse_jid("bob@b.example"), before=name(4)), ([1, 3], True, 0, 5)),
        (Query(ids=(name(7), name(2), name(7))), ([2, 7], True, 0, 2)),
        (Query(ids=(name(7), name(2)), after_id=name(3)), ([7], True, 0, 1)),
        (Query(ids=()), ([], True, 0, 0)),
    ],
)
def test_pages(query: Query, expected: tuple[list[int], bool, int, int], index: Index) -> None:
    assert page(query, index=index) == expected


@pytest.mark.parametrize(
    "query",
    [
        Query(after=name(10)),
        Query(before=name(10)),
        Query(after_id="zz"),
        Query(before_id=name(77)),
        Query(ids=(name(1), name(11))),
    ],
)
def test_an_unknown_id_is_not_found(query: Query) -> None:
    with pytest.raises(StanzaError) as caught:
        page(query)
    assert caught.value.condition == "item-not-found"


def test_limits_of_the_server_end_a_page() -> None:
    assert page(Query(), at_most=4) == ([0, 1, 2, 3], False, 0, 10)
    assert page(Query(max=5), size=250) == ([0, 1], False, 0, 10)
    assert page(Query(max=5, before=""), size=250) == ([8, 9], False, 8, 10)
    assert page(Query(), size=1) == ([0], False, 0, 10), "one message, however large, or nobody would ever get past it"


def test_order_is_that_of_arrival_not_of_the_clock() -> None:
    for index in (tail(header(1, stamp=900), header(2, stamp=500), header(3, stamp=1)),
                  folded(header(1, stamp=900), header(2, stamp=500), header(3, stamp=1), size=2)):  # fmt: skip
        assert ids(index) == [id_of(1), id_of(2), id_of(3)]
        assert list(index.select(Query(start=500), 10, 1000).positions) == [0, 1]


def test_pages_are_in_the_order_of_what_is_in_them() -> None:
    index = folded(*TEN)
    catalogue = index.catalogue
    catalogue.pages.reverse()
    assert ids(Index(catalogue)) == ids(INDEXES[0])


def test_a_repetition_is_the_first_one() -> None:
    for index in (tail(header(1, token=5), header(2, token=6)), folded(header(1, token=5), header(2, token=6))):
        index.take(Row(b"b"), 1, 1, 1, [header(3, token=5)])
        assert len(index) == 2
        assert index.position(name(3)) == index.position(name(1)) == 0
        assert list(index.select(Query(after=name(3)), 10, 1000).positions) == [1]
        index.take(Row(b"c"), 1, 1, 2, [header(4, token=6), header(5, token=0), header(6, token=0)])
        assert len(index) == 4


def test_without_an_origin_id_only_what_comes_soon_is_a_repetition() -> None:
    soon = header(2, token=5, weak=True, stamp=1000 + AGAIN_MS)
    late = header(3, token=5, weak=True, stamp=1001 + AGAIN_MS)
    assert len(tail(header(1, token=5, weak=True), soon)) == 1
    index = tail(header(1, token=5, weak=True), late)
    assert len(index) == 2
    index.take(Row(b"b"), 1, 1, 1, [header(4, token=5, weak=True, stamp=1002 + AGAIN_MS)])
    assert len(index) == 2
    assert index.position(name(4)) == 1


def test_what_is_folded_leaves_the_tail() -> None:
    index = Index()
    for number in range(1, 5):
        index.take(Row(b"a%d" % number), 1, 1, number, [header(2 * number), header(2 * number + 1)])
    index.take(Row(b"a5"), 2, 1, 0, [header(10)])
    index.forget(3, lost=False)
    assert ids(index) == [id_of(8), id_of(9), id_of(10)]
    assert [index.place(position)[0].key for position in range(3)] == [b"a4", b"a4", b"a5"]
    assert [row.key for row in index.batches] == [b"a4", b"a5"]
    assert index.numbers == [(1, 1, 4), (1, 2, 0)]
    index.forget(2, lost=False)
    assert len(index) == 0


def test_a_full_page_of_the_tail_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_HEADERS", 4)
    index = tail(*TEN)
    assert [page.count for page in index.tail] == [4, 4, 2]
    assert [index.header(position) for position in range(10)] == TEN
    assert index.total == 1000
    assert index.weight == 10


def test_what_came_while_nobody_knew_the_wishes() -> None:
    three = (header(1, provisional=True), header(2), header(3, "eve@e.example", provisional=True))
    for index in (tail(*three), folded(*three, size=2)):
        assert index.unjudged
        assert index.unwanted(lambda with_: with_ != "eve@e.example") == {id_of(3)}
        index.catalogue.settled = 1
        assert index.unwanted(lambda with_: False) == {id_of(3)}
        index.catalogue.settled = 3
        assert not index.unjudged
        assert index.unwanted(lambda with_: False) == set()
