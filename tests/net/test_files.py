"""The folder of uploads on a real disk."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from quietwire.net import files as files_module
from quietwire.net.files import DAY, DiskFiles, write_all

NAME = bytes(range(16))
OTHER = bytes(16)


def run(folder: Path, use: Callable[[DiskFiles], Awaitable[Any]]) -> Any:
    async def body() -> Any:
        files = DiskFiles(folder / "uploads", asyncio.get_running_loop())
        try:
            return await asyncio.wait_for(use(files), 10)
        finally:
            files.close()

    return asyncio.run(body())


async def settled(later: Any) -> Any:
    done = asyncio.Event()
    later.when_settled(done.set)
    await done.wait()
    return later.result()


async def put(files: DiskFiles, name: bytes, data: bytes = b"data") -> None:
    descriptor = await files.run(files.create, name, len(data))
    await files.run(write_all, descriptor, data)
    await files.run(files.complete, name, descriptor, 5.0 * DAY + 77)
    os.close(descriptor)


def test_a_whole_file_is_there_under_its_name_for_us_alone(tmp_path: Path) -> None:
    async def use(files: DiskFiles) -> None:
        await put(files, NAME)
        descriptor = await files.run(files.open, NAME)
        assert os.pread(descriptor, 100, 0) == b"data"
        os.close(descriptor)
        assert await settled(files.names()) == [NAME]

    run(tmp_path, use)
    path = tmp_path / "uploads" / "00" / NAME.hex()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_mtime == 5 * DAY


def test_what_is_not_whole_is_no_file_and_is_tidied_away(tmp_path: Path) -> None:
    async def use(files: DiskFiles) -> None:
        await put(files, OTHER)
        os.close(await files.run(files.create, NAME, 0))
        assert await settled(files.names()) == [OTHER]
        with pytest.raises(FileNotFoundError):
            await files.run(files.open, NAME)
        await settled(files.tidy())
        assert not (tmp_path / "uploads" / "new").exists()
        await put(files, NAME)

    run(tmp_path, use)


def test_what_failed_is_discarded(tmp_path: Path) -> None:
    async def use(files: DiskFiles) -> None:
        os.close(await files.run(files.create, NAME, 0))
        await files.run(files.discard, NAME)
        await files.run(files.discard, NAME)

    run(tmp_path, use)
    assert list((tmp_path / "uploads" / "new").iterdir()) == []


def test_removing_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    async def use(files: DiskFiles) -> None:
        await put(files, NAME)
        await settled(files.remove([NAME, OTHER]))
        assert await settled(files.names()) == []

    run(tmp_path, use)


def test_an_empty_folder_and_foreign_files(tmp_path: Path) -> None:
    async def use(files: DiskFiles) -> None:
        await settled(files.tidy())
        assert await settled(files.names()) == []
        (tmp_path / "uploads" / "00").mkdir(parents=True)
        for name in ("readme", "00", "0" * 31 + "g"):
            (tmp_path / "uploads" / "00" / name).touch()
        assert await settled(files.names()) == []

    run(tmp_path, use)


def test_the_disk_is_not_filled_to_its_last_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "RESERVE_BYTES", 1 << 62)

    async def use(files: DiskFiles) -> None:
        with pytest.raises(OSError) as caught:
            await files.run(files.create, NAME, 1)
        assert caught.value.errno == errno.ENOSPC

    run(tmp_path, use)


def test_what_the_disk_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "uploads").touch()

    async def use(files: DiskFiles) -> None:
        with pytest.raises(OSError):
            await files.run(files.create, NAME, 1)

    run(tmp_path, use)


def test_everything_is_written_however_little_the_kernel_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []
    monkeypatch.setattr(
        files_module.os, "write", lambda descriptor, data: len(taken.append(bytes(data[:3])) or data[:3])
    )
    write_all(1, b"abcdefgh")
    assert taken == [b"abc", b"def", b"gh"]


def test_a_descriptor_is_not_closed_under_a_thread_that_uses_it(tmp_path: Path) -> None:
    began, may_end = threading.Event(), threading.Event()
    order: list[str] = []

    def slow() -> None:
        began.set()
        may_end.wait(10)
        order.append("worked")

    async def use(files: DiskFiles) -> None:
        async def body() -> None:
            try:
                await files.run(slow)
            finally:
                order.append("closed")

        task = asyncio.create_task(body())
        await asyncio.to_thread(began.wait, 10)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(tmp_path, use)
    assert order == ["worked", "closed"]


def test_who_is_cancelled_while_a_file_is_opened_leaves_no_descriptor(tmp_path: Path) -> None:
    began, may_end = threading.Event(), threading.Event()
    opened: list[int] = []

    def slow() -> int:
        began.set()
        may_end.wait(10)
        opened.append(os.open(tmp_path, os.O_RDONLY))
        return opened[0]

    async def use(files: DiskFiles) -> None:
        task = asyncio.create_task(files.descriptor(slow))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(opened[0])

    run(tmp_path, use)
