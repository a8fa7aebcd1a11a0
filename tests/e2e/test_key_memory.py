"""Are an account's keys gone from the server's memory when the last session and token are?

A real server process, several ways to log in, and a search of all its writable memory for keys computed here from the
passwords and the database. While somebody is logged in keys are found: the search can find them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from key_needles import needles, records, search, start
from loopback import Served

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "sasl"))

from scram_client import ScramClient

from quietwire.core import ns
from quietwire.core.sasl import initiator
from quietwire.net.control import ask_control

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is searched through /proc"),
]
HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>".encode()
AGENT = b"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>"
PATIENCE = 60.0
WAYS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "sasl2", "token")
NAMES = [f"walrus{number}" for number in range(len(WAYS))]
HELD = ("account secret", "key for account index 1")
"""Found while an account is unlocked, at the least."""


class Client:
    """One connection, logged in one way."""

    def __init__(self, served: Served, name: str, password: str) -> None:
        plain = socket.create_connection(("127.0.0.1", served.port))
        plain.settimeout(PATIENCE)
        self.socket = served.context().wrap_socket(plain, server_hostname="a.example")
        self.name, self.password, self.token = name, password, b""
        self.ask(HEADER, b"</stream:features>")

    def ask(self, data: bytes, end: bytes) -> bytes:
        self.socket.sendall(data)
        answer = b""
        while end not in answer:
            piece = self.socket.recv(65_536)
            assert piece, answer
            answer += piece
        return answer

    def log_in(self, way: str) -> Client:
        if way in ("sasl2", "token"):
            self.sign_in(want=way == "token")
            return self
        if way == "PLAIN":
            secret = base64.b64encode(f"\0{self.name}\0{self.password}".encode())
            self.ask(b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (ns.SASL.encode(), secret), b"<success")
        else:
            self.scram(way)
        self.ask(HEADER, b"</stream:features>")
        self.ask(b"<iq type='set' id='b'><bind xmlns='%b'/></iq>" % ns.BIND.encode(), b"</iq>")
        return self

    def scram(self, mechanism: str) -> None:
        plus = mechanism.endswith("-PLUS")
        peer = ScramClient(
            mechanism,
            self.name,
            self.password,
            base64.b64encode(os.urandom(12)).decode(),
            flag="p=tls-server-end-point" if plus else "n",
            binding=hashlib.sha256(self.socket.getpeercert(binary_form=True) or b"").digest() if plus else b"",
        )
        space = ns.SASL.encode()
        first = base64.b64encode(peer.first())
        answer = self.ask(
            b"<auth xmlns='%b' mechanism='%b'>%b</auth>" % (space, mechanism.encode(), first), b"</challenge>"
        )
        challenge = base64.b64decode(answer.partition(b">")[2].partition(b"<")[0])
        final = base64.b64encode(peer.final(challenge))
        self.ask(b"<response xmlns='%b'>%b</response>" % (space, final), b"<success")

    def sign_in(self, *, want: bool) -> None:
        secret = base64.b64encode(f"\0{self.name}\0{self.password}".encode())
        token = b"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>" if want else b""
        answer = self.authenticate(b"PLAIN", secret, token)
        self.token = answer.partition(b" token='")[2].partition(b"'")[0]

    def log_in_by(self, token: bytes) -> Client:
        """By a token, which is used up with that."""
        payload = base64.b64encode(self.name.encode() + b"\0" + initiator(token, b""))
        answer = self.authenticate(b"HT-SHA-256-NONE", payload, b"<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>")
        assert b"<success" in answer
        return self

    def authenticate(self, mechanism: bytes, payload: bytes, along: bytes) -> bytes:
        return self.ask(
            b"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='%b'><initial-response>%b</initial-response>%b"
            b"<bind xmlns='urn:xmpp:bind:0'/>%b</authenticate>" % (mechanism, payload, AGENT, along),
            b"</stream:features>",
        )

    def use(self) -> None:
        """Something that needs the keys: a bookmark."""
        self.ask(
            b"<iq type='set' id='w'><query xmlns='jabber:iq:private'><s xmlns='w'>kept</s></query></iq>", b"id='w'"
        )

    def log_out(self) -> None:
        self.socket.sendall(b"</stream:stream>")
        try:
            while self.socket.recv(65_536):
                pass
        except OSError:
            pass
        self.socket.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path, [], start=False)
    listed = tmp_path / "walruses"
    listed.write_text("".join(f"{name} {password(name)}\n" for name in NAMES))
    server.command("account", "import", str(listed), "--iterations", "4096")
    yield server
    assert server.stop() == 0


def password(name: str) -> str:
    return f"correct horse battery {name} staple"


def unlocked(served: Served) -> int:
    path = served.config.parent / "data" / "control.sock"
    return int(asyncio.run(ask_control(path, "status", {}))["unlocked"])


def wait_until_locked(served: Served, but: int = 0) -> None:
    deadline = time.monotonic() + PATIENCE
    while unlocked(served) > but:
        assert time.monotonic() < deadline, "still unlocked"
        time.sleep(0.05)


def test_the_search_finds_what_is_there() -> None:
    planted = os.urandom(32)
    kept = [bytearray(planted)]
    assert list(search(os.getpid(), {"planted": planted})) == ["planted"]
    assert kept


def test_keys_are_gone_when_everybody_is(served: Served) -> None:
    stored = records(served, NAMES)
    wanted = {name: needles(name, password(name), record) for name, record in stored.items()}
    start(served)
    clients = [Client(served, name, password(name)).log_in(way) for name, way in zip(NAMES, WAYS, strict=True)]
    for client in clients:
        client.use()
    assert unlocked(served) == len(WAYS)
    for name in NAMES:
        there = search(served.process.pid, wanted[name])
        assert set(HELD) <= there.keys(), (name, there)
    for client in clients:
        client.log_out()
    wait_until_locked(served, but=1)  # the one with the token
    assert set(HELD) <= search(served.process.pid, wanted[NAMES[-1]]).keys()
    by_token = Client(served, NAMES[-1], "").log_in_by(clients[-1].token)
    by_token.use()
    by_token.log_out()
    wait_until_locked(served)
    left = {}
    for name, way in zip(NAMES, WAYS, strict=True):
        there = search(served.process.pid, wanted[name])
        if there:
            left[f"{name} by {way}"] = there
    assert not left, "\n".join(f"{who}: {what}" for who, what in left.items())
