"""Downloads whose lengths say no more than a class: over TLS, behind the laboratory's tap."""

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
from quietwire.net.coding import least
from quietwire.net.files import DiskFiles
from quietwire.net.http import HEAD_BYTES, Web
from quietwire.net.shell import Shell
from quietwire.net.uploads import UploadDoor
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.seal.uploads import SMALLEST, TOKEN_BYTES, name_of, size_class
from quietwire.server.uploads import PATH, Slot, Uploads

GZIP = {"Accept-Encoding": "gzip, deflate"}
IDENTITY = {"Accept-Encoding": "identity"}


class Watcher:
    """Lengths of application records to the client, by link."""

    def __init__(self) -> None:
        self.down: dict[str, list[int]] = {}

    def open(self, time: float, link: str, initiator: str, responder: str) -> None:
        self.down[link] = []

    def end(self, time: float, link: str, *, reset: bool) -> None: ...

    def record(self, time: float, link: str, direction: str, type: str, size: int) -> None:
        if (direction, type) == ("down", "app"):
            self.down[link].append(size)


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

    async def file(self, content: bytes, kind: str) -> str:
        """-> where it lies."""
        token = os.urandom(TOKEN_BYTES)
        ticket = Ticket()
        ticket.settle()
        now = time.time()
        self.uploads.add(
            name_of(token), Slot(parse_jid("a@a.example"), len(content), kind, int(now) + 1000, now + 300, ticket)
        )
        url = f"{self.base}{PATH}/{base64.urlsafe_b64encode(token).decode()}/a"
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


def test_a_watcher_of_a_download_sees_its_class_and_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            by_class: dict[int, list[list[int]]] = {}
            big = size_class(least(300_000))
            near = [size for size in (299_000, 300_000, 300_400, 303_000) if size_class(least(size)) == big]
            assert len(near) > 1
            for size, kind in zip(
                (1, 100, 9_000, 32_000, *near),
                ("image/png", "", "application/pdf", "video/mp4", "", "image/jpeg", "text/html", "audio/ogg"),
                strict=False,
            ):
                content = os.urandom(size)
                body, down, heads = await h.seen(await h.file(content, kind), **GZIP)
                assert body == content
                assert heads["content-encoding"] == "gzip"
                total = size_class(least(size))
                assert int(heads["content-length"]) == total
                assert sum(length - 17 for length in down) == HEAD_BYTES + total
                by_class.setdefault(total, []).append(down)
            assert set(by_class) == {SMALLEST, big}
            for same in by_class.values():
                assert all(down == same[0] for down in same)

    asyncio.run(run())


def test_heads_do_not_tell_types_or_statuses(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            picture, other = await h.file(b"x" * 777, "image/png"), await h.file(b"x" * 7, "application/x-secret")
            _, one, _ = await h.seen(picture, "HEAD", **GZIP)
            _, two, _ = await h.seen(other, "HEAD", **GZIP)
            _, three, _ = await h.seen(f"{h.base}{PATH}/{'A' * 32}/x")
            assert [length - 17 for length in one] == [HEAD_BYTES]
            assert one == two == three

    asyncio.run(run())


def test_a_part_is_answered_with_the_whole_where_it_can_be_padded(tmp_path: Path) -> None:
    async def run() -> None:
        async with house(tmp_path) as h:
            content = os.urandom(50_000)
            url = await h.file(content, "")
            body, _, heads = await h.seen(url, **GZIP, Range="bytes=10-19")
            assert body == content
            assert "content-range" not in heads
            # Who takes no gzip gets what was asked for, at its length: that is declared.
            body, down, heads = await h.seen(url, **IDENTITY, Range="bytes=10-19")
            assert body == content[10:20]
            assert sum(length - 17 for length in down) == HEAD_BYTES + 10
            assert (await h.seen(url, **IDENTITY))[0] == content

    asyncio.run(run())
