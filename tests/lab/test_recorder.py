from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from quietwire.lab.recorder import MAX_PENDING, Recorder, Splitter
from quietwire.lab.trace import Stanza, StanzaWriter, read_stanzas
from quietwire.server.links import Link, Stream

HEADER = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='a.example'>"
PARTS = [b"<a x='>'/>", b"<message><body>1</body></message>", b"<b>t</b >"]
WIRE = HEADER + PARTS[0] + b" \n" + PARTS[1] + HEADER + PARTS[2] + b"</stream:stream>"


def test_every_cut_position_gives_the_same_elements() -> None:
    for cut in range(len(WIRE) + 1):
        splitter = Splitter()
        assert splitter.feed(WIRE[:cut]) + splitter.feed(WIRE[cut:]) == PARTS


def test_an_endless_element_is_given_up() -> None:
    splitter = Splitter()
    assert splitter.feed(b"<x>" + b"y" * MAX_PENDING) == []
    assert splitter.feed(b"<a/>") == [b"<a/>"]


class FakeLink:
    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.secure = True

    def put(self, data: bytes) -> None:
        self.out.append(data)


class FakeStream:
    def __init__(self, link: Link) -> None:
        self.link = link
        self.got: list[bytes] = []
        self.was_lost = False

    def received(self, data: bytes) -> None:
        self.got.append(data)

    def lost(self) -> None:
        self.was_lost = True


class Room:
    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "t"
        self.writer = StanzaWriter(self.path, "live-server.a.example", lambda: 1.0)
        self.recorder = Recorder(self.writer)
        self.made: list[FakeStream] = []

    def connect(self, kind: str = "c2s") -> tuple[FakeLink, Any, FakeStream]:
        def accept(link: Link) -> Stream:
            self.made.append(FakeStream(link))
            return cast(Stream, self.made[-1])

        link = FakeLink()
        stream = self.recorder.wrap(kind, accept)(cast(Link, link))
        return link, stream, self.made[-1]

    def stanzas(self) -> tuple[Stanza, ...]:
        self.writer.close()
        return read_stanzas(self.path).stanzas


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


BOUND = b"<iq type='result' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@a.example/r</jid></bind></iq>"


def test_all_is_passed_on_and_stanzas_are_written(room: Room) -> None:
    link, stream, inner = room.connect()
    stream.received(HEADER + b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>secret</auth>")
    inner.link.put(BOUND)
    stream.received(b"<message to='b@b.example'>")
    stream.received(b"<body>x</body></message>")
    assert link.out == [BOUND]
    assert b"".join(inner.got).endswith(b"</message>")
    assert inner.link.secure
    stream.lost()
    assert inner.was_lost
    iq, message = room.stanzas()
    assert (iq.way, iq.name, iq.side) == ("out", "iq", "c2s")
    assert (message.way, message.peer, message.attributes["to"]) == ("in", "a@a.example/r", "b@b.example")
    assert "secret" not in room.path.read_text()


def test_a_resumed_session_is_known_by_its_first_connection(room: Room) -> None:
    _, _, first = room.connect()
    first.link.put(BOUND)
    first.link.put(b"<enabled xmlns='urn:xmpp:sm:3' id='S' resume='true'/>")
    _, stream, second = room.connect()
    second.link.put(b"<resumed xmlns='urn:xmpp:sm:3' previd='S' h='1'/>")
    stream.received(b"<presence/>")
    last = room.stanzas()[-1]
    assert (last.peer, last.stream) == ("a@a.example/r", "c2s-2")


def test_between_servers_the_peer_is_the_domain(room: Room) -> None:
    _, stream, inner = room.connect("dial")
    inner.link.put(b"<message from='a@a.example/r' to='b@b.example'/>")
    stream.received(b"<presence from='b@b.example/q' to='a@a.example'/>")
    assert [(stanza.side, stanza.peer) for stanza in room.stanzas()] == [("s2s", "b.example")] * 2
