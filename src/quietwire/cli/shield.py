"""`quietwire shield`: a helper between any client and any server, which makes their link say less."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from cryptography import x509

from quietwire.cli.logs import Log
from quietwire.cli.shield_options import (
    Batch,
    Block,
    BulkEvery,
    Cell,
    Delay,
    FastTick,
    Garbage,
    Pad,
    Preset,
    Profiled,
    Queue,
    Say,
    Tick,
    TunnelProfiled,
    Window,
    fitting,
    policy_of,
    price,
    tunnel_policy,
)
from quietwire.core.errors import ConfigError
from quietwire.core.jid import JID, JIDError
from quietwire.net.daemon import Daemon, Listener, capacity, raise_descriptors
from quietwire.net.doors import Doors, Limits
from quietwire.net.lockdown import no_core_dumps
from quietwire.net.resolver import NotFound, Override, Resolver, ascii_name
from quietwire.net.shell import Shell
from quietwire.net.shield import QUEUE, Shield, Terms, Way
from quietwire.net.shield_trust import Trust, pin_of
from quietwire.net.shield_tunnel import ToTunnel, Tunnel, TunnelConnection
from quietwire.net.shield_ways import CLIENT_PORT, Local, Remote
from quietwire.net.tls import client_context, own_certificate, own_expiry
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.shaping.policy import Policy, Profile

DAYS = 800
"""Of the certificate that clients on this machine are shown: some systems take none that is good for more than 825."""
RENEW_SECONDS = 30 * 86_400.0
"""Before its end a new one is made, at the next start."""
TUNNELS_PER_NETWORK = 100
"""From one IPv4 address or IPv6 /64 at a time: a house or an office behind one address, at a connection each. A tunnel
knows no login, and the server behind it sees this machine alone, so here is the last place to count whose they are."""
Pin = Annotated[str, typer.Option(help="sha256/… of the server's key: this one and no other, whoever signed it.")]
CaFile = Annotated[Path | None, typer.Option("--ca-file", help="Believe only the authorities in this PEM file.")]
Expose = Annotated[bool, typer.Option("--expose", help="Let others than this machine connect.")]


def place(text: str, key: str, *, empty: bool = False) -> tuple[str, int]:
    """HOST:PORT or [ADDRESS]:PORT. `empty`: no host is every address. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not port.isdecimal() or int(port) > 65_535 or not (may_be_host(host) if host else empty):
        raise ConfigError("shield", key, "HOST:PORT, for instance 127.0.0.1:5222")
    return ("" if host == "*" else host), int(port)


def may_be_host(text: str) -> bool:
    """An address, or a name that DNS can hold."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        try:
            ascii_name(text.removesuffix("."))
        except NotFound:
            return False
    return True


def places(plain: str, tls: str, at: Callable[[str, str], tuple[str, int]]) -> list[tuple[str, int, bool]]:
    """(host, port, TLS from the first byte) of `--listen` and `--listen-tls`, where they say something. Raises
    ConfigError."""
    asked = ((plain, "--listen", False), (tls, "--listen-tls", True))
    where = [(*at(text, key), direct) for text, key, direct in asked if text]
    if not where:
        raise ConfigError("shield", "--listen", "HOST:PORT, or --listen-tls: nobody could connect")
    return where


def on_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_place(text: str, key: str, expose: bool) -> tuple[str, int]:
    """Where clients of this machine connect. Raises ConfigError."""
    host, port = place(text, key)
    if not on_loopback(host) and not expose:
        raise ConfigError(
            "shield", key, "an address of this machine alone (127.0.0.1), or --expose: others could use it"
        )
    return host, port


def domain_of(text: str, key: str) -> str:
    """A domain as clients write it. Raises ConfigError."""
    try:
        jid = JID.parse(text)
        if not jid.is_domain:
            raise JIDError("no domain")
        ascii_name(jid.domain)
    except (JIDError, NotFound):
        raise ConfigError("shield", key, "a domain, for instance example.org") from None
    return jid.domain


def own_folder(folder: Path | None, name: str) -> Path:
    """Made if it is not there, for its owner alone. Raises ConfigError."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    folder = folder or data / "quietwire" / "shield" / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(str(folder), "--folder", f"cannot be made: {error.strerror}") from None
    return folder


