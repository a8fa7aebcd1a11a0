"""A backup of a running server and of a stopped one, what is in it, what is not, and that it can be put back."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quietwire.cli import backup as backup_module
from quietwire.cli.app import app
from quietwire.cli.backup import backup
from quietwire.cli.commands import CONTROL
from quietwire.cli.compose import DATABASE, UPLOADS, Composition, compose, open_server
from quietwire.cli.config import Config, load
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.cli.serve import take_commands
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.net.control import open_control
from quietwire.net.shell import Shell, driven
from quietwire.store.database import lock_directory
from quietwire.store.ports import Store

NAME = "ab" * 16


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """With a row under the server's key, and uploads."""
    config = load(prepare(tmp_path / "server", "chat.example", "alice")[0])
    with_store(config, lambda store: write(store, b"before"))
    upload(config)
    return config


def upload(config: Config) -> None:
    """A whole one and one that is under way. Nobody knows of them: a start removes them."""
    for folder, name in ((config.data / UPLOADS / "ab", NAME), (config.data / UPLOADS / "new", "half")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(100_000))
    os.utime(config.data / UPLOADS / "ab" / NAME, (86_400, 86_400))


def with_store(config: Config, use: Callable[[Store], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        shell = Shell(asyncio.get_running_loop())
        server = await open_server(config, shell, Log("error", io.StringIO()))
        try:
            return await driven(use(server.store))
        finally:
            server.ports.storage.close()
            shell.close()

    return asyncio.run(main())


async def write(store: Store, value: bytes) -> None:
    store.put("open_vcard", b"a@chat.example", b"key", value)


async def read(store: Store) -> bytes | None:
    return await store.get("open_vcard", b"a@chat.example", b"key")


def running(config: Config, use: Callable[[Composition], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        composition = await compose(config, Log("error", io.StringIO()))
        await take_commands(composition)
        try:
            return await use(composition)
        finally:
            await composition.stop()

    return asyncio.run(main())


def listed(folder: Path) -> dict[str, int]:
    """Name below the folder -> mode of everything in it."""
    found = {str(one.relative_to(folder)): stat.S_IMODE(one.stat().st_mode) for one in folder.rglob("*")}
    return found | {".": stat.S_IMODE(folder.stat().st_mode)}


WHOLE = {".": 0o700, DATABASE: 0o600, UPLOADS: 0o700, f"{UPLOADS}/ab": 0o700, f"{UPLOADS}/ab/{NAME}": 0o600}


def restored(config: Config, target: Path) -> bytes | None:
    """What is in the row when the backup is where the data folder was."""
    shutil.rmtree(config.data)
    shutil.copytree(target, config.data)
    found: bytes | None = with_store(config, read)
    return found


def test_of_a_stopped_server(config: Config, tmp_path: Path) -> None:
    target, told = tmp_path / "backup", []
    size = backup(config, target, lambda *steps: told.append(steps))
    assert listed(target) == WHOLE
    assert size == sum(one.stat().st_size for one in target.rglob("*") if one.is_file())
    assert {what for what, _, _ in told} == {"database", "uploads"}
    assert all(done <= total for _, done, total in told)
    assert told[-1] == ("uploads", 100_000, 100_000)
    kept = (config.data / UPLOADS / "ab" / NAME).read_bytes()
    assert (target / UPLOADS / "ab" / NAME).read_bytes() == kept
    assert (target / UPLOADS / "ab" / NAME).stat().st_mtime == 86_400
    with_store(config, lambda store: write(store, b"after"))
    assert restored(config, target) == b"before"


def test_of_a_running_server(config: Config, tmp_path: Path) -> None:
    async def use(composition: Composition) -> None:
        composition.server.store.put("open_vcard", b"a@chat.example", b"key", b"while it runs")
        await asyncio.to_thread(upload, config)
        await asyncio.to_thread(backup, config, tmp_path / "backup")
        composition.server.store.put("open_vcard", b"a@chat.example", b"key", b"after")

    running(config, use)
    assert listed(tmp_path / "backup") == WHOLE
    assert with_store(config, read) == b"after"
    assert restored(config, tmp_path / "backup") == b"while it runs"


def test_no_key_is_needed_for_it_and_none_is_in_it(config: Config, tmp_path: Path) -> None:
    key = Path(config.key_source().name)
    secrets = [key.read_bytes(), (config.data.parent / "key.pem").read_bytes()]
    key.unlink()
    done = CliRunner().invoke(
        app,
        ["backup", str(tmp_path / "backup"), "-c", str(config.data.parent / "quietwire.toml")],
        catch_exceptions=False,
    )
    assert done.exit_code == 0
    assert "The server key is not in it" in done.output
    copied = b"".join(one.read_bytes() for one in (tmp_path / "backup").rglob("*") if one.is_file())
    assert not any(secret in copied for secret in secrets)
    with pytest.raises(ConfigError, match="cannot be opened without it") as missing:
        restored(config, tmp_path / "backup")
    assert len(str(missing.value).splitlines()) == 1
    key.write_bytes(bytes(32))
    with pytest.raises(ConfigError, match="does not open the database") as wrong:
        restored(config, tmp_path / "backup")
    assert len(str(wrong.value).splitlines()) == 1
    key.write_bytes(secrets[0])
    assert restored(config, tmp_path / "backup") == b"before"


def test_a_target_that_holds_something_is_left_alone(config: Config, tmp_path: Path) -> None:
    full, file, empty = tmp_path / "full", tmp_path / "file", tmp_path / "empty"
    full.mkdir()
    (full / "letter").write_text("dear")
    file.write_text("dear")
    for target in (full, file):
        with pytest.raises(ConfigError, match="a new folder or an empty one"):
            backup(config, target)
    assert (full / "letter").read_text() == file.read_text() == "dear"
    empty.mkdir(mode=0o755)
    backup(config, empty)
    assert listed(empty) == WHOLE


def test_other_targets_that_are_refused(config: Config, tmp_path: Path) -> None:
    for target, why in (
        (config.data / "backup", "outside of the data folder"),
        (tmp_path / "none" / "backup", "in one that is there"),
    ):
        with pytest.raises(ConfigError, match=why):
            backup(config, target)
    (tmp_path / "backup.partial").mkdir()
    with pytest.raises(ConfigError, match="a backup that broke off"):
        backup(config, tmp_path / "backup")
    shutil.rmtree(config.data)
    with pytest.raises(ConfigError, match="no database"):
        backup(config, tmp_path / "other")


def test_what_breaks_off_leaves_nothing(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*files: object) -> None:
        assert (tmp_path / "backup.partial" / DATABASE).exists()
        assert not (tmp_path / "backup").exists(), "never partly there under its name"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_module, "_copy", full)
    with pytest.raises(OSError, match="No space left"):
        backup(config, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_a_server_that_cannot_write_there_says_so(config: Config, tmp_path: Path) -> None:
    async def use(composition: Composition) -> None:
        async def refuse(arguments: dict[str, Any]) -> None:
            raise QuietwireError("Read-only file system")

        assert composition.control is not None
        composition.control.close()
        composition.control = await open_control(config.data / CONTROL, lambda command, arguments: refuse(arguments))
        with pytest.raises(QuietwireError, match="Read-only file system"):
            await asyncio.to_thread(backup, config, tmp_path / "backup")

    running(config, use)
    assert not list(tmp_path.glob("backup*"))


def test_a_data_folder_in_use_by_something_else(config: Config, tmp_path: Path) -> None:
    lock = lock_directory(config.data)
    try:
        with pytest.raises(ConfigError, match="already in use"):
            backup(config, tmp_path / "backup")
    finally:
        os.close(lock)
