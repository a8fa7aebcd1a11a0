"""What stanzas of our client are in frames (shaping/frames.py): bytes before and after, and what packing costs.

    python tests/bench/frames.py [--rounds 3] [--timings FILE]

Starts the server, and our own clients on it, with `steady` uplinks whose ticks are too fast to wait for. They write to
people of one, two and three devices, and say that they have read it; what each of their links carried is packed here,
stanza by stanza. One JSON line a kind comes out, and one with microseconds. `--timings` writes the quantiles of what
the simulation needs into that file of `quietwire lab correlate`: `src/quietwire/lab/correlation/timings.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs import Setup
from peers import PASSWORD, PeerError, Running, certificate, new_authority, start_quietwire

from quietwire.client import adapter, events, link
from quietwire.client.core import Client
from quietwire.client.core import Settings as Account
from quietwire.core.framing import StreamParser
from quietwire.core.stanza import Message
from quietwire.lab.correlation.timings import Quantiles, Timings, read
from quietwire.lab.people.parameters import Parameters
from quietwire.shaping.frames import Unpacker, pack
from quietwire.shaping.policy import Policy, Profile

HOST = "servers.example.org"
"""Addresses have 22 characters, as `lab.correlation.gathered` takes them."""
DEVICES = (1, 1, 1, 2, 3, 1)
"""Of each account."""
TALKER = 5
"""The account whose link is not shaped: on a steady one nobody is told that somebody types."""
SMALLEST = 170
"""Bytes of a text that is in the smallest envelope for anybody (docs/protocols/client-link.md)."""
HOLD = 10.0
"""Seconds after which what was read is told alone."""
POLICY = Policy(Profile.STEADY, cell=16_382, tick=0.1, fast_tick=0.1, window=0.0, bulk_every=0.0)
WAIT = 60.0
MADE = "; sizes on steady links: our client's stanzas in frames, one device on either side, addresses of 22 characters"


@dataclass(frozen=True)
class Seen:
    """A message on one link: `kind` is what was being said, `way` "up" or "down", of the client."""

    kind: str
    way: str
    devices: int
    data: bytes


class Recorder:
    """What our clients' links carry. Messages with an envelope only, after keys were exchanged, and none of
    those in which a device hears what another of its owner has said."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.kind = ""
        self._parsers: dict[tuple[int, str], StreamParser] = {}

    def took(self, stream: object, way: str, data: bytes) -> None:
        if data.startswith((b"<?xml", b"<stream:stream")):
            self._parsers[id(stream), way] = StreamParser()
        parser = self._parsers.setdefault((id(stream), way), StreamParser())
        for event in parser.feed(data):
            if not isinstance(event, Message) or not self.kind:
                continue
            data = event._raw
            if b"<payload>" in data and b"<forwarded" not in data and b"kex=" not in data:
                self.seen.append(Seen(self.kind, way, data.count(b"<key "), data))


class Tapped(adapter._Stream):
    """slixmpp's stream, of which somebody takes notes."""

    recorder: Recorder

    def send_raw(self, data: str | bytes) -> None:
        self.recorder.took(self, "up", data.encode() if isinstance(data, str) else data)
        super().send_raw(data)

    def data_received(self, data: bytes | str) -> None:
        self.recorder.took(self, "down", data.encode() if isinstance(data, str) else data)
        super().data_received(data)


class Person:
    def __init__(self, account: Account) -> None:
        self.client = Client(account)
        self.read: list[events.Message] = []
        self._came = asyncio.Event()

    async def arrive(self) -> None:
        await self.client.connect(WAIT)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.client.events():
            if isinstance(event, events.Message):
                self.read.append(event)
                self._came.set()

    async def until(self, number: int) -> None:
        async with asyncio.timeout(WAIT):
            while len(self.read) < number:
                self._came.clear()
                await self._came.wait()

    async def leave(self) -> None:
        await self.client.close()
        await self._reading


def texts(number: int, chance: random.Random) -> list[str]:
    """As long as people's are, without the few that need a larger envelope."""
    lengths = Parameters()
    found: list[str] = []
    while len(found) < number:
        size = round(chance.lognormvariate(0.0, lengths.length_spread) * lengths.length)
        if 1 <= size <= SMALLEST:
            found.append("".join(chance.choices("etaoin shrdlu", k=size)))
    return found


