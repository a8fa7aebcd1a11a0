"""Bytes of a stream in, its first-level children out (RFC 6120 §4, §11).

expat validates, its byte offsets cut the stream, and the payload bytes are kept as they came. Refused, each with its
stream error: comments, processing instructions, DTDs, entities beyond the five (RFC 6120 §11.1), other encodings
(§11.6), and whatever exceeds `Limits`. Any way of cutting the input into pieces gives the same events;
only of a stanza that is both too big and malformed, which of the two is said depends on the cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.stanza import STANZAS, Child, Nonza, Stanza
from quietwire.core.wipe import wipe
from quietwire.core.xml import attr

# The whole of a start tag in bytes that expat has validated: quotes may hold '>'.
_START_TAG = re.compile(rb"""<[^>"']*(?:"[^"]*"[^>"']*|'[^']*'[^>"']*)*>""")
_QUOTE_OR_END = re.compile(rb"[\"'>]")
_ROOT = re.compile(rb"<[^\s/>\0]+")
_STREAM = f"{ns.STREAMS}}}stream"
_SERVER = f"{ns.SERVER}}}"
_STANZAS_IN = {
    space: {f"{space}}}{name}": stanza for name, stanza in STANZAS.items()} for space in (ns.CLIENT, ns.SERVER)
}
"""Content namespace -> expat's name -> class."""
_HANDLERS = (
    "SkippedEntityHandler", "XmlDeclHandler", "StartNamespaceDeclHandler", "StartElementHandler", "EndElementHandler",
)  # fmt: skip
_PROHIBITED = ("CommentHandler", "ProcessingInstructionHandler", "StartDoctypeDeclHandler", "EntityDeclHandler")
_INTERNED_AT_MOST = 4_096
_INTERNED: dict[str, str] = {}
"""Names seen by all parsers, shared so that an idle stream keeps none; emptied when a peer has filled it."""


class _ClarkNames(dict[str, str]):
    """expat's ``ns}name`` -> Clark notation ``{ns}name``, each made once."""

    def __missing__(self, name: str) -> str:
        clark = self[name] = "{" + name if "}" in name else name
        return clark


_CLARK = _ClarkNames()
_LONG_TAG = 4_096
"""expat reads an unfinished tag from its start again with every piece that comes: one sent byte by byte would cost the
square of its length. From this many bytes on expat gets the rest of a tag at once; honest tags are shorter."""
_BLANK = b" " * 512
_CONTEXT = 2_048
"""expat keeps the last 1,024 bytes for its messages about errors, and moves them."""
_NAMES_PER_PARSER = 1_024
"""expat itself remembers every name for its life: a parser that has met this many stanza children starts afresh at
the next stanza boundary, so that a peer that invents names cannot grow it."""
_NAMES_AT_MOST = 16_384
"""A peer that is never between two stanzas when its bytes are read gets a new parser in the middle of them."""


class _Full(Exception):
    """Leaves expat at the end of a stanza."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before it costs anything. Advertised by XEP-0478 where a peer can be told."""

    stanza_bytes: int = 262_144
    """One first-level child: what Prosody allows, so every client that works there fits (RFC 6120 §13.12: ≥ 10,000)."""
    depth: int = 100
    """Elements within elements: our tree walks recurse, and no XEP nests deeper than about 20."""
    attributes: int = 64
    """Of one element: expat checks duplicates in time proportional to their number. As many namespace declarations on
    the stream header and on a first-level child: each stanza is searched for the prefixes it leans on."""


@dataclass(frozen=True, slots=True)
class StreamOpen:
    """The peer's stream header. `attributes` in Clark notation; `content` is its default namespace."""

    attributes: dict[str, str]
    content: str


@dataclass(frozen=True, slots=True)
class StreamClose:
    """The peer's closing tag."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The peer's bytes were refused; nothing follows."""

    error: StreamError


Event = StreamOpen | StreamClose | Broken | Child


class StreamParser:
    """One direction of one stream. `feed` never raises; after `Broken` it returns nothing more."""

    __slots__ = (
        "_attributes", "_base", "_buffer", "_content", "_declared", "_depth", "_end", "_events", "_failed", "_header",
        "_last", "_limits", "_names", "_opened", "_parse", "_parser", "_prefixes", "_quote", "_seen", "_server",
        "_stanzas", "_start", "_tag",
    )  # fmt: skip

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._failed = False
        self._opened = False
        self._content = ""
        self._server = False
        """`_content` is that of streams between servers."""
        self._end = 0
        """Where the stanza ended after which a new parser begins, in `_buffer`."""
        self._header = b""
        """The stream's start tag with its namespaces alone, for `_renew`."""
        self._stanzas: dict[str, type[Stanza]] = {}
        self._prefixes: dict[str, str] = {}
        self._events: list[Event] = []
        self.reset()

    def reset(self) -> None:
        """A new stream begins on the same connection (after TLS, after SASL)."""
        self._opened = False
        self._prefixes = {}
        self._begin(b"")

    def _begin(self, prologue: bytes) -> None:
        self._buffer = b""
        self._base = 0
        """Offset of `_buffer` in what this parser was given."""
        self._depth = 0
        self._start = -1
        self._last = -1
        """Offset of the end of the last first-level child, or of the stream's start tag; -1 before it."""
        self._seen = 0
        self._names: list[str] = []
        self._attributes: dict[str, str] = {}
        self._declared: dict[str, str] = {}
        self._tag: list[bytes] | None = None
        """Pieces of an unfinished long tag that expat has not seen, None where there is none."""
        self._quote = b""
        """The quote that is open in it."""
        if len(_INTERNED) > _INTERNED_AT_MOST:
            _INTERNED.clear()
            _CLARK.clear()
        parser = expat.ParserCreate("utf-8", "}", _INTERNED)
        self._parser: Any = parser
        self._parse = parser.Parse
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)  # expat >= 2.6 would hold back complete tags
        parser.buffer_text = False
        for handler in _PROHIBITED:
            setattr(parser, handler, self._prohibited)
        parser.SkippedEntityHandler = self._prohibited
        parser.XmlDeclHandler = self._declaration
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        if prologue:
            parser.Parse(prologue, False)
            self._base = self._last = len(prologue)

    @property
    def idle(self) -> bool:
        """True between two first-level children, with nothing held."""
        return self._depth == 1 and not self._buffer

    def feed(self, data: bytes) -> list[Event]:
        if self._failed:
            return []
        self._buffer = self._buffer + data if self._buffer else data
        events: list[Event] = []
        self._events = events
        try:
            try:
                if self._tag is None:
                    self._parse(data)
                else:
                    self._continue_tag(data)
            except _Full:
                self._start_afresh()
            if len(self._buffer) >= _LONG_TAG or len(self._buffer) > self._limits.stanza_bytes:
                self._check_size()
            self._forget()
        except StreamError as error:
            self._fail(error)
        except expat.ExpatError as error:
            self._fail(self._stray(self._parser.ErrorByteIndex) or self._translate(error))
        except (UnicodeDecodeError, ValueError):
            self._fail(StreamError("unsupported-encoding"))
        return events

    def scrub(self) -> None:
        """Overwrites what was read in expat's buffer, if nothing was begun since: white space between two children,
        which nobody hears of."""
        if self.idle and not self._failed:
            for _ in range((self._parser.CurrentByteIndex + _CONTEXT) // len(_BLANK) + 2):
                self._parse(_BLANK)
            self._base = self._last = self._parser.CurrentByteIndex

    def forget(self, data: bytes) -> None:
        """Overwrites what was fed last, if nothing of it is needed any more."""
        if data is not self._buffer and self._tag is None:
            wipe(data)

    def close(self) -> None:
        """The stream is over: lets go of the parser, whose handlers hold this object."""
        self._failed = True
        self._buffer = b""
        for handler in (*_PROHIBITED, *_HANDLERS):
            setattr(self._parser, handler, None)

    # -- what is kept between two calls -------------------------------------------------------------------------

    def _check_size(self) -> None:
        # Right after a parse expat's index stands at the first byte it could not use yet.
        held = self._base + len(self._buffer) - (self._start if self._start >= 0 else self._parser.CurrentByteIndex)
        if held > self._limits.stanza_bytes:
            raise StreamError("policy-violation", "stanza too big")
        rest = self._parser.CurrentByteIndex - self._base
        if self._tag is None and len(self._buffer) - rest >= _LONG_TAG and self._buffer[rest] == 0x3C:  # '<'
            if self._buffer[rest + 1] in b"!?":
                raise StreamError("restricted-xml")  # a comment, an instruction, a DTD: CDATA is used up as it comes
            self._tag = []
            self._quote = b""
            self._within_tag(self._buffer[rest:])

    def _continue_tag(self, data: bytes) -> None:
        assert self._tag is not None
        self._tag.append(data)
        if not self._within_tag(data):
            pieces, self._tag = self._tag, None
            self._parse(b"".join(pieces))

    def _within_tag(self, data: bytes) -> bool:
        """False if the tag ends in `data`."""
        quote, at = self._quote, 0
        while True:
            if quote:
                at = data.find(quote, at) + 1
                if at == 0:
                    break
                quote = b""
            found = _QUOTE_OR_END.search(data, at)
            if found is None:
                break
            if found[0] == b">":
                return False
            quote, at = found[0], found.end()
        self._quote = quote
        return True

    def _forget(self) -> None:
        """Drops the bytes that no open child needs."""
        index = self._start if self._start >= 0 else self._parser.CurrentByteIndex
        cut = index - self._base
        if cut > 0:
            if index > self._last and self._start < 0:
                self._check_between(index)
                if self._last >= 0:
                    self._last = index
            self._buffer = self._buffer[cut:] if cut < len(self._buffer) else b""
            self._base = index
        if self._seen > _NAMES_PER_PARSER and self.idle:
            self._renew()

    def _renew(self) -> None:
        self._begin(self._header)

    def _start_afresh(self) -> None:
        """As `_renew`, with what came after the stanza."""
        while True:
            rest = self._buffer[self._end :]
            self._renew()
            self._buffer = rest
            try:
                self._parse(rest)
                return
            except _Full:
                pass

    # -- expat's callbacks ----------------------------------------------------------------------------------------

    def _prohibited(self, *_: object) -> None:
        self._check_between(self._parser.CurrentByteIndex)
        raise StreamError("restricted-xml")

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8"):
            raise StreamError("unsupported-encoding")
        if version != "1.0":
            raise StreamError("not-well-formed")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""
        if len(self._declared) > self._limits.attributes:
            self._check_between(self._parser.CurrentByteIndex)
            raise StreamError("policy-violation", "too many namespaces")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        depth = self._depth
        self._depth = depth + 1
        if attributes and len(attributes) > self._limits.attributes:
            self._check_between(self._parser.CurrentByteIndex)
            raise StreamError("policy-violation", "too many attributes")
        if depth == 2:
            self._names.append(name)
            self._seen += len(attributes)
        elif depth == 1:
            if name == _STREAM:
                raise StreamError("bad-format", "a stream header inside of a stream")
            start = self._parser.CurrentByteIndex
            if start != self._last:
                self._check_between(start)
            self._start = start
            self._attributes = attributes
            self._names = []
            self._parser.StartNamespaceDeclHandler = None  # what children declare is theirs, and comes with them
        elif depth == 0:
            self._open_stream(name, attributes)
        else:
            self._seen += 1 + len(attributes)
            if depth >= self._limits.depth:
                raise StreamError("policy-violation", "nested too deeply")

    def _open_stream(self, name: str, attributes: dict[str, str]) -> None:
        declared, self._declared = self._declared, {}
        if self._opened:
            return  # the synthetic header of `_renew`
        if name != _STREAM:
            raise StreamError("invalid-namespace" if name.endswith("}stream") or name == "stream" else "bad-format")
        self._opened = True
        root = _ROOT.match(self._buffer, self._parser.CurrentByteIndex - self._base)
        if root is None:  # expat takes UTF-16 for what it is, whatever encoding it was told
            raise StreamError("unsupported-encoding")
        spaces = "".join(attr(f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in declared.items())
        self._header = b"%b%b>" % (root[0], spaces.encode())
        tag = _START_TAG.match(self._buffer, root.start())
        if tag is not None:  # it is whole, as expat has seen it
            self._last = self._base + tag.end()
        self._content = declared.pop("", "")
        self._server = self._content == ns.SERVER
        self._stanzas = _STANZAS_IN.get(self._content, {})
        if declared.get("stream") == ns.STREAMS:
            del declared["stream"]
        self._prefixes = declared
        self._events.append(StreamOpen({_CLARK[k]: v for k, v in attributes.items()}, self._content))

    def _check_between(self, end: int) -> None:
        """Raises what `_stray` finds."""
        stray = self._stray(end)
        if stray is not None:
            raise stray

    def _stray(self, end: int) -> StreamError | None:
        """Between first-level children there is white space and nothing else (RFC 6120 §11.7). Asked before anything
        else is said of what comes after them, so that it does not matter how the text was cut."""
        if self._last < 0 or self._start >= 0:
            return None
        text = self._buffer[max(self._last, self._base) - self._base : end - self._base].lstrip(b" \t\r\n")
        if not text or (text[0] == 0x3C and not text.startswith(b"<![CDATA[")):  # '<': what is wrong is in a tag
            return None
        return StreamError("bad-format", "text outside of stanzas")

    def _on_end(self, name: str) -> None:
        depth = self._depth = self._depth - 1
        if depth == 1:
            self._finish_child(name)
        elif depth == 0:
            self._check_between(self._parser.CurrentByteIndex)
            self._last = -1
            self._events.append(StreamClose())

    def _finish_child(self, name: str) -> None:
        buffer = self._buffer
        base = self._base
        start = self._start - base
        match = _START_TAG.match(buffer, start)
        if match is None:  # expat accepted the tag, so this cannot be
            raise StreamError("internal-server-error")
        opened = match.end()
        if buffer[opened - 2] == 0x2F:  # '/>': expat's end index is the end of the tag
            inner = b""
            end = opened
        else:  # … and for a pair it is the start of the end tag
            closing = self._parser.CurrentByteIndex - base
            inner = buffer[opened:closing]
            end = buffer.index(b">", closing) + 1
        if end - start > self._limits.stanza_bytes:
            raise StreamError("policy-violation", "stanza too big")
        self._start = -1
        self._last = base + end
        names = self._names
        attributes = self._attributes
        self._seen += len(names) + len(attributes) + 1
        if self._server:
            names = [f"{ns.CLIENT}}}{child[len(_SERVER) :]}" if child.startswith(_SERVER) else child for child in names]
        if "}" in "".join(attributes):
            attributes = {_CLARK[key]: value for key, value in attributes.items()}
        raw = buffer[start:end]
        self._parser.StartNamespaceDeclHandler = self._declare
        if self._declared:
            raw = b""
            if self._declared.pop("", self._content) != self._content and name in self._stanzas:
                # The payload would change its namespace when it is forwarded.
                raise StreamError("invalid-namespace")
        if self._declared or self._prefixes:
            raw = b""
            attributes = self._with_declarations(attributes, inner)
        tags = tuple(map(_CLARK.__getitem__, names))
        stanza = self._stanzas.get(name)
        self._events.append(stanza(attributes, inner, tags, raw) if stanza else _nonza(name, attributes, inner, tags))
        if self._seen > _NAMES_AT_MOST:
            self._end = end
            raise _Full

    def _with_declarations(self, attributes: dict[str, str], inner: bytes) -> dict[str, str]:
        """Adds the prefixes that the payload leans on and that are declared outside of it."""
        prefixes = {**self._prefixes, **self._declared}
        self._declared = {}
        needed = {f"xmlns:{prefix}": uri for prefix, uri in prefixes.items() if prefix.encode() + b":" in inner}
        return {**attributes, **needed} if needed else attributes

    # -- failures -------------------------------------------------------------------------------------------------

    def _fail(self, error: StreamError) -> None:
        self._failed = True
        self._buffer = b""
        self._events.append(Broken(error))

    @staticmethod
    def _translate(error: expat.ExpatError) -> StreamError:
        text = expat.ErrorString(error.code) or ""
        if "entity" in text:
            return StreamError("restricted-xml")
        if "encoding" in text:
            return StreamError("unsupported-encoding")
        if "unbound prefix" in text or "prefix" in text:
            return StreamError("bad-namespace-prefix")
        return StreamError("not-well-formed")


def _nonza(name: str, attributes: dict[str, str], inner: bytes, names: tuple[str, ...]) -> Nonza:
    space, _, local = name.rpartition("}")
    if local in STANZAS and space in _STANZAS_IN:
        raise StreamError("invalid-namespace")
    return Nonza("{" + name if space else name, attributes, inner, names)
