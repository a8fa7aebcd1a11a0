"""The composition root of the server: builds everything from the configuration, decides nothing."""

from __future__ import annotations

import asyncio
import os
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from quietwire.cli.config import Config
from quietwire.cli.key_source import NoFile, make_secret, read_secret, succeed, successor, where
from quietwire.cli.logs import Log
from quietwire.cli.padding import padding_in_force
from quietwire.core.errors import ConfigError
from quietwire.net.daemon import Daemon, Listener, capacity
from quietwire.net.dial import Dialler
from quietwire.net.doors import Doors
from quietwire.net.files import DiskFiles
from quietwire.net.http import Handler, Web
from quietwire.net.resolver import Override, Resolver
from quietwire.net.shell import Shell, driven
from quietwire.net.stream import Accept
from quietwire.net.tls import client_context, own_certificate, server_dial_context, server_listen_context, web_context
from quietwire.net.uploads import UploadDoor
from quietwire.net.verify import PeerContext
from quietwire.net.websocket import Sockets
from quietwire.seal.key_block import KeyBlock, WrongKey
from quietwire.seal.server_key import RawKey, Source, calibrated
from quietwire.seal.wraps import SealError
from quietwire.server.federation import Federation
from quietwire.server.http import WEBSOCKET_PATH
from quietwire.server.module import Context, HttpRoute
from quietwire.server.modules import discover
from quietwire.server.s2s import Common
from quietwire.server.s2s_in import Incoming
from quietwire.server.sealed.keeper import Keeper, stored
from quietwire.server.server import Ports, Server
from quietwire.server.uploads import PATH as UPLOAD_PATH
from quietwire.shaping.bucket import Rates
from quietwire.store.sqlite import SqliteStorage

DATABASE = "quietwire.sqlite"
UPLOADS = "uploads"
"""In the data folder."""

Wrap = Callable[[str, Accept], Accept]
"""(kind of link, how its stream is made) -> how its stream is made. The laboratory's test bed records this way."""


def plain_wrap(kind: str, accept: Accept) -> Accept:
    """What `quietwire serve` uses: nothing in between."""
    return accept


@dataclass(slots=True)
class Composition:
    """A whole server, listening."""

    server: Server
    storage: SqliteStorage
    federation: Federation
    incoming: Incoming
    daemon: Daemon
    web: Web
    sockets: Sockets
    dialler: Dialler
    shell: Shell
    config: Config
    """What is in force: `reload.py` replaces it."""
    log: Log
    ports: dict[str, int]
    """Where it listens, by the keys of `[listen]`."""
    control: asyncio.AbstractServer | None = None
    started: float = field(default_factory=time.monotonic)

    async def stop(self) -> None:
        """Listeners, streams, commit, close (DESIGN §4). Raises StorageError if the disk refuses what was accepted."""
        if self.control is not None:
            self.control.close()
        self.web.close()
        try:
            await self.daemon.stop(
                # First: that a user is gone is told to other servers when the connection is.
                (self.server.shut_down, lambda: self.server.streams),
                (self._leave, lambda: self.federation.streams + self.incoming.streams),
            )
            await self.web.stop()
        finally:  # whatever goes wrong with the streams: what was accepted gets to the disk
            self.storage.close()
            self.shell.close()
            if isinstance(self.server.ports.files, DiskFiles):
                self.server.ports.files.close()

    def _leave(self) -> None:
        self.federation.close()
        self.incoming.shut_down()


async def open_keeper(config: Config, storage: SqliteStorage, log: Log) -> Keeper:
    """The keys of the server, out of the block in its database. A database without one gets one, and a key file that is
    missing is made then. A rotation that was broken off is finished. Raises ConfigError."""
    tightened: list[str] = []
    keeper = await _keeper(config, storage, log, lambda: tightened.append("server-key-tightened"))
    for event in tightened:  # not before it is of use: an error is one line
        log.warn(event)
    return keeper


