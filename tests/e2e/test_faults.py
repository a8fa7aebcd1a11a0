"""Faults of the machine around a server that runs as a process: each has one line in the log and loses nothing that was
acknowledged (docs/operating.md has the table). The faults are real: mounts of a namespace of their own, a name server
on loopback, certificates that end. `test_full_disk.py`, `test_erase.py` and `tests/server/test_clock.py` have others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from loopback import Served, free_port
from test_abuse import Peer, until

from quietwire.seal.authority import BACKDATED
from quietwire.testing.nameserver import Nameserver

SM = "urn:xmpp:sm:3"
TMPFS = 300 << 20
"""Uploads leave 256 MB to the database."""
UPLOAD = 8 << 20


def isolated(script: str) -> tuple[str, ...]:
    """A wrapper for the server: it has mounts of its own. Skips where that is not allowed."""
    allowed = shutil.which("unshare") and os.geteuid() == 0
    if not allowed or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root and mount namespaces")
    return ("unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}\nexec "$@"', "sh")


def lines(served: Served, event: str) -> list[str]:
    return [line for line in served.log.read_text().splitlines() if f"event='{event}'" in line]


def refused(served: Served, *wrapper: str) -> str:
    """The one line with which it does not start."""
    done = subprocess.run(
        [*wrapper, sys.executable, "-m", "quietwire", "serve", "--config", str(served.config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    return line


def begin(peer: Peer) -> Peer:
    """Stream management, without resumption."""
    peer.ask(f"<enable xmlns='{SM}'/>".encode(), b"<enabled")
    return peer


def tell(peer: Peer, number: int) -> int:
    """A message to bob, who is away, and a question. -> how many stanzas are acknowledged 50 ms later at most."""
    message = b"<message to='bob@a.example' type='chat' id='%d'><body>%d</body></message>" % (number, number)
    answer = peer.ask(message + f"<r xmlns='{SM}'/>".encode(), b"<a ")
    found = re.findall(rb"<a [^>]*h='(\d+)'", answer)
    return int(found[-1])


def waiting(served: Served, count: int) -> bytes:
    """So many messages that wait for bob."""
    bob = Peer(served).log_in("bob")
    got = bob.ask(b"<presence/>", b"<delay")
    while got.count(b"<delay") < count:
        got += bob.ask(b"", b"<delay")
    return got


def test_a_data_folder_on_a_read_only_disk(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice", "bob"], start=False)
    wrapper = isolated(f"mount --bind {tmp_path} {tmp_path}\nmount -o remount,bind,ro {tmp_path}")
    line = refused(served, *wrapper)
    assert "Read-only file system" in line
    assert str(tmp_path) in line
    served.start()  # the disk is as it should be again
    assert tell(begin(Peer(served).log_in("alice")), 1) in (0, 1)
    assert served.stop() == 0


class Web:
    """PUT by hand, over TLS."""

    def __init__(self, served: Served, url: str) -> None:
        plain = socket.create_connection(("127.0.0.1", served.web_port))
        plain.settimeout(60)
        self.socket = served.context().wrap_socket(plain, server_hostname="a.example")
        path = "/" + url.split("/", 3)[3]
        head = f"PUT {path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {UPLOAD}\r\n\r\n"
        self.socket.sendall(head.encode())

    def status(self) -> int:
        answer = b""
        while b"\r\n" not in answer:
            piece = self.socket.recv(4096)
            assert piece, answer
            answer += piece
        return int(answer.split()[1])


def fill(path: Path) -> None:
    """Until the disk takes no more."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def slot(peer: Peer) -> str:
    request = f"<request xmlns='urn:xmpp:http:upload:0' filename='a.bin' size='{UPLOAD}'/>"
    answer = peer.ask(f"<iq type='get' id='s' to='upload.a.example'>{request}</iq>".encode(), b"</iq>")
    found = re.search(rb"put url='([^']+)'", answer)
    assert found is not None, answer
    return found[1].decode()


