"""@xmpp/client, the library of many web clients and bots: logs in over TCP, and does everything over WebSocket.

It brings SASL2, Bind 2, FAST and stream management of its own.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from npm import Script, installed, running
from stage import DOMAIN, PASSWORD, ROOM, Stage, play

PACKAGE = ""
NEEDS = ("node", "npm")
VERSION = "0.14.0"
SERVICES = {"TCP": f"xmpp://{DOMAIN}:5222", "WebSocket": f"wss://{DOMAIN}:5443/xmpp-websocket"}


def version() -> str:
    return VERSION


def modules() -> str:
    return str(installed(f"@xmpp/client@{VERSION}"))


def bob(stage: Stage, service: str) -> AbstractAsyncContextManager[Script]:
    script = Path(__file__).with_suffix(".mjs")
    return running(stage, script, modules(), SERVICES[service], DOMAIN, PASSWORD)


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
    modules()  # where the play is there is no registry
    play(course)
