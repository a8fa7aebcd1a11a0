"""Reads the server key, or its passphrase, from where the configuration says; writes new ones to files."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from quietwire.cli.config import unreadable
from quietwire.core.errors import ConfigError
from quietwire.seal.passphrase import make_passphrase
from quietwire.seal.server_key import LONGEST_PASSPHRASE, SERVER_KEY_BYTES, Secret, Source, as_secret

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Where systemd puts the credentials of a unit."""
_MOST = LONGEST_PASSPHRASE + 2
KEY = "server_key"


class NoFile(ConfigError):
    """There is no file of that name: it can be made."""


def where(source: Source) -> str:
    """What an error says is wrong."""
    return source.name if source.place == "file" else str(source)


def read_secret(source: Source, tightened: Callable[[], None] = lambda: None) -> Secret:
    """Raises ConfigError. A descriptor can be read once. `tightened` is called where a file's mode let others read it
    and does not any more."""
    try:
        data = _READERS[source.place](source, tightened)
    except OSError as error:
        raise ConfigError(where(source), KEY, f"cannot be read: {unreadable(error)}") from None
    try:
        return as_secret(data, source.passphrase)
    except ValueError as error:
        what = "that is no passphrase" if source.passphrase else "that is no server key"
        raise ConfigError(where(source), KEY, f"{what}: {error}") from None


def _file(source: Source, tightened: Callable[[], None]) -> bytes:
    try:
        descriptor = os.open(source.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
    except FileNotFoundError:
        raise NoFile(where(source), KEY, "there is no such file") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            try:
                os.fchmod(descriptor, 0o600)
            except OSError:
                mode = stat.S_IMODE(status.st_mode)
                raise ConfigError(
                    where(source),
                    KEY,
                    f"others on this machine may read it (mode {mode:04o}): chmod 600 {source.name}",
                ) from None
            tightened()
        return file.read(_MOST)


def _credential(source: Source, _: Callable[[], None]) -> bytes:
    folder = os.environ.get(CREDENTIALS)
    if not folder:
        raise ConfigError(where(source), KEY, "systemd gives this process no credentials: LoadCredential= in its unit")
    return (Path(folder) / source.name).read_bytes()


def _descriptor(source: Source, _: Callable[[], None]) -> bytes:
    return _once(source, int(source.name))


def _env_descriptor(source: Source, _: Callable[[], None]) -> bytes:
    number = os.environ.pop(source.name, "")
    if not (number.isascii() and number.isdigit()):
        raise ConfigError(where(source), KEY, "that variable of the environment holds no descriptor's number")
    return _once(source, int(number))


def _once(source: Source, number: int) -> bytes:
    """Reads what this process was started with, and closes it. Descriptors of its own, the database's among them, are
    not inherited by others (PEP 446): by that they are told apart."""
    if not os.get_inheritable(number):
        raise ConfigError(where(source), KEY, "this process was not started with that descriptor")
    with os.fdopen(number, "rb") as file:
        return file.read(_MOST)


def _prompt(source: Source, _: Callable[[], None]) -> bytes:
    if not sys.stdin.isatty():
        raise ConfigError(where(source), KEY, "there is no terminal to ask at")
    return getpass.getpass("Passphrase of the server key: ").encode("utf-8", "surrogatepass")


_READERS: dict[str, Callable[[Source, Callable[[], None]], bytes]] = {
    "file": _file,
    "credential": _credential,
    "fd": _descriptor,
    "env-fd": _env_descriptor,
    "prompt": _prompt,
}


def make_secret(source: Source) -> Secret:
    """A new key, or a generated passphrase, in the file of `source`, which must be one: durable when this returns.
    Raises ConfigError; an existing file is left alone."""
    path = Path(source.name)
    if source.passphrase:
        data = make_passphrase(secrets.token_bytes).encode() + b"\n"
    else:
        data = secrets.token_bytes(SERVER_KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        sync_folder(path)
    except OSError as error:
        raise ConfigError(where(source), KEY, f"cannot be made: {error.strerror}") from None
    return as_secret(data, source.passphrase)


def successor(source: Source) -> Source:
    """Where a rotation puts the new key, until it takes the place of the one in `source`, a file."""
    return Source("file", source.name + ".new", source.passphrase)


def succeed(source: Source) -> None:
    """The successor takes its place, durably, and belongs to whom it belonged. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        owner = os.stat(source.name)
        os.chown(successor(source).name, owner.st_uid, owner.st_gid)
    os.replace(successor(source).name, source.name)
    sync_folder(Path(source.name))


def discard(source: Source) -> None:
    """The file goes, if there is one. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(source.name)


def sync_folder(path: Path) -> None:
    """What happened to the name of that file is durable."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