async def _keeper(config: Config, storage: SqliteStorage, log: Log, tightened: Callable[[], None]) -> Keeper:
    source = config.key_source()
    try:
        block = await driven(stored(storage.store))
        if block is not None:
            opened: Keeper = await driven(_open_keeper(source, storage, block, log, tightened))
            return opened
    except WrongKey:
        raise ConfigError(
            where(source),
            "server_key",
            f"does not open the database in {config.data}: put its own key there",
        ) from None
    except NoFile as missing:
        raise ConfigError(
            missing.where, "server_key", f"not there, and the database in {config.data} cannot be opened without it"
        ) from None
    except SealError as error:
        raise ConfigError(str(config.data / DATABASE), "server_key", str(error)) from None
    if await driven(_owners(storage, "account")):
        raise ConfigError(str(config.data / DATABASE), "server_key", "the key block is missing: restore a backup")
    old = await driven(_owners(storage, "old_account"))
    login = b""
    try:
        secret = read_secret(source, tightened)
        if old and isinstance(secret, RawKey):
            login = secret.key
    except NoFile:
        secret = make_secret(source)
        if old:
            log.warn("server-key-made")  # the former one is lost: names that nobody has get another salt
    making = Keeper.make(
        storage,
        secret,
        randomness=secrets.token_bytes,
        calibrate=lambda: calibrated(time.perf_counter, secrets.token_bytes),
        login=login,
    )
    keeper: Keeper = await driven(making)
    return keeper


async def _open_keeper(
    source: Source, storage: SqliteStorage, block: KeyBlock, log: Log, tightened: Callable[[], None]
) -> Keeper:
    """The key file that a rotation has written and not yet put in its place counts, if it opens the block."""
    if source.place == "file":
        try:
            block.open(read_secret(successor(source)))
            succeed(source)
            log.note("server-key-rotated")
        except (ConfigError, SealError, OSError):
            pass  # there is none, or nobody has told the database of it: the one in its place is tried
    return await Keeper.open(storage, block, read_secret(source, tightened), randomness=secrets.token_bytes)


async def _owners(storage: SqliteStorage, table: str) -> list[bytes]:
    return await storage.store.owners(table)


def open_storage(config: Config, shell: Shell, log: Log) -> SqliteStorage:
    """The database under the data directory's lock. Raises ConfigError."""
    try:
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(str(config.data), "data", f"cannot be made: {error.strerror}") from None
    return SqliteStorage(
        config.data / DATABASE,
        post=shell.post,
        later=lambda seconds, action: shell.timers.after(seconds, action).cancel,
        randomness=secrets.token_bytes,
        on_fault=lambda text: log.warn("storage", state=text or "accepts writes again"),
    )


@dataclass(frozen=True, slots=True)
class Tls:
    """What the files of `[tls]` make: our certificate, DER, and a context for each kind of link."""

    certificate: bytes
    contexts: dict[str, ssl.SSLContext]
    dial: PeerContext


def read_tls(config: Config) -> Tls:
    """Raises ConfigError."""
    tls = config.tls
    return Tls(
        own_certificate(tls.certificate),
        {
            "c2s": client_context(tls.certificate, tls.key),
            "web": web_context(tls.certificate, tls.key, tls.named()),
            "s2s": server_listen_context(tls.certificate, tls.key, tls.authority, tls.named()),
        },
        server_dial_context(tls.certificate, tls.key, tls.authority, tls.named()),
    )


async def open_server(config: Config, shell: Shell, log: Log) -> Server:
    """The server on its storage, without any port: what commands work on while none runs. Raises ConfigError."""
    storage = open_storage(config, shell, log)
    try:
        keeper = await open_keeper(config, storage, log)
        server = Server(
            config.settings(),
            Ports(
                storage=storage,
                clock=time.time,
                timers=shell.timers,
                randomness=secrets.token_bytes,
                compute=shell.compute,
                note=log.note,
                fault=log.fault,
                keys=keeper.keys,
                web=config.web_url(),
                files=DiskFiles(config.data / UPLOADS, shell.loop) if config.web_url() else None,
                keeper=keeper,
            ),
            discover(),
        )
    except BaseException:
        storage.close()
        raise
    await driven(server.open())
    return server


