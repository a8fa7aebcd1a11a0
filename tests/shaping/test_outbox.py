"""What is put leaves whole, in order, and padded where that is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.core.framing import StreamOpen, StreamParser
from quietwire.core.stanza import Stanza
from quietwire.shaping.outbox import Outbox, SpacePadded

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
PARTS = st.lists(st.binary(min_size=1, max_size=2_000), max_size=8)


@given(PARTS)
def test_off_changes_nothing(parts: list[bytes]) -> None:
    outbox = Outbox()
    outbox.parts.extend(parts)
    assert outbox.take() == b"".join(parts)
    assert outbox.parts == []
    assert outbox.take() == b""


@given(PARTS, st.sampled_from([64, 512, 1000]))
def test_padded_is_a_multiple_of_the_block_and_nothing_but_spaces_more(parts: list[bytes], block: int) -> None:
    outbox = SpacePadded(block)
    outbox.parts.extend(parts)
    data, content = outbox.take(), b"".join(parts)
    assert len(data) % block == 0
    assert data[: len(content)] == content
    assert set(data[len(content) :]) <= {0x20}
    assert len(data) - len(content) < block


def test_nothing_put_is_nothing_written() -> None:
    assert SpacePadded(512).take() == b""


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_peer_sees_the_same_stanzas(count: int) -> None:
    outbox, parser = SpacePadded(512), StreamParser()
    seen = parser.feed(HEADER)
    for number in range(count):
        outbox.parts.append(b"<message id='%d'><body>hello</body></message>" % number)
        if number % 2:
            seen += parser.feed(outbox.take())
    seen += parser.feed(outbox.take())
    assert isinstance(seen[0], StreamOpen)
    assert [event.id for event in seen[1:] if isinstance(event, Stanza)] == [str(n) for n in range(count)]
    assert len(seen) == count + 1
