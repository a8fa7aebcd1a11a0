"""The `quietwire` command: every sub-command in a file of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from quietwire.cli import (
    account,
    audit,
    backup,
    check,
    client,
    files,
    invite,
    key,
    lab,
    links,
    quickstart,
    reload,
    room,
    serve,
    shield,
    status,
)
from quietwire.core.errors import QuietwireError

app = typer.Typer(
    name="quietwire",
    help="Private messaging over XMPP that shows what everyone on the path can see, and shrinks it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for part in (
    quickstart,
    serve,
    shield,
    check,
    status,
    links,
    reload,
    account,
    room,
    invite,
    key,
    backup,
    audit,
    client,
    files,
    lab,
):
    part.register(app)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits. What went wrong is one line on standard error: status 2 for a command that
    cannot be understood, 1 for one that could not be carried out."""
    status: Any = 0
    try:
        status = app(arguments, standalone_mode=False)
    except typer.TyperException as error:
        status = error.exit_code
        message = " ".join(error.format_message().split())
        if message:  # empty: the help was shown instead
            _complain(f"{message.rstrip('.')} (`quietwire --help` shows what there is)")
    except typer.Abort:
        status = 1
        _complain("nothing was done")
    except QuietwireError as error:
        status = 1
        _complain(str(error))
    except OSError as error:
        status = 1
        _complain(f"{error.filename or 'system'}: {error.strerror or type(error).__name__}")
    sys.exit(status if isinstance(status, int) else 0)


def _complain(line: str) -> None:
    print(f"quietwire: {line}", file=sys.stderr)
