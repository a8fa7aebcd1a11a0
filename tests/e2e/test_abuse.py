"""What strangers and clients do to a server that runs as a process, and that others are served meanwhile."""

from __future__ import annotations

import base64
import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loopback import Served

from quietwire.core import ns
from quietwire.testing.playbook import PASSWORD

HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>".encode()
PING = b"<iq type='get' id='%d' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>"
ROOM = 48 << 10
"""Kilobytes that the server may grow by while it is abused: some outboxes and what the allocator keeps."""
WAIT = 30.0


class Peer:
    """One TLS connection, driven by hand."""

    def __init__(self, served: Served) -> None:
        plain = socket.create_connection(("127.0.0.1", served.port))
        plain.settimeout(WAIT)
        self.socket = served.context().wrap_socket(plain, server_hostname="a.example")

    def ask(self, data: bytes, end: bytes) -> bytes:
        self.socket.sendall(data)
        answer = b""
        while end not in answer:
            piece = self.socket.recv(65_536)
            assert piece, answer
            answer += piece
        return answer

    def log_in(self, name: str) -> Peer:
        self.ask(HEADER, b"</stream:features>")
        secret = base64.b64encode(f"\0{name}\0{PASSWORD}".encode())
        self.ask(b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (ns.SASL.encode(), secret), b"<success")
        self.ask(HEADER, b"</stream:features>")
        self.ask(b"<iq type='set' id='b'><bind xmlns='%b'/></iq>" % ns.BIND.encode(), b"</iq>")
        return self

    def ping(self) -> float:
        """-> seconds to the answer."""
        begun = time.monotonic()
        self.ask(PING % 1, b"id='1'")
        return time.monotonic() - begun

    def flood(self, data: bytes, times: int) -> int:
        """Writes until the server has enough of it. -> bytes taken."""
        taken = 0
        try:
            for _ in range(times):
                taken += self.socket.send(data)
        except OSError:
            pass
        return taken

    def last_words(self) -> bytes:
        said = b""
        try:
            while piece := self.socket.recv(65_536):
                said += piece
        except OSError:
            pass  # closed with something of ours unread
        return said


