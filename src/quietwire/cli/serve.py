"""`quietwire serve`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from pathlib import Path

import typer
import uvloop

from quietwire.cli.compose import Wrap, compose, plain_wrap
from quietwire.cli.config import Config, load
from quietwire.cli.logs import Log


async def serve(config: Config, wrap: Wrap = plain_wrap) -> None:
    """Runs until SIGTERM or SIGINT."""
    log = Log(config.log.level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The default handler would print tracebacks whole, and they may quote what users say.
    loop.set_exception_handler(lambda loop, context: log.fault(context.get("exception") or RuntimeError()))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    composition = await compose(config, log, wrap)
    # What lives since the start is never garbage: the collector need not walk it (DESIGN §10).
    gc.collect()
    gc.freeze()
    # Stanzas die young and by reference count: to look for cycles every 700 objects costs a seventh of a message.
    gc.set_threshold(20_000, 20, 50)
    for key, port in composition.ports.items():
        log.note("listening", where=key, port=str(port))
    log.note("ready", domain=config.domain)
    await stop.wait()
    log.note("stopping")
    await composition.stop()
    log.note("stopped")


def run(config: Config, wrap: Wrap = plain_wrap) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(config, wrap))


def register(app: typer.Typer) -> None:
    @app.command("serve")
    def command(
        config: Path = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file."),
    ) -> None:
        """Run the server until SIGTERM."""
        run(load(config))
