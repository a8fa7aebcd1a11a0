"""Uploads and downloads over a web port on loopback, on a real disk."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import Ticket
from quietwire.net import uploads as door_module
from quietwire.net.files import DiskFiles
from quietwire.net.http import Web
from quietwire.net.shell import Shell
from quietwire.net.uploads import UploadDoor
from quietwire.seal.uploads import CHUNK_BYTES, HEAD_BYTES, TOKEN_BYTES, name_of
from quietwire.server.uploads import PATH, Slot, Uploads

PATIENCE = 60.0
OWNER = parse_jid("alice@a.example")
CONTENT = bytes(number * 31 % 256 for number in range(3 * CHUNK_BYTES + 17))


class House:
    def __init__(self, shell: Shell, folder: Path, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.folder = folder / "uploads"
        self.now = 1_000_000.0
        self.uploads = Uploads(None)
        self.files = DiskFiles(self.folder, shell.loop)
        self.notes: list[str] = []
        self.faults: list[BaseException] = []
        self.door = UploadDoor(
            self.uploads,
            self.files,
            clock=lambda: self.now,
            randomness=os.urandom,
            note=self.notes.append,
        )
        self.web = Web(shell, self.faults.append)
        self.web.mount(f"{PATH}/*", self.door.serve)
        self.base = ""

    def slot(self, size: int = len(CONTENT), kind: str = "", *, stored: bool = True, seed: int = 1) -> str:
        """-> its URL."""
        token = bytes([seed]) * TOKEN_BYTES
        ticket = Ticket()
        if stored:
            ticket.settle()
        self.uploads.add(name_of(token), Slot(OWNER, size, kind, int(self.now) + 1000, self.now + 300, ticket))
        return f"{self.base}{PATH}/{base64.urlsafe_b64encode(token).decode()}/a.png"

    async def put(self, url: str, data: Any = CONTENT, **headers: str) -> int:
        async with self.session.put(url, data=data, headers=headers) as answer:
            return answer.status

    async def get(self, url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        async with self.session.request(method, url, headers=headers) as answer:
            body = await answer.read()
            return answer.status, body, {key.lower(): value for key, value in answer.headers.items()}

    def on_disk(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


Play = Callable[[Callable[[House], Awaitable[None]]], House]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(dialogue: Callable[[House], Awaitable[None]]) -> House:
        async def whole() -> House:
            shell = Shell(asyncio.get_running_loop())
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                house = House(shell, tmp_path, session)
                port = await house.web.listen("127.0.0.1", 0, None, "http")
                house.base = f"http://127.0.0.1:{port}"
                try:
                    await asyncio.wait_for(dialogue(house), PATIENCE)
                finally:
                    await house.web.stop()
                    house.files.close()
                    shell.close()
            return house

        return asyncio.run(whole())

    return run


@pytest.mark.parametrize("size", [1, CHUNK_BYTES - HEAD_BYTES, CHUNK_BYTES, len(CONTENT)])
def test_what_is_uploaded_is_downloaded_and_not_on_the_disk(play: Play, size: int) -> None:
    data = CONTENT[:size]

    async def dialogue(house: House) -> None:
        url = house.slot(size)
        assert (await house.get(url))[0] == 404
        assert await house.put(url, data) == 201
        status, body, headers = await house.get(url)
        assert (status, body, headers["content-length"]) == (200, data, str(size))
        (file,) = house.on_disk()
        assert file.stat().st_size > size
        if size > 10:
            assert data[:64] not in file.read_bytes()
        assert "a.png" not in str(file)

    house = play(dialogue)
    assert (house.notes, house.faults) == ([], [])


def test_a_slot_is_used_once(play: Play) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        assert await house.put(url) == 201
        assert await house.put(url, b"x" * len(CONTENT)) == 403
        assert (await house.get(url))[1] == CONTENT

    play(dialogue)


@pytest.mark.parametrize(
    "path", ["", "/", "/x", "/x/y", f"/{'A' * 32}", f"/{'A' * 32}/x", f"/{'.' * 32}/x", f"/{'A' * 31}=/x"]
)
def test_what_nobody_promised(play: Play, path: str) -> None:
    async def dialogue(house: House) -> None:
        status, _, headers = await house.get(f"{house.base}{PATH}{path}")
        assert status == 404
        if path:
            assert await house.put(f"{house.base}{PATH}{path}", b"x") == 403
            assert headers["access-control-allow-origin"] == "*"

    assert play(dialogue).on_disk() == []


def test_a_slot_that_is_too_old(play: Play) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        house.now += 301
        assert await house.put(url) == 403

    play(dialogue)


async def until(condition: Callable[[], bool]) -> None:
    """The disk tells nobody."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def descriptors() -> Iterator[str]:
    """The files that this process has open."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{number}")


async def begun(house: House, url: str, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upload of which `data` is all that comes."""
    host, _, port = house.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"PUT {url.removeprefix(house.base)} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()
    return reader, writer


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (CONTENT[:-1], {}, 400),
        (CONTENT + b"x", {}, 413),
        (pieces(CONTENT), {}, 411),
        (CONTENT, {"Content-Type": "text/html"}, 415),
        (CONTENT, {"Content-Type": "Image/PNG; x=y"}, 201),
        (CONTENT, {"Content-Type": "image/png", "Expect": "100-continue"}, 201),
        (pieces(CONTENT[:100], CONTENT[100:]), {"Content-Length": str(len(CONTENT)), "Content-Type": "image/png"}, 201),
    ],
)
def test_an_upload_is_what_was_promised(play: Play, data: Any, headers: dict[str, str], status: int) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot(kind="image/png")
        assert await house.put(url, data, **headers) == status
        assert len(house.on_disk()) == (status == 201)
        if status != 201:
            assert await house.put(url, CONTENT, **{"Content-Type": "image/png"}) == 201

    assert play(dialogue).faults == []