def own_pair(folder: Path, names: list[str], say: Say) -> tuple[Path, Path]:
    """A certificate by a throw-away authority, and its key: those in the folder, or new ones. Raises ConfigError."""
    chain, key, root = folder / "certificate.pem", folder / "key.pem", folder / "authority.pem"
    if chain.exists() and key.exists():
        try:
            client_context(chain, key)
        except ConfigError as error:
            cure = "mend or delete it; then a new one is made, and a new authority.pem to trust"
            raise ConfigError("shield", error.where, f"{error.allowed}: {cure}") from None
        if own_expiry(chain) > time.time() + RENEW_SECONDS:
            return chain, key
    made = Authority("Quietwire shield", now=time.time(), days=DAYS, new_key=new_p256_key, random=secrets.token_bytes)
    issued = made.issue(list(dict.fromkeys(names)))
    try:
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(issued.key)
        chain.write_bytes(issued.certificate)
        root.write_bytes(made.certificate)
    except OSError as error:
        raise ConfigError(str(folder), "--folder", f"cannot be written: {error.strerror}") from None
    say(f"made an authority of its own: {root}")
    return chain, key


def given_pair(certificate: Path, key: Path) -> tuple[Path, Path]:
    """Raises ConfigError, which names the option."""
    try:
        client_context(certificate, key)
    except ConfigError as error:
        raise ConfigError(error.where, error.key.replace("tls.", "--"), error.allowed) from None
    return certificate, key


# -- running ----------------------------------------------------------------------------------------------------------


async def until_stopped(daemon: Daemon, open_: Callable[[], int], shut_down: Callable[[], None]) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await daemon.stop((shut_down, open_))
    daemon.shell.close()


def begin(say: Say, per_network: int | None = None) -> tuple[Shell, Daemon]:
    """On the running loop. `per_network`: so many connections from each at a time; None: of strangers alone."""
    raise_descriptors()
    room = capacity() // 2  # each has another connection on the other side
    limits = Limits() if per_network is None else Limits(room, per_network)
    loop = asyncio.get_running_loop()
    log = Log()
    loop.set_exception_handler(lambda loop, context: log.fault(context.get("exception") or RuntimeError()))
    shell = Shell(loop)
    return shell, Daemon(shell, Doors(limits, room), log.note)


async def listen(
    daemon: Daemon, shield: Shield, where: list[tuple[str, int, bool]], pair: tuple[Path, Path], policy: Policy
) -> list[int]:
    """Opens the ports, (host, port, direct TLS); SIGHUP reads the certificate anew. Raises ConfigError."""
    ports = []
    for host, port, direct in where:
        listener = Listener(
            host, port, shield.accept, client_context(*pair), own_certificate(pair[0]), direct, "shield"
        )
        listener.policy = policy
        ports.append(await daemon.listen(listener))

    def again() -> None:
        try:
            context = client_context(*pair)
        except ConfigError as error:
            shield.say(f"{error.where}: {error.allowed}")
            return
        for listener in daemon.listeners:
            listener.context = context

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again)
    return ports


def make_shield(loop: asyncio.AbstractEventLoop, way: Way, terms: Terms, say: Say) -> Shield:
    return Shield(loop, way, terms, secrets.token_bytes, say)


def say(line: str) -> None:
    """To the user."""
    typer.echo(f"quietwire shield: {line}", err=True)


def run(main: Awaitable[None]) -> None:
    no_core_dumps()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)  # type: ignore[arg-type]


# -- the commands -----------------------------------------------------------------------------------------------------


def register(app: typer.Typer) -> None:
    shield = typer.Typer(help="A helper between any client and any server: their link says less.", no_args_is_help=True)
    shield.command("client")(client)
    shield.command("server")(server)
    shield.command("tunnel-client")(tunnel_client)
    shield.command("tunnel-server")(tunnel_server)
    app.add_typer(shield, name="shield")