async def play(server: Running, folder: Path, ca_file: Path, rounds: int, recorder: Recorder) -> None:
    chance = random.Random(1)
    base = Account(
        jid=f"u0@{HOST}", password=PASSWORD, store=folder / "0", passphrase="open sesame",
        address=("127.0.0.1", server.port), ca_file=ca_file, link=POLICY,
    )  # fmt: skip
    people: list[list[Person]] = []
    for number, devices in enumerate(DEVICES):
        link = POLICY if number < TALKER else Policy()
        accounts = [
            replace(base, jid=f"u{number}@{HOST}", store=folder / f"{number}.{i}", link=link) for i in range(devices)
        ]
        people.append([Person(account) for account in accounts])
        for person in people[-1]:
            await person.arrive()
    me, others, talker = people[0][0], people[1:TALKER], people[TALKER][0]
    try:
        for turn in range(rounds + 2):  # in the first two keys are exchanged, and it is learnt who reads what
            recorder.kind = "message" if turn > 1 else ""
            for number, person in enumerate(others, 1):
                had = [(other, len(other.read)) for other in person]
                for text in texts(8, chance):
                    await me.client.send_text(f"u{number}@{HOST}", text)
                for other, before in had:
                    await other.until(before + 8)
                before = len(me.read)
                for text in texts(8, chance):
                    await person[0].client.send_text(base.jid, text)
                await me.until(before + 8)
            await asyncio.sleep(HOLD)
            for kind, which, marks in (
                ("receipt", slice(-1, None), False),
                ("receipts and markers", slice(-7, -1), True),
            ):
                recorder.kind = kind if turn > 1 else ""
                for person in others:
                    for message in person[0].read[which]:
                        await person[0].client.send_receipt(base.jid, message.id)
                        if marks:
                            await person[0].client.send_displayed(base.jid, message.id)
                await asyncio.sleep(HOLD)
        await talker.client.send_text(f"u1@{HOST}", "hello")
        await others[0][0].until(len(others[0][0].read) + 1)
        await others[0][0].client.send_text(f"u{TALKER}@{HOST}", "hello")
        await talker.until(1)
        recorder.kind = "typing"
        for turn in range(8 * rounds):
            await talker.client.send_chat_state(f"u1@{HOST}", "composing" if turn % 2 else "paused")
        await asyncio.sleep(1.0)
    finally:
        recorder.kind = ""
        for person in (one for devices in people for one in devices):
            await person.leave()


def figures(seen: Iterable[Seen]) -> list[dict[str, Any]]:
    """Bytes before and after, by kind, way and devices."""
    groups: dict[tuple[str, str, int], list[bytes]] = {}
    for one in seen:
        groups.setdefault((one.kind, one.way, one.devices), []).append(one.data)
    told = []
    for (kind, way, devices), stanzas in sorted(groups.items()):
        plain, packed = [len(data) for data in stanzas], [len(pack(data)) for data in stanzas]
        told.append(
            {"kind": kind, "way": way, "devices": devices, "number": len(stanzas), "plain": statistics.median(plain),
             "packed": statistics.median(packed), "least": min(packed), "most": max(packed)}
        )  # fmt: skip
    return told


def costs(data: bytes) -> dict[str, float]:
    """Microseconds to pack and to unpack this, at best."""
    frame = pack(data)

    def best(work: Callable[[], object]) -> float:
        found = []
        for _ in range(50):
            begin = time.perf_counter()
            for _ in range(100):
                work()
            found.append(time.perf_counter() - begin)
        return round(min(found) * 1e4, 1)

    idle = Unpacker()
    spaces = b" " * 1022
    return {
        "pack": best(lambda: pack(data)),
        "unpack": best(lambda: list(Unpacker().feed(frame))),
        "cell of spaces": best(lambda: list(idle.feed(spaces))),
        "reader": sys.getsizeof(idle),
    }


def simulated(seen: Iterable[Seen], base: Timings) -> Timings:
    """`base` with what was measured: on the sender's link, and by how much the same kind is larger on the recipient's,
    for one device on either side."""
    sizes: dict[str, dict[str, list[int]]] = {}
    for one in seen:
        if one.devices == 1:
            sizes.setdefault(one.kind, {}).setdefault(one.way, []).append(len(pack(one.data)))
    known = {"message": "message", "receipt": "receipts and markers", "typing": "typing"}
    up = {kind: sizes[name]["up"] for kind, name in known.items()}
    grown = {kind: _grown(sizes[name]["up"], sizes[name]["down"]) for kind, name in known.items()}
    return replace(
        base,
        made=base.made.split(MADE)[0] + MADE + ", by tests/bench/frames.py",
        shrunk={kind: Quantiles.of(values) for kind, values in up.items()},
        brought={kind: Quantiles.of(values) for kind, values in grown.items()},
    )


def _grown(up: list[int], down: list[int]) -> list[float]:
    """Quantile by quantile: what the server adds does not depend on what it is added to."""
    places = [number / 40 for number in range(41)]

    def at(values: list[int], place: float) -> float:
        ordered, spot = sorted(values), place * (len(values) - 1)
        low = int(spot)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (spot - low)

    return [at(down, place) - at(up, place) for place in places]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timings", type=Path)
    return parser


def main(options: argparse.Namespace) -> None:
    recorder = Tapped.recorder = Recorder()
    adapter._Stream = Tapped  # type: ignore[misc]
    link.STOCK_RATE = 1e9  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = new_authority()
        certificate(folder, HOST, authority)
        ca_file = folder / "authority.pem"
        ca_file.write_bytes(authority.certificate)
        server = start_quietwire(folder, len(DEVICES), None, Setup(archive=True, host=HOST))
        try:
            asyncio.run(play(server, folder, ca_file, options.rounds, recorder))
        finally:
            server.stop()
    for line in figures(recorder.seen):
        print(json.dumps(line))
    typical = next(one.data for one in recorder.seen if (one.kind, one.way, one.devices) == ("message", "up", 1))
    print(json.dumps({"microseconds": costs(typical)}))
    if options.timings is not None:
        options.timings.write_text(simulated(recorder.seen, read(options.timings)).as_json(), "utf-8")


if __name__ == "__main__":
    try:
        main(arguments().parse_args())
    except (PeerError, OSError) as error:
        sys.exit(f"frames.py: {error}")
