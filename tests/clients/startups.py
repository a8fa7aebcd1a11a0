"""Records what clients send when they start, for `src/quietwire/lab/startups`. Root, on Debian.

startups.py [--system quietwire|prosody] [--server off|padded|steady] [--starts N] [--more] [--contacts N]
    [--out FOLDER] [NAME …]

Every client starts N times as Bob, who knows nobody, and N times as Carol, who has twenty contacts, eight of them
online; the first time each with nothing in its home directory. The kernel's capture of the loopback is what is kept.
`--server`: the profile of what our server sends; the clients are as they are and shape nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import converse
import dino
import poezio
import profanity
import xmpp_js
from courses import DRIVERS, missing, version
from npm import running
from stage import DOMAIN, PASSWORD, Alice, Missed, Stage, play, quietwire, server
from terminal import Terminal

from quietwire.lab.capture import Capturing
from quietwire.lab.pcap import segments
from quietwire.lab.range.configs import ITERATIONS, PROSODY_MODULES
from quietwire.lab.range.hosts import listening, prosody_account, prosody_folder
from quietwire.lab.reassembly import TYPES, Connection, connections

OUT = Path(__file__).resolve().parents[2] / "src" / "quietwire" / "lab" / "startups"
SYSTEMS = ("quietwire", "prosody")
SERVERS = ("off", "padded", "steady")
PORTS = {5222: "c2s", 5223: "c2s-tls", 5443: "websocket"}
CONTACTS, ONLINE = 20, 8
SETTLES = {"off": 6.0, "padded": 6.0, "steady": 13.0}
"""Seconds after the login in which a client fetches what it fetches, by the server's profile."""
WINDOW = {"off": 60.0, "padded": 60.0, "steady": 30.0}
"""Seconds from the first record that are kept: cells come with no end."""
ACCOUNTS = {"bob": "idle", "carol": "contacts"}

Starter = Callable[[Stage, str, Path], AbstractAsyncContextManager[None]]
"""(stage, account, home directory) -> inside, the client has logged in. Its process begins in `__aenter__`."""


@contextlib.asynccontextmanager
async def start_profanity(stage: Stage, name: str, home: Path) -> AsyncIterator[None]:
    terminal = Terminal("profanity", stage.environment(HOME=str(home)))
    try:
        await profanity.log_in(terminal, name)
        yield
        terminal.type("/quit")
        await asyncio.sleep(1)
    finally:
        with contextlib.suppress(Exception):
            terminal.close()


@contextlib.asynccontextmanager
async def start_poezio(stage: Stage, name: str, home: Path) -> AsyncIterator[None]:
    folder = home / ".config" / "poezio"
    folder.mkdir(parents=True, exist_ok=True)
    authority = home / "authority.pem"
    authority.write_bytes(stage.authority.read_bytes())
    text = poezio.CONFIG.format(domain=DOMAIN, password=PASSWORD, authority=authority)
    (folder / "poezio.cfg").write_text(text.replace("bob@", f"{name}@"))
    stage.folder.chmod(0o755)
    for path in (home, *home.rglob("*")):
        os.chown(path, poezio.NOBODY, poezio.NOBODY)
    nobody = f"setpriv --reuid={poezio.NOBODY} --regid={poezio.NOBODY} --clear-groups"
    terminal = Terminal(f"{nobody} poezio", stage.environment(HOME=str(home), XDG_RUNTIME_DIR=str(home)))
    try:
        await terminal.shows("Authentication success", "Your JID is", "Roster: ")
        yield
        await terminal.slowly("/quit")
        await asyncio.sleep(1)
    finally:
        with contextlib.suppress(Exception):
            terminal.close()


@contextlib.asynccontextmanager
async def start_slixmpp(stage: Stage, name: str, home: Path) -> AsyncIterator[None]:
    client = Alice(stage.authority, name)
    await client.arrive()
    yield
    await client.disconnect()


@contextlib.asynccontextmanager
async def start_xmpp_js(stage: Stage, name: str, home: Path) -> AsyncIterator[None]:
    script = Path(xmpp_js.__file__).with_suffix(".mjs")
    service = xmpp_js.SERVICES["TCP"]
    async with running(stage, script, xmpp_js.modules(), service, DOMAIN, PASSWORD, name) as there:
        await there.tells("online")
        yield
        there.does("stop")
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def start_converse(stage: Stage, name: str, home: Path) -> AsyncIterator[None]:
    script = Path(converse.__file__).with_suffix(".mjs")
    service = f"wss://{DOMAIN}:5443/xmpp-websocket"
    chromium = str(shutil.which("chromium"))
    async with running(stage, script, converse.modules(), chromium, service, DOMAIN, PASSWORD) as page:
        await page.has_done("login", who=name)
        yield


