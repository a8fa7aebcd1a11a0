"""Frames of XMPP over WebSocket (RFC 7395) and the bytes that a stream over TCP would have had in their place.

A frame is one element and a document of its own: ``<open/>`` and ``<close/>`` stand for the stream's tags, stanzas name
the namespace that a stream would have given them. So nothing behind the connection needs to know of WebSocket.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.xml import attr

NS = "urn:ietf:params:xml:ns:xmpp-framing"
CLOSE = f"<close xmlns='{NS}'/>".encode()
_CLOSING = b"</stream:stream>"
_HEADER = frozenset(("to", "from", "version", "id", f"{ns.XML}}}lang"))
_STREAM_SPACE = f" xmlns:stream='{ns.STREAMS}'".encode()
_CLIENT_SPACE = f" xmlns='{ns.CLIENT}'".encode()
_STANZA = re.compile(rb"<(?:message|presence|iq)(?=[\s/>])")
_PREFIXED = re.compile(rb"<stream:[a-z]+")
# What the server writes is well-formed: a tag's end is the first '>' outside of quotes.
_MARK = re.compile(rb"""<!\[CDATA\[.*?\]\]>|<[^>"']*(?:"[^"]*"[^>"']*|'[^']*'[^>"']*)*>""", re.DOTALL)
_ATTRIBUTE = re.compile(r"""\s([\w:]+)=('[^']*'|"[^"]*")""")


def from_frame(frame: bytes) -> bytes:
    """What a client's stream would say instead of this text frame (§3.3).

    Raises StreamError: not-well-formed for what is not one whole element, restricted-xml (RFC 6120 §11.1),
    invalid-namespace, bad-format for a stream's own tag.
    """
    if frame.isspace():
        return frame  # forbidden (§3.3.3) and harmless: some clients keep their connection alive with it
    name, attributes = _root(frame)
    space, _, local = name.rpartition("}")
    if space == NS:
        if local == "close":
            return _CLOSING
        if local != "open":
            raise StreamError("bad-format")
        header = "".join(
            attr("xml:lang" if key not in ("to", "from", "version", "id") else key, value)
            for key, value in attributes.items()
            if key in _HEADER
        )
        return f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'{header}>".encode()
    if local == "open" or (space == ns.STREAMS and local == "stream"):
        raise StreamError("invalid-namespace" if local == "open" else "bad-format")
    return frame


def _root(frame: bytes) -> tuple[str, dict[str, str]]:
    """(expat's name, attributes) of the one element that `frame` is."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate("utf-8", "}")

    def start(name: str, attributes: dict[str, str]) -> None:
        parser.StartElementHandler = None
        found.append((name, attributes))

    def refuse(*_: object) -> None:
        raise StreamError("restricted-xml")

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.CommentHandler = refuse
    parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(frame, True)
    except expat.ExpatError as error:
        prefix = "prefix" in (expat.ErrorString(error.code) or "")
        raise StreamError("bad-namespace-prefix" if prefix else "not-well-formed") from None
    return found[0]


def to_frames(data: bytes) -> list[bytes]:
    """The frames for what a server's stream says at once: a header, whole elements, a closing tag, in any number."""
    frames: list[bytes] = []
    depth = start = 0
    for mark in _MARK.finditer(data):
        at = mark.start()
        kind = data[at + 1]
        if kind == 0x21:  # '<!': CDATA
            continue
        if depth == 0:
            start = at
            if kind == 0x3F:  # '<?': a document's declaration
                continue
            if kind == 0x2F:  # '</': the stream's end
                frames.append(CLOSE)
                continue
            if data.startswith(b"<stream:stream", at):
                frames.append(_opening(mark[0].decode()))
                continue
        if kind == 0x2F:
            depth -= 1
        elif data[mark.end() - 2] != 0x2F:
            depth += 1
        if depth == 0:
            frames.append(_framed(data[start : mark.end()]))
    return frames


def _opening(tag: str) -> bytes:
    kept = (f" {key}={value}" for key, value in _ATTRIBUTE.findall(tag) if not key.startswith("xmlns"))
    return f"<open xmlns='{NS}'{''.join(kept)}/>".encode()


def _framed(element: bytes) -> bytes:
    """The element with the namespaces that a stream's header declares (§3.8)."""
    spaces = b""
    head = _STANZA.match(element)
    if head is not None:
        spaces = _CLIENT_SPACE + (_STREAM_SPACE if b"stream:" in element else b"")
    else:
        head = _PREFIXED.match(element)
        spaces = _STREAM_SPACE
        if head is None:
            return element
    return b"%b%b%b" % (head[0], spaces, element[head.end() :])
