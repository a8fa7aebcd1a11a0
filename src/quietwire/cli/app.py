"""The `quietwire` command: every sub-command in a file of its own."""

from __future__ import annotations

import sys

import typer

from quietwire.cli import account, client, lab, quickstart, serve
from quietwire.core.errors import QuietwireError

app = typer.Typer(
    name="quietwire",
    help="Private messaging over XMPP that shows what everyone on the path can see, and shrinks it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for part in (quickstart, serve, account, client, lab):
    part.register(app)


def run() -> None:
    """Runs the command line; a defined failure is one line and exit status 1."""
    try:
        app()
    except QuietwireError as error:
        print(f"quietwire: {error}", file=sys.stderr)
        sys.exit(1)
