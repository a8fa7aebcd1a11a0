"""Where a foreign client plays its part: a network of its own, a server as its quickstart makes it, and Alice.

`play(main)` runs a driver in network and mount namespaces that hold nothing but a loopback device: the server takes the
ports that clients try by themselves, and its throw-away authority is trusted like any other. Alice is slixmpp; the
foreign client is Bob. A driver says with `Record` what worked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import slixmpp

DOMAIN = "localhost"
PASSWORD = "correct-horse-battery"
ROOM = f"garden@conference.{DOMAIN}"
WAIT = 120.0
"""Seconds for one thing to happen on a machine that has other work. The iterations of SCRAM alone take @xmpp/client 20
seconds on a quiet one."""
FEATURES = ("login", "contact", "chat", "room", "file", "omemo")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
INSIDE = "QUIETWIRE_STAGE"
PUBLISH_OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"


class Missed(Exception):
    """What was waited for did not happen; says what."""


@dataclass
class Record:
    """Feature -> "yes", "no: why" or "–: why not tried"."""

    outcome: dict[str, str] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def step(self, feature: str) -> AsyncIterator[None]:
        """What is done inside shows the feature; if it fails, why is recorded and the play goes on."""
        assert feature in FEATURES
        try:
            async with asyncio.timeout(2 * WAIT):
                yield
        except TimeoutError:
            self.outcome[feature] = "no: it did not happen in time"
        except Exception as error:  # whatever a client's driver meets is why the feature is not there
            self.outcome[feature] = f"no: {str(error) or type(error).__name__}".splitlines()[0]
        else:
            self.outcome[feature] = "yes"

    def skip(self, feature: str, why: str) -> None:
        self.outcome[feature] = f"–: {why}"


class Alice(slixmpp.ClientXMPP):  # type: ignore[misc]
    """The other side. What she hears is kept until somebody waits for it."""

    def __init__(self, authority: Path, name: str = "alice") -> None:
        super().__init__(f"{name}@{DOMAIN}/friend", PASSWORD)
        self._authority = authority
        self.heard: list[tuple[str, str, str]] = []
        """(bare sender, body, type) of messages."""
        self.seen: set[str] = set()
        """Bare JIDs that sent available presence."""
        self.arrived = asyncio.Event()
        self.auto_authorize = self.auto_subscribe = True
        self.enable_direct_tls = False
        self.enable_plaintext = False
        for number in ("0030", "0045", "0060", "0066", "0184", "0198", "0199", "0280", "0363"):
            self.register_plugin(f"xep_{number}")
        self.add_event_handler("message", self._message)
        self.add_event_handler("groupchat_message", self._message)
        self.add_event_handler("presence_available", lambda p: self._note(self.seen.add, p["from"].bare))

    def get_ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._authority))

    def _message(self, message: Any) -> None:
        sender = message["from"]
        who = str(sender) if message["type"] == "groupchat" else sender.bare
        self._note(self.heard.append, (who, message["body"], message["type"]))

    def _note(self, keep: Callable[[Any], None], what: Any) -> None:
        keep(what)
        self.arrived.set()

    async def arrive(self) -> None:
        started = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: started.done() or started.set_result(None))
        self.connect("127.0.0.1", 5222)
        async with asyncio.timeout(WAIT):
            await started
        await self.get_roster()
        self.send_presence()

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Raises Missed."""
        try:
            async with asyncio.timeout(WAIT):
                while not true():
                    self.arrived.clear()
                    await self.arrived.wait()
        except TimeoutError:
            raise Missed(what) from None

    async def hears(self, body: str) -> str:
        """-> who said it."""
        await self.until(lambda: any(body in said for _, said, _ in self.heard), f"{body!r} did not arrive")
        return next(who for who, said, _ in self.heard if body in said)

    def says(self, to: str, body: str, kind: str = "chat") -> None:
        self.send_message(mto=to, mbody=body, mtype=kind)

    async def opens_room(self, *members: str, room: str = ROOM) -> None:
        """Makes the room and lets the members in."""
        rooms, jid = self.plugin["xep_0045"], slixmpp.JID(room)
        await rooms.join_muc_wait(jid, self.boundjid.user, maxstanzas=0, timeout=WAIT)
        form = await rooms.get_room_config(jid)
        form["type"] = "submit"
        await rooms.set_room_config(jid, form)
        for member in members:
            await rooms.set_affiliation(jid, "member", jid=slixmpp.JID(member))