def test_a_disk_that_fills_up_during_an_upload(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice", "bob"], web=True, start=False)
    data, copy = tmp_path / "data", tmp_path / "copy"
    shutil.copytree(data, copy)
    wrapper = isolated(f"mount -t tmpfs -o size={TMPFS},mode=0700 tmpfs {data}\ncp -a {copy}/. {data}/")
    served.start(*wrapper)
    try:
        alice = Peer(served).log_in("alice")
        inside = Path(f"/proc/{served.process.pid}/root{data}")
        upload = Web(served, slot(alice))
        upload.socket.sendall(bytes(UPLOAD // 2))
        deadline = time.monotonic() + 30
        while not list(inside.glob("uploads/new/*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        fill(inside / "filler")
        with contextlib.suppress(OSError):  # it answers and closes before all is sent
            upload.socket.sendall(bytes(UPLOAD // 2))
        assert upload.status() == 507
        assert len(lines(served, "upload-disk-full")) == 1
        assert list(inside.glob("uploads/new/*")) == []
        # The database is on that disk, too: it says so, acknowledges nothing, and others are served.
        fill(inside / "filler")
        begin(alice)
        big = b"<message to='bob@a.example' type='chat'><body>%b</body></message>" % (b"x" * 100_000)
        alice.socket.sendall(big * 4)
        until(served, "event='storage'")
        assert alice.ping() < 5
        (inside / "filler").unlink()
        until(served, "accepts writes again")
        assert len(lines(served, "storage")) == 2
        upload = Web(served, slot(alice))
        upload.socket.sendall(bytes(UPLOAD))
        assert upload.status() == 201
        assert waiting(served, 4).count(b"<body>") == 4
    finally:
        assert served.stop() == 0
    assert "event='fault'" not in served.log.read_text()


def test_a_data_folder_that_is_removed_while_the_server_runs(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice", "bob"])
    alice = begin(Peer(served).log_in("alice"))
    tell(alice, 1)
    aside = tmp_path / "aside"
    (tmp_path / "data").rename(aside)
    before = tell(alice, 2)
    until(served, "event='storage'")
    assert "removed or replaced" in lines(served, "storage")[0]
    assert tell(alice, 3) == before, "acknowledged what nobody will find again"
    assert alice.ping() < 5
    aside.rename(tmp_path / "data")
    until(served, "accepts writes again")
    assert b">3</body>" in waiting(served, 3)
    assert served.stop() == 0
    assert len(lines(served, "storage")) == 2


def test_a_data_folder_that_is_gone_for_good_is_said_at_the_end_again(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice", "bob"])
    alice = begin(Peer(served).log_in("alice"))
    shutil.rmtree(tmp_path / "data")
    tell(alice, 1)
    until(served, "event='storage'")
    assert served.stop(20) == 1
    assert served.log.read_text().splitlines()[-1].startswith("quietwire: ")
    assert "event='fault'" not in served.log.read_text()


def test_a_database_of_a_newer_version_and_one_that_is_none(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice"], start=False)
    path = tmp_path / "data" / "quietwire.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=99")
    assert "upgrade" in refused(served)
    path.write_bytes(os.urandom(8_192))
    assert "database" in refused(served)


def test_the_server_key_is_wrong_or_missing(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice"], start=False)
    key = tmp_path / "server.key"
    own = key.read_bytes()
    key.write_bytes(b"short")
    assert "32 random bytes" in refused(served)
    key.write_bytes(bytes(32))
    assert "does not open the database" in refused(served)
    key.unlink()
    assert "cannot be opened without it" in refused(served)
    assert not key.exists(), "another one would be of no use"
    key.write_bytes(own)
    key.chmod(0o644)  # `umask` is not to matter
    served.start()
    assert Peer(served).log_in("alice").ping() < 5
    assert served.stop() == 0
    assert len(lines(served, "server-key-tightened")) == 1
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice"], age=2 * 86_400)
    with pytest.raises(ssl.SSLCertVerificationError):
        Peer(served)
    assert served.stop() == 0
    assert len(lines(served, "certificate-expired")) == 1


def test_a_certificate_that_ends_while_the_server_runs(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice"], age=86_400 - BACKDATED.total_seconds() - 20)
    alice = Peer(served).log_in("alice")
    assert len(lines(served, "certificate-expires")) == 1
    until(served, "event='certificate-expired'")
    assert alice.ping() < 5, "who is there stays"
    with pytest.raises(ssl.SSLCertVerificationError):
        Peer(served)
    assert served.stop() == 0
    assert len(lines(served, "certificate-expired")) == 1


@contextlib.contextmanager
def nameserver(records: Mapping[tuple[str, str], Sequence[str]]) -> Iterator[int]:
    """-> its port."""
    ready: list[int] = []
    loop, started = asyncio.new_event_loop(), threading.Event()
    server = Nameserver(records)

    def run() -> None:
        ready.append(loop.run_until_complete(server.open()))
        started.set()
        loop.run_forever()
        server.close()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    yield ready[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def bounced(served: Served, domains: Sequence[str]) -> dict[str, str]:
    """A message to each of these. -> domain -> the condition with which it comes back."""
    alice = Peer(served).log_in("alice")
    alice.socket.settimeout(60)
    for domain in domains:
        alice.socket.sendall(f"<message to='x@{domain}' type='chat' id='{domain}'><body>x</body></message>".encode())
    got: dict[str, str] = {}
    data = b""
    while len(got) < len(domains):
        piece = alice.socket.recv(65_536)
        assert piece, data
        data += piece
        for id, condition in re.findall(rb"<message[^>]* id='([^']+)'.*?<error[^>]*><([a-z-]+) ", data):
            got[id.decode()] = condition.decode()
    assert alice.ping() < 5
    return got


def states(served: Served) -> list[str]:
    return sorted(re.findall(r"event='server-stream'.*?state='([^']+)'", served.log.read_text()))


def test_a_resolver_that_lies(tmp_path: Path) -> None:
    shut = free_port()  # nobody listens there
    home = Served(tmp_path, ["alice"], federation="enabled = true", start=False)
    records = {
        # To a server that is not b.example: to ourselves.
        ("_xmpp-server._tcp.b.example", "SRV"): [f"0 0 {home.s2s_port} host.example."],
        ("_xmpp-server._tcp.c.example", "SRV"): ["0 0 0 ."],
        ("_xmpp-server._tcp.d.example", "SRV"): [f"0 0 {shut} host.example."],
        ("_xmpp-server._tcp.e.example", "SRV"): ["0 0 5269 nowhere.example."],
        ("host.example", "A"): ["127.0.0.1"],
    }
    with nameserver(records) as port:
        home.config.write_text(
            home.config.read_text().replace("enabled = true", f'enabled = true\nresolver = "127.0.0.1:{port}"')
        )
        home.start()
        try:
            got = bounced(home, ["b.example", "c.example", "d.example", "e.example", "f.example"])
        finally:
            assert home.stop() == 0
    assert set(got.values()) == {"remote-server-not-found"}
    assert states(home) == ["host-unknown", "no-such-domain", "no-such-domain", "refused", "service-refused"]
    assert "event='fault'" not in home.log.read_text()


def test_a_resolver_that_is_gone(tmp_path: Path) -> None:
    home = Served(tmp_path, ["alice"], federation=f'enabled = true\nresolver = "127.0.0.1:{free_port()}"')
    try:
        assert bounced(home, ["b.example"]) == {"b.example": "remote-server-not-found"}
    finally:
        assert home.stop() == 0
    assert states(home) == ["no-dns"]
