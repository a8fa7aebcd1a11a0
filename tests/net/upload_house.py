"""A server's uploads over TLS, behind the laboratory's tap."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aiohttp

from quietwire.core.jid import parse_jid
from quietwire.core.later import Ticket
from quietwire.lab.tap import Tap
from quietwire.net.files import DiskFiles
from quietwire.net.http import Web
from quietwire.net.shell import Shell
from quietwire.net.uploads import UploadDoor
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.seal.uploads import TOKEN_BYTES, name_of
from quietwire.server.uploads import PATH, Slot, Uploads


class Watcher:
    """Lengths of application records, by link."""

    def __init__(self) -> None:
        self.down: dict[str, list[int]] = {}
        self.up: dict[str, list[int]] = {}

    def open(self, time: float, link: str, initiator: str, responder: str) -> None:
        self.down[link] = []
        self.up[link] = []

    def end(self, time: float, link: str, *, reset: bool) -> None: ...

    def record(self, time: float, link: str, direction: str, type: str, size: int) -> None:
        if type == "app":
            (self.down if direction == "down" else self.up)[link].append(size)


@dataclass
class House:
    uploads: Uploads
    base: str
    watcher: Watcher
    context: ssl.SSLContext

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=self.context, limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    def slot(self, size: int, kind: str = "") -> str:
        """-> where it will lie."""
        token = os.urandom(TOKEN_BYTES)
        ticket = Ticket()
        ticket.settle()
        now = time.time()
        owner = parse_jid("a@a.example")
        self.uploads.add(name_of(token), Slot(owner, size, kind, int(now) + 1000, now + 300, ticket))
        return f"{self.base}{PATH}/{base64.urlsafe_b64encode(token).decode()}/a"

    async def file(self, content: bytes, kind: str) -> str:
        """-> where it lies."""
        url = self.slot(len(content), kind)
        stated = {"Content-Type": kind} if kind else {}
        async with self.session() as session, session.put(url, data=content, headers=stated) as answer:
            assert answer.status == 201
        return url

    async def seen(self, url: str, method: str = "GET", **headers: str) -> tuple[bytes, list[int], dict[str, str]]:
        """-> what came, what a watcher saw of it (without the handshake and the good-bye), heads."""
        async with self.session() as session:
            # What the handshake has of encrypted records is through when something was answered.
            async with session.options(f"{self.base}{PATH}/x"):
                pass
            seen = self.watcher.down[list(self.watcher.down)[-1]]
            before = len(seen)
            async with session.request(method, url, headers=headers) as answer:
                body = await answer.read()
                heads = {key.lower(): value for key, value in answer.headers.items()}
            return body, seen[before:], heads


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    authority = Authority("t", now=time.time(), days=1, new_key=new_p256_key, random=os.urandom)
    issued = authority.issue(["localhost"])
    for name, data in (("c", issued.certificate), ("k", issued.key), ("ca", authority.certificate)):
        (folder / name).write_bytes(data)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(folder / "c", folder / "k")
    served.num_tickets = 0
    shell = Shell(asyncio.get_running_loop())
    uploads, files = Uploads(None), DiskFiles(folder / "uploads", shell.loop)
    faults: list[BaseException] = []
    door = UploadDoor(uploads, files, clock=time.time, randomness=os.urandom, note=lambda *_: None, padded=True)
    web = Web(shell, faults.append)
    web.mount(f"{PATH}/*", door.serve)
    port = await web.listen("127.0.0.1", 0, served, "https")
    watcher = Watcher()
    tap = Tap(
        initiator="alice",
        responder="localhost",
        target=("127.0.0.1", port),
        writers=[watcher],  # type: ignore[list-item]
        names=(f"L{number}" for number in count(1)),
        clock=time.time,
    )
    tapped = await tap.start()
    context = ssl.create_default_context(cafile=str(folder / "ca"))
    try:
        yield House(uploads, f"https://localhost:{tapped}", watcher, context)
    finally:
        await tap.close()
        await web.stop()
        files.close()
        shell.close()
    assert faults == []