@contextlib.asynccontextmanager
async def start_dino(stage: Stage, name: str, home: Path) -> AsyncIterator[None]:
    """The first time its account is entered into its database, which it makes at a start of its own."""
    client = _DINOS.get(name)
    if client is None:
        made = dino.dino(stage, name, 80 + os.getpid() % 1000 * 2 + len(_DINOS))  # others may record too
        client = _DINOS[name] = await _STACK.enter_async_context(made)
    else:
        client.start()
    log = stage.folder / f"dino-{name}.log"
    before = _LOGINS.get(name, 0)
    async with asyncio.timeout(120):
        while log.read_bytes().count(b"xmpp-bind}:jid") <= before:
            await asyncio.sleep(0.1)
    _LOGINS[name] = log.read_bytes().count(b"xmpp-bind}:jid")
    yield
    client.stop()


_STACK = contextlib.AsyncExitStack()
_DINOS: dict[str, dino.Dino] = {}
_LOGINS: dict[str, int] = {}

STARTERS: dict[str, Starter] = {
    "profanity": start_profanity,
    "poezio": start_poezio,
    "slixmpp": start_slixmpp,
    "@xmpp/client": start_xmpp_js,
    "converse.js": start_converse,
    "Dino": start_dino,
}


PROSODY = """
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
run_as_root = true
interfaces = {{ "127.0.0.1" }}
modules_enabled = {{ {modules}, "websocket" }}
modules_disabled = {{ "admin_shell", "s2s", "limits" }}
authentication = "internal_hashed"
archive_expires_after = "1w"
log = {{ info = "{folder}/prosody.log" }}
c2s_ports = {{ 5222 }}
c2s_direct_tls_ports = {{ 5223 }}
c2s_require_encryption = true
ssl = {{ certificate = "{folder}/certificate.pem", key = "{folder}/key.pem" }}
c2s_direct_tls_ssl = ssl
https_ssl = ssl
http_ports = {{}}
https_ports = {{ 5443 }}
https_interfaces = {{ "127.0.0.1" }}
VirtualHost "{domain}"
Component "conference.{domain}" "muc"
"""