async def compose(config: Config, log: Log, wrap: Wrap = plain_wrap) -> Composition:
    """Builds the server and opens its ports. Raises ConfigError."""
    shell = Shell(asyncio.get_running_loop(), tls_pads=padding_in_force(os.environ))
    policies = {"c2s": config.links.policy(), "s2s": config.links.server_policy()}
    tls = read_tls(config)
    server = await open_server(config, shell, log)
    storage = server.ports.storage
    assert isinstance(storage, SqliteStorage)
    settings = server.settings
    overrides = {name: Override(o.host, o.port, o.tls == "direct") for name, o in config.federation.override.items()}
    resolver = Resolver(overrides, secrets.token_bytes, server=config.federation.resolver)
    dialler = Dialler(shell, resolver, tls.dial, wrap, policies["s2s"])
    common = Common(
        settings,
        shell.timers,
        server,
        server.router.ours,
        randomness=secrets.token_bytes,
        note=log.note,
        fault=log.fault,
        policy=config.federation.policy(),
    )
    federation = Federation(common, dialler.dial, server.router.send)
    if settings.federation:
        server.federate(federation.send)
    incoming = Incoming(common, federation)
    limits = config.limits.doors()
    daemon = Daemon(shell, Doors(limits, capacity()), log.warn)
    clients = wrap("c2s", server.accept)
    peers = wrap("s2s", incoming.accept)
    listen = config.listen
    wanted: tuple[tuple[str, int, Accept, str, bool], ...] = (
        ("c2s", listen.c2s, clients, "c2s", False),
        ("c2s_tls", listen.c2s_tls, clients, "c2s", True),
        ("c2s_local", listen.c2s_local, clients, "c2s", False),
        *(
            (("s2s", listen.s2s, peers, "s2s", False), ("s2s_tls", listen.s2s_tls, peers, "s2s", True))
            if settings.federation
            else ()
        ),
    )
    ports = {}
    for key, port, accept, context, direct in wanted:
        if port:
            rates = config.rates.clients() if context == "c2s" else Rates()  # servers have theirs a domain
            local = key == "c2s_local"
            address = "127.0.0.1" if local else listen.address
            listener = Listener(
                address,
                port,
                accept,
                tls.contexts[context],
                tls.certificate,
                direct,
                key,
                rates,
                local,
                policies[context],
            )
            ports[key] = await daemon.listen(listener)
    web = Web(shell, log.fault, daemon)
    sockets = Sockets(
        shell,
        server.accept,
        stanza_bytes=settings.limits.stanza_bytes,
        origins=config.web_origins(),
        certificate=tls.certificate,
        rates=config.rates.clients(),
    )
    web.mount(WEBSOCKET_PATH, sockets.serve)
    files = server.ports.files
    if isinstance(files, DiskFiles):
        padded = config.links.profile in ("padded", "steady")
        door = UploadDoor(
            server.uploads, files, clock=time.time, randomness=secrets.token_bytes, note=log.warn, padded=padded
        )
        web.mount(f"{UPLOAD_PATH}/*", door.serve)
    for route, base in server.router.http:
        web.route(route.method, route.path, _handler(server, route, base))
    if listen.https:
        ports["https"] = await web.listen(listen.address, listen.https, tls.contexts["web"], "https")
    if listen.http:
        ports["http"] = await web.listen("127.0.0.1", listen.http, None, "http")
    return Composition(server, storage, federation, incoming, daemon, web, sockets, dialler, shell, config, log, ports)


def _handler(server: Server, route: HttpRoute, base: Context) -> Handler:
    return lambda request: route.handler(server.router.context(base, None, None), request)
