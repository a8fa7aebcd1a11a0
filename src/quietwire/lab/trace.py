"""The trace formats: what the instruments write and the observers read. Documented in docs/protocols/traces.md.

A trace is a file of JSON lines. The first line is a header; every other line is a record whose `id` is its number,
so that a finding can name the records it rests on as ``place#id``. Link traces hold times and sizes of TLS records,
never content. Stanza traces hold what the code of a running server sees, bytes included: the adversary
`live-server` sees them, and only with them can it be shown that the text in them is not readable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from xml.parsers import expat

VERSION = 1

Direction = Literal["up", "down"]
"""`up`: sent by the side that opened the connection."""
Size = int
RecordType = Literal["plain", "ccs", "alert", "handshake", "app", "other"]
"""`plain`: bytes before TLS begins (the STARTTLS prelude). `app`: TLS application data, and in TLS 1.3 everything
after the hellos. `other`: bytes that are not TLS where TLS was to be."""


class TraceError(Exception):
    """A trace that does not follow the format: file, line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Open:
    """A connection begins. `initiator` and `responder` are addresses as the watcher knows them."""

    id: int
    time: float
    link: str
    initiator: str
    responder: str


@dataclass(frozen=True, slots=True)
class Close:
    """A connection ends; `reset` is true when it was torn down instead of closed."""

    id: int
    time: float
    link: str
    reset: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One TLS record (or a run of plain bytes) on a link. `size` is the length in the record header, in bytes."""

    id: int
    time: float
    link: str
    direction: Direction
    type: RecordType
    size: int


LinkEvent = Open | Close | Record


@dataclass(frozen=True, slots=True)
class LinkTrace:
    place: str
    events: tuple[LinkEvent, ...]


@dataclass(frozen=True, slots=True)
class Stanza:
    """One stanza (or stream-level element) as the code of a running server sees it.

    `stream` is stable for a stream; `side` is ``c2s`` or ``s2s``; `way` is ``in`` or ``out``; `peer` is the
    authenticated JID at the other end ("" before authentication); `children` are names in Clark notation.
    """

    id: int
    time: float
    stream: str
    side: str
    way: Literal["in", "out"]
    peer: str
    name: str
    attributes: Mapping[str, str]
    children: tuple[str, ...]
    size: int
    bytes: str


@dataclass(frozen=True, slots=True)
class StanzaTrace:
    place: str
    stanzas: tuple[Stanza, ...]


class _Writer:
    """Appends records to a file, each line at once: a killed process leaves a readable trace."""

    def __init__(self, path: Path, trace: str, place: str) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8")
        self._next = 1
        self._line({"trace": trace, "version": VERSION, "place": place, "clock": "epoch seconds"})

    def _line(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._file.flush()

    def _record(self, time: float, **fields: Any) -> None:
        self._line({"id": self._next, "time": round(time, 6), **fields})
        self._next += 1

    def close(self) -> None:
        self._file.close()


class LinkWriter(_Writer):
    """Writes a link trace. `place` names the watcher, for instance ``client-network.alice``."""

    def __init__(self, path: Path, place: str) -> None:
        super().__init__(path, "link", place)

    def open(self, time: float, link: str, initiator: str, responder: str) -> None:
        self._record(time, event="open", link=link, initiator=initiator, responder=responder)

    def record(self, time: float, link: str, direction: Direction, type: RecordType, size: int) -> None:
        self._record(time, event="record", link=link, direction=direction, type=type, size=size)

    def end(self, time: float, link: str, *, reset: bool) -> None:
        self._record(time, event="close", link=link, reset=reset)


class StanzaWriter(_Writer):
    """Writes a stanza trace. Bytes that hold several elements become several records."""

    def __init__(self, path: Path, place: str, clock: Callable[[], float]) -> None:
        super().__init__(path, "stanza", place)
        self._clock = clock

    def stanza(self, stream: str, side: str, way: Literal["in", "out"], peer: str, raw: bytes) -> None:
        for name, attributes, children, part in split(raw):
            self._record(
                self._clock(),
                stream=stream,
                side=side,
                way=way,
                peer=peer,
                name=name,
                attributes=attributes,
                children=children,
                size=len(part),
                bytes=part.decode("utf-8", "replace"),
            )


Element = tuple[str, dict[str, str], list[str], bytes]


def split(raw: bytes) -> list[Element]:
    """The complete top-level elements of `raw`: (Clark name, attributes, Clark names of children, bytes).

    Works on what stands between two stanza boundaries of a stream, so without the stream's own declarations:
    elements without a namespace are of the stream's default one. What cannot be parsed is one element named "?".
    """
    prefix = b'<s xmlns:stream="http://etherx.jabber.org/streams">'
    found: list[Element] = []
    depth = 0
    start = 0
    current: tuple[str, dict[str, str], list[str]] = ("", {}, [])

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, start, current
        depth += 1
        if depth == 2:
            start = parser.CurrentByteIndex
            current = (_clark(name), {_clark(key): value for key, value in attributes.items()}, [])
        elif depth == 3:
            current[2].append(_clark(name))

    def closed(_: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 1:
            # For a pair the index is the start of the end tag, for an empty element the end of the tag.
            end = parser.CurrentByteIndex
            if whole[end : end + 2] == b"</":
                end = whole.index(b">", end) + 1
            found.append((*current, whole[start:end]))

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    whole = prefix + raw + b"</s>"
    try:
        parser.Parse(whole, True)
    except expat.ExpatError:
        return [("?", {}, [], raw)]
    return found


def _clark(name: str) -> str:
    namespace, _, local = name.rpartition(" ")
    return f"{{{namespace}}}{local}" if namespace else local


def local(name: str) -> str:
    """``{ns}x`` -> ``x``."""
    return name.rpartition("}")[2]


def read_links(path: Path) -> LinkTrace:
    """Reads a link trace. Raises TraceError."""
    place, records = _read(path, "link")
    return LinkTrace(place, tuple(_link_event(path, record) for record in records))


def read_stanzas(path: Path) -> StanzaTrace:
    """Reads a stanza trace. Raises TraceError."""
    place, records = _read(path, "stanza")
    stanzas = []
    for record in records:
        try:
            stanzas.append(
                Stanza(
                    int(record["id"]),
                    float(record["time"]),
                    str(record["stream"]),
                    str(record["side"]),
                    record["way"],
                    str(record["peer"]),
                    str(record["name"]),
                    dict(record["attributes"]),
                    tuple(record["children"]),
                    int(record["size"]),
                    str(record["bytes"]),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TraceError(f"{path.name}: record {record.get('id')}: {error!r}") from error
    return StanzaTrace(place, tuple(stanzas))


def _link_event(path: Path, record: dict[str, Any]) -> LinkEvent:
    try:
        id, time, link = int(record["id"]), float(record["time"]), str(record["link"])
        match record["event"]:
            case "open":
                return Open(id, time, link, str(record["initiator"]), str(record["responder"]))
            case "close":
                return Close(id, time, link, bool(record["reset"]))
            case "record":
                return Record(id, time, link, record["direction"], record["type"], int(record["size"]))
            case other:
                raise TraceError(f"{path.name}: record {id}: event {other!r}; allowed: open, record, close")
    except (KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{path.name}: record {record.get('id')}: {error!r}") from error


def _read(path: Path, kind: str) -> tuple[str, list[dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        lines = _lines(path, file)
        header = next(lines, {})
        if header.get("trace") != kind or header.get("version") != VERSION:
            raise TraceError(f"{path.name}: not a {kind} trace of version {VERSION}")
        return str(header.get("place", path.stem)), list(lines)


def _lines(path: Path, file: IO[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise TraceError(f"{path.name}: line {number}: {error}") from error
        if not isinstance(record, dict):
            raise TraceError(f"{path.name}: line {number}: not an object")
        yield record
