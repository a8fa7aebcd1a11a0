"""The server key, and whether keys in memory can get to the disk: modes and places only, no key is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.config import Config
from quietwire.cli.key_source import CREDENTIALS, successor
from quietwire.net.lockdown import has_swap, may_lock
from quietwire.seal.server_key import SERVER_KEY_BYTES, Source

_ok = partial(Finding, Severity.OK, "keys", "server_key")
_note = partial(Finding, Severity.NOTE, "keys", "server_key")
_warning = partial(Finding, Severity.WARNING, "keys", "server_key")
_error = partial(Finding, Severity.ERROR, "keys", "server_key")


def keys(config: Config, uid: int, database: bool) -> list[Finding]:
    """`uid`: who will run the server. `database`: there is one already."""
    source = config.key_source()
    found = _file(source, uid, database) if source.place == "file" else _elsewhere(source)
    return [*found, *_memory(config, may_lock(), has_swap())]


def _memory(config: Config, may: bool, swap: bool) -> Iterator[Finding]:
    """`may`: memory may be locked; `swap`: there is some."""
    if config.process.core_dumps:
        yield Finding(
            Severity.WARNING, "keys", "process.core_dumps", "a crash writes all keys in memory to the disk", "false"
        )
    if not swap:
        yield Finding(Severity.OK, "keys", "swap", "there is none")
    elif config.process.lock_memory and may:
        yield Finding(Severity.OK, "keys", "swap", "memory is locked while the server runs")
    else:
        yield Finding(
            Severity.WARNING,
            "keys",
            "swap",
            "keys in memory may be written to it, and stay there",
            "LimitMEMLOCK=infinity in the service's unit, or swap that is encrypted, or none"
            if config.process.lock_memory
            else "process.lock_memory = true",
        )


def _file(source: Source, uid: int, database: bool) -> Iterator[Finding]:
    path = Path(source.name)
    if Path(successor(source).name).exists():
        yield _warning(
            f"a rotation was broken off: {successor(source).name} is there",
            "`quietwire key rotate` finishes it, and so does the next start",
        )
    try:
        status = path.stat()
    except FileNotFoundError:
        if database:
            yield _error("is not there: without it the database cannot be opened", f"put your copy to {path}")
        else:
            yield _note("is made when the server starts")
        return
    except OSError as error:
        yield _error(f"cannot be looked at: {error.strerror}", "a file that the server may read")
        return
    mode = stat.S_IMODE(status.st_mode)
    if not source.passphrase and stat.S_ISREG(status.st_mode) and status.st_size != SERVER_KEY_BYTES:
        yield _error(f"has {status.st_size} bytes instead of {SERVER_KEY_BYTES}", "restore it from your backup")
    elif mode & 0o077:
        yield _warning(f"others on this machine may read it (mode {mode:04o})", f"chmod 600 {path}")
    elif status.st_uid != uid:
        yield _error("belongs to another user", "run both as the server's user")
    else:
        yield _ok("is there, for its owner only")


def _elsewhere(source: Source) -> Iterator[Finding]:
    folder = os.environ.get(CREDENTIALS)
    if source.place == "credential" and folder and not (Path(folder) / source.name).exists():
        yield _error(f"systemd gives no credential {source.name}", "LoadCredential= in the unit")
    elif source.place == "prompt":
        yield _note("is asked for at each start: the server does not start by itself")
    else:
        yield _ok(f"comes from {source}: it is read when the server starts")
