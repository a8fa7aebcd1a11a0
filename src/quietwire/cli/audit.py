"""`quietwire audit`: what a thief reads from a stolen disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from quietwire.cli.key_source import read_secret
from quietwire.core.errors import QuietwireError
from quietwire.seal.server_key import Source

NARROWEST = 120
"""Columns under which the tables become unreadable; a pipe gets these."""


def register(app: typer.Typer) -> None:
    audit = typer.Typer(help="See what a thief reads from a stolen disk.", no_args_is_help=True)
    audit.callback()(lambda: None)
    audit.command("disk")(disk)
    app.add_typer(audit, name="audit")


def disk(
    path: Annotated[Path, typer.Argument(help="A data directory: ours, Prosody's or ejabberd's, or a copy of one.")],
    server_key: Annotated[
        str, typer.Option("--server-key", help="Our server key too: a file, or what else `server_key` may name.")
    ] = "",
    canary: Annotated[Path | None, typer.Option(help="Texts to look for, one a line, in all forms.")] = None,
    guess: Annotated[Path | None, typer.Option(help="Names to test with the key, one bare JID a line.")] = None,
    log: Annotated[list[Path] | None, typer.Option(help="Logs that lie elsewhere: a file or a folder.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON too.")] = None,
    full: Annotated[bool, typer.Option("--full", help="The JSON has everything that was read, unshortened.")] = False,
) -> None:
    """Open a copy of a data directory as a thief would, and list what can be read.

    The directory itself is not changed: it is copied first, and so may belong to a server that runs. No secrets are
    used but those that you give."""
    from quietwire.lab.audit import report
    from quietwire.lab.audit.audit import examine
    from quietwire.lab.audit.raw import load_canaries

    try:
        found = examine(
            path,
            secret=read_secret(Source.parse(server_key)) if server_key else None,
            canaries=load_canaries(canary) if canary is not None else (),
            guesses=[line.strip() for line in guess.read_text("utf-8").splitlines() if line.strip()] if guess else (),
            logs=log or (),
        )
    except ValueError as error:
        raise QuietwireError(f"--server-key: {error}") from None
    console = Console()
    if console.width < NARROWEST:
        console = Console(width=NARROWEST)
    report.show(found, console)
    if json_file is not None:
        text = json.dumps(report.as_json(found, full=full), indent=1, ensure_ascii=False)
        json_file.write_text(text + "\n", "utf-8")
