"""`quietwire invite`: makes an invitation, on a running server or in its absence, and shows it as link and QR code."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import segno
import typer

from quietwire.cli.account import CONFIG
from quietwire.cli.commands import administrate
from quietwire.cli.config import load

_DAYS = 7


def terminal_code(text: str) -> str:
    """The QR code in half blocks, two modules a character: a link fits into 25 lines."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, border=2, compact=True)
    return out.getvalue()


def day(seconds: float) -> str:
    """The last day on which it is good."""
    return f"{datetime.fromtimestamp(seconds - 1, UTC):%Y-%m-%d}"


def register(app: typer.Typer) -> None:
    invite = typer.Typer(help="Invite people: a link and a QR code that make an account here.", no_args_is_help=False)
    app.add_typer(invite, name="invite")

    @invite.callback(invoke_without_command=True)
    def make(
        context: typer.Context,
        config: Path = CONFIG,
        name: str = typer.Option("", "--name", help="Name of the account; otherwise the guest chooses it."),
        inviter: str = typer.Option("", "--from", help="Account that becomes the guest's first contact."),
        days: int = typer.Option(_DAYS, "--days", help="How many days it is good for.", min=1, max=365),
        plain: bool = typer.Option(False, "--plain", help="The links only, one a line."),
    ) -> None:
        """Make an invitation for one account."""
        if context.invoked_subcommand is not None:
            return
        made: dict[str, Any] = administrate(load(config), "invite", name=name, inviter=inviter, days=days)
        links = [link for link in (made["page"], made["uri"]) if link]
        if not plain:
            typer.echo(terminal_code(links[0]))
        for link in links:
            typer.echo(link)
        if not plain:
            typer.echo(f"Good for one account, until {day(made['expires'])}. Nobody can show these links again.")

    @invite.command("list")
    def show(config: Path = CONFIG) -> None:
        """List open invitations: handle, what for, until when. Who invites whom only the link tells."""
        for one in administrate(load(config), "invite-list"):
            what = "account" if one["register"] else "contact"
            by = "operator" if one["operator"] else "user"
            name = "for one name" if one["named"] else "any name"
            typer.echo(f"{one['handle']}  {what}  by {by}  {name}  {day(one['expires'])}")

    @invite.command("revoke")
    def revoke(handle: str, config: Path = CONFIG) -> None:
        """Take an open invitation back; `quietwire invite list` shows its handle."""
        typer.echo(f"{administrate(load(config), 'invite-revoke', handle=handle)} taken back")
