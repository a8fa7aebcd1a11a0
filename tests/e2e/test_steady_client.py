"""Our client on our server, both directions steady, behind the laboratory's tap: what a watcher sees does not depend on
what is said, nothing is lost, doubled or reordered, and a session goes on after a cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import pytest
from quickstart_world import DOMAIN, WAIT, make, start

pytest.importorskip("quietwire.client.core", reason="the client's libraries are not installed")
from own_client import Person

from quietwire.client import events
from quietwire.client.link import lead as ahead
from quietwire.lab.tap import Tap
from quietwire.lab.trace import Direction, RecordType
from quietwire.shaping.frames import Unpacker, pack
from quietwire.shaping.policy import Policy, Profile

pytestmark = pytest.mark.slow

POLICY = Policy(Profile.STEADY, tick=0.5, fast_tick=0.5, window=2.0, bulk_every=3600.0)
ANN, BEN = f"ann@{DOMAIN}", f"ben@{DOMAIN}"
OVERHEAD = 17
"""Type byte and tag of a TLS 1.3 record."""


class Watcher:
    """In the place of a trace's writer."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[Direction, list[tuple[float, int]]]] = {}
        self.settled = asyncio.Event()
        """On the second link the client's ticks are where they stay, or never will be."""

    def open(self, time: float, link: str, initiator: str, responder: str) -> None:
        self.seen[link] = {"up": [], "down": []}

    def end(self, time: float, link: str, *, reset: bool) -> None: ...

    def record(self, time: float, link: str, direction: Direction, type: RecordType, size: int) -> None:
        if type == "app":
            self.seen[link][direction].append((time, size))
            ticks = len(self.seen[link]["up"])
            if link == "L2" and ticks > 45 and (abs(lead(self.seen[link]) - ahead(POLICY)) < 0.1 or ticks > 150):
                self.settled.set()


def cells(records: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """From the first cell on that has another after it, without what was before: the handshake; the downlink as it is
    until it is asked for."""
    size = POLICY.cell + OVERHEAD
    last_other = max((at for at, (_, shown) in enumerate(records[:-1]) if shown != size), default=-1)
    assert last_other < 24  # after the cut all that was not acknowledged comes before the answer
    return records[last_other + 1 :]


def assert_steady(records: list[tuple[float, int]]) -> None:
    shown = cells(records)[:-1]  # without TLS' good-bye
    assert {size for _, size in shown} == {POLICY.cell + OVERHEAD}
    gaps = [round((later - earlier) / POLICY.tick, 1) for (earlier, _), (later, _) in pairwise(shown)]
    # One step of the uplink's phase to before the downlink's; the rest is what a busy machine adds: it delays a cell or
    # keeps one back, and never makes one more.
    assert sorted(gaps)[len(gaps) // 2] == 1.0, gaps
    assert sum(1 for gap in gaps if abs(gap - 1) <= 0.2) >= 0.7 * len(gaps), gaps
    assert 0.9 * sum(gaps) <= len(gaps) <= sum(gaps) + 1.5, gaps


def lead(link: dict[Direction, list[tuple[float, int]]]) -> float:
    """Seconds from the client's ticks to the server's, at the end of a link: the median of the last."""
    down = sorted(at for at, _ in cells(link["down"]))[-8:]
    up = [at for at, _ in cells(link["up"])]
    return sorted(at - max(before for before in up if before < at) for at in down)[len(down) // 2]


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What our clients have packed, "up", and unpacked, "down"."""
    passed: list[tuple[str, bytes]] = []

    class Noting(Unpacker):
        def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
            for piece, packed in super().feed(data):
                if packed:
                    passed.append(("down", piece))
                yield piece, packed

    def noting(part: bytes) -> bytes:
        data = pack(part)
        if data is not part:
            passed.append(("up", part))
        return data

    monkeypatch.setattr("quietwire.client.adapter.Unpacker", Noting)
    monkeypatch.setattr("quietwire.shaping.frames.pack", noting)
    return passed


def test_nothing_shows_and_nothing_is_lost(tmp_path: Path, frames: list[tuple[str, bytes]]) -> None:
    home = make(tmp_path / "server", "ann", "ben")
    watcher = Watcher()

    async def run() -> None:
        tap = Tap(
            initiator=ANN,
            responder=DOMAIN,
            target=("127.0.0.1", home.direct),
            writers=[watcher],  # type: ignore[list-item]
            names=(f"L{number}" for number in count(1)),
            clock=time.time,
        )
        ann = Person(home, tmp_path, ANN, await tap.start(), POLICY)
        ben = Person(home, tmp_path, BEN, home.direct, replace(POLICY, profile=Profile.OFF))
        await ben.arrive()
        await ann.arrive()
        assert ann.client.shaped == events.Shaped(up="steady", down="steady")
        try:
            mine = [f"mine {number} " + "x" * (number * 61 % 400) for number in range(10)]
            theirs = [f"theirs {number} " + "y" * (number * 37 % 700) for number in range(10)]

            async def say(person: Person, to: str, texts: list[str]) -> None:
                for text in texts:
                    await person.client.send_text(to, text)

            await asyncio.gather(say(ann, BEN, mine[:6]), say(ben, ANN, theirs[:6]))
            await ann.until(lambda: len(ann.texts) >= 2)
            tap.cut()
            first = frames.copy()
            await asyncio.gather(say(ann, BEN, mine[6:]), say(ben, ANN, theirs[6:]))
            await ann.until(lambda: len(ann.texts) >= len(theirs))
            await ben.until(lambda: len(ben.texts) >= len(mine))
            assert (ann.texts, ben.texts) == (theirs, mine)
            assert await ann.client.drained(2 * WAIT)
            assert any(isinstance(event, events.Resumed) for event in ann.seen)
            assert not any(isinstance(event, events.Undecryptable) for event in ann.seen + ben.seen)
            message = next(event for event in ann.seen if isinstance(event, events.Message))
            # Ben's texts have told that he reads receipts and markers beside a text.
            received = await ann.client.send_receipt(BEN, message.id)
            assert await ann.client.send_displayed(BEN, message.id) == received
            assert await ann.client.send_text(BEN, "thanks") == received
            await ben.until(lambda: ben.texts[-1] == "thanks")
            last = [event for event in ben.seen if isinstance(event, events.Encrypted)][-3:]
            assert [(type(event), event.id) for event in last] == [
                (kind, received) for kind in (events.Receipt, events.Displayed, events.Message)
            ]
            await ben.client.send_text(ANN, "the last")
            await ann.until(lambda: "the last" in ann.texts)
            # Hers alone is steady. On each connection both ways are packed, from the answer of the server on.
            for part in (first, frames[len(first) :]):
                for way in ("up", "down"):
                    said = [data for passing, data in part if passing == way]
                    assert any(data.startswith(b"<message") and b"urn:xmpp:omemo:2" in data for data in said)
                    assert any(data.startswith(b"<a ") for data in said)
            await asyncio.wait_for(watcher.settled.wait(), 2 * WAIT)
        finally:
            await ann.leave()
            await ben.leave()
            await tap.close()

    with (home.folder / "log").open("wb") as log:
        process = start(home, log)
        try:
            asyncio.run(run())
        finally:
            process.terminate()
            process.wait(WAIT)
    assert len(watcher.seen) == 2
    for link in watcher.seen.values():
        for records in link.values():
            assert_steady(records)
    assert abs(lead(watcher.seen["L2"]) - ahead(POLICY)) < 0.1
