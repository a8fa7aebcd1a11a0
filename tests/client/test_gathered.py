"""Receipts and markers in an element of our own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.client import gathered
from quietwire.client.gathered import GOT, Notice
from quietwire.core.xml import build, serialise

REFS = [f"{number:032x}" for number in (0, 7, 2**128 - 1)]


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Notice, st.binary(min_size=16, max_size=16).map(bytes.hex), st.just(True) | st.just(False), st.booleans()
        ).filter(lambda notice: notice.received or notice.displayed),
        max_size=8,
        unique_by=lambda notice: notice.ref,
    )
)
def test_what_is_written_is_read(notices: list[Notice]) -> None:
    assert gathered.read([build("{urn:example}else"), gathered.write(notices)]) == notices


def test_the_first_costs_62_bytes_and_each_further_one_24() -> None:
    sizes = [len(serialise(gathered.write([Notice(ref, True, True) for ref in REFS[:n]]), "")) for n in (1, 2, 3)]
    assert sizes == [62, 86, 110]


def test_it_asks_for_the_same() -> None:
    asking = gathered.write([Notice(REFS[0], received=True)], asks=True)
    assert gathered.asks([build("{urn:example}else"), asking])
    assert gathered.asks([gathered.write((), asks=True)])
    assert gathered.read([asking]) == [Notice(REFS[0], received=True)]
    assert not gathered.asks([gathered.write(()), gathered.write([Notice(REFS[0], received=True)])])
    assert len(serialise(gathered.write((), asks=True), "")) == 40


def test_ids_as_ours_are_can_be_named() -> None:
    assert gathered.nameable(REFS[2])
    assert not any(map(gathered.nameable, ("", "1", REFS[2].upper(), f"{REFS[2]}0", f"{REFS[2]}\n", "g" * 32)))


def test_the_mark_says_nothing_but_that_we_read() -> None:
    assert gathered.marked([gathered.write(())])
    assert gathered.marked([gathered.write([Notice(REFS[0], received=True)])])
    assert not gathered.marked([build("{urn:xmpp:receipts}received", {"id": REFS[0]})])
    assert gathered.read([gathered.write(())]) == []


@pytest.mark.parametrize("text", ["", " ", "rAAA", "A" * 23, "r" + "A" * 23, "r" + "ä" * 22, "r" + "A" * 21 + "="])
def test_what_is_malformed_is_skipped(text: str) -> None:
    good = gathered.write([Notice(REFS[1], received=True)]).text
    assert gathered.read([build(GOT, text=f"{text} {good}")]) == [Notice(REFS[1], received=True)]


def test_a_message_named_twice_is_told_once_and_lists_are_bounded() -> None:
    words = [gathered.write([notice]).text for notice in (Notice(REFS[1], True), Notice(REFS[1], False, True))]
    assert gathered.read([build(GOT, text=" ".join(map(str, words * 2)))]) == [Notice(REFS[1], True, True)]
    many = gathered.write([Notice(f"{number:032x}", received=True) for number in range(500)])
    assert len(gathered.read([many])) == gathered.MAX_READ
