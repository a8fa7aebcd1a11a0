"""The folder of uploaded files. Nothing here blocks the loop: the disk has threads of its own.

uploads/new/NAME      being uploaded; removed at the next start
uploads/NN/NAME       whole; NN are the first two digits of NAME
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from quietwire.core.later import Later
from quietwire.seal.uploads import NAME_BYTES

T = TypeVar("T")

THREADS = 2
RESERVE_BYTES = 256 << 20
"""Of the disk, that uploads leave free: messages need it more."""
DAY = 86_400


class DiskFiles:
    """Implements `server.uploads.Files`. `folder` is made when it is first needed."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._folder = folder
        self._new = folder / "new"
        self._loop = loop
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="files")

    # -- server.uploads.Files -----------------------------------------------------------------------------------------

    def tidy(self) -> Later[None]:
        return self._later(lambda: shutil.rmtree(self._new, ignore_errors=True))

    def names(self) -> Later[list[bytes]]:
        return self._later(self._names)

    def remove(self, names: Collection[bytes]) -> Later[None]:
        return self._later(lambda: self.unlink(names))

    def _names(self) -> list[bytes]:
        found: list[bytes] = []
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(ValueError):
                name = bytes.fromhex(path.name)
                if len(name) == NAME_BYTES:
                    found.append(name)
        return found

    def _later(self, work: Callable[[], T]) -> Later[T]:
        later: Later[T] = Later()
        running = self._loop.run_in_executor(self._pool, work)

        def done(future: asyncio.Future[T]) -> None:
            error = asyncio.CancelledError() if future.cancelled() else future.exception()
            if error is not None:
                later.fail(error)
            else:
                later.resolve(future.result())

        running.add_done_callback(done)
        return later

    # -- for the web port ---------------------------------------------------------------------------------------------

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs something that blocks on the disk. Raises what it raises: OSError. Who is cancelled goes on when it has
        ended: a descriptor must not be closed, and its number given to another, while a thread works on it."""
        return await self._whole(self._loop.run_in_executor(self._pool, work, *arguments))

    @staticmethod
    async def _whole(running: asyncio.Future[T]) -> T:
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # else the loop complains that nobody looked
            raise

    async def descriptor(self, work: Callable[..., int], *arguments: object) -> int:
        """`run` for what opens a file: who is cancelled has no descriptor to close, so it is closed here."""
        running = self._loop.run_in_executor(self._pool, work, *arguments)
        try:
            return await self._whole(running)
        except asyncio.CancelledError:
            if not running.cancelled() and running.exception() is None:
                os.close(running.result())
            raise

    def create(self, name: bytes, size: int) -> int:
        """-> descriptor of a new file that is to have `size` bytes. Blocks. Raises OSError, ENOSPC among them."""
        self._new.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self._new).free < size + RESERVE_BYTES:
            raise OSError(28, os.strerror(28))  # ENOSPC
        return os.open(self._new / name.hex(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def complete(self, name: bytes, descriptor: int, now: float) -> None:
        """The file is whole: puts it, durably, where it belongs. Blocks. Raises OSError."""
        os.fsync(descriptor)
        path = self._path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        day = int(now // DAY) * DAY
        os.utime(descriptor, (day, day))  # when exactly is nobody's business
        os.rename(self._new / name.hex(), path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self, name: bytes) -> None:
        """The file will never be whole. Blocks."""
        with contextlib.suppress(OSError):
            (self._new / name.hex()).unlink()

    def unlink(self, names: Collection[bytes]) -> None:
        """Removes whole files. Blocks. Raises OSError."""
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def open(self, name: bytes) -> int:
        """-> descriptor of a whole file. Blocks. Raises FileNotFoundError, OSError."""
        return os.open(self._path(name), os.O_RDONLY)

    def _path(self, name: bytes) -> Path:
        text = name.hex()
        return self._folder / text[:2] / text

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def write_all(descriptor: int, data: bytes) -> None:
    """Blocks. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
