"""A temporary world: two servers, four devices of two people, taps on every link. Built, played and taken down.

Everything is started as a user would start it, as a process of its own. What the adversaries get lies in `traces/`
and in the servers' data folders; what is true lies in `truth/`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quietwire.lab.processes import BedError, Ordered, Served, run_once, together
from quietwire.lab.tap import Tap
from quietwire.lab.trace import LinkWriter
from quietwire.lab.truth import Facts, write_facts
from quietwire.lab.workload import Script, Step
from quietwire.seal.authority import Authority, new_p256_key

PEOPLE = {"alice": "a.example", "bob": "b.example"}
DEVICES = ("phone", "laptop")
DOMAINS = ("a.example", "b.example")
ADDRESSES = {
    "alice": {"phone": "198.51.100.11", "laptop": "198.51.100.12"},
    "bob": {"phone": "203.0.113.21", "laptop": "203.0.113.22"},
}
"""Stand-ins from the ranges for documentation (RFC 5737): on loopback all addresses are the same."""

START_SECONDS = 90.0
"""For a process to be there: a second or two, unless the machine has much other work."""
SETTLE_SECONDS = 60.0
"""For items to arrive; what is not there then counts as lost. Much, because the machine may have other work."""

PADDING = """openssl_conf = quietwire
[quietwire]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
RecordPadding = 512
"""


@dataclass(frozen=True, slots=True)
class Commands:
    """How the processes of the bed are started: argument lists without what the bed appends."""

    server: Sequence[str]
    """+ ``--config FILE --record FILE``"""
    account: Sequence[str]
    """+ ``add NAME --config FILE``"""
    actor: Sequence[str]


@dataclass(slots=True)
class World:
    """One world. `profile` is ``off`` or ``padded``; `say` is told in words what is going on."""

    folder: Path
    profile: str
    commands: Commands
    say: Callable[[str], None]
    troubles: list[str] = field(default_factory=list)
    """What went wrong on the way, for the checks."""
    _taps: dict[tuple[str, str], Tap] = field(default_factory=dict)
    _writers: list[LinkWriter] = field(default_factory=list)
    _servers: dict[str, Served] = field(default_factory=dict)
    _actors: dict[tuple[str, str], Ordered] = field(default_factory=dict)
    _ready: dict[str, asyncio.Event] = field(default_factory=dict)
    _subscribed: dict[str, asyncio.Event] = field(default_factory=dict)
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: dict[str, tuple[str, str]] = field(default_factory=dict)
    _got: dict[str, set[str]] = field(default_factory=dict)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _omemo: dict[str, dict[str, str]] = field(default_factory=dict)

    # What there is when it is over.

    def trace(self, name: str) -> Path:
        return self.folder / "traces" / f"{name}.jsonl"

    def data(self, domain: str) -> Path:
        return self.folder / domain / "data"

    @property
    def truth_files(self) -> list[Path]:
        return [self.folder / "truth" / f"{who}-{device}.jsonl" for who in PEOPLE for device in DEVICES]

    @property
    def facts_file(self) -> Path:
        return self.folder / "truth" / "facts.json"

    # Building, playing, taking down.

    async def live(self, script: Script, built: asyncio.Event, begin: asyncio.Event) -> None:
        """Builds the world and sets `built`, plays the script once `begin` is set, takes all down whatever happens.

        Raises BedError.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._take_down)
            for name in ("traces", "truth", "clients", "logs", *DOMAINS):
                (self.folder / name).mkdir(parents=True)
            await self._build()
            await self._befriend()
            built.set()
            self.say("waiting for its turn")
            await begin.wait()
            self.say("talking")
            await self._play(script)
            self.say("waiting for what is under way")
            await self._settle()
        self._write_facts()

    async def _build(self) -> None:
        authority = Authority(
            "Quietwire laboratory", now=time.time(), days=2, new_key=new_p256_key, random=secrets.token_bytes
        )
        (self.folder / "ca.pem").write_bytes(authority.certificate)
        (self.folder / "openssl.cnf").write_text(PADDING)
        ports = free_ports(4)
        c2s, s2s = dict(zip(DOMAINS, ports, strict=False)), dict(zip(DOMAINS, ports[2:], strict=True))
        taps = await self._start_taps(c2s, s2s)
        for domain in DOMAINS:
            other = DOMAINS[1 - DOMAINS.index(domain)]
            issued = authority.issue([domain])
            home = self.folder / domain
            (home / "certificate.pem").write_bytes(issued.certificate)
            write_private(home / "key.pem", issued.key)
            (home / "quietwire.toml").write_text(
                configuration(domain, other, c2s[domain], s2s[domain], taps[domain, other], self.profile)
            )
        self.say("making accounts")
        passwords = dict(zip(PEOPLE, await together(*map(self._make_account, PEOPLE)), strict=True))
        self.say("starting servers")
        await together(*(self._start_server(domain, c2s[domain]) for domain in DOMAINS))
        self.say("starting four clients")
        ports_of = {key: port for key, port in taps.items() if key[0] in PEOPLE}
        await together(
            *(self._start_actor(who, device, passwords[who], port) for (who, device), port in ports_of.items())
        )

    async def _start_taps(self, c2s: Mapping[str, int], s2s: Mapping[str, int]) -> dict[tuple[str, str], int]:
        """A tap for each device, (person, device), and for each direction between the servers, (from, to)."""
        names = (f"L{n}" for n in itertools.count(1))
        servers = {d: LinkWriter(self.trace(f"server-network.{d}"), f"server-network.{d}") for d in DOMAINS}
        clients = {w: LinkWriter(self.trace(f"client-network.{w}"), f"client-network.{w}") for w in PEOPLE}
        self._writers = [*servers.values(), *clients.values()]
        for who, domain in PEOPLE.items():
            for device in DEVICES:
                self._taps[who, device] = Tap(
                    initiator=ADDRESSES[who][device],
                    responder=domain,
                    target=("127.0.0.1", c2s[domain]),
                    writers=[clients[who], servers[domain]],
                    names=names,
                    clock=time.time,
                )
        for a, b in itertools.permutations(DOMAINS):
            self._taps[a, b] = Tap(
                initiator=a,
                responder=b,
                target=("127.0.0.1", s2s[b]),
                writers=list(servers.values()),
                names=names,
                clock=time.time,
            )
        return {key: await tap.start() for key, tap in self._taps.items()}

    async def _make_account(self, who: str) -> str:
        config = str(self.folder / PEOPLE[who] / "quietwire.toml")
        out = await run_once(
            [*self.commands.account, "add", who, "--config", config], self._environment(), START_SECONDS
        )
        for line in out.splitlines():
            if line.startswith("passphrase: "):
                return line.removeprefix("passphrase: ")
        raise BedError("`account add` showed no passphrase")

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        environment.pop("OPENSSL_CONF", None)
        if self.profile == "padded":
            # OpenSSL reads it when `ssl` is first imported, for the whole process.
            environment["OPENSSL_CONF"] = str(self.folder / "openssl.cnf")
        return environment

    async def _start_server(self, domain: str, port: int) -> None:
        server = self._servers[domain] = Served(domain, self.folder / "logs" / f"{domain}.log")
        config, record = self.folder / domain / "quietwire.toml", self.trace(f"live-server.{domain}")
        await server.start(
            [*self.commands.server, "--config", str(config), "--record", str(record)], self._environment()
        )
        await server.ready(port, START_SECONDS)

    async def _start_actor(self, who: str, device: str, password: str, port: int) -> None:
        name = f"{who}-{device}"
        jid = f"{who}@{PEOPLE[who]}"
        self._ready[name], self._subscribed[name], self._got[name] = asyncio.Event(), asyncio.Event(), set()
        actor = self._actors[who, device] = Ordered(name, self.folder / "logs" / f"{name}.log", self._reported)
        await actor.begin(
            self.commands.actor,
            self._environment(),
            {
                "jid": jid,
                "password": password,
                "passphrase": secrets.token_hex(16),
                "store": str(self.folder / "clients" / f"{name}.sqlite"),
                "host": "127.0.0.1",
                "port": port,
                "authority": str(self.folder / "ca.pem"),
                "truth": str(self.folder / "truth" / f"{name}.jsonl"),
                "device": device,
                "active": device == DEVICES[0],
            },
        )
        await self._within(self._ready[name].wait(), START_SECONDS, f"{name} did not log in: {actor.complaint()}")
        if actor.ended:
            raise BedError(f"{name} did not log in: {'; '.join(self.troubles) or actor.complaint()}")

    async def _within(self, waiting: Any, seconds: float, what: str) -> None:
        try:
            await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            raise BedError(what) from None

    def _reported(self, actor: Ordered, report: dict[str, Any]) -> None:
        if "got" in report:
            self._got[actor.name].add(report["got"])
        elif "sent" in report:
            self._sent[report["sent"]] = (actor.name, report["kind"])
        else:
            match report.get("event"):
                case "ready":
                    who, _, device = actor.name.partition("-")
                    self._omemo.setdefault(f"{who}@{PEOPLE[who]}", {})[device] = str(report["device"])
                    self._ready[actor.name].set()
                case "ended":
                    self._ready[actor.name].set()
                case "subscribed":
                    self._subscribed[actor.name].set()
                case "resumed":
                    self._resumed.set()
                case "trouble":
                    self.troubles.append(f"{actor.name}: {report['what']}")
        self._moved.set()

    async def _befriend(self) -> None:
        """Both ask and both are granted; then each phone knows the two devices of either side."""
        self.say("subscribing")
        phones = {who: self._actors[who, DEVICES[0]] for who in PEOPLE}
        jids = {who: f"{who}@{domain}" for who, domain in PEOPLE.items()}
        others = dict(zip(PEOPLE, reversed(list(PEOPLE)), strict=True))
        await together(*(phones[who].order("subscribe", to=jids[others[who]]) for who in PEOPLE))
        for who in PEOPLE:
            await self._within(
                self._subscribed[phones[who].name].wait(), START_SECONDS, f"{who} was not granted a subscription"
            )
        deadline = time.monotonic() + START_SECONDS
        for who in PEOPLE:
            for whose in (who, others[who]):
                while len((await phones[who].order("devices", to=jids[whose]))["known"]) < len(DEVICES):
                    if time.monotonic() > deadline:
                        raise BedError(f"{who} does not see two devices of {whose}")
                    await asyncio.sleep(0.2)

    async def _play(self, script: Script) -> None:
        begin = time.monotonic()
        ids: dict[str, asyncio.Future[str]] = {
            step.ref: asyncio.get_running_loop().create_future() for step in script.steps
        }
        jobs = []
        try:
            for step in script.steps:
                await asyncio.sleep(max(0.0, begin + step.at - time.monotonic()))
                jobs.append(asyncio.get_running_loop().create_task(self._do(step, ids)))
            await asyncio.sleep(max(0.0, begin + script.seconds - time.monotonic()))
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()

    async def _do(self, step: Step, ids: Mapping[str, asyncio.Future[str]]) -> None:
        actor = self._actors[step.who, DEVICES[0]]
        if step.do == "cut":
            self._taps[step.who, DEVICES[0]].cut()
            return
        arguments: dict[str, Any] = {"to": self._other(step.who)}
        if step.text:
            arguments["text"] = step.text
        if step.about:
            await self._within(
                asyncio.wait([ids[step.about]]), SETTLE_SECONDS, f"{actor.name}: what it was to refer to was not sent"
            )
            arguments["about"] = ids[step.about].result()
            if step.do != "correct":
                await self._arrival(actor.name, arguments["about"])
        answer = await actor.order(step.do, **arguments)
        ids[step.ref].set_result(answer["id"])

    def _other(self, who: str) -> str:
        return next(f"{other}@{domain}" for other, domain in PEOPLE.items() if other != who)

    async def _arrival(self, name: str, id: str) -> None:
        """People refer to what they have seen."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while id not in self._got[name]:
            await self._next_move(deadline, f"{name} never got what it was to refer to")

    async def _next_move(self, deadline: float, what: str) -> None:
        self._moved.clear()
        await self._within(self._moved.wait(), max(0.0, deadline - time.monotonic()), what)

    async def _settle(self) -> None:
        if not self._resumed.is_set():
            self.troubles.append("the client that was cut off did not resume its session")
        deadline = time.monotonic() + SETTLE_SECONDS
        try:
            while self._missing():
                await self._next_move(deadline, "not everything arrived")
        except BedError:
            return  # the checks say what is missing
        await together(*(actor.order("drain") for actor in self._actors.values()))

    def _missing(self) -> int:
        return sum(
            1
            for id, (sender, kind) in self._sent.items()
            for name, got in self._got.items()
            if kind != "typing" and name != sender and id not in got
        )

    def _write_facts(self) -> None:
        jids = {who: f"{who}@{domain}" for who, domain in PEOPLE.items()}
        write_facts(
            self.facts_file,
            Facts(
                devices={jids[who]: ADDRESSES[who] for who in PEOPLE},
                contacts={jids[who]: [self._other(who)] for who in PEOPLE},
                omemo=self._omemo,
            ),
        )

    async def _take_down(self) -> None:
        await asyncio.gather(*(actor.stop() for actor in self._actors.values()))
        statuses = await asyncio.gather(*(server.stop() for server in self._servers.values()))
        for server, status in zip(self._servers.values(), statuses, strict=True):
            if status:
                self.troubles.append(f"{server.name} ended with status {status}: {server.complaint()}")
        for tap in self._taps.values():
            await tap.close()
        for writer in self._writers:
            writer.close()


def configuration(domain: str, other: str, c2s: int, s2s: int, other_port: int, profile: str) -> str:
    """The configuration file of one server: direct TLS for clients, STARTTLS between servers."""
    return f"""domain = "{domain}"
[tls]
certificate = "certificate.pem"
key = "key.pem"
authority = "../ca.pem"
[listen]
address = "127.0.0.1"
c2s = 0
c2s_tls = {c2s}
s2s = {s2s}
s2s_tls = 0
https = 0
[links]
profile = "{profile}"
[federation.override."{other}"]
host = "127.0.0.1"
port = {other_port}
tls = "starttls"
"""


def write_private(path: Path, content: bytes) -> None:
    """A file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on; held together until all are chosen, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
