"""`quietwire serve`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import typer
import uvloop

from quietwire.cli.backup import COMMAND as BACKUP
from quietwire.cli.commands import CONTROL, answers
from quietwire.cli.compose import Composition, Wrap, compose, plain_wrap
from quietwire.cli.config import Config, load
from quietwire.cli.links import links
from quietwire.cli.logs import Log
from quietwire.cli.reload import reload
from quietwire.cli.status import status
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.core.later import Later
from quietwire.net.control import open_control
from quietwire.net.daemon import raise_descriptors
from quietwire.net.lockdown import has_swap, lock_memory, no_core_dumps
from quietwire.net.shell import driven
from quietwire.net.tls import SOON_DAYS, own_expiry

CERTIFICATE_SECONDS = 86_400.0
"""Between two looks at how long the certificate is good for."""


async def serve(config: Config, wrap: Wrap = plain_wrap, path: Path | None = None) -> None:
    """Runs until SIGTERM or SIGINT. `path`: the file that SIGHUP reads anew."""
    raise_descriptors()
    log = Log(config.log.level)
    said = shut_in(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The default handler would print tracebacks whole, and they may quote what users say.
    loop.set_exception_handler(lambda loop, context: log.fault(context.get("exception") or RuntimeError()))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    composition = await compose(config, log, wrap)

    def hang_up() -> None:
        task = loop.create_task(_quietly(reread(composition, path)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    tasks: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await take_commands(composition, path)
    watch(composition)
    # What lives since the start is never garbage: the collector need not walk it (DESIGN §10).
    gc.collect()
    gc.freeze()
    # Stanzas die young and by reference count: to look for cycles every 700 objects costs a seventh of a message. What
    # does leave cycles is a domain that DNS does not find, 130 KB each: so old objects are looked at, too.
    gc.set_threshold(20_000, 10, 5)
    for event, state in said:
        if state:
            log.warn(event, state=state)
        else:
            log.note(event)
    for key, port in composition.ports.items():
        log.note("listening", where=key, port=str(port))
    log.note("ready", domain=config.domain)
    await stop.wait()
    log.note("stopping")
    await composition.stop()
    log.note("stopped")


def shut_in(config: Config) -> list[tuple[str, str]]:
    """Before there are keys: they are to stay in memory. -> (event, state) of what cannot be had; a state is a reason
    to look at it."""
    said = []
    if config.process.core_dumps:
        said.append(("core-dumps-allowed", "configured"))
    elif not no_core_dumps():
        said.append(("core-dumps-limited", ""))
    if config.process.lock_memory and not lock_memory():
        said.append(("memory-not-locked", "swap" if has_swap() else ""))
    return said


async def take_commands(composition: Composition, path: Path | None = None) -> None:
    """Opens the control socket."""

    async def told(arguments: dict[str, Any]) -> dict[str, Any]:
        return status(composition)

    async def shaped(arguments: dict[str, Any]) -> dict[str, Any]:
        return links(composition)

    async def copied(arguments: dict[str, Any]) -> None:
        await driven(_settled(composition.storage.backup(Path(arguments["path"]))))

    commands = answers(
        composition.server,
        {"reload": lambda _: reread(composition, path), "status": told, "links": shaped, BACKUP: copied},
    )
    composition.control = await open_control(composition.config.data / CONTROL, commands)


async def _settled(later: Later[None]) -> None:
    await later


async def reread(composition: Composition, path: Path | None) -> list[str]:
    """-> the keys that need a restart. Raises QuietwireError; then the old configuration stays in force."""
    if path is None:
        raise QuietwireError("this server was not started from a file")
    try:
        waiting = reload(composition, path)
    except ConfigError as error:
        composition.log.warn("reload-refused", where=error.key)
        raise
    watch_certificate(composition)
    return waiting


async def _quietly(work: Awaitable[object]) -> None:
    """The log has said it."""
    with contextlib.suppress(QuietwireError):
        await work


def watch(composition: Composition) -> None:
    """Looks at the certificate once a day, and when it ends."""
    left = watch_certificate(composition)
    seconds = min(left + 1, CERTIFICATE_SECONDS) if left > 0 else CERTIFICATE_SECONDS
    composition.shell.timers.after(seconds, lambda: watch(composition))


def watch_certificate(composition: Composition) -> float:
    """A line of log for a certificate that others will refuse, or will soon. -> seconds it is good for."""
    try:
        left = own_expiry(composition.config.tls.certificate) - time.time()
    except ConfigError:
        composition.log.warn("certificate-unreadable")  # what was read at the start is in use until the next one
        return 0.0
    if left <= 0:
        composition.log.warn("certificate-expired")
    elif left <= SOON_DAYS * 86_400:
        composition.log.warn("certificate-expires", count=str(int(left / 86_400)))
    return left


def run(config: Config, wrap: Wrap = plain_wrap, path: Path | None = None) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(config, wrap, path))


def register(app: typer.Typer) -> None:
    @app.command("serve")
    def command(
        config: Path = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file."),
    ) -> None:
        """Run the server until SIGTERM."""
        run(load(config), path=config)
