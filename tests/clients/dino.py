"""Dino in an X server of its own, driven by its actions on the session bus and by keys; read through its database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from stage import DOMAIN, PASSWORD, ROOM, WAIT, Missed, Stage, play

PACKAGE = "dino-im"
NEEDS = ("dino-im", "Xvfb", "xdotool", "dbus-run-session", "gdbus")
OMEMO = 2
"""`conversation.encryption`."""


@dataclass
class Dino:
    """One Dino with one account."""

    stage: Stage
    name: str
    display: int

    @property
    def home(self) -> Path:
        return self.stage.home / self.name

    @property
    def environment(self) -> dict[str, str]:
        return self.stage.environment(
            HOME=str(self.home), DISPLAY=f":{self.display}", GDK_BACKEND="x11", GSK_RENDERER="cairo", NO_AT_BRIDGE="1",
            DBUS_SESSION_BUS_ADDRESS=f"unix:path={self.stage.folder}/bus-{self.name}",
        )  # fmt: skip

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.home / ".local/share/dino/dino.db", timeout=10)

    def ask(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with contextlib.closing(self._database()) as database:
            return database.execute(query, values).fetchall()

    async def finds(self, what: str, query: str, *values: object) -> tuple[object, ...]:
        """The first row, once there is one. Raises Missed."""
        for _ in range(int(WAIT * 5)):
            with contextlib.suppress(sqlite3.Error):
                if rows := self.ask(query, *values):
                    return rows[0]
            await asyncio.sleep(0.2)
        raise Missed(f"{self.name}: {what}")

    async def conversation(self, jid: str) -> int:
        query = "SELECT c.id FROM conversation c JOIN jid j ON j.id = c.jid_id WHERE j.bare_jid = ?"
        return int(str((await self.finds(f"no conversation with {jid}", query, jid))[0]))

    def act(self, action: str, number: int) -> None:
        """One of Dino's actions on the session bus, as its notifications call them."""
        command = ["gdbus", "call", "--session", "--dest", "im.dino.Dino", "--object-path", "/im/dino/Dino"]
        command += ["--method", "org.gtk.Actions.Activate", action, f"[<int32 {number}>]", "{}"]
        subprocess.run(command, env=self.environment, check=True, capture_output=True, timeout=WAIT)

    def keys(self, *arguments: str) -> str:
        found = subprocess.run(
            ["xdotool", *arguments], env=self.environment, check=True, capture_output=True, timeout=WAIT, text=True
        )
        return found.stdout

    async def types(self, jid: str, text: str) -> None:
        self.act("open-conversation", await self.conversation(jid))
        await asyncio.sleep(1.5)
        window = self.keys("search", "--onlyvisible", "--name", "Dino").split()[-1]
        self.keys("windowfocus", window)
        await asyncio.sleep(0.3)
        self.keys("type", "--delay", "20", text)
        self.keys("key", "Return")

    async def has(self, body: str, encryption: int = 0) -> None:
        """A message has come, encrypted like that."""
        query = "SELECT id FROM message WHERE body = ? AND encryption = ? AND direction = 0"
        await self.finds(f"{body!r} did not arrive", query, body, encryption)


@contextlib.asynccontextmanager
async def dino(stage: Stage, name: str, display: int) -> AsyncIterator[Dino]:
    """Started twice: once to make its database, then with an account in it."""
    one = Dino(stage, name, display)
    one.home.mkdir()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    processes = [
        subprocess.Popen(["Xvfb", f":{display}", "-screen", "0", "1000x700x24", "-nolisten", "tcp"], **quiet),
        subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", f"--address={one.environment['DBUS_SESSION_BUS_ADDRESS']}"],
            **quiet,
        ),
    ]
    try:
        await asyncio.sleep(1)
        first = subprocess.Popen(["dino-im"], env=one.environment, **quiet)
        processes.append(first)
        await one.finds("it made no database", "SELECT 1 FROM _meta WHERE name = 'version'")
        await asyncio.sleep(1)
        os.killpg(first.pid, signal.SIGTERM)
        first.wait()
        with contextlib.closing(one._database()) as database, database:
            database.execute(
                "INSERT INTO account (bare_jid, resourcepart, password, alias, enabled) VALUES (?, 'dino', ?, '', 1)",
                (f"{name}@{DOMAIN}", PASSWORD),
            )
        with (stage.folder / f"dino-{name}.log").open("wb") as log:
            command = ["dino-im", "--print-xmpp=all"]
            processes.append(
                subprocess.Popen(command, env=one.environment, stdout=log, stderr=log, start_new_session=True)
            )
        yield one
    finally:
        for process in reversed(processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


async def course(stage: Stage) -> None:
    alice, record = stage.alice, stage.record
    bob = f"bob@{DOMAIN}"
    async with dino(stage, "bob", 71) as client:
        async with record.step("login"):
            log = stage.folder / "dino-bob.log"
            async with asyncio.timeout(WAIT):
                while b"xmpp-bind}:jid" not in log.read_bytes():
                    await asyncio.sleep(0.2)
        async with record.step("contact"):
            alice.send_presence_subscription(bob)
            alice.says(bob, "hello, Dino")
            number = await client.conversation(alice.boundjid.bare)
            client.act("accept-subscription", number)
            await alice.until(lambda: bob in alice.seen, "no presence came")
        async with record.step("chat"):
            await client.has("hello, Dino")
            await client.types(alice.boundjid.bare, "hello from Dino")
            assert await alice.hears("hello from Dino") == bob
        async with record.step("room"):
            await alice.opens_room(bob)
            alice["xep_0045"].invite(ROOM, bob)
            number = await client.conversation(ROOM)
            raise Missed(f"not tried yet {number}")


if __name__ == "__main__":
    play(course)
