"""Recording ports: a server composed with these writes down each stanza that its code sees, in and out.

That is the view of whoever has broken into the running server. Only stanzas are written: the exchange of a login
holds secrets that prove nothing here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any, Literal

from quietwire.lab.trace import StanzaWriter, local, split
from quietwire.server.links import Link, Stream

Accept = Callable[[Link], Stream]

MAX_PENDING = 1 << 20
"""Bytes of an unfinished element that are kept; the server refuses far smaller stanzas."""

_TAG = re.compile(rb"<(/?)([^\s/>]+)((?:\"[^\"]*\"|'[^']*'|[^>\"'])*)>")
_STANZAS = frozenset({"message", "presence", "iq"})
_BOUND = re.compile(rb"<jid>([^<]+)</jid>")


class Splitter:
    """Cuts the bytes of a stream into its top-level elements; headers, footers and XML declarations are left out."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._pending += data
        found = []
        depth = start = end = 0
        for tag in _TAG.finditer(self._pending):
            closing, name, rest = tag.groups()
            if name.startswith(b"?") or name == b"stream:stream":
                end = tag.end()
                continue
            if depth == 0:
                start = tag.start()
            if closing:
                depth -= 1
            elif not rest.endswith(b"/"):
                depth += 1
            if depth <= 0:
                depth = 0
                end = tag.end()
                found.append(self._pending[start:end])
        self._pending = self._pending[end:].lstrip()
        if len(self._pending) > MAX_PENDING:
            self._pending = b""
        return found


class Recorder:
    """Makes streams whose stanzas are written to `writer`. `wrap` has the shape of `cli.compose.Wrap`."""

    def __init__(self, writer: StanzaWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count(1)
        self._sessions: dict[str, str] = {}

    def wrap(self, kind: str, accept: Accept) -> Accept:
        side = "c2s" if kind == "c2s" else "s2s"

        def recording(link: Link) -> Stream:
            tape = _Tape(self, f"{kind}-{next(self._numbers)}", side)
            recorded = _RecordedLink(link, tape)
            stream = accept(recorded)
            return _RecordedStream(stream, tape)

        return recording

    def write(self, tape: _Tape, way: Literal["in", "out"], element: bytes) -> None:
        parsed = split(element)
        name, attributes = local(parsed[0][0]), parsed[0][1]
        if tape.side == "c2s" and way == "out":
            self._learn(tape, name, attributes, element)
        if name in _STANZAS:
            peer = tape.peer or attributes.get("from" if way == "in" else "to", "")
            if tape.side == "s2s":
                peer = peer.rpartition("@")[2].partition("/")[0]
            self._writer.stanza(tape.stream, tape.side, way, peer, element)

    def _learn(self, tape: _Tape, name: str, attributes: dict[str, str], element: bytes) -> None:
        """Who is at the other end: from the answer to the binding, or from the session that is resumed."""
        if name == "iq" and not tape.peer and (bound := _BOUND.search(element)):
            tape.peer = bound.group(1).decode("utf-8", "replace")
        elif name == "enabled" and "id" in attributes:
            self._sessions[attributes["id"]] = tape.peer
        elif name == "resumed":
            tape.peer = self._sessions.get(attributes.get("previd", ""), "")


class _Tape:
    """Of one connection."""

    def __init__(self, recorder: Recorder, stream: str, side: str) -> None:
        self._recorder = recorder
        self.stream = stream
        self.side = side
        self.peer = ""
        self._in, self._out = Splitter(), Splitter()

    def came(self, data: bytes) -> None:
        for element in self._in.feed(data):
            self._recorder.write(self, "in", element)

    def went(self, data: bytes) -> None:
        for element in self._out.feed(data):
            self._recorder.write(self, "out", element)


class _RecordedLink:
    def __init__(self, link: Link, tape: _Tape) -> None:
        self._link = link
        self._tape = tape

    def put(self, data: bytes) -> None:
        self._tape.went(data)
        self._link.put(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


class _RecordedStream:
    def __init__(self, stream: Stream, tape: _Tape) -> None:
        self._stream = stream
        self._tape = tape

    def received(self, data: bytes) -> None:
        self._tape.came(data)
        self._stream.received(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
