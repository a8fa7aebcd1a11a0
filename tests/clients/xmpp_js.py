"""@xmpp/client, the library of many web clients and bots: logs in over TCP, and does everything over WebSocket.

It brings SASL2, Bind 2, FAST and stream management of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from npm import installed
from stage import DOMAIN, INSIDE, PASSWORD, ROOM, WAIT, Missed, Stage, play

PACKAGE = ""
NEEDS = ("node", "npm")
VERSION = "0.14.0"
SERVICES = {"TCP": f"xmpp://{DOMAIN}:5222", "WebSocket": f"wss://{DOMAIN}:5443/xmpp-websocket"}


def version() -> str:
    return VERSION


def modules() -> Path:
    return installed(f"@xmpp/client@{VERSION}")


class Bob:
    """A process of node; what it tells is kept until somebody asks for it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []

    def does(self, what: str, **more: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")

    async def tells(self, event: str, true: Callable[[dict[str, Any]], bool] = lambda told: True) -> dict[str, Any]:
        """The first event of that kind that `true` likes and that nobody has asked for yet. Raises Missed."""
        try:
            async with asyncio.timeout(WAIT):
                while True:
                    for told in self.told:
                        if told["event"] == event and true(told):
                            self.told.remove(told)
                            return told
                    await self._read()
        except TimeoutError:
            raise Missed(f"no {event}") from None

    async def _read(self) -> None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise Missed("node has ended")
        told: dict[str, Any] = json.loads(line)
        if told["event"] == "failed":
            raise Missed(told["text"])
        self.told.append(told)


@contextlib.asynccontextmanager
async def bob(stage: Stage, service: str) -> AsyncIterator[Bob]:
    script = Path(__file__).with_suffix(".mjs")
    process = await asyncio.create_subprocess_exec(
        "node", "--no-warnings", "--experimental-websocket", str(script), str(modules()), SERVICES[service], DOMAIN,
        PASSWORD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**stage.environment(NODE_EXTRA_CA_CERTS=str(stage.authority)), "HOME": os.environ["HOME"]},
    )  # fmt: skip
    try:
        yield Bob(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def course(stage: Stage) -> None:
    alice, record = stage.alice, stage.record
    friend = alice.boundjid.bare
    async with record.step("login"), bob(stage, "TCP") as by_tcp:
        await by_tcp.tells("online")
        by_tcp.does("say", to=friend, body="over TCP", type="chat")
        await alice.hears("over TCP")
    async with bob(stage, "WebSocket") as there:
        async with record.step("login"):
            assert record.outcome["login"] == "yes", record.outcome["login"]
            await there.tells("online")
        async with record.step("contact"):
            there.does("subscribe", to=friend)
            await alice.until(lambda: f"bob@{DOMAIN}" in alice.seen, "no presence came")
            await there.tells("presence", lambda p: p["from"].startswith(friend) and p["type"] == "available")
        async with record.step("chat"):
            there.does("say", to=friend, body="from ☃ & <Bob>", type="chat")
            await alice.hears("from ☃ & <Bob>")
            alice.says(f"bob@{DOMAIN}", "to Bob")
            await there.tells("message", lambda m: m["body"] == "to Bob")
            there.does("break")
            await there.tells("disconnect")
            alice.says(f"bob@{DOMAIN}", "while he was away")
            await there.tells("resumed")
            await there.tells("message", lambda m: m["body"] == "while he was away")
        async with record.step("room"):
            await alice.opens_room(f"bob@{DOMAIN}")
            there.does("join", room=ROOM, nick="bob")
            await there.tells("presence", lambda p: p["from"] == f"{ROOM}/bob")
            there.does("say", to=ROOM, body="from Bob to all", type="groupchat")
            await alice.hears("from Bob to all")
        async with record.step("file"):
            there.does("upload", content="a file ☃\n" * 20_000)
            told = await there.tells("uploaded")
            there.does("say", to=friend, body=told["url"], type="chat")
            await alice.hears("https://")
        record.skip("omemo", "a library without encryption")


if __name__ == "__main__":
    if INSIDE not in os.environ:
        modules()  # where the play is there is no registry
    play(course)
