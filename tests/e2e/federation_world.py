"""Quietwire and a foreign server, servers of two domains that find each other by SRV records on a loopback DNS server.

Messages, iq and presence go both ways, both ends authenticated by SASL EXTERNAL or by dialback.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slixmpp

from quietwire.seal.authority import Authority, new_p256_key
from quietwire.testing.nameserver import Nameserver

OURS, THEIRS, NOWHERE = "ours.example", "theirs.example", "nowhere.example"
PASSWORD = "correct horse battery staple"
WAIT = 40.0
"""Seconds for anything to happen: servers start, dial and sign on a machine that has other work."""

QUIETWIRE = """
domain = "{domain}"
[tls]
certificate = "{domain}.pem"
key = "{domain}-key.pem"
authority = "root.pem"
[listen]
address = "127.0.0.1"
c2s = 0
c2s_tls = {clients}
s2s = {starttls}
s2s_tls = {direct}
https = 0
[federation]
resolver = "127.0.0.1:{dns}"
authentication = "{authentication}"
[login]
iterations = 4096
"""


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


@dataclass
class House:
    """One server: its folder, domain and ports."""

    folder: Path
    domain: str
    clients: int
    starttls: int
    direct: int
    dns: int = 0
    authentication: str = "certificate"
    """`dialback`: neither server trusts the authority of the other one's certificate."""
    manners: str = ""
    """`rich`: streams in both directions and with acknowledgements, where the foreign server can."""

    def fill(self, template: str) -> str:
        return template.format(**vars(self))

    def records(self, kind: str) -> dict[tuple[str, str], list[str]]:
        """What the DNS says: one kind of listener, and its address."""
        service, port = ("xmpps", self.direct) if kind == "direct" else ("xmpp", self.starttls)
        # ejabberd asks the C library for addresses: every system knows this name.
        return {
            (f"_{service}-server._tcp.{self.domain}", "SRV"): [f"5 10 {port} localhost."],
            (f"_{service}-server._tcp.conference.{self.domain}", "SRV"): [f"5 10 {port} localhost."],
            ("localhost", "A"): ["127.0.0.1"],
        }


def certify(folder: Path, house: House, names: list[str], name: str, age: float = 0.0) -> None:
    """Writes a certificate for the house and its authority, `age` seconds ago, good for a day."""
    authority = Authority(name, now=time.time() - age, days=1, new_key=new_p256_key, random=os.urandom)
    issued = authority.issue(names)
    (folder / f"{house.domain}-root.pem").write_bytes(authority.certificate)
    (folder / f"{house.domain}.pem").write_bytes(issued.certificate)
    (folder / f"{house.domain}-key.pem").write_bytes(issued.key)


def trust(folder: Path, each_other: bool) -> ssl.SSLContext:
    """Writes root.pem, whom servers trust; returns what a client of either server trusts."""
    roots = [(folder / f"{domain}-root.pem").read_bytes() for domain in (OURS, THEIRS)]
    (folder / "both.pem").write_bytes(b"".join(roots))
    authority = Authority("nobody", now=time.time(), days=1, new_key=new_p256_key, random=os.urandom)
    (folder / "root.pem").write_bytes(b"".join(roots) if each_other else authority.certificate)
    return ssl.create_default_context(cafile=str(folder / "both.pem"))


