from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.xml import (
    Element,
    attr,
    build,
    escape,
    local_name,
    namespace,
    parse,
    plain,
    printable,
    serialise,
)

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n&<>'\""), max_size=20)
NAMES = st.sampled_from(["a", "b", "c-d"])
SPACES = st.sampled_from(["jabber:client", "urn:x", "urn:y&'<z"])


@st.composite
def elements(draw: st.DrawFn, depth: int = 3) -> Element:
    element = build(f"{{{draw(SPACES)}}}{draw(NAMES)}", text=draw(TEXT) or None)
    for key in draw(st.sets(NAMES | st.sampled_from(["{urn:x}k", "{urn:y}k", f"{{{ns.XML}}}lang"]), max_size=3)):
        element.set(key, draw(TEXT))
    for child in draw(st.lists(elements(depth - 1), max_size=3)) if depth else ():
        child.tail = draw(TEXT) or None
        element.append(child)
    return element


def same(a: Element, b: Element) -> bool:
    return (
        (a.tag, a.attrib, a.text or "", a.tail or "", len(a)) == (b.tag, b.attrib, b.text or "", b.tail or "", len(b))
    ) and all(same(x, y) for x, y in zip(a, b, strict=True))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(elements())
def test_what_is_written_is_read_again(element: Element) -> None:
    assert same(parse(serialise(element, ns.CLIENT), ns.CLIENT), element)


def test_no_prefixes() -> None:
    tree = build("{urn:a}a", None, build("{urn:a}b"), build("{urn:c}c", {"k": "v"}, text="t"), build("d"))
    assert serialise(tree, ns.CLIENT) == b"<a xmlns='urn:a'><b/><c xmlns='urn:c' k='v'>t</c><d xmlns=''/></a>"
    assert serialise(tree, "urn:a") == b"<a><b/><c xmlns='urn:c' k='v'>t</c><d xmlns=''/></a>"


@given(TEXT)
def test_escaping_survives_both_kinds_of_quotes(text: str) -> None:
    for quote in "'\"":
        assert fromstring(f"<a b={quote}{escape(text)}{quote}/>").get("b") == text
    assert plain(text) == (escape(text) == text)


def test_attributes_of_one_name_in_two_namespaces() -> None:
    written = f"<a{attr('{urn:x}k', '1')}{attr('{urn:y}k', '2')}{attr(f'{{{ns.XML}}}lang', 'de')}/>"
    assert fromstring(written).attrib == {"{urn:x}k": "1", "{urn:y}k": "2", f"{{{ns.XML}}}lang": "de"}


def test_names() -> None:
    assert (local_name("{urn:a}b"), namespace("{urn:a}b")) == ("b", "urn:a")
    assert (local_name("b"), namespace("b")) == ("b", "")


def test_printable() -> None:
    assert printable("a\0b\ufffec\td\ud800") == "a\ufffdb\ufffdc\td\ufffd"


@pytest.mark.parametrize("data", [b"<a>", b"<a></b>", b"\xff", b"</w><w>", b""])
def test_what_was_not_validated_is_refused(data: bytes) -> None:
    with pytest.raises(StreamError):
        parse(data, ns.CLIENT)


def test_the_stream_prefix_is_known() -> None:
    assert parse(b"<stream:error/>", ns.CLIENT).tag == f"{{{ns.STREAMS}}}error"
