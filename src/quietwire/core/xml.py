"""Trees and bytes. Trees are `xml.etree` elements in Clark notation; bytes are prefix-free (RFC 6120 §4.8.5).

ElementTree's own serialiser writes ``ns0:`` prefixes, which clients take badly, and is slow; ours writes a default
namespace wherever it changes, as RFC 6120 asks.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element, ParseError, XMLParser

from quietwire.core import ns
from quietwire.core.errors import StreamError

__all__ = ["Element", "attr", "build", "escape", "local_name", "parse", "serialise"]

_SPECIAL = re.compile(r"[&<>\"'\t\n\r]")
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
_TEXT_SPECIAL = re.compile(r"[&<>\r]")
_XML_PREFIX = f"{{{ns.XML}}}"
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """`text` for an attribute value in single or double quotes. Most values need nothing: hence the search first."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def plain(text: str) -> bool:
    """Whether `escape` would leave `text` as it is."""
    return _SPECIAL.search(text) is None


def _escape_text(text: str) -> str:
    if _TEXT_SPECIAL.search(text) is None:
        return text
    return _TEXT_SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def printable(text: str) -> str:
    """`text` without the characters that XML 1.0 cannot carry."""
    return _FORBIDDEN.sub("\ufffd", text)


def build(
    tag: str, attributes: Mapping[str, str] | None = None, *children: Element, text: str | None = None
) -> Element:
    """An element: `build("{urn:xmpp:ping}ping")`, `build(tag, {"a": "b"}, child, text="…")`."""
    element = Element(tag, dict(attributes) if attributes else {})
    element.text = text
    element.extend(children)
    return element


def local_name(tag: str) -> str:
    """`{namespace}name` -> `name`."""
    return tag.rpartition("}")[2]


def namespace(tag: str) -> str:
    """`{namespace}name` -> `namespace`; empty for a name without one."""
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""


def attr(name: str, value: str) -> str:
    """` name='value'`, escaped; `name` may be in Clark notation."""
    if name[:1] == "{":
        if name.startswith(_XML_PREFIX):
            name = f"xml:{name[len(_XML_PREFIX) :]}"
        else:
            uri, local = name[1:].split("}", 1)
            # A prefix of its own for each: two attributes of one name in two namespaces must not collide.
            prefix = f"a{zlib.crc32(uri.encode()):x}"
            name = f"xmlns:{prefix}='{escape(uri)}' {prefix}:{local}"
    return f" {name}='{escape(value)}'"


def serialise(element: Element, default: str) -> bytes:
    """The element as UTF-8, for a place where the namespace `default` is in force."""
    out: list[str] = []
    _write(element, default, out.append)
    return "".join(out).encode()


def _write(element: Element, default: str, write: Callable[[str], None]) -> None:
    # Depth is bounded by the framing limits for what came from outside, by our own code for the rest.
    tag = element.tag
    space, name = (tag[1:].split("}", 1)) if tag[:1] == "{" else ("", tag)
    write(f"<{name}")
    if space != default:
        write(f" xmlns='{escape(space)}'")
    for key, value in element.attrib.items():
        write(attr(key, value))
    if not element.text and len(element) == 0:
        write("/>")
        return
    write(">")
    if element.text:
        write(_escape_text(element.text))
    for child in element:
        _write(child, space, write)
        if child.tail:
            write(_escape_text(child.tail))
    write(f"</{name}>")


def parse(data: bytes, default: str) -> Element:
    """Bytes that the framing has validated, read where `default` and the ``stream`` prefix are in force.

    Raises StreamError(not-well-formed) where a caller hands in what was not validated.
    """
    parser = XMLParser()  # noqa: S314 - the framing refuses DTDs and entities before anything gets here
    try:
        parser.feed(f"<w xmlns='{escape(default)}' xmlns:stream='{ns.STREAMS}'>".encode())
        parser.feed(data)
        parser.feed(b"</w>")
        root: Element = parser.close()
    except ParseError:
        raise StreamError("not-well-formed") from None
    if len(root) != 1:
        raise StreamError("not-well-formed")
    return root[0]
