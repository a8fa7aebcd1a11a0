"""This machine: ports, files and their modes, disk space, file descriptors, and which features are on."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import socket
import stat
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.config import Config
from quietwire.core.errors import ConfigError
from quietwire.net.accept import listen_on
from quietwire.server.module import Module

CONNECT_SECONDS = 5.0
SPACE_LOW = 1 << 30
SPACE_NONE = 100 << 20
"""Bytes. The server goes on with a full disk, but acknowledges nothing."""
DESCRIPTORS = 4_096
"""A connection is one; some hundred are left for the rest."""
PORTS = ("c2s", "c2s_tls", "c2s_local", "s2s", "s2s_tls", "https", "http")

_ok = partial(Finding, Severity.OK)
_note = partial(Finding, Severity.NOTE)
_warning = partial(Finding, Severity.WARNING)
_error = partial(Finding, Severity.ERROR)


async def ports(config: Config, running: bool) -> list[Finding]:
    """Ours and answering while the server runs; free, and ours to take, while it does not."""
    found = []
    for key in PORTS:
        number = getattr(config.listen, key)
        if not number or (key.startswith("s2s") and not config.federation.enabled):
            continue
        address = "127.0.0.1" if key in ("c2s_local", "http") else config.listen.address
        found.append(await _answers(key, address, number) if running else _free(key, address, number))
    return found


async def _answers(key: str, address: str, number: int) -> Finding:
    host = address if address not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104 - compared, not bound
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, number)
    except (OSError, TimeoutError):
        return _error("port", f"listen.{key}", f"{host}:{number} does not answer", "look at the log for accept-paused")
    writer.close()
    return _ok("port", f"listen.{key}", f"{host}:{number} answers")


def _free(key: str, address: str, number: int) -> Finding:
    try:
        opened = listen_on(address, number, key)
    except ConfigError as error:
        denied = os.strerror(errno.EACCES) in str(error)
        return _error(
            "port",
            f"listen.{key}",
            f"{error.key}: {error.allowed}",
            "CAP_NET_BIND_SERVICE for the server, or a port above 1023"
            if denied
            else "stop the program that has it, or another port",
        )
    for listening in opened:
        listening.close()
    return _ok("port", f"listen.{key}", f"{number} is free")


def files(config: Config, uid: int) -> list[Finding]:
    """The data folder and the disk. `uid`: who will run the server."""
    return [*_data(config, uid), *_space(config)]


def _data(config: Config, uid: int) -> Iterator[Finding]:
    data = config.data
    if not data.exists():
        yield _note("files", str(data), "is made when the server starts")
        return
    status = data.stat()
    if not stat.S_ISDIR(status.st_mode):
        yield _error("files", str(data), "is no folder", "another value of data")
        return
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        yield _warning("files", str(data), f"others on this machine may look in (mode {mode:04o})", f"chmod 700 {data}")
    wrong = [one for one in (data, *data.glob("quietwire.sqlite*")) if one.stat().st_uid != uid]
    if wrong:
        yield _error(
            "files", str(wrong[0]), "belongs to another user than the one who checks", "run both as the server's user"
        )
    for one in data.glob("quietwire.sqlite*"):
        mode = stat.S_IMODE(one.stat().st_mode)
        if mode & 0o077:
            yield _warning(
                "files", str(one), f"others on this machine may read it (mode {mode:04o})", f"chmod 600 {one}"
            )


def _space(config: Config) -> Iterator[Finding]:
    folder = next(one for one in (config.data, *config.data.parents) if one.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GiB free"
    if free < SPACE_NONE:
        yield _error("files", "disk", f"{text}: the server will soon acknowledge nothing", "make room")
    elif free < SPACE_LOW:
        yield _warning("files", "disk", text, "make room")
    else:
        yield _ok("files", "disk", text)
    if not os.access(folder, os.W_OK):
        yield _error("files", str(folder), "is not writable", "run as the server's user, or mount it writable")


def descriptors() -> list[Finding]:
    """How many connections this system lets one process have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        return [
            _warning(
                "files",
                "descriptors",
                f"{hard} at most: further connections wait",
                "LimitNOFILE=65536 in the service's unit, or ulimit -Hn",
            )
        ]
    return [_ok("files", "descriptors", "no limit" if hard == resource.RLIM_INFINITY else f"{hard} at most")]


def features(modules: Sequence[Module]) -> list[Finding]:
    """What is on."""
    names = ", ".join(sorted(module.name for module in modules))
    return [_ok("features", f"{len(modules)} on", names)]


def reachable(path: Path) -> bool:
    """Whether a server answers at its control socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
