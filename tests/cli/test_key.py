"""The server key changes while the server runs, and whatever a crash leaves, the server starts."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quietwire.cli import key as key_commands
from quietwire.cli.app import app
from quietwire.cli.commands import reaching
from quietwire.cli.compose import Composition, compose, open_keeper, open_server, open_storage
from quietwire.cli.config import load
from quietwire.cli.key import described, in_place
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.cli.serve import take_commands
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.net.shell import Shell, driven
from quietwire.seal.server_key import Argon2, Passphrase
from quietwire.server.sealed.keeper import Keeper
from quietwire.store.ports import Store

STEPS = 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration whose database has a row under the server's data key."""
    path = prepare(tmp_path / "server", "chat.example", "alice")[0]
    write(path, b"bob")
    return path


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id in no time."""
    monkeypatch.setattr(key_commands, "calibrated", lambda clock, randomness: Argon2(1, 8, 1, randomness(16)))


def run(path: Path, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "-c", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def running(path: Path, use: Callable[[Composition], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        composition = await compose(load(path), Log("error", io.StringIO()))
        await take_commands(composition)
        try:
            return await use(composition)
        finally:
            await composition.stop()

    return asyncio.run(main())


def started(path: Path) -> Keeper:
    """What a start finds. Raises ConfigError."""
    config = load(path)

    async def main() -> Keeper:
        shell = Shell(asyncio.get_running_loop())
        storage = open_storage(config, shell, Log("error", io.StringIO()))
        try:
            return await open_keeper(config, storage, Log("error", io.StringIO()))
        finally:
            storage.close()
            shell.close()

    return asyncio.run(main())


def set_source(path: Path, source: str) -> None:
    path.write_text(
        "".join(
            f'server_key = "{source}"\n' if line.startswith("server_key") else line
            for line in path.read_text().splitlines(keepends=True)
        )
    )


def with_store(path: Path, use: Callable[[Store], Coroutine[Any, Any, Any]]) -> Any:
    config = load(path)

    async def main() -> Any:
        shell = Shell(asyncio.get_running_loop())
        server = await open_server(config, shell, Log("error", io.StringIO()))
        try:
            return await driven(use(server.store))
        finally:
            server.ports.storage.close()
            shell.close()

    return asyncio.run(main())


def write(path: Path, name: bytes) -> None:
    async def use(store: Store) -> None:
        store.put("open_vcard", name, b"key", b"value of " + name)

    with_store(path, use)


def guests(path: Path) -> list[bytes]:
    """Whose rows can be read."""

    async def use(store: Store) -> list[bytes]:
        names = (b"bob", b"carol")
        return [name for name in names if await store.get("open_vcard", name, b"key") == b"value of " + name]

    found: list[bytes] = with_store(path, use)
    return found


def test_a_rotation_in_its_place(path: Path) -> None:
    file = path.parent / "server.key"
    before, former = started(path).keys, file.read_bytes()
    said = run(path, "key", "rotate").splitlines()
    assert len(said) == STEPS
    after = started(path)
    assert (after.keys.index, after.keys.login) == (before.index, before.login)
    assert after.shown()["data_keys"] == 2
    assert file.read_bytes() != former
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in path.parent.glob("server.key*")) == ["server.key"]
    assert guests(path) == [b"bob"], "what was under the former data key is readable"
    file.write_bytes(former)
    with pytest.raises(ConfigError, match="does not open the database"):
        started(path)


def test_a_rotation_while_the_server_runs(path: Path) -> None:
    former = (path.parent / "server.key").read_bytes()

    async def use(composition: Composition) -> None:
        keys = composition.server.seals.keys
        row = keys.cipher.encrypt(b"n" * 12, b"x", b"")
        await asyncio.to_thread(run, path, "key", "rotate")
        assert keys.cipher.encrypt(b"n" * 12, b"x", b"") != row, "what is written now is under the new data key"
        assert keys.cipher.decrypt(b"n" * 12, row, b"") == b"x"
        composition.server.store.put("open_vcard", b"carol", b"key", b"value of carol")
        await asyncio.to_thread(run, path, "key", "rotate")

    running(path, use)
    assert (path.parent / "server.key").read_bytes() != former
    assert started(path).shown()["data_keys"] == 3
    assert guests(path) == [b"bob", b"carol"]


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_a_crash_after_each_step_leaves_a_server_that_starts(path: Path, steps: int) -> None:
    config, index = load(path), started(path).keys.index

    async def some() -> None:
        async with reaching(config) as ask:
            rotation = in_place(config.key_source(), ask)
            for _ in range(steps):
                await anext(rotation)

    asyncio.run(some())
    keeper = started(path)
    assert keeper.keys.index == index
    assert keeper.shown()["data_keys"] == (1 if steps < 2 else 2)
    assert len(keeper.shown()["wraps"]) == 1
    assert (path.parent / "server.key.new").exists() == (steps == 1), "which opens nothing"
    assert guests(path) == [b"bob"]
    run(path, "key", "rotate")
    assert not (path.parent / "server.key.new").exists()
    assert guests(path) == [b"bob"]


@pytest.mark.parametrize("steps", [1, 2])
def test_a_rotation_that_was_broken_off_beside_a_running_server_is_finished_by_the_next(path: Path, steps: int) -> None:
    config = load(path)

    async def use(composition: Composition) -> str:
        async with reaching(config) as ask:
            rotation = in_place(config.key_source(), ask)
            for _ in range(steps):
                await anext(rotation)
        return await asyncio.to_thread(run, path, "key", "rotate")

    said = running(path, use)
    assert len(said.splitlines()) == (STEPS if steps == 1 else 2)
    assert started(path).shown()["data_keys"] == 2
    assert not (path.parent / "server.key.new").exists()


def test_a_file_that_cannot_be_replaced_leaves_the_former_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        with pytest.raises(PermissionError):
            run(path, "key", "rotate")
        assert len(started(path).shown()["wraps"]) == 2, "the start cannot finish it either"
    assert len(started(path).shown()["wraps"]) == 1


@pytest.mark.usefixtures("cheap")
def test_from_a_file_to_a_passphrase_and_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = started(path).keys.index
    said = run(path, "key", "passphrase")
    phrase = said.splitlines()[0].removeprefix("passphrase: ")
    assert len(phrase.split("-")) == 5
    assert 'server_key = "passphrase:prompt"' in said
    assert started(path).keys.index == index, "the configuration still names the file"
    set_source(path, "passphrase:phrase")
    (path.parent / "phrase").write_text("wrong\n")
    with pytest.raises(ConfigError, match="does not open the database"):
        started(path)
    (path.parent / "phrase").write_text(phrase + "\n")
    keeper = started(path)
    assert keeper.keys.index == index
    (wrap,) = keeper.shown()["wraps"]
    assert (wrap["kind"], wrap["memory_kib"]) == ("passphrase", 8)
    assert "a passphrase: Argon2id, 0 MiB, 1 passes, 1 lanes" in run(path, "key", "show")
    set_source(path, "server.key")
    with pytest.raises(ConfigError, match="does not open the database"):
        started(path)
    set_source(path, "passphrase:phrase")
    run(path, "key", "rotate", "--to", str(path.parent / "again.key"))
    set_source(path, "again.key")
    assert started(path).keys.index == index
    assert "opens with a key of 32 random bytes\ndata keys: 3" in run(path, "key", "show")
    assert guests(path) == [b"bob"]


@pytest.mark.usefixtures("cheap")
def test_a_passphrase_in_a_file_is_rotated_like_a_key(path: Path) -> None:
    run(path, "key", "rotate", "--to", f"passphrase:{path.parent / 'phrase'}")
    set_source(path, "passphrase:phrase")
    phrase = (path.parent / "phrase").read_text()
    assert len(run(path, "key", "rotate").splitlines()) == STEPS
    assert (path.parent / "phrase").read_text() != phrase
    assert started(path).shown()["data_keys"] == 3


@pytest.mark.usefixtures("cheap")
def test_settling_without_a_restart(path: Path) -> None:
    phrase = path.parent / "phrase"

    async def use(composition: Composition) -> None:
        def work() -> None:
            run(path, "key", "rotate", "--to", f"passphrase:{phrase}")
            assert "a change is under way" in run(path, "key", "show")
            with pytest.raises(QuietwireError, match="is not the newest key"):
                run(path, "key", "settle")
            set_source(path, "passphrase:phrase")
            kept = phrase.read_text()
            phrase.write_text("incorrect\n")
            with pytest.raises(QuietwireError, match="not the newest key"):
                run(path, "key", "settle")
            phrase.write_text(kept)
            assert "the former key opens nothing" in run(path, "key", "settle")
            assert "nothing is left to do" in run(path, "key", "settle")

        await asyncio.to_thread(work)

    running(path, use)
    assert len(started(path).shown()["wraps"]) == 1
    set_source(path, "server.key")
    with pytest.raises(ConfigError, match="does not open the database"):
        started(path)


def test_a_key_from_systemd(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    set_source(path, "credential:server.key")
    assert guests(path) == [b"bob"]
    with pytest.raises(QuietwireError, match="cannot be written to"):
        run(path, "key", "rotate")
    run(path, "key", "rotate", "--to", str(path.parent / "next.key"))
    set_source(path, "credential:next.key")
    assert len(started(path).shown()["wraps"]) == 1


def test_targets_that_are_refused(path: Path) -> None:
    for target, why in ((str(path.parent / "data" / "key"), "outside of the data folder"), ("fd:x", "a file, ")):
        with pytest.raises(ConfigError, match=why):
            run(path, "key", "rotate", "--to", target)
    (path.parent / "short").write_bytes(b"short")
    with pytest.raises(ConfigError, match="32 random bytes"):
        run(path, "key", "rotate", "--to", str(path.parent / "short"))
    assert started(path).shown()["data_keys"] == 1


def test_a_passphrase_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QuietwireError, match="no terminal"):
        key_commands.ask_new()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for typed, why in ((["a", "b"], "not the same"), (["", ""], "a passphrase is one line")):
        answers = iter(typed)
        monkeypatch.setattr("getpass.getpass", lambda prompt, answers=answers: next(answers))
        with pytest.raises(QuietwireError, match=why):
            key_commands.ask_new()
    monkeypatch.setattr("getpass.getpass", lambda prompt: "correct horse")
    assert key_commands.ask_new() == Passphrase(b"correct horse")


def test_two_changes_at_once_are_not_made(path: Path) -> None:
    async def main() -> None:
        async with reaching(load(path)) as ask:
            both = [ask("key-add", {"key": os.urandom(32).hex()}) for _ in range(2)]
            done = await asyncio.gather(*both, return_exceptions=True)
        assert [type(one) for one in done] == [type(None), QuietwireError]

    asyncio.run(main())


def test_shown() -> None:
    wraps = [
        {"kind": "key", "number": 1},
        {"kind": "passphrase", "number": 2, "memory_kib": 65536, "time_cost": 7, "lanes": 4},
    ]
    assert described({"wraps": wraps, "open": 1, "data_keys": 2}) == [
        "opens with a key of 32 random bytes (in use)",
        "opens with a passphrase: Argon2id, 64 MiB, 7 passes, 4 lanes",
        "a change is under way: `quietwire key settle`, or the next start, ends it",
        "data keys: 2",
    ]
