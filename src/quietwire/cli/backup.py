"""`quietwire backup`: a copy of the data folder as of one moment, of a running server or of one that is stopped.

It has the database and the uploads and nothing else: no key of any kind. No key is needed to make it either. To restore
it is to put it where the data folder was (docs/operating.md).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from quietwire.cli.checks.system import reachable
from quietwire.cli.commands import CONTROL
from quietwire.cli.compose import DATABASE, UPLOADS
from quietwire.cli.config import Config, load
from quietwire.cli.key_source import sync_folder
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.net.control import ask_control
from quietwire.store.backup import PART, copy
from quietwire.store.database import lock_directory

PARTIAL = ".partial"
"""What the name of a backup ends in until it is complete."""
COMMAND = "backup"
LOOK_SECONDS = 0.2
BLOCK = 1 << 20

Told = Callable[[str, int, int], None]
"""(what is being copied, bytes so far, bytes in all)."""


def backup(config: Config, target: Path, told: Told = lambda what, done, total: None) -> int:
    """-> bytes. `target` is made: under its name the backup is whole and on the disk, or not there. Raises
    ConfigError, QuietwireError, OSError; then nothing is left of it."""
    target = target.absolute()
    partial = target.with_name(target.name + PARTIAL)
    _check(config, target, partial)
    partial.mkdir(mode=0o700)
    try:
        database = partial / DATABASE
        asyncio.run(_database(config, database, told))
        if not database.exists():
            raise QuietwireError("the server has written it where this program does not see it: a folder that both see")
        told("database", database.stat().st_size, database.stat().st_size)
        _uploads(config.data / UPLOADS, partial / UPLOADS, told)
        size = sum(one.stat().st_size for one in partial.rglob("*") if one.is_file())
        sync_folder(database)
        if target.exists():
            target.rmdir()
        partial.rename(target)
        sync_folder(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return size


def _check(config: Config, target: Path, partial: Path) -> None:
    if not (config.data / DATABASE).exists():
        raise ConfigError(str(config.data), "data", "there is no database to back up")
    if target.resolve().is_relative_to(config.data.resolve()):
        raise ConfigError(str(target), "TARGET", "a folder outside of the data folder")
    if not target.parent.is_dir():
        raise ConfigError(str(target), "TARGET", "a new folder in one that is there")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(str(target), "TARGET", "a new folder or an empty one: this one is left as it is")
    if partial.exists():
        raise ConfigError(str(partial), "TARGET", "a backup that broke off, or one under way: remove it, or wait")


async def _database(config: Config, target: Path, told: Told) -> None:
    total = (config.data / DATABASE).stat().st_size
    watching = asyncio.create_task(_watch(target, total, told))
    try:
        if reachable(config.data / CONTROL):
            await ask_control(config.data / CONTROL, COMMAND, {"path": str(target)})
        else:
            lock = lock_directory(config.data)
            try:
                await asyncio.to_thread(copy, config.data / DATABASE, target)
            finally:
                os.close(lock)
    finally:
        watching.cancel()


async def _watch(target: Path, total: int, told: Told) -> None:
    part = target.with_name(target.name + PART)
    while True:
        if part.exists():
            told("database", min(part.stat().st_size, total), total)
        await asyncio.sleep(LOOK_SECONDS)


def _uploads(source: Path, target: Path, told: Told) -> None:
    """Whole files only: what is being uploaded has no row in the copied database. Files that go meanwhile have
    expired."""
    files = sorted(_whole(source))
    total, done = sum(size for _, size in files), 0
    for name, size in files:
        _copy(source / name, target / name)
        done += size
        told("uploads", done, total)


def _whole(folder: Path) -> Iterator[tuple[Path, int]]:
    """Their names below the folder, and sizes."""
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        try:
            yield path.relative_to(folder), path.stat().st_size
        except FileNotFoundError:
            continue


def _copy(source: Path, target: Path) -> None:
    try:
        reading = source.open("rb")
    except FileNotFoundError:
        return
    with reading:
        for folder in (target.parent.parent, target.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as writing:
            shutil.copyfileobj(reading, writing, BLOCK)
            writing.flush()
            status = os.fstat(reading.fileno())
            os.utime(descriptor, (status.st_mtime, status.st_mtime))  # a day: `net.files` sees to that
            os.fsync(descriptor)
    sync_folder(target)


def register(app: typer.Typer) -> None:
    @app.command("backup")
    def command(
        target: Path,
        config: Path = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file."),
    ) -> None:
        """Copy database and uploads to the new folder TARGET, while the server runs or not. No key is in it."""
        settings = load(config)
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
        with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
            tasks: dict[str, TaskID] = {}

            def told(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = progress.add_task(what, total=total)
                progress.update(tasks[what], completed=done, total=total)

            size = backup(settings, target, told)
        typer.echo(f"{target}: {size / (1 << 20):.1f} MiB. The server key is not in it: keep a copy of it elsewhere.")
