"""Dino in an X server of its own, driven by its actions on the session bus and by keys; read through its database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import struct
import subprocess
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import slixmpp
from stage import DOMAIN, PASSWORD, ROOM, WAIT, Alice, Missed, Stage, bookmark, play

PACKAGE = "dino-im"
NEEDS = ("dino-im", "Xvfb", "xdotool", "dbus-daemon", "gdbus", "xclip")
DEN = f"den@conference.{DOMAIN}"
"""A room of people who all have OMEMO."""
OMEMO = 2
"""`conversation.encryption`."""


@dataclass
class Dino:
    """One Dino with one account."""

    stage: Stage
    name: str
    display: int
    process: subprocess.Popen[bytes] | None = None

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

    async def _opens(self, jid: str) -> str:
        """-> the window."""
        self.act("open-conversation", await self.conversation(jid))
        await asyncio.sleep(1.5)
        window = self.keys("search", "--onlyvisible", "--name", "Dino").split()[-1]
        self.keys("windowfocus", window)
        await asyncio.sleep(0.3)
        return window

    async def types(self, jid: str, text: str) -> None:
        await self._opens(jid)
        self.keys("type", "--delay", "20", text)
        self.keys("key", "Return")

    async def pastes(self, jid: str, picture: Path) -> None:
        """A picture out of the clipboard, into the conversation, and sent."""
        clip = ["xclip", "-selection", "clipboard", "-t", "image/png", "-i", str(picture)]
        subprocess.run(clip, env=self.environment, check=True, timeout=WAIT, stdout=subprocess.DEVNULL)
        window = await self._opens(jid)
        self.keys("key", "--window", window, "ctrl+v")
        await asyncio.sleep(2)
        self.keys("key", "Return")

    def start(self) -> None:
        with (self.stage.folder / f"dino-{self.name}.log").open("ab") as log:
            command = ["dino-im", "--print-xmpp=all"]
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

    def change(self, statement: str, *values: object) -> None:
        """Changes its database while it does not run."""
        self.stop()
        with contextlib.closing(self._database()) as database, database:
            database.execute(statement, values)
        self.start()

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
        one.start()
        await one.finds("it made no database", "SELECT 1 FROM _meta WHERE name = 'version'")
        await asyncio.sleep(1)
        one.change(
            "INSERT INTO account (bare_jid, resourcepart, password, alias, enabled) VALUES (?, 'dino', ?, '', 1)",
            f"{name}@{DOMAIN}", PASSWORD,
        )  # fmt: skip
        yield one
    finally:
        one.stop()
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
            # Another of Bob's clients bookmarks the room: Dino enters it.
            other = Alice(stage.authority, "bob")
            await other.arrive()
            await bookmark(other, ROOM)
            await client.types(ROOM, "from Dino to all")
            await alice.hears("from Dino to all")
            alice.says(ROOM, "welcome, Dino", "groupchat")
            await client.has("welcome, Dino")
            await other.disconnect()
        async with record.step("file"):
            await client.pastes(alice.boundjid.bare, picture(stage.home / "picture.png"))
            await alice.hears("https://")
        async with record.step("omemo"):
            await whisper(stage, client)


def picture(path: Path) -> Path:
    """A PNG of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0\x80"))
        + chunk(b"IEND", b"")
    )
    return path


async def whisper(stage: Stage, bob: Dino) -> None:
    """Another Dino, Carol's, and a message that only its device can read."""
    async with dino(stage, "carol", 72) as carol:
        addresses = {"bob": f"bob@{DOMAIN}", "carol": f"carol@{DOMAIN}"}
        greeter = Alice(stage.authority, "carol")
        await greeter.arrive()
        greeter.send_presence_subscription(addresses["bob"])
        greeter.says(addresses["bob"], "hello, Bob")
        bob.act("accept-subscription", await bob.conversation(addresses["carol"]))
        await greeter.until(lambda: addresses["bob"] in greeter.seen, "Bob did not accept")
        await greeter.disconnect()
        await bob.has("hello, Bob")
        await bob.types(addresses["carol"], "hello, Carol")
        await carol.has("hello, Carol")
        # The lock beside the line to type in; without a hand to move the mouse, in the database.
        number = await bob.conversation(addresses["carol"])
        bob.change("UPDATE conversation SET encryption = ? WHERE id = ?", OMEMO, number)
        await asyncio.sleep(6)
        await bob.types(addresses["carol"], "only for Carol")
        await carol.has("only for Carol", OMEMO)
        # The same in a room: what OMEMO needs of it are the lists of its members and their addresses.
        owner = Alice(stage.authority, "bob")
        await owner.arrive()
        await owner.opens_room(addresses["carol"], room=DEN)
        guest = Alice(stage.authority, "carol")
        await guest.arrive()
        for person, client in ((owner, bob), (guest, carol)):
            await bookmark(person, DEN)
            await client.conversation(DEN)
        owner.plugin["xep_0045"].leave_muc(slixmpp.JID(DEN), "bob")
        number = await bob.conversation(DEN)
        bob.change("UPDATE conversation SET encryption = ? WHERE id = ?", OMEMO, number)
        await asyncio.sleep(6)
        await bob.types(DEN, "only for members")
        await carol.has("only for members", OMEMO)
        for person in (owner, guest):
            await person.disconnect()


if __name__ == "__main__":
    play(course)
