"""Frames and the bytes that stand for them. What a whole stream makes of frames: with the framing of streams."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from random import Random

import pytest

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, StreamClose, StreamOpen, StreamParser
from quietwire.core.stanza import Iq, Message, Nonza
from quietwire.core.websocket import CLOSE, NS, from_frame, to_frames

OPEN = f"<open xmlns='{NS}' to='a.example' version='1.0' xml:lang='de' unknown='1'/>".encode()
HEADER = (
    f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' id='1'"
    " from='a.example' version='1.0' xml:lang='en'>"
).encode()


def tree(element: ET.Element) -> tuple[object, ...]:
    return element.tag, element.attrib, element.text, [tree(child) for child in element], [c.tail for c in element]


def told(*frames: bytes) -> list[object]:
    """What a stream is told by these frames."""
    parser = StreamParser()
    return [event for frame in frames for event in parser.feed(from_frame(frame))]


def test_open_is_the_header_and_close_the_closing_tag() -> None:
    opened, closed = told(OPEN, CLOSE)
    assert isinstance(opened, StreamOpen)
    assert opened.content == ns.CLIENT
    assert opened.attributes == {"to": "a.example", "version": "1.0", f"{{{ns.XML}}}lang": "de"}
    assert isinstance(closed, StreamClose)


def test_a_header_without_anything_is_still_one() -> None:
    (opened,) = told(f'<?xml version="1.0"?><open xmlns="{NS}"></open>'.encode())
    assert isinstance(opened, StreamOpen)
    assert opened.attributes == {}


def test_an_attribute_cannot_leave_its_quotes() -> None:
    (opened,) = told(f"<open xmlns='{NS}' to='&apos;&gt;&lt;x/>&amp;'/>".encode())
    assert isinstance(opened, StreamOpen)
    assert opened.attributes == {"to": "'><x/>&"}


def test_stanzas_with_and_without_their_namespace() -> None:
    for space in ("", " xmlns='jabber:client'"):
        _, message, iq, ack = told(
            OPEN,
            f"<message{space} to='b@a.example'><body>hi</body></message>".encode(),
            f" <iq{space} id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>\n".encode(),
            f"<r xmlns='{ns.SM}'/>".encode(),
        )
        assert isinstance(message, Message)
        assert message.inner == b"<body>hi</body>"
        assert isinstance(iq, Iq)
        assert iq.names == ("{urn:xmpp:ping}ping",)
        assert isinstance(ack, Nonza)


@pytest.mark.parametrize(
    ("frame", "condition"),
    [
        (b"", "not-well-formed"),
        (b"hello", "not-well-formed"),
        (b"<message>", "not-well-formed"),
        (b"</message>", "not-well-formed"),
        (b"<message/><message/>", "not-well-formed"),
        (b"<message/>x", "not-well-formed"),
        (b"<message/>\0", "not-well-formed"),
        (b"<message>\xff</message>", "not-well-formed"),
        (b"<a:message/>", "bad-namespace-prefix"),
        (b"<!DOCTYPE message [<!ENTITY a 'aa'>]><message>&a;</message>", "restricted-xml"),
        (b"<!-- --><message/>", "restricted-xml"),
        (b"<?php ?><message/>", "restricted-xml"),
        (b"<open/>", "invalid-namespace"),
        (b"<open xmlns='jabber:client'/>", "invalid-namespace"),
        (f"<ping xmlns='{NS}'/>".encode(), "bad-format"),
        (f"<stream:stream xmlns:stream='{ns.STREAMS}'/>".encode(), "bad-format"),
        (f"<stream:stream xmlns:stream='{ns.STREAMS}'>".encode(), "not-well-formed"),
    ],
)
def test_what_is_not_one_element_is_refused(frame: bytes, condition: str) -> None:
    with pytest.raises(StreamError) as caught:
        from_frame(frame)
    assert caught.value.condition == condition


def test_spaces_are_between_stanzas_there_too() -> None:
    assert len(told(OPEN, b" \n", b"<presence/>")) == 2


def test_a_stanza_before_open_is_what_it_is_on_a_stream() -> None:
    (broken,) = told(b"<message xmlns='jabber:client'/>")
    assert isinstance(broken, Broken)
    assert broken.error.condition == "bad-format"


def test_the_server_s_header_becomes_open() -> None:
    (frame,) = to_frames(HEADER)
    opened = ET.fromstring(frame)
    assert opened.tag == f"{{{NS}}}open"
    assert opened.attrib == {"id": "1", "from": "a.example", "version": "1.0", f"{{{ns.XML}}}lang": "en"}


def test_elements_get_the_namespaces_of_the_stream() -> None:
    features = to_frames(b"<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>")
    assert ET.fromstring(features[0]).tag == f"{{{ns.STREAMS}}}features"
    for kind in (b"message", b"presence", b"iq"):
        (frame,) = to_frames(b"<%b to='b@a.example'><x xmlns='urn:x'><y>1</y></x></%b>" % (kind, kind))
        stanza = ET.fromstring(frame)
        assert stanza.tag == f"{{jabber:client}}{kind.decode()}"
        assert stanza[0].tag == "{urn:x}x"
    assert to_frames(b"<presence/>") == [b"<presence xmlns='jabber:client'/>"]
    ack = b"<a xmlns='urn:xmpp:sm:3' h='1'/>"
    assert to_frames(ack) == [ack]


def test_an_element_whose_name_only_begins_like_a_stanza_is_none() -> None:
    data = b"<iqs xmlns='urn:x'/>"
    assert to_frames(data) == [data]


def test_a_payload_that_leans_on_the_stream_s_prefix() -> None:
    (frame,) = to_frames(b"<message><stream:odd/></message>")
    assert ET.fromstring(frame)[0].tag == f"{{{ns.STREAMS}}}odd"


def test_several_elements_at_once_are_several_frames() -> None:
    error = b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    opened, failed, closed = to_frames(HEADER + error + b"</stream:stream>")
    assert opened.startswith(b"<open ")
    assert ET.fromstring(failed)[0].tag == "{urn:ietf:params:xml:ns:xmpp-streams}conflict"
    assert closed == CLOSE
    assert len(to_frames(b"<message/> <message><a/><b></b></message>\n<r xmlns='urn:xmpp:sm:3'/>")) == 3


def test_nothing_and_spaces_are_no_frames() -> None:
    assert to_frames(b"") == to_frames(b" \n") == []


@pytest.mark.parametrize(
    "inner",
    [
        b"<body>a &gt; b</body>",
        b"<body a='>' b=\"'>/>\" c='/body>'>1</body>",
        b"<body><![CDATA[</message><x> ' \" ]] > ]]></body>",
        b"<body><![CDATA[]]]]><![CDATA[>]]></body>",
        b'<body>it\'s "quoted"</body><b/><c d="/"/>',
        b"<a><a><a/></a></a>",
    ],
)
def test_what_looks_like_an_end_is_none(inner: bytes) -> None:
    first, second = to_frames(b"<message id='1'>" + inner + b"</message><message id='2'>" + inner + b"</message>")
    assert first == b"<message xmlns='jabber:client' id='1'>" + inner + b"</message>"
    assert ET.fromstring(second).get("id") == "2"


def test_any_frame_is_refused_or_understood_and_goes_out_again_as_it_came() -> None:
    """Mutated stanzas: whatever a stream takes as one stanza leaves as one frame with the same content."""
    random = Random(7395)
    seeds = [
        b"<message xmlns='jabber:client' to='b@a.example' id=\"a'b\"><body>a &amp; b</body></message>",
        b"<iq xmlns='jabber:client' type='set' id='1'><q xmlns='urn:q'><![CDATA[<x>]]><i a='>'/></q></iq>",
        b"<presence xmlns='jabber:client'><show>away</show><c xmlns='urn:c' v='1/'/></presence>",
    ]
    spice = ["<", ">", "/", "'", '"', "&", "]]>", "<![CDATA[", "<a>", "</a>", "<b/>", "ä", "\0", " "]
    understood = 0
    for _ in range(4000):
        frame = bytearray(random.choice(seeds))
        for _ in range(random.randrange(3)):
            at = random.randrange(len(frame))
            if random.random() < 0.5:
                frame[at : at + random.randrange(3)] = random.choice(spice).encode()
            else:
                del frame[at : at + random.randrange(1, 8)]
        try:
            data = from_frame(bytes(frame))
        except StreamError:
            continue
        parser = StreamParser()
        parser.feed(from_frame(OPEN))
        events = parser.feed(data)
        assert len(events) == 1, frame
        if isinstance(events[0], Message | Iq):
            understood += 1
            out = events[0].to_bytes()
            (again,) = to_frames(out)
            expected = ET.fromstring(b"<s xmlns='jabber:client'>%b</s>" % out)[0]
            assert tree(ET.fromstring(again)) == tree(expected)
    assert understood > 500