def test_an_upload_that_breaks_off_leaves_nothing_and_may_be_tried_again(play: Play) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        for end in (lambda writer: writer.close(), lambda writer: writer.transport.abort()):
            _, writer = await begun(house, url, CONTENT[:-9])
            await until(lambda: bool(house.on_disk()))
            end(writer)
            await until(lambda: not house.on_disk())
            await until(lambda: not next(iter(house.uploads._slots.values())).taken)
        assert await house.put(url) == 201

    assert play(dialogue).faults == []


def test_an_upload_that_stands_still_is_given_up(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "IDLE_SECONDS", 0.05)

    async def dialogue(house: House) -> None:
        reader, writer = await begun(house, house.slot(), b"abc")
        assert (await reader.readline()).split()[1] == b"408"
        assert house.on_disk() == []
        writer.close()

    play(dialogue)


def test_who_goes_while_the_file_is_made_leaves_nothing(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dialogue(house: House) -> None:
        began, may_end = threading.Event(), threading.Event()
        create = house.files.create

        def slow(name: bytes, size: int) -> int:
            began.set()
            may_end.wait(10)
            return create(name, size)

        monkeypatch.setattr(house.files, "create", slow)
        _, writer = await begun(house, house.slot(), b"abc")
        await asyncio.to_thread(began.wait, 10)
        writer.transport.abort()
        await until(lambda: house.web._server.counted == 0)
        may_end.set()
        await until(lambda: not next(iter(house.uploads._slots.values())).taken)
        assert house.on_disk() == []
        assert [file for file in descriptors() if file.startswith(str(house.folder))] == []

    play(dialogue)


def test_a_download_that_goes_on_for_ever_is_given_up(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        assert await house.put(url) == 201
        monkeypatch.setattr(door_module, "_patience", lambda size: 0.0)
        with pytest.raises(aiohttp.ClientError):
            await house.get(url)

    assert play(dialogue).faults == []


def test_an_account_that_goes_while_its_file_comes(play: Play) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot(stored=False)
        name, slot = next(iter(house.uploads._slots.items()))
        uploading = asyncio.create_task(house.put(url))
        await until(lambda: bool(house.on_disk()) and "new" not in house.on_disk()[0].parts)
        house.uploads.forget(OWNER)
        slot.stored.settle()
        assert await uploading == 403
        assert house.on_disk() == []
        assert not house.uploads.finish(name)

    play(dialogue)


def test_a_file_counts_when_its_row_is_durable(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "STORE_SECONDS", 0.05)

    async def dialogue(house: House) -> None:
        assert await house.put(house.slot(stored=False)) == 500

    assert play(dialogue).notes == ["upload-refused-by-disk"]


@pytest.mark.parametrize(
    ("number", "status", "note"),
    [
        (errno.ENOSPC, 507, "upload-disk-full"),
        (errno.EDQUOT, 507, "upload-disk-full"),
        (errno.EIO, 500, "upload-refused-by-disk"),
    ],
)
def test_a_disk_that_is_full_or_broken(
    play: Play, monkeypatch: pytest.MonkeyPatch, number: int, status: int, note: str
) -> None:
    def refuse(descriptor: int, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    async def dialogue(house: House) -> None:
        url = house.slot()
        with monkeypatch.context() as patch:
            patch.setattr(door_module, "write_all", refuse)
            assert await house.put(url) == status
        assert house.on_disk() == []
        assert await house.put(url) == 201

    house = play(dialogue)
    assert (house.notes, house.faults) == ([note], [])


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, len(CONTENT)),
        ("bytes=-7", len(CONTENT) - 7, len(CONTENT)),
        ("bytes=65279-65281", 65279, 65282),
        ("bytes=65536-131072", 65536, 131073),
        (f"bytes=10-{10**17}", 10, len(CONTENT)),
        (f"bytes=-{10**17}", 0, len(CONTENT)),
    ],
)
def test_a_range(play: Play, asked: str, first: int, stop: int) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        await house.put(url)
        status, body, headers = await house.get(url, Range=asked)
        assert (status, body) == (206, CONTENT[first:stop])
        assert headers["content-range"] == f"bytes {first}-{stop - 1}/{len(CONTENT)}"
        status, body, headers = await house.get(url, "HEAD", Range=asked)
        assert (status, body, headers["content-length"]) == (206, b"", str(stop - first))

    play(dialogue)


