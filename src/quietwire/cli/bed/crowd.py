"""A worker of the shooting range: many devices, told what to do by lines of JSON on standard input, as `actor` is.

The first line holds the settings. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from quietwire.client.link import Link, uplink
from quietwire.core.errors import StreamError
from quietwire.lab.range import plans
from quietwire.lab.range.cast import Cast
from quietwire.lab.range.crowd import Crowd, Settings
from quietwire.lab.range.stock import StockError, Wrap
from quietwire.lab.range.truth import TruthFile
from quietwire.shaping.frames import Unpacker
from quietwire.shaping.policy import Profile
from quietwire.shaping.presets import PRESETS

TELL_EVERY = 1.0
"""Seconds between two words on how far it is."""


def say(**report: Any) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def settings(given: dict[str, Any]) -> Settings:
    """As `lab.range.bed` sends them."""
    events = plans.read(Path(given["plan"]))
    everybody = Cast.of_document(given["cast"])

    def per_device(ports: dict[str, int]) -> dict[tuple[int, int], int]:
        return {(int(user), int(device)): port for key, port in ports.items() for user, device in [key.split(".")]}

    return Settings(
        cast=everybody,
        users=frozenset(user for user in everybody.users if user % given["workers"] == given["worker"]),
        events=events,
        taps=per_device(given["taps"]),
        web_taps=per_device(given["web_taps"]),
        direct=given["direct"],
        web=given["web"],
        password=given["password"],
        context=ssl.create_default_context(cafile=given["authority"]),
        content=given["content"],
        largest=given["largest"],
        seed=given["seed"],
        quiet=given["profile"]["profile"] == Profile.STEADY,
        probing=given["probing"],
        patience=given.get("patience", 0.0),
    )


def wrapped(given: dict[str, Any]) -> Wrap | None:
    """The client's own side of a profile, around what slixmpp writes: what `client.adapter` puts there. Frames where
    both sides are `steady`, and ours."""
    shape = dict(given)
    profile, follows = Profile(shape.pop("profile")), bool(shape.pop("follows"))
    if profile is Profile.OFF:
        return None
    preset = PRESETS[shape.pop("preset", "desktop")]
    policy = uplink(replace(preset, profile=profile, **shape))

    def wrap(stream: Any) -> Callable[[], None] | None:
        made, lost, came = stream.connection_made, stream.connection_lost, stream.data_received
        link: Link | None = None
        unpacker = Unpacker()

        def connection_made(transport: Any, send_event: bool = True) -> None:
            nonlocal link, unpacker
            unpacker = Unpacker()
            link = Link(transport, policy, asyncio.get_running_loop())
            if follows:
                link.follow()
            made(link, send_event)

        def connection_lost(error: BaseException | None) -> None:
            if link is not None:
                link.over()
            lost(error)

        def data_received(data: bytes) -> None:
            if link is not None:
                link.heard()
            try:
                for piece, _ in unpacker.feed(data) if follows else [(data, False)]:
                    came(piece)
            except StreamError:
                stream.abort()

        def pack() -> None:
            if link is not None:
                link.pack()

        stream.connection_made, stream.connection_lost = connection_made, connection_lost
        stream.data_received = data_received
        return pack if follows else None

    return wrap


async def obey(crowd: Crowd, order: dict[str, Any]) -> dict[str, Any]:
    """Raises StockError, alone or in a group."""
    match order["do"]:
        case "arrive":
            await crowd.arrive()
        case "befriend":
            await crowd.befriend()
        case "friends":
            return {"missing": await crowd.friends_there()}
        case "furnish":
            await crowd.furnish()
        case "depart":
            await crowd.depart()
        case "prepare":
            await crowd.prepare()
        case "play":
            playing = crowd.begin(order["at"], order["compress"])
            while not playing.done():
                say(event="done", count=crowd.done.total() + crowd.left_out.total())
                await asyncio.wait([playing], timeout=TELL_EVERY)
            await playing
            return {"done": dict(crowd.done), "left_out": dict(crowd.left_out), "ended": time.time()}
        case "close":
            await crowd.end()
    return {}


async def run() -> None:
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    given = json.loads(await lines.readline())
    truth = TruthFile(Path(given["truth"]))
    crowd = Crowd(settings(given), truth, lambda text: say(event="trouble", what=text), wrapped(given["profile"]))
    while line := await lines.readline():
        order = json.loads(line)
        try:
            say(n=order["n"], ok=True, **await obey(crowd, order))
        except* StockError as several:
            say(n=order["n"], ok=False, error=str(several.exceptions[0]))
    await crowd.end()
    truth.close()


if __name__ == "__main__":
    logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
    asyncio.run(run())
