"""A parser that has met many names starts afresh at a stanza boundary; nobody may notice."""

from __future__ import annotations

import pytest

from quietwire.core.framing import Broken, StreamParser
from quietwire.core.stanza import Message

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='h' version='1.0'>"


def _stanza(number: int) -> bytes:
    return b"<message to='a@h' type='chat' id='%d'><body>%d</body></message>" % (number, number)


@pytest.mark.parametrize("at_once", [1, 2, 7, 1000])
def test_no_stanza_is_lost_when_the_parser_starts_afresh(at_once: int) -> None:
    parser = StreamParser()
    parser.feed(HEADER)
    ids = []
    for start in range(0, 3000, at_once):
        for event in parser.feed(b"".join(_stanza(n) for n in range(start, min(start + at_once, 3000)))):
            assert isinstance(event, Message), event
            ids.append(int(event.attributes["id"]))
    assert ids == list(range(3000))


def test_prefixes_of_the_header_still_hold_afterwards() -> None:
    parser = StreamParser()
    parser.feed(HEADER.replace(b" to=", b" xmlns:x='urn:x' to="))
    for number in range(3000):
        parser.feed(_stanza(number))
    (event,) = parser.feed(b"<message to='a@h'><x:y/></message>")
    assert not isinstance(event, Broken)
    assert isinstance(event, Message)
    assert event.names == ("{urn:x}y",)


def _seen(parser: StreamParser) -> int:
    return parser._seen


@pytest.mark.parametrize("cut", ["between stanzas", "within a stanza"])
def test_names_deep_in_a_payload_count_and_a_peer_that_never_pauses_gains_nothing(cut: str) -> None:
    parser = StreamParser()
    parser.feed(HEADER + (b"" if cut == "between stanzas" else b"<message id='-1'>"))
    most = got = 0
    for number in range(40):
        names = b"".join(b"<n%d/>" % n for n in range(number * 2_000, number * 2_000 + 2_000))
        payload = b"<x>%b</x></message>" % names
        opened = b"<message id='%d'>" % number
        events = parser.feed(opened + payload if cut == "between stanzas" else payload + opened)
        assert all(isinstance(event, Message) for event in events), events
        got += len(events)
        most = max(most, _seen(parser))
    assert got == 40
    assert most < 20_000
