"""The client's link against Debian's Prosody, behind the laboratory's tap: what a watcher sees, and what arrives."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path

import pytest
from foreign_server import Server
from test_end_to_end import Actor, settings

from quietwire.client import events
from quietwire.client.core import Client
from quietwire.lab.tap import Tap
from quietwire.lab.trace import Direction, RecordType
from quietwire.shaping.policy import Policy, Profile

pytestmark = pytest.mark.peer

CAROL, DAVE = "carol@b.example", "dave@a.example"
QUICK = Policy(Profile.STEADY, tick=0.4, fast_tick=0.4, window=4.0, bulk_every=8.0)
"""A tick that a test can wait for. Carol's uplink; nobody else's is shaped."""


class Watcher:
    """In the place of a trace's writer: keeps what crosses, by link."""

    def __init__(self) -> None:
        self.records: list[tuple[float, str, Direction, RecordType, int]] = []

    def open(self, time: float, link: str, initiator: str, responder: str) -> None: ...

    def end(self, time: float, link: str, *, reset: bool) -> None: ...

    def record(self, time: float, link: str, direction: Direction, type: RecordType, size: int) -> None:
        self.records.append((time, link, direction, type, size))

    def uplink(self, link: str) -> list[tuple[float, int]]:
        """Application records from the client; of TLS 1.3 the first is its Finished."""
        return [(at, size) for at, name, way, type, size in self.records if (name, way, type) == (link, "up", "app")]


@dataclass
class World:
    carol: Actor
    dave: Actor
    watcher: Watcher
    tap: Tap


@asynccontextmanager
async def world(server: Server, folder: Path, policy: Policy) -> AsyncIterator[World]:
    watcher = Watcher()
    names = (f"L{number}" for number in count(1))
    tap = Tap(
        initiator="carol",
        responder="b.example",
        target=("127.0.0.1", server.direct),
        writers=[watcher],  # type: ignore[list-item]
        names=names,
        clock=time.time,
    )
    port = await tap.start()
    near = replace(settings(server, CAROL, folder / "carol"), address=("127.0.0.1", port), link=policy)
    clients = Client(near), Client(settings(server, DAVE, folder / "dave"))
    await asyncio.gather(*(client.connect() for client in clients))
    carol, dave = (Actor(client) for client in clients)
    try:
        yield World(carol, dave, watcher, tap)
    finally:
        await asyncio.gather(carol.close(), dave.close())
        await tap.close()


def assert_steady(cells: list[tuple[float, int]], policy: Policy) -> None:
    """All of one size, and one a tick, but for what a busy machine adds: it delays a cell, or keeps one back."""
    assert len({size for _, size in cells}) == 1, Counter(size for _, size in cells)
    assert cells[0][1] == policy.cell + 17  # type byte and tag
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(cells)]
    ticks = [round(gap / policy.tick, 1) for gap in gaps]
    assert sum(1 for tick in ticks if abs(tick - 1) <= 0.2) >= 0.7 * len(ticks), gaps
    assert 0.9 * sum(ticks) <= len(ticks) <= sum(ticks) + 1.5, gaps


@pytest.mark.slow
def test_a_steady_uplink_shows_one_size_and_loses_nothing(prosody: Server, tmp_path: Path) -> None:
    async def run() -> None:
        async with world(prosody, tmp_path, QUICK) as w:
            expected = [f"message {number} " + "x" * (number * 37 % 300) for number in range(12)]
            for text in expected:
                await w.carol.client.send_text(DAVE, text)
            await w.dave.until(lambda: len(w.dave.texts()) >= len(expected))
            assert w.dave.texts() == expected
            assert await w.carol.client.drained()
            first = await w.dave.first(events.Message)
            await w.dave.client.send_receipt(CAROL, first.id)
            assert (await w.carol.first(events.Receipt)).ref == first.id
        _finished, *cells = w.watcher.uplink("L1")
        assert_steady(cells[:-1], QUICK)  # the last is TLS's good-bye

    asyncio.run(run())


@pytest.mark.slow
def test_a_cut_of_a_steady_link_loses_nothing_and_the_session_goes_on(prosody: Server, tmp_path: Path) -> None:
    async def run() -> None:
        async with world(prosody, tmp_path, QUICK) as w:
            expected = [f"message {number}" for number in range(14)]
            for number, text in enumerate(expected):
                await w.carol.client.send_text(DAVE, text)
                if number == 6:
                    await w.dave.until(lambda: bool(w.dave.texts()))
                    w.tap.cut()  # cells lie on the way, and more in the queue
            await w.dave.until(lambda: len(w.dave.texts()) >= len(expected))
            assert w.dave.texts() == expected
            assert await w.carol.client.drained()
            assert w.carol.all(events.Resumed)
            assert not w.dave.all(events.Undecryptable)
        for link in ("L1", "L2"):
            _finished, *cells = w.watcher.uplink(link)
            assert_steady(cells[:-1], QUICK)

    asyncio.run(run())


def test_padded_and_jitter_lose_nothing(prosody: Server, tmp_path: Path) -> None:
    async def run(name: str, policy: Policy) -> Watcher:
        (tmp_path / name).mkdir()
        async with world(prosody, tmp_path / name, policy) as w:
            expected = [f"message {number}" for number in range(10)]
            for text in expected:
                await w.carol.client.send_text(DAVE, text)
            await w.dave.until(lambda: len(w.dave.texts()) >= len(expected))
            assert w.dave.texts() == expected
            assert await w.carol.client.drained()
        return w.watcher

    watcher = asyncio.run(run("padded", Policy(Profile.PADDED, block=512)))
    sizes = {size for _, size in watcher.uplink("L1")[1:-1]}
    assert {(size - 17) % 512 for size in sizes} == {0}
    asyncio.run(run("jitter", Policy(Profile.JITTER, batch=0.1)))