def memory(served: Served) -> int:
    """Resident kilobytes."""
    for line in Path(f"/proc/{served.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def cpu(served: Served) -> float:
    """Seconds that the server has computed."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path, more: str = "") -> Iterator[Served]:
    served = Served(folder, ["alice", "mallory"], more)
    try:
        yield served
    finally:
        assert served.stop() == 0, served.log.read_text()
    assert "event='fault'" not in served.log.read_text()


def test_a_byte_now_and_then_is_no_login(tmp_path: Path) -> None:
    with serving(tmp_path, "[limits]\nunauthenticated_seconds = 1.0") as served:
        slow = Peer(served)
        begun = time.monotonic()
        for byte in HEADER * 100:
            try:
                slow.socket.send(bytes([byte]))
            except OSError:
                break
            if select.select([slow.socket], [], [], 0.05)[0]:
                said = slow.last_words()
                break
        assert 0.5 < time.monotonic() - begun < 10
        assert b"<connection-timeout" in said
        slow = Peer(served)
        slow.ask(HEADER, b"</stream:features>")  # and then nothing
        assert b"<connection-timeout" in slow.last_words()


def test_100_mb_of_garbage(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        alice = Peer(served).log_in("alice")
        before = memory(served)
        garbage = os.urandom(1 << 20)
        # Some is read and thrown away while the last words leave: what counts is that nothing is kept.
        Peer(served).flood(garbage, 100)
        assert alice.ping() < 5
        spaces = Peer(served)
        spaces.ask(HEADER, b"</stream:features>")
        spaces.flood(b" " * (1 << 20), 100)
        mallory = Peer(served).log_in("mallory")
        mallory.socket.sendall(b"<message to='alice@a.example'><body>")
        mallory.flood(b"x" * (1 << 20), 100)
        assert alice.ping() < 5
        mallory = Peer(served).log_in("mallory")
        mallory.flood(b"<a><a><a><a><a><a><a>" * 50_000, 100)
        assert alice.ping() < 5
        log = served.log.read_text()
        assert log.count("event='stream-error'") == 4
        assert log.count("condition='policy-violation'") >= 2
        assert memory(served) - before < ROOM


def test_one_that_never_reads_is_let_go_and_costs_what_an_outbox_may(tmp_path: Path) -> None:
    with serving(tmp_path, "[rates]\nclient_bytes = 0\nclient_stanzas = 0") as served:
        alice = Peer(served).log_in("alice")
        before = memory(served)
        mallory = Peer(served).log_in("mallory")
        mallory.socket.settimeout(2)
        body = b"x" * 100_000
        echo = b"<message to='mallory@a.example' type='chat'><body>%b</body></message>" % body
        mallory.socket.sendall(b"<presence/>")
        mallory.flood(echo, 1_000)
        assert alice.ping() < 5
        assert memory(served) - before < 2 * ROOM
        assert "event='stream-outbox-full'" in served.log.read_text()


def test_a_flood_is_read_at_its_rate_and_others_do_not_notice(tmp_path: Path) -> None:
    with serving(tmp_path, "[rates]\nclient_stanzas = 200\nburst_seconds = 1.0") as served:
        alice, mallory = Peer(served).log_in("alice"), Peer(served).log_in("mallory")
        begun = time.monotonic()
        answered = mallory.ask(b"".join(PING % n for n in range(2, 1_002)), b"id='1001'")
        took = time.monotonic() - begun
        assert answered.count(b"type='result'") == 1_000
        # A first slice and a burst are free; the rest waits. Nobody is disconnected.
        assert took < WAIT
        before = time.monotonic()
        mallory.ask(PING % 5_000, b"id='5000'")
        assert time.monotonic() - before + took > 1.0
        assert alice.ping() < 1


def test_descriptors_run_out_and_come_back(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice"], "[process]\ncore_dumps = true")  # else only root may count its descriptors
    assert served.stop() == 0
    hard = 300

    def less() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    served.start(preexec_fn=less)
    try:
        alice = Peer(served).log_in("alice")
        many = [socket.create_connection(("127.0.0.1", served.starttls_port)) for _ in range(hard)]
        until(served, "event='accept-paused' condition='descriptors'")
        computed = cpu(served)
        assert alice.ping() < 5
        time.sleep(1.0)  # what is measured: that nothing is done
        assert cpu(served) - computed < 0.4
        assert len(os.listdir(f"/proc/{served.process.pid}/fd")) < hard
        for one in many:
            one.close()
        assert Peer(served).log_in("alice").ping() < 5
    finally:
        assert served.stop() == 0
    assert served.log.read_text().count("accept-paused") == 1


def until(served: Served, line: str) -> None:
    deadline = time.monotonic() + WAIT
    while line not in served.log.read_text():
        assert time.monotonic() < deadline, served.log.read_text()
        time.sleep(0.02)


def test_plain_logins_beyond_number_get_an_answer_and_scram_is_not_kept_waiting(tmp_path: Path) -> None:
    from quietwire.net.shell import COMPUTING_AT_MOST

    with serving(tmp_path) as served:
        alice = Peer(served).log_in("alice")
        # The decoy costs an unknown user what the account's iterations cost.
        secret = base64.b64encode(b"\0nobody\0wrong")
        auth = b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (ns.SASL.encode(), secret)
        crowd = []
        for _ in range(COMPUTING_AT_MOST * 2):
            peer = Peer(served)
            peer.ask(HEADER, b"</stream:features>")
            crowd.append(peer)
        for peer in crowd:
            peer.socket.send(auth)
        assert alice.ping() < 5
        answers = [peer.ask(b"", b"</failure>") for peer in crowd]
        assert all(b"<not-authorized/>" in one or b"<temporary-auth-failure/>" in one for one in answers)


@pytest.fixture(autouse=True)
def linux() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("reads /proc")
