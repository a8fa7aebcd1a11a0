from __future__ import annotations

import base64
import itertools
from pathlib import Path

import pytest

from quietwire.lab.observers import live_server, peer_server, stanzas
from quietwire.lab.trace import StanzaTrace, StanzaWriter, read_stanzas

A, B = "alice@a.example", "bob@b.example"


def sealed(to: str, size: int, hint: str = "store", sender: str = "", sid: str = "11") -> bytes:
    payload = base64.b64encode(bytes(size)).decode()
    origin = f"from='{sender}' " if sender else ""
    return (
        f"<message {origin}to='{to}' type='chat' id='x'><encrypted xmlns='urn:xmpp:omemo:2'><header sid='{sid}'>"
        f"<keys jid='{B}'><key rid='21'>AA</key><key rid='22'>AA</key></keys></header>"
        f"<payload>{payload}</payload></encrypted><{hint} xmlns='urn:xmpp:hints'/></message>"
    ).encode()


@pytest.fixture
def trace(tmp_path: Path) -> StanzaTrace:
    ticks = itertools.count(1)
    writer = StanzaWriter(tmp_path / "t", "live-server.a.example", lambda: float(next(ticks)))
    phone = f"{A}/p"
    roster = (
        f"<iq type='result'><query xmlns='jabber:iq:roster'><item jid='{B}'/><item jid='c@c.example'/></query></iq>"
    )
    writer.stanza("1", "c2s", "out", phone, roster.encode())
    writer.stanza("1", "c2s", "in", phone, sealed(B, 512, "no-store"))
    writer.stanza("1", "c2s", "in", phone, sealed(B, 1024))
    writer.stanza("2", "s2s", "out", "b.example", sealed(B, 1024, sender=phone))
    writer.stanza("3", "s2s", "in", "b.example", sealed(A, 512, sender=f"{B}/q", sid="21"))
    carbon = b"<message to='%s'><sent xmlns='urn:xmpp:carbons:2'><x/></sent></message>" % A.encode()
    writer.stanza("4", "c2s", "out", f"{A}/l", carbon)
    writer.close()
    return read_stanzas(tmp_path / "t")


def test_each_message_counts_once(trace: StanzaTrace) -> None:
    assert [stanza.id for stanza in stanzas.between_people(trace)] == [2, 3, 5]
    row = stanzas.sealed(trace)
    assert [(event.sender, event.level, event.passing) for event in row] == [(A, 0, True), (A, 1, False), (B, 0, False)]
    assert row[0].ref == "live-server.a.example#2"


def test_who_names_both(trace: StanzaTrace) -> None:
    assert stanzas.who(trace).answer == {"pairs": [[A, B]]}


def test_device_numbers(trace: StanzaTrace) -> None:
    assert stanzas.devices(trace).answer == {"devices": {A: ["11"], B: ["21", "22"]}}


def test_the_live_server_reads_rosters_and_the_peer_does_not(trace: StanzaTrace) -> None:
    live = {finding.question: finding for finding in live_server.observe(trace)}
    peer = {finding.question: finding for finding in peer_server.observe(trace)}
    assert live["contacts"].answer["contacts"][A] == [B, "c@c.example"]
    assert peer["contacts"].answer["contacts"][A] == [B]
    assert set(live) == set(peer) == {"who", "when", "count", "lengths", "kinds", "contacts", "devices", "text"}


def test_sealed_text_is_not_readable_and_clear_text_is(tmp_path: Path, trace: StanzaTrace) -> None:
    assert stanzas.text(trace).answer == {"texts": []}
    writer = StanzaWriter(tmp_path / "u", "p", lambda: 1.0)
    writer.stanza("1", "c2s", "in", A, f"<message to='{B}'><body>me &amp; you</body></message>".encode())
    writer.close()
    assert stanzas.text(read_stanzas(tmp_path / "u")).answer == {"texts": ["me & you"]}
