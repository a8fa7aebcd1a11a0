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
from quietwire.seal.recovery import make_recovery_code, recovery_key

CONFIG = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file.")
PASSWORD_STDIN = typer.Option(False, "--password-stdin", help="Read the password from standard input, one line.")
_IMPORT_LINE = "one `name password` a line"
MINIMUM = 4096
"""RFC 7677 §4."""


def new_password(from_stdin: bool) -> tuple[str, bool]:
    """-> (password, whether it was generated and must be shown once)."""
    if not from_stdin:
        return make_passphrase(secrets.token_bytes), True
    return read_secret("password"), False


def read_secret(what: str) -> str:
    """One line of standard input. Raises QuietwireError."""
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise QuietwireError(f"standard input holds no {what}")
    return line


def ask_secret(what: str, from_stdin: bool) -> str:
    """The same, or asked for on the terminal."""
    return read_secret(what) if from_stdin else str(typer.prompt(what.capitalize(), hide_input=True))


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


def _tell(jid: str, password: str, generated: bool, code: str = "") -> None:
    """What is shown once."""
    typer.echo(jid)
    if generated:
        typer.echo(f"passphrase: {password}")
    if code:
        typer.echo(f"recovery code: {code}")
        typer.echo("Shown once. The code opens the account when the password is lost: its owner keeps it.", err=True)


def register(app: typer.Typer) -> None:
    account = typer.Typer(help="Make, change, open anew and delete accounts.", no_args_is_help=True)
    app.add_typer(account, name="account")
    _register_making(account)
    _register_opening(account)

    @account.command("delete")
    def delete(name: str, config: Path = CONFIG, yes: bool = typer.Option(False, "--yes", help="Do not ask.")) -> None:
        """Delete an account with everything it left."""
        if not yes:
            typer.confirm(f"Delete {name} with roster, messages and keys?", abort=True)
        done = administrate(load(config), "account-delete", name=name)
        typer.echo(f"{done['jid']} deleted")
        if not done["told"]:
            typer.echo("Its contacts were not told: who they are was sealed, as its owner was away.", err=True)

    @account.command("list")
    def show_all(config: Path = CONFIG) -> None:
        """Tell how many accounts there are, and the names of those that are unlocked: the server knows no others."""
        told = administrate(load(config), "account-list")
        for jid in told["unlocked"]:
            typer.echo(f"{jid} (unlocked)")
        locked = told["accounts"] - len(told["unlocked"])
        what = "account" if told["accounts"] == 1 else "accounts"
        typer.echo(
            f"{told['accounts']} {what}" + (f", {locked} of them locked: names are kept as hashes" if locked else "")
        )

    @account.command("show")
    def show(name: str, config: Path = CONFIG) -> None:
        """Say whether there is such an account. Ends with status 1 where there is none."""
        told = administrate(load(config), "account-show", name=name)
        if not told["exists"]:
            raise QuietwireError(f"{told['jid']} does not exist")
        typer.echo(f"{told['jid']}{' (unlocked)' if told['unlocked'] else ''}")


def _register_making(account: typer.Typer) -> None:
    @account.command("add")
    def add(
        name: str,
        config: Path = CONFIG,
        password_stdin: bool = PASSWORD_STDIN,
        recovery: bool = typer.Option(True, help="Make a recovery code and show it once."),
    ) -> None:
        """Make an account. Without --password-stdin a passphrase is generated and shown once."""
        password, generated = new_password(password_stdin)
        code = make_recovery_code(secrets.token_bytes) if recovery else ""
        jid = administrate(load(config), "account-add", name=name, password=password, recovery_code=code)
        _tell(jid, password, generated, code)

    @account.command("import")
    def bulk(
        file: Path,
        config: Path = CONFIG,
        iterations: int = typer.Option(0, help="SCRAM iterations of these accounts; 0: as configured.", min=0),
    ) -> None:
        """Make many accounts from a file, one `name password` a line. They have no recovery codes."""
        if 0 < iterations < MINIMUM:
            raise QuietwireError(f"--iterations: at least {MINIMUM}, or 0 for what the configuration says")
        accounts = read_import(file)
        made = administrate(load(config), "account-import", accounts=accounts, iterations=iterations)
        typer.echo(f"{made} accounts made, {len(accounts) - made} existed")


def _register_opening(account: typer.Typer) -> None:
    @account.command("passwd")
    def passwd(
        name: str,
        config: Path = CONFIG,
        password_stdin: bool = PASSWORD_STDIN,
        old: bool = typer.Option(
            False,
            "--old-password",
            help="Ask for the old password: nothing is lost. With --password-stdin its line first.",
        ),
        destroy: bool = typer.Option(
            False, "--destroy-sealed-data", help="If the account is locked, erase what only its owner can read."
        ),
    ) -> None:
        """Set a new password. While the owner is away that takes the old one, or destroys what is sealed."""
        former = ask_secret("old password", password_stdin) if old else ""
        password, generated = new_password(password_stdin)
        settings = load(config)
        if old:
            jid = administrate(settings, "account-change", name=name, old=former, password=password)
            _tell(jid, password, generated)
            return
        done = administrate(settings, "account-passwd", name=name, password=password, destroy=destroy)
        _tell(done["jid"], password, generated)
        if not done["kept"]:
            typer.echo("What was sealed is destroyed. The account has no recovery code now.", err=True)

    @account.command("recovery")
    def recovery(name: str, config: Path = CONFIG, password_stdin: bool = PASSWORD_STDIN, typed: bool = typer.Option(
        False, "--password", help="Ask for the account's password: needed while its owner is away.",
    )) -> None:  # fmt: skip
        """Make another recovery code and show it once; the former one ends."""
        password = ask_secret("password", password_stdin) if typed or password_stdin else ""
        typer.echo(f"recovery code: {administrate(load(config), 'account-recovery', name=name, password=password)}")

    @account.command("recover")
    def recover(
        name: str,
        config: Path = CONFIG,
        stdin: bool = typer.Option(
            False, "--stdin", help="Read the code and the new password from standard input, a line each."
        ),
    ) -> None:
        """Open an account with its recovery code and set a new password. Nothing is lost, and the code goes on to
        hold."""
        code = ask_secret("recovery code", stdin)
        recovery_key(code)  # one that is mistyped is told from one that is another's
        password, generated = new_password(stdin)
        jid = administrate(load(config), "account-recover", name=name, code=code, password=password)
        _tell(jid, password, generated)
