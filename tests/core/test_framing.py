from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.core import ns
from quietwire.core.framing import Broken, Event, Limits, StreamClose, StreamOpen, StreamParser
from quietwire.core.stanza import Child, Iq, Message, Nonza, Presence

ROOT = f"<stream:stream xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>"
HEAD = "<?xml version='1.0'?>" + ROOT
SMALL = Limits(stanza_bytes=2_000, depth=10, attributes=8)

PIECES = [
    HEAD,
    "</stream:stream>",
    "<message to='b@a.example'><body>hi</body></message>",
    "<presence/>",
    "<presence></presence>",
    "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<message a='/>' b=\">\"><body a='&gt;'>/&gt; ]]&gt; '\" é 😀</body></message>",
    "<message><body><![CDATA[<presence/></message>]]></body></message>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<x:message xmlns:x='jabber:client'><x:body>p</x:body></x:message>",
    " \n\t ",
    "text between",
    " \n\t<presence/>\n<presence/> ",
    "<![CDATA[text]]>",
    "text<!-- c -->",
    "text<presence a='1' a='2'/>",
    "<![CDATA[text]]></x>",
    "</stream:stream>junk",
    "<!-- no -->",
    "<?no?>",
    "<!DOCTYPE a>",
    "<message>&nbsp;</message>",
    "<message><body>",
    "</message>",
    "<a " + " ".join(f"a{n}=''" for n in range(20)) + "/>",
    "<m>" + "<d>" * 12 + "</d>" * 12 + "</m>",
    "<message>" + "x" * 3_000 + "</message>",
    "<message xmlns='jabber:server'/>",
    "<u:a/>",
    "<m a='1' a='2'/>",
    "&#0;",
    "\x00",
]


def seen(events: list[Event]) -> list[object]:
    """Events as values that can be compared."""
    out: list[object] = []
    for event in events:
        if isinstance(event, Child):
            out.append((type(event).__name__, event.kind, event.attributes, event.inner, event.names))
        elif isinstance(event, Broken):
            out.append(("broken", event.error.condition))
        else:
            out.append(event)
    return out


def feed(pieces: list[bytes], limits: Limits = SMALL) -> list[object]:
    parser = StreamParser(limits)
    return [each for piece in pieces for each in seen(parser.feed(piece))]


def one(text: str, head: str = HEAD) -> Child:
    events = StreamParser().feed((head + text).encode())
    assert len(events) == 2, seen(events)
    child = events[1]
    assert isinstance(child, Child), seen(events)
    return child


def error(text: str, limits: Limits = SMALL) -> str:
    events = StreamParser(limits).feed(text.encode())
    assert isinstance(events[-1], Broken), seen(events)
    return events[-1].error.condition


# -- what comes out -----------------------------------------------------------------------------------------------


def test_header() -> None:
    (opened,) = StreamParser().feed(HEAD.replace(" to=", " xml:lang='de' to=").encode())
    assert isinstance(opened, StreamOpen)
    assert opened.content == "jabber:client"
    assert opened.attributes == {"to": "a.example", "version": "1.0", f"{{{ns.XML}}}lang": "de"}


def test_kinds() -> None:
    events = StreamParser().feed(
        (HEAD + "<message/><presence/><iq/><r xmlns='urn:xmpp:sm:3'/></stream:stream>").encode()
    )
    assert [type(event) for event in events] == [StreamOpen, Message, Presence, Iq, Nonza, StreamClose]
    assert isinstance(events[4], Nonza)
    assert events[4].kind == "{urn:xmpp:sm:3}r"


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("<message/>", b""),
        ("<message />", b""),
        ("<message></message>", b""),
        ("<message a='/>'/>", b""),
        ("<message a='/'></message>", b""),
        ('<message a=">"><x/></message >', b"<x/>"),
        ("<message a='\">\"'>/&gt;</message\n>", b"/&gt;"),
        ("<message a='</message>'><b c='/>'/></message>".replace("</message>'", "&lt;/message>'"), b"<b c='/>'/>"),
        ("<message><![CDATA[</message>]]></message>", b"<![CDATA[</message>]]>"),
        ("<message><m><message/></m></message>", b"<m><message/></m>"),
    ],
)
def test_the_bytes_between_the_tags_are_kept(text: str, inner: bytes) -> None:
    assert one(text).inner == inner


def test_names_of_children() -> None:
    child = one("<message><body>x<deep/></body><a xmlns='urn:a'/><b:c xmlns:b='urn:b'/></message>")
    assert child.names == ("{jabber:client}body", "{urn:a}a", "{urn:b}c")


def test_a_server_stream_names_stanza_children_alike() -> None:
    child = one("<message><body/></message>", HEAD.replace("jabber:client", "jabber:server"))
    assert isinstance(child, Message)
    assert child.names == ("{jabber:client}body",)


