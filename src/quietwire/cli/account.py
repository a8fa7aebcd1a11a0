"""`quietwire account`: on a running server through its control socket, otherwise on its database directly."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import typer

from quietwire.cli.commands import administrate
from quietwire.cli.config import load, unreadable
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.seal.passphrase import make_passphrase

CONFIG = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file.")
PASSWORD_STDIN = typer.Option(False, "--password-stdin", help="Read the password from standard input, one line.")
_IMPORT_LINE = "one `name password` a line"
MINIMUM = 4096
"""RFC 7677 §4."""


def new_password(from_stdin: bool) -> tuple[str, bool]:
    """-> (password, whether it was generated and must be shown once)."""
    if not from_stdin:
        return make_passphrase(secrets.token_bytes), True
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise QuietwireError("standard input holds no password")
    return password, False


def read_import(path: Path) -> list[tuple[str, str]]:
    """The accounts of an import file. Raises ConfigError."""
    accounts = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "file", f"cannot be read: {unreadable(error)}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, password = line.strip().partition(" ")
        if not password:
            raise ConfigError(str(path), f"line {number}", _IMPORT_LINE)
        accounts.append((name, password))
    return accounts


def register(app: typer.Typer) -> None:
    account = typer.Typer(help="Make, change, list and delete accounts.", no_args_is_help=True)
    app.add_typer(account, name="account")

    @account.command("add")
    def add(name: str, config: Path = CONFIG, password_stdin: bool = PASSWORD_STDIN) -> None:
        """Make an account. Without --password-stdin a passphrase is generated and shown once."""
        password, generated = new_password(password_stdin)
        jid = administrate(load(config), "account-add", name=name, password=password)
        typer.echo(f"{jid}" + (f"\npassphrase: {password}" if generated else ""))

    @account.command("import")
    def bulk(
        file: Path,
        config: Path = CONFIG,
        iterations: int = typer.Option(0, help="SCRAM iterations of these accounts; 0: as configured.", min=0),
    ) -> None:
        """Make many accounts from a file, one `name password` a line."""
        if 0 < iterations < MINIMUM:
            raise QuietwireError(f"--iterations: at least {MINIMUM}, or 0 for what the configuration says")
        accounts = read_import(file)
        made = administrate(load(config), "account-import", accounts=accounts, iterations=iterations)
        typer.echo(f"{made} accounts made, {len(accounts) - made} existed")

    @account.command("passwd")
    def passwd(name: str, config: Path = CONFIG, password_stdin: bool = PASSWORD_STDIN) -> None:
        """Set a new password."""
        password, generated = new_password(password_stdin)
        jid = administrate(load(config), "account-passwd", name=name, password=password)
        typer.echo(f"{jid}" + (f"\npassphrase: {password}" if generated else ""))

    @account.command("delete")
    def delete(name: str, config: Path = CONFIG, yes: bool = typer.Option(False, "--yes", help="Do not ask.")) -> None:
        """Delete an account with everything it left."""
        if not yes:
            typer.confirm(f"Delete {name} with roster, messages and keys?", abort=True)
        typer.echo(f"{administrate(load(config), 'account-delete', name=name)} deleted")

    @account.command("list")
    def show(config: Path = CONFIG) -> None:
        """List accounts, one a line."""
        for jid in administrate(load(config), "account-list"):
            typer.echo(jid)
