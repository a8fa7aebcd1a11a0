"""Copies the database while it is in use: a thread and a connection of its own, which see one moment of it.

Commits go on meanwhile; the write-ahead log is not cut until the copy has ended. The copy holds rows only, in the order
of their keys: no free pages, and no places of pages that tell which are older.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

from quietwire.core.later import Later
from quietwire.store.ports import StorageError

PART = ".part"
"""What the name of a copy ends in until it is complete."""
STEPS_A_LOOK = 100_000
"""Instructions of SQLite between two looks whether to stop: some ten milliseconds."""


class Copier:
    """One copy at a time. `ended` is called in the loop's thread before the `Later` of a copy settles."""

    def __init__(
        self, source: Path, post: Callable[[Callable[[], None]], object], ended: Callable[[], None] = lambda: None
    ) -> None:
        self._source = source
        self._post = post
        self._ended = ended
        self._thread: Thread | None = None
        self._stop = Event()
        self._later: Later[None] | None = None

    @property
    def running(self) -> bool:
        return self._later is not None

    def start(self, target: Path) -> Later[None]:
        later: Later[None] = Later()
        if self.running:
            later.fail(StorageError("a copy is being made"))
            return later
        self._later = later
        self._stop.clear()
        self._thread = Thread(target=self._run, args=(target, later), name="quietwire-backup", daemon=True)
        self._thread.start()
        return later

    def stop(self) -> None:
        """Ends a copy that is under way: it fails. Blocks for some ten milliseconds."""
        later, self._later = self._later, None
        if later is None:
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        later.fail(StorageError("the storage is closed"))

    def _run(self, target: Path, later: Later[None]) -> None:
        fault = ""
        try:
            copy(self._source, target, self._stop.is_set)
        except OSError as error:
            fault = error.strerror or "the copy cannot be written"
        except sqlite3.Error as error:
            fault = str(error)
        except Exception as error:
            fault = type(error).__name__
        try:
            self._post(lambda: self._done(later, fault))
        except RuntimeError:  # the loop has ended: stop() settles it
            pass

    def _done(self, later: Later[None], fault: str) -> None:
        if self._later is not later:  # stop() was quicker
            return
        self._later = self._thread = None
        self._ended()
        if fault:
            later.fail(StorageError(fault))
        else:
            later.resolve(None)


def copy(source: Path, target: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Writes what `source` holds now to `target` (mode 0600, no log beside it), in place of what is there.

    Under its own name the copy is complete and on the disk, or not there. Raises OSError and sqlite3.Error.
    """
    part = target.with_name(target.name + PART)
    if target.resolve() in _files(source) or part.resolve() in _files(source):
        raise OSError(None, "the copy would take the place of the database")
    part.unlink(missing_ok=True)  # of a copy that was killed
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        db = sqlite3.connect(
            f"file:{quote(str(source))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA temp_store=MEMORY")
            db.set_progress_handler(lambda: int(stopped()), STEPS_A_LOOK)
            db.execute("VACUUM INTO ?", (str(part),))
        finally:
            db.close()
        _flush(part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _flush(target.parent)


def _files(source: Path) -> set[Path]:
    resolved = source.resolve()
    return {resolved, *(resolved.with_name(resolved.name + end) for end in ("-wal", "-shm"))}


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
