"""The recorder of starts: what it writes can be read, and it records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import startups
from packets import ethernet, ip, pcap
from test_clients import stages

from quietwire.lab.pcap import ACK, SYN, Segment
from quietwire.lab.reassembly import connections
from quietwire.lab.startups import parse

HERE, THERE = ("127.0.0.1", 50_000), ("127.0.0.1", 5222)
HELLO = bytes((22, 3, 1, 0, 4)) + bytes(4)


def test_rows_are_milliseconds_and_signed_sizes_of_the_start() -> None:
    said = [
        Segment(100.0, HERE, THERE, 9, SYN, 0, b""),
        Segment(100.1, HERE, THERE, 10, ACK, 9, HELLO),
        Segment(100.2, THERE, HERE, 500, ACK, 9, HELLO),
        Segment(105.0, HERE, THERE, 19, ACK, 9, HELLO),
        Segment(100.1 + startups.WINDOW["off"] + 1, HERE, THERE, 28, ACK, 9, HELLO),
    ]
    (one,) = connections(said)
    assert startups.rows(one, 1e9) == [(0.0, 4, "handshake"), (100.0, -4, "handshake"), (4900.0, 4, "handshake")]
    assert startups.rows(one, 1e9, 4.0) == [(0.0, 4, "handshake"), (100.0, -4, "handshake")]
    assert startups.rows(one, 104.0) == [(0.0, 4, "handshake"), (100.0, -4, "handshake")]


def test_what_is_written_can_be_read() -> None:
    links = [{"link": "c2s", "records": [(0.0, 4, "handshake")]}, {"link": "c2s", "records": [(0.5, -4, "app")]}]
    starts = [{"account": "idle", "first": True, "links": links}, {"account": "contacts", "first": False, "links": []}]
    whole = {"client": "X", "version": "1", "system": "quietwire", "recorded": "2026-01-01", "starts": starts}
    text = startups.written(whole)
    assert json.loads(text)["starts"][1] == starts[1]
    assert [start.flow.sizes.tolist() for start in parse("x", text)] == [[4], [4]]
    assert startups.file_name("@xmpp/client", "quietwire") == "xmpp-client.quietwire.json"
    assert startups.file_name("Dino", "quietwire", "steady") == "dino.quietwire-server-steady.json"


@pytest.mark.peer
@pytest.mark.slow
def test_it_records(tmp_path: Path) -> None:
    if why := stages():
        pytest.skip(why)
    command = [sys.executable, startups.__file__, "--starts", "1", "--contacts", "2", "--out", str(tmp_path), "slixmpp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    found = parse("x", (tmp_path / "slixmpp.quietwire.json").read_text())
    assert [(start.account, start.first, start.link) for start in found] == [
        ("idle", True, "c2s"), ("contacts", True, "c2s"),
    ]  # fmt: skip
    assert found[1].flow.bytes(-1) > found[0].flow.bytes(-1) > 2000


def test_links_that_were_there_before_are_not_the_clients(tmp_path: Path) -> None:
    old, new = ("192.0.2.1", 41_000), ("192.0.2.1", 42_000)
    server = ("198.51.100.7", 5222)
    packets = [
        (10.0, ip(old, server, 5, HELLO)),
        (11.0, ip(new, server, 9, flags=2)),
        (12.0, ip(new, server, 10, HELLO)),
        (13.0, ip(("192.0.2.1", 43_000), ("198.51.100.7", 80), 9, flags=2)),
    ]
    (tmp_path / "x.pcap").write_bytes(pcap([(at, ethernet(packet)) for at, packet in packets]))
    assert startups.links(tmp_path / "x.pcap", 1e9) == [{"link": "c2s", "records": [(0.0, 4, "handshake")]}]