def run(*command: str, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stderr.decode()


def start_quietwire(house: House) -> subprocess.Popen[bytes]:
    config = str(house.folder / "quietwire.toml")
    Path(config).write_text(house.fill(QUIETWIRE))
    ours = (sys.executable, "-m", "quietwire")
    run(*ours, "account", "add", "alice", "--password-stdin", "--config", config, stdin=PASSWORD + "\n")
    with (house.folder / "quietwire.log").open("wb") as log:
        return subprocess.Popen([*ours, "serve", "--config", config], stdout=log, stderr=log)


Start = Callable[[House], "subprocess.Popen[bytes]"]
"""Starts the foreign server with the account bob."""


class Person(slixmpp.ClientXMPP):  # type: ignore[misc]
    """A client that keeps what it gets."""

    def __init__(self, jid: str, house: House, context: ssl.SSLContext) -> None:
        super().__init__(f"{jid}/desk", PASSWORD)
        self._house = house
        self._context = context
        self.got: list[Any] = []
        self.bodies: list[str] = []
        """Of messages, in the order of their arrival."""
        self._changed = asyncio.Event()
        self.enable_starttls = False
        self.enable_plaintext = False
        for event in (
            "message",
            "groupchat_message",
            "message_error",
            "presence_available",
            "presence_unavailable",
            "presence_subscribe",
        ):
            self.add_event_handler(event, self._keep)
        self.auto_authorize = True
        self.auto_subscribe = False
        for plugin in ("xep_0199", "xep_0045", "xep_0004"):
            self.register_plugin(plugin)

    def get_ssl_context(self) -> ssl.SSLContext:
        return self._context

    def _keep(self, stanza: Any) -> None:
        self.got.append(stanza)
        if stanza.name == "message" and stanza["body"]:
            self.bodies.append(stanza["body"])
        self._changed.set()

    async def arrive(self) -> None:
        started = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: started.done() or started.set_result(None))
        self.connect("127.0.0.1", self._house.clients)
        async with asyncio.timeout(WAIT):
            await started
            await self.get_roster()
        self.send_presence()

    async def enter(self, room: str, *, make: bool = False) -> None:
        """Joins; `make`: the room is new, and open to all."""
        muc = self.plugin["xep_0045"]
        async with asyncio.timeout(WAIT):
            await muc.join_muc_wait(room, self.boundjid.user, maxstanzas=0, timeout=WAIT)
            if make:
                form = await muc.get_room_config(room)
                answer = self.plugin["xep_0004"].make_form(ftype="submit")
                for name, value in (
                    ("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
                    ("muc#roomconfig_membersonly", "0"),
                ):
                    answer.add_field(var=name, value=value)
                assert form is not None
                await muc.set_room_config(room, answer)

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first thing that came and is `wanted`."""
        async with asyncio.timeout(WAIT):
            while True:
                for stanza in self.got:
                    if wanted(stanza):
                        self.got.remove(stanza)
                        return stanza
                self._changed.clear()
                await self._changed.wait()


@dataclass
class World:
    ours: House
    theirs: House
    alice: Person
    bob: Person
    quietwire: subprocess.Popen[bytes]


async def listening(port: int, process: subprocess.Popen[bytes]) -> None:
    # The operating system has no event for "somebody listens".
    async with asyncio.timeout(WAIT):
        while True:
            assert process.poll() is None, "the server ended at once"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@asynccontextmanager
async def world(
    folder: Path,
    kind: str,
    start: Start,
    *,
    authentication: str = "certificate",
    manners: str = "",
    age: float = 0.0,
) -> AsyncIterator[World]:
    """Both servers, started, with alice here and bob there; found by records of that `kind` of listener. `age`: of
    their certificate, which is good for a day."""
    ports = free_ports(6)
    ours = House(folder, OURS, *ports[:3], authentication=authentication)
    theirs = House(folder, THEIRS, *ports[3:], authentication=authentication, manners=manners)
    certify(folder, ours, [OURS, f"conference.{OURS}"], "our root")
    certify(folder, theirs, [THEIRS, f"conference.{THEIRS}"], "their root", age)
    context = trust(folder, authentication == "certificate")
    if age:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    dns = Nameserver(ours.records(kind) | theirs.records(kind))
    ours.dns = theirs.dns = await dns.open()
    processes: list[subprocess.Popen[bytes]] = []
    people: list[Person] = []
    try:
        processes.append(await asyncio.to_thread(start_quietwire, ours))
        processes.append(await asyncio.to_thread(start, theirs))
        await listening(ours.clients, processes[0])
        await listening(theirs.clients, processes[1])
        people = [Person(f"alice@{OURS}", ours, context), Person(f"bob@{THEIRS}", theirs, context)]
        for person in people:
            await person.arrive()
        yield World(ours, theirs, *people, quietwire=processes[0])
    finally:
        for person in people:
            await person.disconnect()
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.wait, 15)
        dns.close()


def body(text: str) -> Callable[[Any], bool]:
    return lambda stanza: stanza.name == "message" and stanza["body"] == text


async def converse(world: World) -> None:
    alice, bob = world.alice, world.bob
    here, there = f"alice@{OURS}", f"bob@{THEIRS}"
    # Messages both ways, in order.
    for number in range(20):
        alice.send_message(there, f"to there {number}", mtype="chat")
        bob.send_message(here, f"to here {number}", mtype="chat")
    for number in range(20):
        await bob.until(body(f"to there {number}"))
        await alice.until(body(f"to here {number}"))
    assert bob.bodies == [f"to there {number}" for number in range(20)]
    assert alice.bodies == [f"to here {number}" for number in range(20)]
    # Requests both ways, to the server and to the other client.
    async with asyncio.timeout(WAIT):
        for asker, answerer in ((alice, THEIRS), (bob, OURS), (alice, f"{there}/desk"), (bob, f"{here}/desk")):
            await asker.plugin["xep_0199"].ping(answerer, timeout=WAIT)
    # Subscription and presence both ways.
    alice.send_presence_subscription(there)
    await bob.until(lambda stanza: stanza.name == "presence" and stanza["type"] == "subscribe")
    present = await alice.until(lambda stanza: stanza["type"] == "available" and stanza["from"].bare == there)
    assert present["from"].full == f"{there}/desk"
    bob.send_presence_subscription(here)
    await bob.until(lambda stanza: stanza["type"] == "available" and stanza["from"].bare == here)
    # What cannot be delivered comes back.
    alice.send_message(f"carol@{NOWHERE}", "is there anybody", mtype="chat")
    error = await alice.until(lambda stanza: stanza.name == "message" and stanza["type"] == "error")
    assert error["from"].bare == f"carol@{NOWHERE}"
    assert error["error"]["condition"] == "remote-server-not-found"


async def chatter(folder: Path, start: Start, authentication: str) -> None:
    """Alice and bob in a room there, then in one here: domains below both have to be talked to and to be believed."""
    async with world(folder, "starttls", start, authentication=authentication) as here:
        for owner, guest, domain in ((here.bob, here.alice, THEIRS), (here.alice, here.bob, OURS)):
            room = f"hall@conference.{domain}"
            await owner.enter(room, make=True)
            await guest.enter(room)
            for speaker, listener in ((guest, owner), (owner, guest)):
                said = f"{speaker.boundjid.user} at {domain}"
                speaker.send_message(room, said, mtype="groupchat")
                await listener.until(body(said))
                await speaker.until(body(said))


async def expired(folder: Path, start: Start) -> None:
    """Their certificate has run out: nobody sends anything, and both the sender and the log are told."""
    async with world(folder, "starttls", start, age=3 * 86_400) as here:
        here.alice.send_message(f"bob@{THEIRS}", "to there", mtype="chat")
        error = await here.alice.until(lambda stanza: stanza.name == "message" and stanza["type"] == "error")
        assert error["error"]["condition"] == "remote-server-timeout"
        assert here.bob.bodies == []
    assert "state='certificate-expired'" in (folder / "quietwire.log").read_text()


async def farewell(world: World) -> None:
    """Our server stops: their user is told that ours is gone, and our streams are closed in order."""
    world.quietwire.terminate()
    gone = await world.bob.until(lambda stanza: stanza["type"] == "unavailable" and stanza["from"].domain == OURS)
    assert gone["from"].bare == f"alice@{OURS}"
    assert await asyncio.to_thread(world.quietwire.wait, 15) == 0


def federate(folder: Path, kind: str, start: Start, authentication: str = "certificate", manners: str = "") -> None:
    """The whole scene; `kind` of listener is "starttls" or "direct"."""

    async def scene() -> None:
        async with world(folder, kind, start, authentication=authentication, manners=manners) as here:
            await converse(here)
            await farewell(here)

    asyncio.run(scene())
    for leaked in ("alice@", "bob@", "127.0.0.1", "to there"):
        assert leaked not in (folder / "quietwire.log").read_text()
