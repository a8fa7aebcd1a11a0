"""Slow and endless talkers at the web port and at the port for other servers, on a server that runs as a process: they
are let go, cost little, and others do not notice. `test_abuse.py` has the same for clients' ports."""

from __future__ import annotations

import base64
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import Served
from test_abuse import ROOM, Peer, memory
from test_faults import slot

from quietwire.core import ns
from quietwire.net.http import HEAD_SECONDS
from quietwire.testing.playbook import PASSWORD

WAIT = 40.0
OPENING = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example' version='1.0'/>"
SERVER = (
    f"<stream:stream xmlns='jabber:server' xmlns:stream='{ns.STREAMS}' to='a.example' from='b.example' version='1.0'>"
).encode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    if not Path("/proc/self/status").exists():
        pytest.skip("reads /proc")
    served = Served(
        tmp_path, ["alice", "mallory"], "[limits]\nunauthenticated_seconds = 3.0", web=True, federation="enabled = true"
    )
    try:
        yield served
    finally:
        assert served.stop() == 0, served.log.read_text()
    assert "event='fault'" not in served.log.read_text()


def web(served: Served) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", served.web_port))
    plain.settimeout(WAIT)
    return served.context().wrap_socket(plain, server_hostname="a.example")


def frame(data: bytes, *, last: bool = True, kind: int = 1) -> bytes:
    """One frame of a client, masked with nothing (RFC 6455 §5.2)."""
    size = len(data)
    head = bytes([kind | (0x80 if last else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + size.to_bytes(2)
    else:
        head += b"\xff" + size.to_bytes(8)
    return head + bytes(4) + data


def upgraded(served: Served) -> socket.socket:
    """A WebSocket on which nothing was said."""
    opened = web(served)
    opened.sendall(
        b"GET /xmpp-websocket HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Key: %b\r\n\r\n"
        % base64.b64encode(bytes(16))
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += opened.recv(1)
    assert b" 101 " in answer, answer
    return opened


def drip(opened: socket.socket, data: bytes, limit: float) -> float:
    """Sends it byte by byte until the other end has enough. -> seconds that took."""
    begun = time.monotonic()
    opened.settimeout(0.1)
    for byte in data:
        if time.monotonic() - begun > limit:
            break
        try:
            opened.sendall(bytes([byte]))
            if not opened.recv(65_536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    opened.close()
    return time.monotonic() - begun


def flood(opened: socket.socket, data: bytes, times: int) -> None:
    opened.settimeout(2)
    try:
        for _ in range(times):
            opened.sendall(data)
    except OSError:
        pass
    opened.close()


def test_a_websocket_that_says_a_byte_now_and_then(served: Served) -> None:
    alice = Peer(served).log_in("alice")
    took = drip(upgraded(served), frame(OPENING.encode()) * 50, WAIT)
    assert 1 < took < 15
    assert alice.ping() < 5


def test_the_head_of_a_request_byte_by_byte(served: Served) -> None:
    alice = Peer(served).log_in("alice")
    took = drip(web(served), b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 1_000, HEAD_SECONDS + 15)
    assert took < HEAD_SECONDS + 10
    assert alice.ping() < 5


def test_slow_uploads_take_no_more_than_their_places(served: Served) -> None:
    alice = Peer(served).log_in("alice")
    url = slot(alice)
    path = "/" + url.split("/", 3)[3]
    slow = web(served)
    slow.sendall(f"PUT {path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {8 << 20}\r\n\r\n".encode())
    slow.sendall(b"x")  # and no more for thirty seconds
    data = Path(served.config).parent / "data" / "uploads" / "new"
    deadline = time.monotonic() + WAIT
    while not (data.is_dir() and list(data.iterdir())):
        assert time.monotonic() < deadline, "the first one holds the slot"
        time.sleep(0.02)
    again = web(served)
    again.sendall(f"PUT {path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {8 << 20}\r\n\r\n".encode())
    assert b" 403 " in again.recv(4096), "one upload at a time into one slot"
    assert alice.ping() < 5
    begun = time.monotonic()
    answer = slow.recv(4096)
    assert b" 408 " in answer
    assert time.monotonic() - begun < 35
    assert list(data.iterdir()) == []


def test_100_mb_of_garbage_at_the_web_port(served: Served) -> None:
    alice = Peer(served).log_in("alice")
    before = memory(served)
    garbage = os.urandom(1 << 20)
    flood(web(served), garbage, 100)
    flood(web(served), b"GET /" + b"x" * (1 << 20), 100)
    flood(
        web(served), b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + garbage, 100
    )
    flood(upgraded(served), garbage, 100)
    flood(upgraded(served), frame(b"<message>" + b"x" * (1 << 20)), 100)
    flood(upgraded(served), frame(b"x" * 60_000, last=False) + frame(b"x" * 60_000, last=False, kind=0) * 100, 20)
    assert alice.ping() < 5
    assert memory(served) - before < ROOM


def test_a_websocket_that_never_reads(served: Served) -> None:
    alice = Peer(served).log_in("alice")
    before = memory(served)
    deaf = upgraded(served)
    secret = base64.b64encode(f"\0mallory\0{PASSWORD}".encode())
    deaf.sendall(frame(OPENING.encode()))
    deaf.sendall(frame(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{secret.decode()}</auth>".encode()))
    said = b""
    while b"<success" not in said:
        said += deaf.recv(65_536)
    deaf.sendall(frame(OPENING.encode()) + frame(f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>".encode()))
    while b"id='b'" not in said:
        said += deaf.recv(65_536)
    deaf.sendall(frame(b"<presence xmlns='jabber:client'/>"))
    body = b"x" * 100_000
    echo = b"<message xmlns='jabber:client' to='mallory@a.example' type='chat'><body>%b</body></message>" % body
    deaf.settimeout(5)
    try:
        for _ in range(400):
            deaf.sendall(frame(echo))
    except OSError:
        pass
    assert alice.ping() < 5
    assert memory(served) - before < 2 * ROOM


def test_servers_that_are_slow_endless_or_deaf(served: Served) -> None:
    alice = Peer(served).log_in("alice")
    before = memory(served)
    address = ("127.0.0.1", served.s2s_port)
    took = drip(socket.create_connection(address), SERVER * 100, WAIT)
    assert took < 15
    flood(socket.create_connection(address), os.urandom(1 << 20), 100)
    flood(socket.create_connection(address), SERVER + b" " * (1 << 20), 100)
    flood(socket.create_connection(address), SERVER + b"<db:result xmlns:db='jabber:server:dialback'>" * 20_000, 50)
    deaf = socket.create_connection(address)
    flood(deaf, SERVER + b"<a/>" * 100_000, 50)
    assert alice.ping() < 5
    assert memory(served) - before < ROOM
    assert len(re.findall(r"event='stream-error'|event='server-stream-error'", served.log.read_text())) >= 1