def test_prefixes_declared_outside_of_the_payload_are_carried_along() -> None:
    head = HEAD.replace(" to=", " xmlns:x='urn:x' xmlns:y='urn:y' to=")
    child = one("<message><x:a/></message>", head)
    assert child.attributes == {"xmlns:x": "urn:x"}
    assert child.tree[0].tag == "{urn:x}a"
    child = one("<message xmlns:z='urn:z'><z:a/></message>")
    assert child.tree[0].tag == "{urn:z}a"
    child = one("<message xmlns:x='urn:other'><x:a/></message>", head)
    assert child.tree[0].tag == "{urn:other}a"


def test_prefixed_stanza() -> None:
    child = one("<c:message xmlns:c='jabber:client' to='b@a.example'><c:body>p</c:body></c:message>")
    assert isinstance(child, Message)
    assert child.tree.findtext("{jabber:client}body") == "p"


def test_attributes_in_namespaces() -> None:
    child = one("<message xml:lang='de' x:y='1' xmlns:x='urn:x'/>")
    assert child.attributes == {f"{{{ns.XML}}}lang": "de", "{urn:x}y": "1"}


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (HEAD + "<!-- c -->", "restricted-xml"),
        (HEAD + "<?pi?>", "restricted-xml"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]>", "restricted-xml"),
        (HEAD + "<message>&nbsp;</message>", "restricted-xml"),
        (HEAD + "<message></presence>", "not-well-formed"),
        (HEAD + "<message a='1' a='2'/>", "not-well-formed"),
        (HEAD + "text", "bad-format"),
        (HEAD + "<presence/>text<presence/>", "bad-format"),
        (HEAD + "<presence/>\n text </stream:stream>", "bad-format"),
        (HEAD + "<![CDATA[]]>", "bad-format"),
        (HEAD + "&#32;<presence/>", "bad-format"),
        (HEAD + "text<!-- c -->", "bad-format"),
        (HEAD + "text<presence a='1' a='2'/>", "bad-format"),
        (HEAD + "<u:message/>", "bad-namespace-prefix"),
        (HEAD + "<message xmlns='jabber:server'/>", "invalid-namespace"),
        (HEAD + "<c:message xmlns='urn:smuggled' xmlns:c='jabber:client'><body/></c:message>", "invalid-namespace"),
        ("<stream xmlns='jabber:client'>", "invalid-namespace"),
        ("<html>", "bad-format"),
        ("<?xml version='1.0' encoding='utf-16'?>", "unsupported-encoding"),
        ("<?xml version='1.0' encoding='iso-8859-1'?>", "unsupported-encoding"),
        ("GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
        (HEAD + "<message " + " ".join(f"a{n}='1'" for n in range(9)) + "/>", "policy-violation"),
        (HEAD + "<message>" + "<a>" * 10, "policy-violation"),
        (HEAD + "<message><body>" + "x" * 2_000, "policy-violation"),
        (HEAD + "<message>" + "x" * 2_000 + "</message>", "policy-violation"),
        (HEAD + "<message a='" + "x" * 2_000, "policy-violation"),
        (HEAD + "\x00", "not-well-formed"),
        (HEAD + ROOT, "bad-format"),
        (HEAD + "<message " + " ".join(f"xmlns:a{n}='u{n}'" for n in range(70)) + "/>", "policy-violation"),
        (ROOT[:-1] + " ".join(f" xmlns:a{n}='u{n}'" for n in range(70)) + ">", "policy-violation"),
    ],
)
def test_refused(text: str, condition: str) -> None:
    assert error(text) == condition


@pytest.mark.parametrize(
    "data", [HEAD.encode("utf-16"), HEAD.encode() + b"<message>\xc3</message>", HEAD.encode("utf-16-be")]
)
def test_other_encodings(data: bytes) -> None:
    (*_, broken) = StreamParser().feed(data)
    assert isinstance(broken, Broken)
    assert broken.error.condition in ("unsupported-encoding", "not-well-formed")


def test_limits_are_just_met() -> None:
    inner = "x" * (2_000 - len("<message></message>"))
    assert feed([f"{HEAD}<message>{inner}</message>".encode()])[1][0] == "Message"  # type: ignore[index]
    deep = "<a>" * 8 + "</a>" * 8
    assert feed([f"{HEAD}<message>{deep}</message>".encode()])[1][0] == "Message"  # type: ignore[index]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_long_tag_is_read_once_however_it_is_cut(quote: str) -> None:
    other = "'" if quote == '"' else '"'
    tag = f"<message a={quote}{'>/' * 2_500}{other}{quote} b='&gt;'><body>hi</body></message><presence/>"
    whole = feed([(HEAD + tag).encode()], Limits())
    assert [event[0] for event in whole[1:]] == ["Message", "Presence"]  # type: ignore[index]
    for size in (1, 7, 4_096, 5_003):
        data = tag.encode()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert feed([HEAD.encode(), *pieces], Limits()) == whole


