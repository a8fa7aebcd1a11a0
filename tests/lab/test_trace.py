from __future__ import annotations

import json
from pathlib import Path

import pytest

from quietwire.lab.trace import (
    Close,
    LinkWriter,
    Open,
    Record,
    StanzaWriter,
    TraceError,
    local,
    read_links,
    read_stanzas,
    split,
)


def test_links_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    writer = LinkWriter(path, "client-network.alice")
    writer.open(10.0, "L1", "198.51.100.1", "a.example")
    writer.record(10.1234567, "L1", "up", "handshake", 512)
    writer.record(10.2, "L1", "down", "app", 1400)
    writer.end(11.0, "L1", reset=True)
    writer.close()
    trace = read_links(path)
    assert trace.place == "client-network.alice"
    assert trace.events == (
        Open(1, 10.0, "L1", "198.51.100.1", "a.example"),
        Record(2, 10.123457, "L1", "up", "handshake", 512),
        Record(3, 10.2, "L1", "down", "app", 1400),
        Close(4, 11.0, "L1", True),
    )


def test_every_line_is_on_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    writer = LinkWriter(path, "p")
    writer.open(1.0, "L1", "x", "y")
    assert len(read_links(path).events) == 1
    writer.close()


def test_stanzas_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    writer = StanzaWriter(path, "live-server.a", lambda: 5.0)
    raw = "<message to='b@b.example' xml:lang='en'><body>ö</body><x xmlns='urn:x'/></message>".encode()
    writer.stanza("s1", "c2s", "in", "a@a.example/p", raw)
    writer.close()
    (stanza,) = read_stanzas(path).stanzas
    assert (stanza.time, stanza.stream, stanza.side, stanza.way, stanza.peer) == (
        5.0,
        "s1",
        "c2s",
        "in",
        "a@a.example/p",
    )
    assert stanza.name == "message"
    assert stanza.attributes == {"to": "b@b.example", "{http://www.w3.org/XML/1998/namespace}lang": "en"}
    assert stanza.children == ("body", "{urn:x}x")
    assert stanza.size == len(raw)
    assert stanza.bytes == raw.decode()


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"<r xmlns='urn:xmpp:sm:3'/>", ["{urn:xmpp:sm:3}r"]),
        (b"<a/><b>t</b > \n<c><d/></c>", ["a", "b", "c"]),
        (b"  ", []),
        (b"<stream:features/>", ["{http://etherx.jabber.org/streams}features"]),
        (b"<open", ["?"]),
        (b"<?xml version='1.0'?><stream:stream>", ["?"]),
    ],
)
def test_split(raw: bytes, names: list[str]) -> None:
    assert [element[0] for element in split(raw)] == names


def test_split_gives_the_bytes_of_each() -> None:
    parts = [b"<a/>", b"<b x='>'>t</b >", b"<c><d/></c>"]
    assert [element[3] for element in split(b" ".join(parts))] == parts
    assert split(b"<open")[0][3] == b"<open"


def test_local() -> None:
    assert (local("{urn:x}y"), local("y")) == ("y", "y")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "not a link trace"),
        ([{"trace": "stanza", "version": 1}], "not a link trace"),
        ([{"trace": "link", "version": 2}], "not a link trace"),
        ([{"trace": "link", "version": 1}, {"id": 1, "time": 1, "link": "L", "event": "x"}], "allowed: open"),
        ([{"trace": "link", "version": 1}, {"id": 1, "link": "L", "event": "open"}], "record 1"),
        ([{"trace": "link", "version": 1}, [1]], "line 2"),
    ],
)
def test_a_broken_trace_is_named(tmp_path: Path, lines: list[object], message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(TraceError, match=message):
        read_links(path)


def test_a_broken_stanza_and_a_broken_line_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"trace":"stanza","version":1}\n{"id":1}\n')
    with pytest.raises(TraceError, match="record 1"):
        read_stanzas(path)
    path.write_text('{"trace":"stanza","version":1}\n{"id":')
    with pytest.raises(TraceError, match="line 2"):
        read_stanzas(path)