async def bookmark(client: Alice, room: str) -> None:
    """Puts the room into the account's bookmarks (XEP-0402): its other clients are to enter it by themselves."""
    conference = ET.Element("{urn:xmpp:bookmarks:1}conference", {"autojoin": "true"})
    ET.SubElement(conference, "{urn:xmpp:bookmarks:1}nick").text = client.boundjid.user
    options = client.plugin["xep_0004"].make_form("submit")
    for key, value in (("FORM_TYPE", PUBLISH_OPTIONS), ("pubsub#persist_items", "true"), ("pubsub#max_items", "max"),
                       ("pubsub#send_last_published_item", "never"), ("pubsub#access_model", "whitelist")):  # fmt: skip
        options.add_field(var=key, value=value, ftype="hidden" if key == "FORM_TYPE" else None)
    await client.plugin["xep_0060"].publish(
        client.boundjid.bare, "urn:xmpp:bookmarks:1", id=room, payload=conference, options=options, timeout=WAIT
    )


@dataclass
class Stage:
    """`folder` is empty but for the server's; `home` is a home directory for the client."""

    folder: Path
    alice: Alice
    record: Record

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def authority(self) -> Path:
        return self.folder / "server" / "authority.pem"

    def environment(self, **more: str) -> dict[str, str]:
        """For the client's process."""
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "TMUX", "DBUS_"))}
        run = self.folder / "run"
        return {**keep, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(run), "LC_ALL": "C.UTF-8", **more}


def quietwire(*arguments: str, stdin: str = "") -> None:
    """One command, which must succeed."""
    done = subprocess.run(
        (sys.executable, "-m", "quietwire", *arguments),
        input=stdin, capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Missed(f"quietwire {arguments[0]}: {done.stderr.strip()}")


@contextlib.contextmanager
def server(folder: Path, profile: str = "off") -> Iterator[None]:
    """The quickstart's server on the ports that everybody tries, with the accounts alice, bob and carol. `profile`: of
    what it sends."""
    quietwire("quickstart", "--no-run", "--folder", str(folder), "--domain", DOMAIN, "--link-profile", profile)
    config = folder / "quietwire.toml"
    ports = {"c2s": 5222, "c2s_tls": 5223, "https": 5443}
    lines = [
        f"{key} = {ports[key]}" if (key := line.partition(" =")[0]) in ports else line
        for line in config.read_text().splitlines()
    ]
    config.write_text("\n".join(lines) + "\n")
    for name in ("alice", "bob", "carol"):
        quietwire("account", "add", name, "--password-stdin", "--config", str(config), stdin=PASSWORD + "\n")
    with (folder / "log").open("wb") as log:
        command = (sys.executable, "-m", "quietwire", "serve", "--config", str(config))
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.PIPE)
        assert process.stderr is not None
        try:
            for line in process.stderr:
                log.write(line)
                if b"event='ready'" in line:
                    break
            else:
                raise Missed("the server did not start")
            subprocess.Popen(["cat"], stdin=process.stderr, stdout=log)
            yield
        finally:
            process.terminate()
            process.wait()


Driver = Callable[[Stage], Awaitable[None]]


async def _perform(driver: Driver, folder: Path) -> dict[str, str]:
    record = Record()
    alice = Alice(folder / "server" / "authority.pem")
    stage = Stage(folder, alice, record)
    stage.home.mkdir()
    (folder / "run").mkdir(mode=0o700)
    await alice.arrive()
    await driver(stage)
    await alice.disconnect()
    return record.outcome


def _loopback_up() -> None:
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(probe, 0x8913, request))[1]
        fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", flags | 1))


def play(driver: Driver, host: Callable[[Path], contextlib.AbstractContextManager[None]] = server) -> None:
    """The driver's `__main__`: prints the outcome as one line of JSON. `QUIETWIRE_KEEP` names a folder to work in.
    `host`: runs another server than ours, with these accounts on these ports, and `authority.pem` in its folder."""
    if INSIDE not in os.environ:
        command = ["unshare", "--net", "--mount", "--", sys.executable, *sys.argv]
        os.environ[INSIDE] = "1"
        os.execvp(command[0], command)
    _loopback_up()
    kept = os.environ.get("QUIETWIRE_KEEP")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="quietwire-client-"))
    folder.mkdir(exist_ok=True)
    try:
        with host(folder / "server"):
            bundle = folder / "bundle.pem"
            bundle.write_bytes(BUNDLE.read_bytes() + (folder / "server" / "authority.pem").read_bytes())
            subprocess.run(["mount", "--bind", str(bundle), str(BUNDLE)], check=True)
            outcome = asyncio.run(_perform(driver, folder))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(outcome))
