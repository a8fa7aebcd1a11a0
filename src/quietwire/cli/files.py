"""`quietwire send-file` and `fetch`: files of conversations. Nothing is fetched that was not asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietwire.cli.client import Account, Address, CaFile, Passphrase, Password, Starttls, Store, fail, run_client
from quietwire.cli.link_options import LinkCell, LinkPreset, LinkProfile, LinkTick, Preset, link_policy
from quietwire.shaping.policy import Profile

if TYPE_CHECKING:
    from quietwire.client.core import Client

LOOKED_AT = 10_000
"""Entries of a conversation's history, from the last one back."""

Delay = Annotated[
    float, typer.Option(help="A fetch waits for a random time up to so many seconds: it can be seen on the network.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the root command."""
    app.command("send-file")(send_file)
    app.command()(fetch)


def send_file(
    to: str,
    path: Path,
    *,
    leave_link: Annotated[
        bool, typer.Option("--leave-link", help="On a steady link: let a large file go over HTTP, where it is seen.")
    ] = False,
    account: Account,
    password: Password,
    passphrase: Passphrase = None,
    store: Store = None,
    address: Address = None,
    starttls: Starttls = False,
    ca_file: CaFile = None,
    link_profile: LinkProfile = Profile.OFF,
    link_preset: LinkPreset = Preset.DESKTOP,
    link_tick: LinkTick = None,
    link_cell: LinkCell = None,
) -> None:
    """Send one file, encrypted, and wait until the server has it."""

    async def use(client: Client) -> None:
        typer.echo(await client.send_file(to, path, leave_link=leave_link))
        if not await client.drained():
            fail("the server has not confirmed the message; it goes out with the next connection")

    link = link_policy(link_profile, link_preset, link_tick, link_cell)
    run_client(
        use, account, password, passphrase, store=store, address=address, starttls=starttls, ca_file=ca_file, link=link
    )


def fetch(
    sender: Annotated[str, typer.Argument(help="With whom the conversation is.")],
    id: Annotated[str, typer.Argument(help="Of the message that offers the file, as `listen --json` shows it.")],
    *,
    folder: Annotated[Path, typer.Option("--to", help="Where it is put.")] = Path(),
    delay: Delay = 30.0,
    account: Account,
    password: Password,
    passphrase: Passphrase = None,
    store: Store = None,
    address: Address = None,
    starttls: Starttls = False,
    ca_file: CaFile = None,
    link_profile: LinkProfile = Profile.OFF,
    link_preset: LinkPreset = Preset.DESKTOP,
    link_tick: LinkTick = None,
    link_cell: LinkCell = None,
) -> None:
    """Fetch a file that was offered."""

    async def use(client: Client) -> None:
        from quietwire.client import events

        for event in reversed(client.history(sender, LOOKED_AT)):
            what = event.what if isinstance(event, events.Sent) else event
            if isinstance(what, events.File) and what.id == id:
                typer.echo(await client.fetch(what, folder, delay=delay))
                return
        fail("no file was offered in that message")

    link = link_policy(link_profile, link_preset, link_tick, link_cell)
    run_client(
        use, account, password, passphrase, store=store, address=address, starttls=starttls, ca_file=ca_file, link=link
    )
