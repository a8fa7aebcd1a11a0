"""Opens the SQLite file: its directory's lock, its mode, its settings and its migrations."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from quietwire.core.errors import ConfigError
from quietwire.store.writer import gives_bytes_as_they_are

APPLICATION_ID = 0x51574952  # "QWIR": PRAGMA application_id of our files
LOCK_NAME = "lock"
CACHED_STATEMENTS = 256  # the writer has some ninety different ones (tables x verbs x powers of two)

SETTINGS = (
    "PRAGMA secure_delete=ON",  # what is deleted is overwritten with zeros, not only unlinked
    "PRAGMA synchronous=FULL",  # a commit is on the disk when it returns, also if the power fails
    "PRAGMA fullfsync=ON",  # macOS: past the drive's cache
    "PRAGMA checkpoint_fullfsync=ON",
    "PRAGMA temp_store=MEMORY",  # no temporary file that nobody would overwrite
    "PRAGMA cache_size=-16384",  # 16 MiB: rows of archives go to pages all over the file
    "PRAGMA wal_autocheckpoint=16384",  # pages, 64 MiB: what is written again soon is moved into the file once
)


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) of every migration, in order; they are numbered 1, 2, 3... without gaps."""
    found = []
    for file in (files("quietwire.store") / "migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_\w+\.sql", file.name)
        if match:
            found.append((int(match[1]), file.read_text("utf-8")))
    found.sort()
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise RuntimeError("migrations are not numbered without gaps")
    return found


def lock_directory(directory: Path) -> int:
    """The file descriptor of an exclusive lock on the data directory; it ends with the process at the latest.

    Raises ConfigError if another process, or another storage of this one, has it.
    """
    try:
        directory.mkdir(mode=0o700, exist_ok=True)  # its parent must be there: a mistyped path makes no tree
        lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(str(directory), "data directory", f"cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigError(str(directory), "data directory", "already in use by a running server") from error
    return lock


def open_database(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, to be used by one thread at a time; the caller holds the directory's lock.

    Raises ConfigError in one line for a file that cannot be written, is not ours or comes from a newer version.
    """
    try:
        created = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # SQLite gives its -wal and -shm the same mode
        os.fchmod(file, 0o600)
        os.close(file)
        if created:
            directory = os.open(path.parent, os.O_RDONLY)
            os.fsync(directory)  # else a power cut may take the file's name back
            os.close(directory)
    except OSError as error:
        raise ConfigError(str(path), "database", f"cannot be written: {error.strerror}") from error
    # Nobody else writes (the lock); a reader such as a backup may hold a checkpoint up, for this long at most.
    db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False,
                         cached_statements=CACHED_STATEMENTS)  # fmt: skip
    try:
        for setting in SETTINGS:
            db.execute(setting)
        _check_ours(db, path)
        if db.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise ConfigError(str(path), "database", "must be on a file system that can have a write-ahead log")
        if not gives_bytes_as_they_are(db):
            raise ConfigError(str(path), "database", f"SQLite {sqlite3.sqlite_version} does not give bytes as they are")
        _migrate(db, path)
    except sqlite3.Error as error:
        db.close()
        raise ConfigError(str(path), "database", f"cannot be opened: {error}") from error
    except BaseException:
        db.close()
        raise
    return db


def guard(path: Path) -> Callable[[], None]:
    """-> what raises sqlite3.OperationalError once the file is not there any more, or is another one: SQLite would go
    on writing to a file without a name, and all of it would be gone with the process."""
    ours = _identity(path)

    def check() -> None:
        if _identity(path) != ours:
            raise sqlite3.OperationalError("the database file has been removed or replaced")

    return check


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _check_ours(db: sqlite3.Connection, path: Path) -> None:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    untouched = application == 0 and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and not untouched:
        raise ConfigError(str(path), "database", "is not a database of this program")
    newest = len(migrations())
    if _version(db) > newest:
        raise ConfigError(str(path), "database", f"is of schema {_version(db)}, this version knows {newest}: upgrade")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Forward only; all that are missing in one transaction, so that a crash leaves the old schema or the new one."""
    missing = [(number, sql) for number, sql in migrations() if number > _version(db)]
    if not missing:
        return
    try:
        db.executescript(
            "BEGIN IMMEDIATE;\n"
            + "\n".join(sql for _, sql in missing)
            + f"\nPRAGMA application_id={APPLICATION_ID};\nPRAGMA user_version={missing[-1][0]};\nCOMMIT;"
        )
    except sqlite3.Error as error:
        if db.in_transaction:
            db.rollback()
        raise ConfigError(str(path), "database", f"cannot be brought to schema {missing[-1][0]}: {error}") from error
