"""SIGKILL with the archive on: nothing acknowledged is missing in either side's archive, nothing is in one twice.

A few times under load, at a moment drawn from a seed, the server process is killed and started again on the same data.
Senders then do what clients do (XEP-0198 §5): they send again, with the same ids, what was not acknowledged. Much of
that had been committed already. At the end the archives are read as a query reads them. `test_kill.py` has more rounds,
and looks at what arrives.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import re
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from configs import PLAIN, Setup
from peers import PASSWORD, Running, serve_quietwire, start_quietwire
from session import READY_STANZAS, Session, unverified_tls
from wire import Keys

from quietwire.core.later import drive
from quietwire.server.archive import Archive
from quietwire.server.archive_index import Query
from quietwire.store.sqlite import SqliteStorage

HOST = PLAIN.host
SEED = 2026
KILLS = 6
PAIRS = 8
IN_FLIGHT = 20
LOAD_SECONDS = (0.05, 0.4)
PER_ROUND = 100
PATIENCE = 20.0
ID = re.compile(rb"^<message[^>]* id='(\d+)'")


@dataclass(frozen=True)
class Named:
    """A message that is the same whenever it is sent: ids of its own, no time. (`wire.Letter` in a session's hands.)"""

    to: bytes

    def written(self, now_ns: int, number: int) -> bytes:
        return (
            b"<message to='%b' type='chat' id='%d'><body>T@%019d@%08d</body>"
            b"<origin-id xmlns='urn:xmpp:sid:0' id='%d'/></message>" % (self.to, number, 0, number, number)
        )


class World:
    def __init__(self) -> None:
        self.tls = unverified_tls()
        self.keys = Keys(PASSWORD.encode())
        self.promised = [0] * PAIRS
        """How many of each pair's messages were acknowledged: the first so many."""
        self.repeated = 0

    async def login(self, server: Running, user: int) -> Session:
        session = Session(f"u{user}", HOST, self.keys, ack_every=5)
        await session.login(server.port, self.tls)
        return session

    async def senders(self, server: Running) -> list[Session]:
        """Everybody who sends logs in and begins with what was not acknowledged."""
        senders = list(await asyncio.gather(*(self.login(server, 2 * pair) for pair in range(PAIRS))))
        for pair, sender in enumerate(senders):
            sender.letter = Named(f"u{2 * pair + 1}@{HOST}".encode())  # type: ignore[assignment]
            sender.sent = self.promised[pair]
        return senders

    def credit(self, senders: list[Session], first: list[int]) -> None:
        for pair, sender in enumerate(senders):
            acknowledged = first[pair] + max(0, sender.acknowledged - READY_STANZAS)
            assert acknowledged <= sender.sent, "acknowledged more than was sent"
            self.repeated += sender.sent - acknowledged
            self.promised[pair] = acknowledged

    async def round(self, server: Running, seed: random.Random) -> None:
        receivers = await asyncio.gather(*(self.login(server, 2 * pair + 1) for pair in range(0, PAIRS, 2)))
        senders, first = await self.senders(server), list(self.promised)

        def top_up(pair: int) -> None:
            sender = senders[pair]
            left = PER_ROUND - (sender.sent - first[pair])
            short = IN_FLIGHT - (sender.stanzas - sender.acknowledged)
            if not sender.closed and (count := min(left, short)) > 0:
                sender.send(count)

        for pair, sender in enumerate(senders):
            sender.on_acknowledged = lambda _, pair=pair: top_up(pair)
            top_up(pair)
        await asyncio.sleep(seed.uniform(*LOAD_SECONDS))
        server.check()
        for sender in senders:
            sender.send(5)
        await asyncio.sleep(seed.uniform(0, 0.05))
        server.process.kill()
        await asyncio.gather(*(session.gone() for session in (*senders, *receivers)))
        self.credit(senders, first)

    async def end(self, server: Running) -> None:
        """What was not acknowledged is sent once more, and waited for."""
        senders, first = await self.senders(server), list(self.promised)
        for sender in senders:
            sender.send(IN_FLIGHT)
            sender.ask()
        deadline = time.monotonic() + PATIENCE
        while any(sender.acknowledged < sender.stanzas for sender in senders):
            server.check()
            assert time.monotonic() < deadline, "not acknowledged"
            await asyncio.sleep(0.01)
        repeated = self.repeated
        self.credit(senders, first)
        self.repeated = repeated
        await asyncio.gather(*(sender.close() for sender in senders))


def archived(path: Path, owners: list[str]) -> dict[str, list[int]]:
    """The numbers of the messages in each archive, in its order."""
    posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    storage = SqliteStorage(path, post=posted.put, later=lambda seconds, fn: lambda: None, randomness=os.urandom)

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        ended: list[tuple[Any, BaseException | None]] = []
        drive(work, lambda value, error: ended.append((value, error)))
        while not ended:
            posted.get(timeout=PATIENCE)()
        value, error = ended[0]
        if error is not None:
            raise error
        return value

    archive = Archive(HOST, storage, os.urandom, lambda work: None)
    found: dict[str, list[int]] = {owner: [] for owner in owners}
    for owner, numbers in found.items():
        after = None
        while True:
            page = run(archive.query(f"{owner}@{HOST}".encode(), Query(after=after)))
            for item in page.items:
                named = ID.match(item.message)
                assert named is not None
                numbers.append(int(named[1]))
            if page.complete:
                break
            after = page.items[-1].id
    storage.close()
    return found


@pytest.mark.slow
def test_a_killed_server_has_every_acknowledged_message_once_in_each_archive(tmp_path: Path) -> None:
    seed = random.Random(SEED)
    world = World()
    server = start_quietwire(tmp_path, 2 * PAIRS, None, Setup(archive=True))
    try:
        for _ in range(KILLS):
            uvloop.run(world.round(server, seed))
            server.process.wait()
            server = serve_quietwire(tmp_path, None)
        uvloop.run(world.end(server))
    finally:
        server.stop()
    database = tmp_path / "data" / "quietwire.sqlite"
    found = archived(database, [f"u{user}" for user in range(2 * PAIRS)])
    assert sum(world.promised) > KILLS * PAIRS * 10, "too little was acknowledged: this proves little"
    assert world.repeated > KILLS * 10, "too little was sent again: this proves little"
    for pair in range(PAIRS):
        expected = list(range(world.promised[pair]))
        for user in (2 * pair, 2 * pair + 1):
            assert found[f"u{user}"] == expected, (
                f"u{user}'s archive has other messages than were sent, or in other order"
            )
