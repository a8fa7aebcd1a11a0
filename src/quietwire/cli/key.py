"""`quietwire key`: who can open the server's keys, on a running server or in its absence.

Files are written here, the block in the database by whoever has it open; docs/protocols/server-key.md has the steps.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from quietwire.cli.commands import Ask, administrate, reaching
from quietwire.cli.config import Config, load
from quietwire.cli.key_source import NoFile, discard, make_secret, read_secret, succeed, successor
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.seal.passphrase import make_passphrase
from quietwire.seal.server_key import (
    Argon2,
    Passphrase,
    RawKey,
    Secret,
    Source,
    Wrapping,
    calibrated,
    of_passphrase,
    of_raw,
)

CONFIG = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file.")


def wrapping_of(secret: Secret) -> Wrapping:
    """For a new wrap. Of a passphrase it takes as long as finding out how long it is to take."""
    if isinstance(secret, RawKey):
        return of_raw(secret)
    return of_passphrase(secret, calibrated(time.perf_counter, secrets.token_bytes), secrets.token_bytes)


async def add(ask: Ask, wrapping: Wrapping) -> None:
    """The server's keys can be opened with it as well, from now on."""
    argon2 = wrapping.argon2.to_bytes().hex() if wrapping.argon2 else ""
    await ask("key-add", {"key": wrapping.key.hex(), "id": wrapping.id.hex(), "argon2": argon2})


async def in_place(source: Source, ask: Ask) -> AsyncIterator[str]:
    """A new key in the file where the old one is, step by step: what has been done is said after each. Whatever step
    is the last one, the server starts."""
    new = successor(source)
    wrapping = await _begun(new, ask)
    if wrapping is None:
        discard(new)
        wrapping = wrapping_of(make_secret(new))
        yield f"written: {new.name}"
        await add(ask, wrapping)
        yield "committed: both keys open the database"
    succeed(source)
    yield f"replaced: {source.name}"
    await ask("key-settle", {"key": wrapping.key.hex()})
    yield "committed: the former key opens nothing any more"


async def _begun(new: Source, ask: Ask) -> Wrapping | None:
    """What the newest wrap is for, if that is in the file: a rotation that was broken off has left it there."""
    try:
        return for_wrap(read_secret(new), (await ask("key-show", {}))["wraps"][-1])
    except ConfigError:
        return None


def for_wrap(secret: Secret, wrap: dict[str, Any]) -> Wrapping | None:
    """What opens that wrap, as `key-show` tells of it, if the secret is of its kind."""
    if isinstance(secret, RawKey):
        wrapping = of_raw(secret)
        return wrapping if wrap["kind"] == "key" and wrapping.id.hex() == wrap["id"] else None
    if wrap["kind"] != "passphrase":
        return None
    argon2 = Argon2(wrap["time_cost"], wrap["memory_kib"], wrap["lanes"], bytes.fromhex(wrap["salt"]))
    return Wrapping(argon2.derive(secret), bytes.fromhex(wrap["id"]), argon2)


def secret_for(target: Source) -> Secret:
    """What is at the target; a file is made where it is missing. Raises ConfigError, QuietwireError."""
    if target.place == "prompt":
        return ask_new()
    try:
        return read_secret(target)
    except NoFile:
        return make_secret(target)


def ask_new() -> Passphrase:
    """A new passphrase, typed twice. Raises QuietwireError."""
    if not sys.stdin.isatty():
        raise QuietwireError("there is no terminal to ask for a passphrase at")
    typed = [getpass.getpass(f"{which} passphrase of the server key: ") for which in ("New", "Again: new")]
    if typed[0] != typed[1]:
        raise QuietwireError("the two are not the same; nothing has changed")
    try:
        return Passphrase.of(typed[0])
    except ValueError as error:
        raise QuietwireError(f"a passphrase is {error}") from None


def target_of(config: Config, text: str) -> Source:
    """What `--to` says; relative paths start here. Raises ConfigError."""
    try:
        target = Source.parse(text)
    except ValueError as error:
        raise ConfigError("--to", text, str(error)) from None
    if target.place != "file":
        return target
    path = Path(target.name).absolute()
    if path.resolve().is_relative_to(config.data.resolve()):
        raise ConfigError("--to", text, "a place outside of the data folder")
    return replace(target, name=str(path))