@contextlib.contextmanager
def prosody(folder: Path) -> Iterator[None]:
    """Debian's Prosody as its package configures it, with an archive and WebSocket, in place of our server."""
    quietwire("quickstart", "--no-run", "--folder", str(folder), "--domain", DOMAIN)  # for its certificate
    modules = ", ".join(f'"{name}"' for name in PROSODY_MODULES)
    config = folder / "prosody.cfg.lua"
    config.write_text(PROSODY.format(folder=folder, domain=DOMAIN, modules=modules))
    store = folder / "data" / prosody_folder(DOMAIN) / "accounts"
    store.mkdir(parents=True)
    for name in ("alice", "bob", "carol", *(f"friend{number}" for number in range(CONTACTS))):
        (store / f"{name}.dat").write_text(prosody_account(PASSWORD, os.urandom(12).hex(), ITERATIONS))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["prosody", "--config", str(config), "-F"], stdout=log, stderr=log)
        try:
            while not listening(5222):
                if process.poll() is not None:
                    raise Missed(f"Prosody did not start: {(folder / 'log').read_text()[-500:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


async def befriend(stage: Stage, system: str, contacts: int) -> list[Alice]:
    """Carol gets contacts; those who stay online are returned."""
    if system == "quietwire":
        names = stage.folder / "friends"
        names.touch(0o600)
        names.write_text("".join(f"friend{number} {PASSWORD}\n" for number in range(contacts)))
        config = str(stage.folder / "server" / "quietwire.toml")
        quietwire("account", "import", str(names), "--iterations", str(ITERATIONS), "--config", config)
    carol = Alice(stage.authority, "carol")
    await carol.arrive()
    friends = [Alice(stage.authority, f"friend{number}") for number in range(contacts)]

    async def meet(number: int, friend: Alice) -> None:
        await friend.arrive()
        friend.send_presence_subscription(f"carol@{DOMAIN}")
        await friend.until(lambda: f"carol@{DOMAIN}" in friend.seen, "no presence came")
        await carol.until(lambda: f"friend{number}@{DOMAIN}" in carol.seen, "nor back")
        if number >= ONLINE:
            await friend.disconnect()

    # All at once: on a steady link one after another would take minutes.
    await asyncio.gather(*(meet(number, friend) for number, friend in enumerate(friends)))
    await carol.disconnect()
    return friends[:ONLINE]


def links(path: Path, until: float, window: float = WINDOW["off"]) -> list[dict[str, Any]]:
    """The connections of a capture to the ports of clients up to then, as the files have them."""
    found = []
    for one in connections(segments(path)):
        port = int(one.name.partition("#")[0].rpartition(":")[2])
        records = rows(one, until, window)
        if port in PORTS and records and one.isn is not None:  # links of others were there before
            found.append({"link": PORTS[port], "records": records})
    return found


def rows(one: Connection, until: float, window: float = WINDOW["off"]) -> list[tuple[float, int, str]]:
    """(milliseconds, size, negative where it goes to the client, type), of `window` seconds and until then."""
    whole = []
    for way, side in ((1, one.up.records), (-1, one.down.records)):
        whole += [
            (time, way * size, TYPES[type])
            for time, size, type in zip(side.times, side.sizes, side.types, strict=True)
            if size and time <= until
        ]
    whole.sort(key=lambda row: row[0])
    began = whole[0][0] if whole else 0.0
    return [(round((at - began) * 1000, 3), size, type) for at, size, type in whole if at - began <= window]


async def record(stage: Stage, profile: str, name: str, account: str, *, first: bool) -> dict[str, Any]:
    """One start of a client. Raises whatever its driver does."""
    home = stage.home / f"{DRIVERS[name]}-{account}"
    if name != "Dino":
        home.mkdir(exist_ok=True)
    path = stage.folder / "x.pcap"
    with Capturing(path, list(PORTS)) as capture:
        async with STARTERS[name](stage, account, home):
            await asyncio.sleep(SETTLES[profile])
            settled = time.time()  # what comes then is its end, which tells nothing of the start
    if capture.dropped:
        raise Missed("the capture is not whole")
    return {"account": ACCOUNTS[account], "first": first, "links": links(path, settled, WINDOW[profile])}


async def rounds(stage: Stage, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Starts of each client. They take turns, so that what else the machine does is not one client's. Who fails once is
    left out from then on."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in options.names}
    left_out: set[str] = set()
    for number in range(options.starts):
        for name, account in itertools.product(options.names, ACCOUNTS):
            if name in left_out:
                continue
            try:
                found[name].append(await record(stage, options.server, name, account, first=number == 0))
            except Exception as error:  # the others may be recorded all the same
                print(f"{name}: {error!r}", file=sys.stderr, flush=True)
                left_out.add(name)
            else:
                print(f"{name} {ACCOUNTS[account]} {number + 1}", file=sys.stderr, flush=True)
            await asyncio.sleep(1)
    return {name: starts for name, starts in found.items() if starts}


def written(recorded: dict[str, Any]) -> str:
    """One line a link, so that a change can be read."""
    lines = []
    for start in recorded["starts"]:
        inner = ",\n   ".join(json.dumps(link, separators=(",", ":")) for link in start["links"])
        head = json.dumps({"account": start["account"], "first": start["first"]})[:-1]
        lines.append(f'  {head}, "links": [\n   {inner}]}}')
    head = {key: value for key, value in recorded.items() if key != "starts"}
    return json.dumps(head)[:-1] + ', "starts": [\n' + ",\n".join(lines) + "\n]}\n"


def file_name(name: str, system: str, profile: str = "off") -> str:
    shaped = "" if profile == "off" else f"-server-{profile}"
    return f"{name.strip('@').replace('/', '-').lower()}.{system}{shaped}.json"


async def course(stage: Stage) -> None:
    options = arguments()
    staying = await befriend(stage, options.system, options.contacts)
    async with _STACK:
        recorded = await rounds(stage, options)
    for name, starts in recorded.items():
        path = options.out / file_name(name, options.system, options.server)
        whole = {
            "client": name,
            "version": version(DRIVERS[name]),
            "system": options.system,
            "server": options.server,
            "recorded": time.strftime("%Y-%m-%d", time.gmtime()),
            "starts": (json.loads(path.read_text())["starts"] if options.more and path.exists() else []) + starts,
        }
        path.write_text(written(whole), encoding="utf-8")
    for friend in staying:
        await friend.disconnect()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(STARTERS))
    parser.add_argument("--system", choices=SYSTEMS, default=SYSTEMS[0])
    parser.add_argument("--server", choices=SERVERS, default=SERVERS[0])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--more", action="store_true", help="besides those that are there")
    parser.add_argument("--contacts", type=int, default=CONTACTS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.server != "off" and options.system != "quietwire":
        parser.error("--server: only ours shapes what it sends")
    options.names = options.names or [name for name in STARTERS if not missing(DRIVERS[name])]
    return options


if __name__ == "__main__":
    for chosen in arguments().names:  # where the play is there is no registry
        if chosen == "converse.js":
            converse.modules()
        elif chosen == "@xmpp/client":
            xmpp_js.modules()
    play(course, prosody if arguments().system == "prosody" else partial(server, profile=arguments().server))
