"""What a server acknowledged survives SIGKILL (issue: the kill test; XEP-0198 §4, DESIGN §4).

Fifty times: under load, at a moment drawn from a seed, with at least a hundred stanzas sent and not acknowledged, the
server process is killed and started again on the same data. Every message whose sender got its acknowledgement must
have reached its recipient before, or reach it at its next login. A third of the recipients are away during the load.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from configs import PLAIN
from peers import PASSWORD, Running, serve_quietwire, start_quietwire
from session import READY_STANZAS, Session, unverified_tls
from wire import Arrivals, Keys, Letter

HOST = PLAIN.host
SEED = 1998
KILLS = 50
PAIRS = 12
IN_FLIGHT = 20
"""Stanzas that each sender keeps unacknowledged: 240 in all, of which 100 must be at the kill."""
LOAD_SECONDS = (0.02, 0.4)
PER_ROUND = 150
"""Messages a sender sends in one round at most: what waits for one who is away stays far below any quota."""
PATIENCE = 60.0
"""Seconds for what was promised to arrive after a restart."""


@dataclass
class Collected(Arrivals):
    """Every number that arrived, in any order and as often as it may: the recipient drops what it knows."""

    numbers: set[int] = field(default_factory=set)

    def note(self, number: int) -> None:
        self.numbers.add(number)


@dataclass
class Ledger:
    """What senders were promised and recipients got, by pair, over all rounds."""

    next: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    promised: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    received: dict[int, Collected] = field(default_factory=lambda: defaultdict(Collected))
    in_flight: list[int] = field(default_factory=list)
    """At each kill."""

    def missing(self) -> dict[int, list[int]]:
        return {
            pair: sorted(lost)
            for pair, promised in self.promised.items()
            if (lost := promised - self.received[pair].numbers)
        }


class World:
    """A server that is killed and started again, and the pairs that talk through it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tls = unverified_tls()
        self.keys = Keys(PASSWORD.encode())
        self.ledger = Ledger()

    async def login(self, server: Running, user: int) -> Session:
        session = Session(f"u{user}", HOST, self.keys, ack_every=5)
        await session.login(server.port, self.tls)
        return session

    async def recipients(self, server: Running) -> list[Session]:
        """Everybody who receives logs in and gets what waited; returns when nothing that was promised is missing."""
        ledger = self.ledger
        receivers = []
        for pair in range(PAIRS):
            receiver = Session(f"u{2 * pair + 1}", HOST, self.keys)
            receiver.arrivals = ledger.received[pair]
            receivers.append(receiver)
        await asyncio.gather(*(receiver.login(server.port, self.tls) for receiver in receivers))
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while ledger.missing() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  # spans sessions
            await asyncio.sleep(0.01)
        server.check()
        missing = ledger.missing()
        assert not missing, f"after {len(ledger.in_flight)} kills, acknowledged and lost, by pair: {missing}"
        return receivers

    async def round(self, server: Running, seed: random.Random) -> None:
        """One load and its end."""
        ledger = self.ledger
        receivers = await self.recipients(server)
        away = set(seed.sample(range(PAIRS), PAIRS // 3))
        await asyncio.gather(*(receivers[pair].close() for pair in away))
        senders = list(await asyncio.gather(*(self.login(server, 2 * pair) for pair in range(PAIRS))))
        first = [ledger.next[pair] for pair in range(PAIRS)]

        def top_up(pair: int) -> None:
            sender = senders[pair]
            left = PER_ROUND - (sender.sent - first[pair])
            short = IN_FLIGHT - (sender.stanzas - sender.acknowledged)
            if not sender.closed and (count := min(left, short)) > 0:
                sender.send(count)

        for pair, sender in enumerate(senders):
            sender.sent = first[pair]
            sender.letter = Letter(f"u{2 * pair + 1}@{HOST}".encode(), rich=bool(pair % 2))
            sender.on_acknowledged = lambda _, pair=pair: top_up(pair)
        for pair in range(PAIRS):
            top_up(pair)
        await asyncio.sleep(seed.uniform(*LOAD_SECONDS))
        # Whoever has used up the round's messages: a last burst, so that enough is under way at any moment.
        for sender in senders:
            if sender.stanzas - sender.acknowledged < IN_FLIGHT:
                sender.send(IN_FLIGHT)
        await asyncio.sleep(seed.uniform(0, 0.003))
        server.check()
        ledger.in_flight.append(sum(sender.stanzas - sender.acknowledged for sender in senders))
        server.process.kill()
        await asyncio.gather(*(session.gone() for session in (*senders, *receivers)))
        for pair, sender in enumerate(senders):
            acknowledged = first[pair] + max(0, sender.acknowledged - READY_STANZAS)
            assert acknowledged <= sender.sent, "acknowledged more than was sent"
            ledger.promised[pair].update(range(first[pair], acknowledged))
            ledger.next[pair] = sender.sent

    async def end(self, server: Running) -> None:
        receivers = await self.recipients(server)
        await asyncio.gather(*(receiver.close() for receiver in receivers))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Running]]:
    """The servers that were started, the last of which is stopped at the end, whatever happened."""
    servers = [start_quietwire(tmp_path, 2 * PAIRS, None)]
    yield servers
    servers[-1].stop()


@pytest.mark.slow
def test_no_acknowledged_message_is_lost_when_the_server_is_killed(tmp_path: Path, started: list[Running]) -> None:
    seed = random.Random(SEED)
    world = World(tmp_path)
    for _ in range(KILLS):
        uvloop.run(world.round(started[-1], seed))
        started[-1].process.wait()
        started.append(serve_quietwire(tmp_path, None))
    uvloop.run(world.end(started[-1]))
    ledger = world.ledger
    assert len(ledger.in_flight) == KILLS
    assert min(ledger.in_flight) >= 100, f"too few stanzas in flight at a kill: {ledger.in_flight}"
    promised = sum(map(len, ledger.promised.values()))
    assert promised > KILLS * PAIRS, f"only {promised} messages were acknowledged: this proves little"