def client(
    *,
    domain: Annotated[str, typer.Option("--server", help="The domain of your address: example.org.")],
    address: Annotated[str, typer.Option(help="HOST:PORT of the server instead of what DNS says.")] = "",
    direct_tls: Annotated[bool, typer.Option("--direct-tls", help="With --address: TLS from the first byte.")] = False,
    listen_at: Annotated[str, typer.Option("--listen", help="Where your client connects.")] = "127.0.0.1:5222",
    listen_tls: Annotated[str, typer.Option("--listen-tls", help="The same for TLS from the first byte.")] = "",
    profile: Profiled = "steady",
    preset: Preset = "desktop",
    cell: Cell = None,
    tick: Tick = None,
    fast_tick: FastTick = None,
    window: Window = None,
    bulk_every: BulkEvery = None,
    block: Block = None,
    delay: Delay = None,
    batch: Batch = None,
    pad: Pad = None,
    garbage: Garbage = None,
    queue: Queue = None,
    pin: Pin = "",
    ca_file: CaFile = None,
    folder: Annotated[Path | None, typer.Option(help="Where the server's pin and the authority are kept.")] = None,
    expose: Expose = False,
) -> None:
    """In front of a client of this machine: the way up is padded and paced, the server's key is pinned."""
    name = domain_of(domain, "--server")
    policy = policy_of(
        profile, preset, cell=cell, tick=tick, fast_tick=fast_tick, window=window, bulk_every=bulk_every, block=block,
        delay=delay, batch=batch, pad=pad, garbage=garbage, queue=queue,
    )  # fmt: skip
    where = places(listen_at, listen_tls, partial(own_place, expose=expose))
    overrides = {name: Override(*place(address, "--address"), direct_tls)} if address else {}
    policy = fitting(policy, say)
    kept = own_folder(folder, name)
    trust = Trust(name, domain, ca_file, pin, kept / "server.pin", say)
    pair = own_pair(kept, [ascii_name(name), "localhost"], say)

    async def main() -> None:
        shell, daemon = begin(say)
        resolver = Resolver(overrides, secrets.token_bytes, service="client", port=CLIENT_PORT)
        spaces = policy.profile is not Profile.STEADY
        terms = Terms(name, logs_in=True, spaces=spaces, far_queue=policy.queue)
        shield = make_shield(shell.loop, Remote(shell, resolver, name, trust, policy), terms, say)
        ports = await listen(daemon, shield, where, pair, Policy())
        ready = [
            f"{host}:{port}{' (direct TLS)' if tls else ''}" for (host, _, tls), port in zip(where, ports, strict=True)
        ]
        say(f"ready for clients of {domain} at {' and '.join(ready)}; authority to trust: {kept / 'authority.pem'}")
        say(f"up: {price(policy)}. What the server sends can only be shaped by the server")
        await until_stopped(daemon, shield.open, shield.shut_down)

    run(main())


def server(
    *,
    to: Annotated[str, typer.Option(help="Where the server listens on this machine, without TLS.")] = "127.0.0.1:15222",
    certificate: Annotated[Path, typer.Option(help="PEM: the server's certificate, with its chain.")],
    key: Annotated[Path, typer.Option(help="PEM: its key.")],
    listen_at: Annotated[str, typer.Option("--listen", help="Where clients connect.")] = "*:5222",
    listen_tls: Annotated[str, typer.Option("--listen-tls", help="The same for TLS from the first byte.")] = "",
    profile: Profiled = "steady",
    preset: Preset = "desktop",
    cell: Cell = None,
    tick: Tick = None,
    fast_tick: FastTick = None,
    window: Window = None,
    bulk_every: BulkEvery = None,
    block: Block = None,
    delay: Delay = None,
    batch: Batch = None,
    pad: Pad = None,
    garbage: Garbage = None,
    queue: Queue = None,
) -> None:
    """In front of a server of this machine: what it sends to any client is padded and paced."""
    policy = policy_of(
        profile, preset, cell=cell, tick=tick, fast_tick=fast_tick, window=window, bulk_every=bulk_every, block=block,
        delay=delay, batch=batch, pad=pad, garbage=garbage, queue=queue,
    )  # fmt: skip
    behind = place(to, "--to")
    if not on_loopback(behind[0]):
        raise ConfigError("shield", "--to", "an address of this machine (127.0.0.1): there is no TLS on the way")
    where = places(listen_at, listen_tls, partial(place, empty=True))
    pair = given_pair(certificate, key)

    async def main() -> None:
        shell, daemon = begin(say)
        terms = Terms("", logs_in=False, spaces=True, near_queue=policy.queue, far_queue=QUEUE)
        shield = make_shield(shell.loop, Local(shell, *behind), terms, say)
        ports = await listen(daemon, shield, where, pair, policy)
        say(f"ready at port {' and '.join(map(str, ports))}; down: {price(policy)}")
        await until_stopped(daemon, shield.open, shield.shut_down)

    run(main())