@pytest.mark.parametrize(
    "asked", ["bytes=-", "bytes=5-4", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", f"bytes={'9' * 30}-"]
)
def test_what_is_no_range_gets_everything(play: Play, asked: str) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        await house.put(url)
        status, body, _ = await house.get(url, Range=asked)
        assert (status, body) == (200, CONTENT)
        status, body, _ = await house.get(url, **{"Range": "bytes=0-1", "If-Range": '"x"'})
        assert (status, len(body)) == (200, len(CONTENT))

    play(dialogue)


def test_a_range_beyond_the_end(play: Play) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        await house.put(url)
        for asked in (f"bytes={len(CONTENT)}-", "bytes=-0"):
            status, _, headers = await house.get(url, Range=asked)
            assert (status, headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")

    play(dialogue)


@pytest.mark.parametrize(
    ("kind", "served", "disposition"),
    [
        ("image/png", "image/png", "inline"),
        ("video/mp4", "video/mp4", "inline"),
        ("text/html", "application/octet-stream", "attachment"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
        ("application/pdf", "application/octet-stream", "attachment"),
        ("", "application/octet-stream", "attachment"),
    ],
)
def test_only_pictures_sound_and_film_are_shown(play: Play, kind: str, served: str, disposition: str) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot(3, kind)
        assert await house.put(url, b"abc", **({"Content-Type": kind} if kind else {})) == 201
        _, _, headers = await house.get(url)
        assert (headers["content-type"], headers["content-disposition"]) == (served, disposition)
        assert "sandbox" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["access-control-allow-origin"] == "*"
        assert "server" not in headers

    play(dialogue)


def test_a_web_client_asks_first(play: Play) -> None:
    async def dialogue(house: House) -> None:
        for path in ("/x/y", f"/{'A' * 32}/x"):
            status, body, headers = await house.get(f"{house.base}{PATH}{path}", "OPTIONS", Origin="https://b.example")
            assert (status, body) == (204, b"")
            assert "PUT" in headers["access-control-allow-methods"]
            assert "Content-Type" in headers["access-control-allow-headers"]
            assert headers["access-control-allow-origin"] == "*"
        assert (await house.get(f"{house.base}{PATH}/x/y", "DELETE"))[0] == 405
        assert (await house.get(f"{house.base}{PATH}/x/y", "POST"))[0] == 405

    play(dialogue)


def test_a_file_that_has_expired_is_gone(play: Play) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        await house.put(url)
        house.now += 1000
        assert (await house.get(url))[0] == 404

    play(dialogue)


def test_a_file_that_was_tampered_with_is_not_served(play: Play) -> None:
    async def dialogue(house: House) -> None:
        url = house.slot()
        await house.put(url)
        (file,) = house.on_disk()
        data = bytearray(file.read_bytes())
        data[2 * CHUNK_BYTES] ^= 1
        file.write_bytes(data)
        with pytest.raises(aiohttp.ClientError):
            await house.get(url)
        file.write_bytes(data[:10])
        with pytest.raises(aiohttp.ClientError):
            await house.get(url)

    house = play(dialogue)
    assert set(house.notes) == {"upload-damaged"}
    assert house.faults == []


def test_not_too_many_at_once(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "DOWNLOADS", 0)

    async def dialogue(house: House) -> None:
        url = house.slot()
        assert await house.put(url) == 201
        status, _, headers = await house.get(url)
        assert (status, headers["retry-after"]) == (503, "5")
        monkeypatch.setattr(door_module, "UPLOADS", 0)
        assert await house.put(house.slot(seed=2)) == 503

    play(dialogue)


def test_large_files_pass_in_pieces(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than a batch and what one read brings is in memory."""
    largest = 0
    real = door_module.write_all

    def weigh(descriptor: int, data: bytes) -> None:
        nonlocal largest
        largest = max(largest, len(data))
        real(descriptor, data)

    monkeypatch.setattr(door_module, "write_all", weigh)
    size = 20 << 20

    async def dialogue(house: House) -> None:
        url = house.slot(size)
        assert await house.put(url, bytes(size)) == 201
        status, body, _ = await house.get(url)
        assert (status, len(body), body.strip(b"\0")) == (200, size, b"")

    play(dialogue)
    assert largest <= 2 * door_module.BATCH_BYTES