async def rotate(config: Config, target: Source) -> None:
    """Adds what is at the target, which must prove itself before the former key goes."""
    async with reaching(config) as ask:
        await add(ask, wrapping_of(secret_for(target)))


async def settle(config: Config) -> bool:
    """The former key goes, if what the configuration names opens the newest wrap. False: there was none left."""
    async with reaching(config) as ask:
        wraps = (await ask("key-show", {}))["wraps"]
        if len(wraps) == 1:
            return False
        wrapping = for_wrap(read_secret(config.key_source()), wraps[-1])
        if wrapping is None:
            raise QuietwireError(f"{config.server_key} is not the newest key: the former one stays")
        await ask("key-settle", {"key": wrapping.key.hex()})
    return True


def described(shown: dict[str, Any]) -> list[str]:
    """For people."""
    lines = []
    for wrap in shown["wraps"]:
        text = "a key of 32 random bytes"
        if wrap["kind"] == "passphrase":
            text = (
                f"a passphrase: Argon2id, {wrap['memory_kib'] // 1024} MiB, "
                f"{wrap['time_cost']} passes, {wrap['lanes']} lanes"
            )
        opened = " (in use)" if len(shown["wraps"]) > 1 and wrap["number"] == shown["open"] else ""
        lines.append(f"opens with {text}{opened}")
    if len(lines) > 1:
        lines.append("a change is under way: `quietwire key settle`, or the next start, ends it")
    return [*lines, f"data keys: {shown['data_keys']}"]


def _then(target: Source) -> str:
    return (
        f'Now set server_key = "{target}" in the configuration. The former key opens the database as well until the '
        "server has been restarted, or `quietwire key settle` has found the new one there."
    )


async def _in_place(config: Config) -> None:
    async with reaching(config) as ask:
        async for said in in_place(config.key_source(), ask):
            typer.echo(said)


def register(app: typer.Typer) -> None:
    key = typer.Typer(help="Change what opens the server's keys; show it.", no_args_is_help=True)
    app.add_typer(key, name="key")

    @key.command("show")
    def show(config: Path = CONFIG, as_json: bool = typer.Option(False, "--json", help="One JSON object.")) -> None:
        """What opens the server's keys, and how many data keys there are. Nothing of it is secret."""
        shown = administrate(load(config), "key-show")
        typer.echo(json.dumps(shown) if as_json else "\n".join(described(shown)))

    @key.command("rotate")
    def change(
        config: Path = CONFIG,
        to: str = typer.Option(
            "", help="Where the new key is: as server_key in the configuration. A missing file is made."
        ),
    ) -> None:
        """A new server key and a new data key, without stopping the server.

        Without --to the new key takes the place of the old one's file."""
        settings = load(config)
        source = settings.key_source()
        target = target_of(settings, to) if to else source
        if source.place == "file" and target == source:
            asyncio.run(_in_place(settings))
            return
        if not to:
            raise QuietwireError(f"{source} cannot be written to: put a new key somewhere and name it with --to")
        asyncio.run(rotate(settings, target))
        typer.echo(_then(target))

    @key.command("passphrase")
    def passphrase(
        config: Path = CONFIG,
        prompt: bool = typer.Option(False, "--prompt", help="Type one instead of having it generated."),
    ) -> None:
        """A passphrase that opens the server's keys: generated, with 80 bits, and shown once.

        Back to a key: `quietwire key rotate --to FILE`."""
        settings = load(config)
        text = "" if prompt else make_passphrase(secrets.token_bytes)
        wrapping = wrapping_of(Passphrase.of(text) if text else ask_new())

        async def work() -> None:
            async with reaching(settings) as ask:
                await add(ask, wrapping)

        asyncio.run(work())
        if text:
            typer.echo(f"passphrase: {text}")
        typer.echo(_then(Source("prompt", "", True)))

    @key.command("settle")
    def finish(config: Path = CONFIG) -> None:
        """End a change: what the configuration names now opens the server's keys alone."""
        done = asyncio.run(settle(load(config)))
        typer.echo("the former key opens nothing any more" if done else "there is one key; nothing is left to do")
