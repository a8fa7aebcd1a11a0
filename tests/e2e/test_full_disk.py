"""A server whose disk takes no more (real: the process may not let files grow), then takes writes again.

What must be so: nothing is acknowledged that is not durable, one line in the log when it begins and one when it ends,
reading goes on, and afterwards everything that was accepted is acknowledged and is in the archive.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from configs import PLAIN, Setup
from peers import PASSWORD, Running, serve_quietwire, start_quietwire
from session import READY_STANZAS, Session, unverified_tls
from wire import Keys, Letter

HOST = PLAIN.host
PATIENCE = 60.0
MESSAGES = 40
PING = b"<iq type='get' id='%b' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"


def limit(server: Running, size: int) -> None:
    """No file of the process may be written beyond `size` bytes, the log's own but for what it had."""
    hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, hard))


async def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


async def play(server: Running) -> None:
    keys, tls = Keys(PASSWORD.encode()), unverified_tls()
    alice, bob = (Session(f"u{user}", HOST, keys) for user in range(2))
    await alice.login(server.port, tls)
    await bob.login(server.port, tls)
    await bob.close()
    alice.letter = Letter(f"u1@{HOST}".encode())
    alice.send(5)
    alice.ask()
    await until(lambda: alice.acknowledged == READY_STANZAS + 5, "a healthy disk acknowledges")
    log = server.folder / "output.log"
    told = len(log.read_text())
    limit(server, 4096)
    alice.send(MESSAGES)
    alice.ask()
    await until(lambda: "full" in log.read_text()[told:] or "I/O" in log.read_text()[told:], "the log says it")
    await asyncio.sleep(1.0)  # four more tries of the storage
    assert alice.acknowledged == READY_STANZAS + 5, "acknowledged what is not on the disk"
    alice.transport.write(PING % b"alive")
    alice.stanzas += 1
    lines = [line for line in log.read_text()[told:].splitlines() if "storage" in line]
    assert len(lines) == 1, lines
    limit(server, resource.RLIM_INFINITY)
    await until(lambda: alice.acknowledged >= READY_STANZAS + 5 + MESSAGES, "acknowledged when the disk takes it")
    lines = [line for line in log.read_text()[told:].splitlines() if "storage" in line]
    assert len(lines) == 2, lines
    assert "accepts writes again" in lines[1]
    again = Session("u1", HOST, keys)
    await again.login(server.port, tls)
    await until(lambda: again.arrivals.seen == 5 + MESSAGES, "what was acknowledged arrives")
    assert again.arrivals.doubled == again.arrivals.skipped == 0
    for session in (alice, again):
        await session.close()


@pytest.mark.slow
def test_a_full_disk_is_said_once_acknowledges_nothing_and_loses_nothing(tmp_path: Path) -> None:
    start_quietwire(tmp_path, 2, None, Setup(archive=True)).stop()
    config = tmp_path / "quietwire.toml"
    config.write_text(config.read_text().replace('level = "error"', 'level = "warning"'))
    server = serve_quietwire(tmp_path, None)
    try:
        uvloop.run(play(server))
        server.check()
    finally:
        server.stop()