def tunnel_client(
    *,
    to: Annotated[str, typer.Option(help="HOST:PORT of the tunnel's other end.")],
    listen_at: Annotated[str, typer.Option("--listen", help="Where your client connects.")] = "127.0.0.1:5222",
    profile: TunnelProfiled = "steady",
    preset: Preset = "desktop",
    cell: Cell = None,
    tick: Tick = None,
    fast_tick: FastTick = None,
    window: Window = None,
    bulk_every: BulkEvery = None,
    queue: Queue = None,
    pin: Pin = "",
    ca_file: CaFile = None,
    folder: Annotated[Path | None, typer.Option(help="Where the other end's pin is kept.")] = None,
    expose: Expose = False,
) -> None:
    """A client's end of a tunnel: its own TLS stays whole, in cells of one size."""
    policy = tunnel_policy(
        profile, preset, cell=cell, tick=tick, fast_tick=fast_tick, window=window, bulk_every=bulk_every, queue=queue
    )
    # No `fitting` here: our own other end reads cells as fast as they come, and passes on what is in them alone, which
    # the client would have sent its server anyway.
    host, port = place(to, "--to")
    at = own_place(listen_at, "--listen", expose)
    kept = own_folder(folder, f"tunnel-{host}")
    trust = Trust(host.lower(), host, ca_file, pin, kept / "tunnel.pin", say)

    async def main() -> None:
        shell, daemon = begin(say)
        reach = ToTunnel(shell, host, port, trust, policy)
        tunnel = Tunnel(shell.loop, reach, policy.queue, say)
        nothing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        opened = await daemon.listen(Listener(*at, tunnel.plain, nothing, b"", False, "shield", local=True))
        say(f"ready at {at[0]}:{opened}; up: {price(policy)}")
        await until_stopped(daemon, tunnel.open, tunnel.shut_down)

    run(main())


def tunnel_server(
    *,
    to: Annotated[str, typer.Option(help="HOST:PORT of the XMPP server.")] = "127.0.0.1:5222",
    listen_at: Annotated[str, typer.Option("--listen", help="Where the tunnels come in.")] = "*:5224",
    certificate: Annotated[Path | None, typer.Option(help="PEM. Without it one is made, to be pinned.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM: its key.")] = None,
    profile: TunnelProfiled = "steady",
    preset: Preset = "desktop",
    cell: Cell = None,
    tick: Tick = None,
    fast_tick: FastTick = None,
    window: Window = None,
    bulk_every: BulkEvery = None,
    queue: Queue = None,
    folder: Annotated[Path | None, typer.Option(help="Where a certificate that was made is kept.")] = None,
    per_network: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="Tunnels at a time from one IPv4 address or IPv6 /64; more are closed."),
    ] = TUNNELS_PER_NETWORK,
) -> None:
    """A server's end of a tunnel: whoever reaches it reaches that one server, and nothing else."""
    policy = tunnel_policy(
        profile, preset, cell=cell, tick=tick, fast_tick=fast_tick, window=window, bulk_every=bulk_every, queue=queue
    )
    behind = place(to, "--to")
    at = place(listen_at, "--listen", empty=True)
    if (certificate is None) != (key is None):
        raise ConfigError("shield", "--certificate", "together with --key, or neither")
    if certificate is None or key is None:
        certificate, key = own_pair(own_folder(folder, "tunnel-server"), ["localhost"], say)
    else:
        given_pair(certificate, key)
    context = client_context(certificate, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    shown = pin_of(x509.load_der_x509_certificate(own_certificate(certificate)))

    async def main() -> None:
        shell, daemon = begin(say, per_network)
        tunnel = Tunnel(shell.loop, Local(shell, *behind).dial, policy.queue, say)
        acceptor = daemon.open(
            lambda visitor: TunnelConnection(shell, tunnel.outer, policy, visitor=visitor),
            *at,
            lambda: context,
            "shield",
        )
        say(f"ready at port {acceptor.port}; down: {price(policy)}; at the other end: --pin {shown}")
        await until_stopped(daemon, tunnel.open, tunnel.shut_down)

    run(main())