@pytest.mark.parametrize("beginning", ["<!--", "<?pi ", "<message a='", "<!DOCTYPE a ["])
def test_what_never_ends_is_refused_in_time(beginning: str) -> None:
    parser = StreamParser()
    parser.feed(HEAD.encode())
    parsed: list[int] = []
    parse = parser._parse

    def counted(data: bytes) -> None:
        parsed.append(len(data))
        parse(data)

    parser._parse = counted  # type: ignore[assignment]
    events: list[Event] = []
    for piece in [beginning] + ["x>"] * 200_000:
        events = parser.feed(piece.encode())
        if events:
            break
    assert isinstance(events[0], Broken)
    assert len(parsed) < 5_000, "one look at it for each byte costs the square of its length"


def test_nothing_after_a_break() -> None:
    parser = StreamParser()
    parser.feed(b"<html>")
    assert parser.feed(HEAD.encode()) == []


def test_reset() -> None:
    parser = StreamParser()
    parser.feed((HEAD + "<auth xmlns='urn:x'/>").encode())
    parser.reset()
    assert isinstance(parser.feed(HEAD.encode())[0], StreamOpen)


def test_white_space_costs_nothing() -> None:
    parser = StreamParser(SMALL)
    parser.feed(HEAD.encode())
    for _ in range(100):
        assert parser.feed(b" " * 1_000) == []
    assert parser.idle
    assert len(parser.feed(b"<presence/>")) == 1


# -- a peer that invents names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        HEAD.replace("<stream:", "<s:").replace("xmlns:stream=", "xmlns:s="),
        HEAD.replace(" to=", " xmlns:x='urn:x&#10;&apos;&amp;&lt;' to="),
        HEAD.replace("<stream:stream", "<s:stream xmlns:s='" + ns.STREAMS + "'").replace(
            f"xmlns:stream='{ns.STREAMS}'", "xmlns:stream='urn:other'"
        ),
    ],
)
def test_starting_afresh_cannot_be_noticed(head: str) -> None:
    parser = StreamParser()
    assert isinstance(parser.feed(head.encode())[0], StreamOpen)
    for number in range(3_000):
        events = parser.feed(f"<message><n{number} xmlns='urn:n'/></message>".encode())
        assert [event.names for event in events if isinstance(event, Child)] == [(f"{{urn:n}}n{number}",)]
    root = head[head.rindex("<") + 1 :].split(maxsplit=1)[0]
    assert parser.feed(f"</{root}>".encode()) == [StreamClose()]


# -- every way of cutting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", PIECES)
def test_every_cut_position(piece: str) -> None:
    data = (HEAD + piece + "<presence/>").encode()
    whole = feed([data])
    for cut in range(len(data) + 1):
        assert feed([data[:cut], data[cut:]]) == whole, cut
    assert feed([data[at : at + 1] for at in range(len(data))]) == whole


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    parts = draw(st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=6))
    data = (HEAD if draw(st.booleans()) else "").encode() + "".join(parts).encode("utf-8", "surrogatepass")
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    return data, [data[a:b] for a, b in pairwise([0, *cuts, len(data)])]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(cut_streams())
def test_any_cut_gives_the_same_events(stream: tuple[bytes, list[bytes]]) -> None:
    data, pieces = stream
    assert feed(pieces) == feed([data])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_never_raises(pieces: list[bytes], opened: bool) -> None:
    parser = StreamParser(SMALL)
    for piece in [HEAD.encode(), *pieces] if opened else pieces:
        for event in parser.feed(piece):
            assert isinstance(event, StreamOpen | StreamClose | Broken | Child)


def test_what_was_read_is_overwritten_where_it_lies() -> None:
    parser = StreamParser()
    parser.feed(ROOT.encode())
    password = bytes(bytearray(b"<auth xmlns='x'>a password in base64</auth>"))
    [child] = parser.feed(password)
    parser.forget(password)
    assert password == bytes(len(password))
    assert isinstance(child, Child)
    assert child.inner == b"a password in base64"
    parser.scrub()
    [child] = parser.feed(b"<auth xmlns='x'>again</auth>")
    assert isinstance(child, Child)
    assert child.inner == b"again"


def test_nothing_is_overwritten_that_is_still_needed() -> None:
    parser = StreamParser()
    parser.feed(ROOT.encode())
    half = bytes(bytearray(b"<auth xmlns='x'>hal"))
    assert parser.feed(half) == []
    parser.forget(half)
    parser.scrub()
    [child] = parser.feed(b"f</auth>")
    assert isinstance(child, Child)
    assert child.inner == b"half"
    long = b"<auth xmlns='x' a='" + b"x" * 9_000
    assert parser.feed(long) == []
    parser.forget(long)
    parser.scrub()
    [child] = parser.feed(b"y'>z</auth>")
    assert isinstance(child, Child)
    assert child.attributes["a"].endswith("xy")
