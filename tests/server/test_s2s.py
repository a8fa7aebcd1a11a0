from __future__ import annotations

import pytest

from quietwire.core.errors import StreamError
from quietwire.core.framing import StreamOpen, StreamParser
from quietwire.server.s2s import header, stands_for, stream_error, version_known


@pytest.mark.parametrize(
    ("names", "domain", "fits"),
    [
        ({"b.example"}, "b.example", True),
        ({"b.example"}, "a.b.example", False),
        ({"*.b.example"}, "a.b.example", True),
        ({"*.b.example"}, "b.example", False),
        ({"*.b.example"}, "c.a.b.example", False),
        ({"*.b.example"}, "*.b.example", True),
        ({"*."}, "example", False),
        ({"*.example", "im.c.test"}, "im.c.test", True),
        (set(), "b.example", False),
    ],
)
def test_whom_a_certificate_stands_for(names: set[str], domain: str, fits: bool) -> None:
    assert stands_for(frozenset(names), domain) is fits


def test_header_is_read_back() -> None:
    (opened,) = StreamParser().feed(header(from_="a.example", to="b.example", id="77"))
    assert isinstance(opened, StreamOpen)
    assert opened.content == "jabber:server"
    assert opened.attributes["from"] == "a.example"
    assert opened.attributes["to"] == "b.example"
    assert opened.attributes["id"] == "77"
    assert opened.attributes["version"] == "1.0"


def test_header_leaves_out_what_is_not_known() -> None:
    (opened,) = StreamParser().feed(header(from_="a.example", to=""))
    assert isinstance(opened, StreamOpen)
    assert not {"to", "id"} & set(opened.attributes)


def test_error_closes_the_stream() -> None:
    assert stream_error(StreamError("bad-format")) == (
        b"<stream:error><bad-format xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
    assert b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>a &amp; b</text>" in stream_error(
        StreamError("policy-violation", "a & b")
    )


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("1.0", True),
        ("1.9", True),
        ("2.0", True),
        ("0.9", False),
        ("", False),
        ("1", False),
        ("1.x", False),
        ("9" * 5000 + ".0", True),
    ],
)
def test_versions(version: str, known: bool) -> None:
    assert version_known(version) is known
