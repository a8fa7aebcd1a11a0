"""`quietwire send`, `listen` and `devices`: the client's face on the command line. Builds a client, decides nothing."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quietwire.cli.extras import needs
from quietwire.cli.link_options import LinkCell, LinkPreset, LinkProfile, LinkTick, Preset, link_policy
from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID, JIDError
from quietwire.shaping.policy import Profile

if TYPE_CHECKING:
    from quietwire.client.core import Client, Device
    from quietwire.client.events import File

MISSING = needs("the client's libraries", "client")

Account = Annotated[str, typer.Option("--account", "-a", envvar="QUIETWIRE_ACCOUNT", help="Your address.")]
Password = Annotated[
    str,
    typer.Option(
        envvar="QUIETWIRE_PASSWORD", prompt=True, hide_input=True, help="Of the account. Asked for if not set."
    ),
]
Passphrase = Annotated[
    str | None,
    typer.Option(envvar="QUIETWIRE_PASSPHRASE", help="Opens the store. Without it the system's keyring keeps the key."),
]
Store = Annotated[Path | None, typer.Option(help="The file that keeps keys and history. Default: one per account.")]
Address = Annotated[str | None, typer.Option(help="HOST:PORT instead of the one in DNS.")]
Starttls = Annotated[bool, typer.Option("--starttls", help="With --address: STARTTLS instead of direct TLS.")]
CaFile = Annotated[Path | None, typer.Option(help="Believe only the authorities in this PEM file.")]

Use = Callable[["Client"], Awaitable[None]]


def register(app: typer.Typer) -> None:
    """Adds `send`, `listen` and `devices` to the root command."""
    app.command()(send)
    app.command()(listen)
    devices = typer.Typer(help="Whose devices can read, and which are verified.", no_args_is_help=True)
    devices.command("list")(devices_list)
    devices.command("verify")(devices_verify)
    devices.command("distrust")(devices_distrust)
    app.add_typer(devices, name="devices")


def send(
    to: str,
    text: str,
    *,
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
    """Send one encrypted message and wait until the server has it."""

    async def use(client: Client) -> None:
        await client.send_text(to, text)
        if not await client.drained():
            fail("the server has not confirmed the message; it goes out with the next connection")

    link = link_policy(link_profile, link_preset, link_tick, link_cell)
    run_client(
        use, account, password, passphrase, store=store, address=address, starttls=starttls, ca_file=ca_file, link=link
    )


def listen(
    *,
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    fetch: Annotated[
        Path | None,
        typer.Option(help="Put files that are offered into this folder. Without it none is fetched by itself."),
    ] = None,
    fetch_delay: Annotated[float, typer.Option(help="Each after a random time up to so many seconds.")] = 30.0,
) -> None:
    """Show what arrives until interrupted."""

    async def use(client: Client) -> None:
        from quietwire.client import events

        fetching: set[asyncio.Task[None]] = set()
        async for event in client.events():
            fields = event.as_dict()
            typer.echo(json.dumps(fields, ensure_ascii=False) if as_json else _line(fields))
            if fetch is not None and isinstance(event, events.File):
                task = asyncio.create_task(_fetch(client, event, fetch, fetch_delay))
                fetching.add(task)
                task.add_done_callback(fetching.discard)
        await asyncio.gather(*fetching)

    link = link_policy(link_profile, link_preset, link_tick, link_cell)
    run_client(
        use, account, password, passphrase, store=store, address=address, starttls=starttls, ca_file=ca_file, link=link
    )


async def _fetch(client: Client, file: File, folder: Path, delay: float) -> None:
    try:
        typer.echo(f"quietwire: fetched {await client.fetch(file, folder, delay=delay)}", err=True)
    except QuietwireError as error:
        typer.echo(f"quietwire: {error}", err=True)


def devices_list(
    jid: Annotated[str | None, typer.Argument(help="Whose. Default: your own.")] = None,
    *,
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
    """List the devices of an account with their fingerprints and what you decided."""

    async def use(client: Client) -> None:
        for device in await client.devices(jid):
            typer.echo(_device_line(device))

    link = link_policy(link_profile, link_preset, link_tick, link_cell)
    run_client(
        use, account, password, passphrase, store=store, address=address, starttls=starttls, ca_file=ca_file, link=link
    )


def devices_verify(
    jid: str,
    fingerprint: str,
    *,
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
    """Say that you compared this fingerprint with its owner."""
    use = _decide(jid, fingerprint, "verified")
    link = link_policy(link_profile, link_preset, link_tick, link_cell)
    run_client(
        use, account, password, passphrase, store=store, address=address, starttls=starttls, ca_file=ca_file, link=link
    )


def devices_distrust(
    jid: str,
    fingerprint: str,
    *,
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
    """Write nothing to this device any more, and read nothing from it."""
    use = _decide(jid, fingerprint, "distrusted")
    link = link_policy(link_profile, link_preset, link_tick, link_cell)
    run_client(
        use, account, password, passphrase, store=store, address=address, starttls=starttls, ca_file=ca_file, link=link
    )


def _decide(jid: str, fingerprint: str, decision: str) -> Use:
    async def use(client: Client) -> None:
        from quietwire.client.trust import Decision

        await client.devices(jid)
        typer.echo(_device_line(await client.decide(jid, fingerprint, Decision(decision))))

    return use


def run_client(use: Use, account: str, password: str, passphrase: str | None, **options: Any) -> None:
    try:
        from quietwire.client.core import Client, Settings
    except ImportError:
        fail(MISSING)
        return

    if not _is_account(account):
        fail("--account: an address is expected, name@example.org")

    async def main() -> None:
        settings = Settings(
            jid=account,
            password=password,
            passphrase=passphrase,
            store=options["store"] or _default_store(account),
            address=_address(options["address"]),
            direct_tls=not options["starttls"],
            ca_file=options["ca_file"],
            link=options["link"],
        )
        async with Client(settings) as client:
            _say_what_is_not_shaped(client)
            await use(client)

    try:
        asyncio.run(main())
    except QuietwireError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _say_what_is_not_shaped(client: Client) -> None:
    shaped = client.shaped
    if shaped is not None and shaped.up != shaped.down:
        down = "not shaped: this server does not offer it" if shaped.down == "off" else shaped.down
        line = f"uplink {shaped.up}, downlink {down}"
        typer.echo(f"quietwire: {line}", err=True)


def _is_account(text: str) -> bool:
    try:
        jid = JID.parse(text)
    except JIDError:
        return False
    return bool(jid.local) and not jid.resource


def fail(line: str) -> None:
    typer.echo(f"quietwire: {line}", err=True)
    raise typer.Exit(1)


def _address(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        fail("--address: HOST:PORT is expected")
    return host.strip("[]"), int(port)


def _default_store(account: str) -> Path:
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "quietwire"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    return base / f"{account.replace('/', '_')}.db"


def _device_line(device: Device) -> str:
    marks = [device.trust.value] + (["this device"] if device.own else []) + ([] if device.active else ["gone"])
    return f"{device.jid}  {device.device:>10}  {device.fingerprint}  {', '.join(marks)}"


def _line(fields: dict[str, Any]) -> str:
    """One event as text, control characters made visible: a message must not steer the terminal."""
    what = fields.get("what", fields)
    who = what.get("sender") or what.get("jid") or what.get("peer") or ""
    direction = f"to {what['peer']}" if fields["event"] == "Sent" else who
    said = next((what[key] for key in ("text", "state", "reason", "name") if what.get(key)), "")
    said = said or " ".join(what.get("emojis", ()))
    trust = f" [{what['trust']}]" if "trust" in what else ""
    line = f"{what['event']}{trust} {direction} {said}".rstrip()
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
