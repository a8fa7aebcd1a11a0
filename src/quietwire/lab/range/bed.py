"""Builds a scenario's world, plays its plan and takes all down: servers, a tap on each link, workers with the devices.

What there is when it is over, in the scenario's folder: ``traces/`` with what each watcher saw (link traces,
``server-network.DOMAIN`` at the server's end of the road, ``client-network.uN`` at the user's), ``truth.jsonl``,
``plan.jsonl`` (the schedule), ``facts.json`` (who is at which address, whose friend, in which room). Attackers are
given ``traces/`` and nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from quietwire.lab.people import Parameters, plan
from quietwire.lab.people.model import Happening
from quietwire.lab.processes import BedError, Ordered, together
from quietwire.lab.range import plans, truth
from quietwire.lab.range.cache import cached
from quietwire.lab.range.cast import Cast, Device, cast
from quietwire.lab.range.configs import House, openssl_config
from quietwire.lab.range.helpers import start_before, start_beside
from quietwire.lab.range.hosts import SYSTEMS, Running, Start, spare_ports
from quietwire.lab.range.scenario import Scenario
from quietwire.lab.road import Impairment, Road
from quietwire.lab.tap import Tap
from quietwire.lab.trace import LinkWriter
from quietwire.seal.authority import Authority, new_p256_key
from quietwire.shaping.policy import Policy

PASSWORD = "correct-horse"  # noqa: S105  of servers that live for minutes, on loopback
WORKER = (sys.executable, "-m", "quietwire.cli.bed.crowd")
AUTHORITY_DAYS = 90
"""A helper renews what is good for less than 30."""
STARTING = 4
"""Helpers that start at the same time."""
PER_WORKER = 40
"""Devices of one process: more make each other late."""
SETTLE_SECONDS = 180.0
"""For everybody to settle in, much because the machine may have other work."""
LEAD = 2.0
"""Seconds from the order to play to the play."""
GRACE = 90.0
"""Seconds after the plan's end in which what waits for an answer may still come."""
LINGER = 2.0
"""Seconds that the watchers look on when the last has done the last."""
STAGES = ("starting servers", "starting clients", "making friends", "furnishing", "playing", "reading the truth")


class Say(Protocol):
    def __call__(self, what: str, done: int = 0, total: int = 0) -> None:
        """In which stage it is, and in some how much of it is done."""


Records = Mapping[tuple[str, str], Sequence[str]]


class Resolver(Protocol):
    """A DNS server on loopback; `quietwire.testing.nameserver` is one."""

    async def open(self) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What the bed does not make itself. `worker`: how a worker is started; `resolver`: for two servers that ask DNS;
    `systems`: how a server is started."""

    worker: Sequence[str] = WORKER
    resolver: Callable[[Records], Resolver] | None = None
    systems: Mapping[str, Start] = field(default_factory=lambda: SYSTEMS)
    before: Callable[[House, Scenario, int], Running] = start_before
    """Starts the helper before a server, at a port of loopback."""
    beside: Callable[[House, Scenario, int, int, Path], Running] = start_beside
    """Starts the helper beside a device, at a port; the port where its server is reached; a folder of its own."""


async def run(scenario: Scenario, folder: Path, say: Say, means: Means | None = None) -> Path:
    """Plays a scenario below `folder`, unless its result is there already; returns the result's folder.

    Raises BedError, and leaves what there was, servers' logs too, in a folder ``….failed``.
    """

    async def make(place: Path) -> dict[str, Any]:
        return await World(scenario, place, say, means or Means()).live()

    place, _ = await cached(scenario, folder, make)
    return place


def schedule(scenario: Scenario) -> tuple[tuple[Happening, ...], Cast]:
    """The plan of a scenario and who is in it: the same seed, the same plan. Raises BedError."""
    if scenario.plan:
        try:
            by_hand = (
                plans.NAMED[scenario.plan](scenario.users, scenario.seconds)
                if scenario.plan in plans.NAMED
                else plans.read(Path(scenario.plan))
            )
        except (OSError, ValueError, TypeError) as error:
            raise BedError(f"{scenario.plan}: {error}") from None
        return by_hand, cast(by_hand, plans.nobody_special(scenario.users), scenario.servers)
    try:
        life = plan(scenario.seed, scenario.users, scenario.seconds * scenario.compress, Parameters(**scenario.people))
    except (TypeError, ValueError) as error:
        raise BedError(f"people: {error}") from None
    return life.events, cast(life.events, life.users, scenario.servers)


class World:
    """One scenario while it is played."""

    def __init__(self, scenario: Scenario, place: Path, say: Say, means: Means) -> None:
        self._scenario = scenario
        self._place = place
        self._say = say
        self._means = means
        self._events, self._cast = schedule(scenario)
        self._random = random.Random(f"road {scenario.seed}")  # noqa: S311
        self._names = (f"L{number}" for number in itertools.count(1))
        self._ports: dict[tuple[int, int, int], truth.Taken] = {}
        self._helped: dict[Device, truth.Taken] = {}
        self._taps: list[Tap] = []
        self._writers: dict[str, LinkWriter] = {}
        self._workers: list[Ordered] = []
        self._servers: list[Running] = []
        self._counts: dict[str, int] = {}
        self._troubles: list[str] = []
        self._over = False

    async def live(self) -> dict[str, Any]:
        """Plays all of it; -> what is to be known of the result. Raises BedError."""
        began = time.time()
        for name in ("traces", "logs", "actors"):
            (self._place / name).mkdir()
        # Not below the place, which may be deep: the path of a control socket has at most 107 bytes.
        self._servers_home = Path(tempfile.mkdtemp(prefix="range-"))
        plans.write(self._place / "plan.jsonl", self._events)
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._take_down)
                await self._build(stack)
                await self._settle()
                played = await self._play()
            result = self._record() | played | {"took": round(time.time() - began, 1)}
        except BaseException:
            shutil.move(self._servers_home, self._place / "servers")
            raise
        finally:
            (self._place / "troubles.txt").write_text("".join(f"{each}\n" for each in self._troubles))
        shutil.rmtree(self._servers_home)
        for name in ("logs", "actors"):
            shutil.rmtree(self._place / name)
        return result

    # -- building ------------------------------------------------------------------------------------------------------

    async def _build(self, stack: AsyncExitStack) -> None:
        scenario, cast = self._scenario, self._cast
        self._say("starting servers")
        houses = self._houses()
        if len(houses) > 1:
            houses = await self._acquaint(houses, stack)
        accounts: dict[str, dict[str, str]] = {domain: {} for domain in cast.domains}
        for user in cast.users:
            accounts[cast.domain(user)][f"u{user}"] = PASSWORD
        start = self._means.systems[scenario.system]
        starting = [asyncio.to_thread(start, house, accounts[house.domain]) for house in houses.values()]
        for done in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(done, BaseException):
                raise done
            self._servers.append(done)
        reached = {house.domain: house.clients for house in houses.values()}
        if scenario.before_servers:
            reached = await self._shielded(houses)
        self._say("starting clients")
        await self._start_taps(houses, reached)
        if scenario.beside_clients:
            await self._start_helpers(houses)
        await self._start_workers(houses)

    def _houses(self) -> dict[str, House]:
        scenario, cast = self._scenario, self._cast
        authority = Authority(
            "Quietwire laboratory",
            now=time.time(),
            days=AUTHORITY_DAYS,
            new_key=new_p256_key,
            random=secrets.token_bytes,
        )
        self._authority = self._servers_home / "ca.pem"
        self._authority.write_bytes(authority.certificate)
        own = scenario.system == "quietwire" and not scenario.before_servers
        links = {"profile": scenario.server, **self._spaced(), **scenario.links} if own else {}
        self._padding = self._servers_home / "openssl.cnf"
        self._padding.write_text(openssl_config(int(scenario.links.get("block", Policy().block))))
        houses = {}
        ports = iter(spare_ports(4 * len(cast.domains)))
        for domain in cast.domains:
            home = self._servers_home / domain
            home.mkdir()
            issued = authority.issue([domain, f"conference.{domain}", f"upload.{domain}"])
            chain, key = home / f"{domain}.crt", home / f"{domain}.key"
            chain.write_bytes(issued.certificate)
            key.touch(0o600)
            key.write_bytes(issued.key)
            clients, web, servers, plain = (next(ports) for _ in range(4))
            houses[domain] = House(
                folder=home,
                domain=domain,
                clients=clients,
                web=web,
                servers=servers if len(cast.domains) > 1 else 0,
                plain=plain if scenario.shield in ("server", "both") else 0,
                chain=chain,
                key=key,
                authority=self._authority,
                links=links,
                openssl=self._padding if scenario.server_records else None,
            )
        return houses

    def _spaced(self) -> dict[str, str]:
        return {"padding": self._scenario.padding} if self._scenario.padding else {}

    async def _acquaint(self, houses: dict[str, House], stack: AsyncExitStack) -> dict[str, House]:
        """Two servers reach each other through taps, by configuration or by DNS."""
        writers = {domain: self._writer(f"server-network.{domain}") for domain in houses}
        doors: dict[str, dict[str, int]] = {domain: {} for domain in houses}
        for a, b in itertools.permutations(houses):
            doors[a][b] = await self._tap(a, b, houses[b].servers, [writers[a]], [writers[b]])
        dns = 0
        if self._scenario.system != "quietwire":
            if self._means.resolver is None:
                raise BedError("two servers of this kind need a resolver")
            records: dict[tuple[str, str], list[str]] = {}
            for a, b in itertools.permutations(houses):
                records["localhost", "A"] = ["127.0.0.1"]  # ejabberd asks the C library, which knows this name
                for name in (b, f"conference.{b}"):
                    records[f"_xmpps-server._tcp.{name}", "SRV"] = [f"0 0 {doors[a][b]} localhost."]
            resolver = self._means.resolver(records)
            dns = await resolver.open()
            stack.callback(resolver.close)
        return {domain: replace(house, others=doors[domain], dns=dns) for domain, house in houses.items()}

    async def _shielded(self, houses: Mapping[str, House]) -> dict[str, int]:
        """Ports of the shields before the servers."""
        reached = {}
        for (domain, house), port in zip(houses.items(), spare_ports(len(houses)), strict=True):
            running = await asyncio.to_thread(self._means.before, house, self._scenario, port)
            reached[domain] = port
            self._servers.append(running)
        return reached

    def _writer(self, place: str) -> LinkWriter:
        if place not in self._writers:
            self._writers[place] = LinkWriter(self._place / "traces" / f"{place}.jsonl", place)
        return self._writers[place]

    def _impaired(self, user: int) -> tuple[Impairment, Impairment]:
        """Both directions of a user's links. The same seed, the same ways."""
        scenario = self._scenario
        way = 0.0
        if scenario.roads:
            draw = random.Random(f"way {scenario.seed} {user}").gauss(0.0, scenario.spread)  # noqa: S311
            way = scenario.roads[user % len(scenario.roads)] * math.exp(draw)
        up, down = (replace(one, delay=one.delay + way) for one in (scenario.up, scenario.down))
        return up, down

    def _road(self, impairments: Sequence[Impairment]) -> Callable[[], Road] | None:
        """Roads of the two directions of each connection, up first: a tap makes them in that order."""
        if not any(each.any for each in impairments):
            return None
        turn = itertools.cycle(impairments)
        return lambda: Road(next(turn), self._random.random)

    async def _tap(
        self,
        initiator: str,
        responder: str,
        port: int,
        near: Sequence[LinkWriter],
        far: Sequence[LinkWriter],
        device: Device | None = None,
        helped: bool = False,
    ) -> int:
        def opened(name: str, local: int) -> None:
            if device is not None:
                taken = self._helped.setdefault(device, []) if helped else self._ports.setdefault((*device, local), [])
                taken.append((time.time(), name))

        tap = Tap(
            initiator=initiator,
            responder=responder,
            target=("127.0.0.1", port),
            writers=near,
            far=far,
            names=self._names,
            clock=time.time,
            road=self._road(self._impaired(device[0])) if device is not None else None,
            opened=opened,
        )
        self._taps.append(tap)
        return await tap.start()

    async def _start_taps(self, houses: Mapping[str, House], reached: Mapping[str, int]) -> None:
        self._tapped: dict[str, int] = {}
        self._web_tapped: dict[str, int] = {}
        for device in self._cast.devices:
            domain = self._cast.domain(device[0])
            near, far = self._writer(f"client-network.u{device[0]}"), self._writer(f"server-network.{domain}")
            address, name = self._cast.address(device), f"{device[0]}.{device[1]}"
            helped = self._scenario.beside_clients
            self._tapped[name] = await self._tap(address, domain, reached[domain], [near], [far], device, helped)
            self._web_tapped[name] = await self._tap(
                address, f"upload.{domain}", houses[domain].web, [near], [far], device
            )

    async def _start_helpers(self, houses: Mapping[str, House]) -> None:
        """One beside each device: what a device connects to is then its helper, and the tap is behind that."""
        gate = asyncio.Semaphore(STARTING)

        async def one(device: Device, port: int) -> None:
            name, house = f"{device[0]}.{device[1]}", houses[self._cast.domain(device[0])]
            folder = self._servers_home / "helpers" / name
            async with gate:
                running = await asyncio.to_thread(
                    self._means.beside, house, self._scenario, port, self._tapped[name], folder
                )
            self._servers.append(running)
            self._tapped[name] = port

        devices = self._cast.devices
        starting = (one(*each) for each in zip(devices, spare_ports(len(devices)), strict=True))
        for done in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(done, BaseException):
                raise done

    async def _start_workers(self, houses: Mapping[str, House]) -> None:
        scenario = self._scenario
        environment = dict(os.environ)
        environment.pop("OPENSSL_CONF", None)
        if self._records():
            environment["OPENSSL_CONF"] = str(self._padding)
        workers = max(2, -(-len(self._cast.devices) // PER_WORKER))
        for number in range(workers):
            worker = Ordered(f"worker-{number}", self._place / "logs" / f"worker-{number}.log", self._reported)
            self._workers.append(worker)
            await worker.begin(
                self._means.worker,
                environment,
                {
                    "plan": str(self._place / "plan.jsonl"),
                    "cast": self._cast.document(),
                    "worker": number,
                    "workers": workers,
                    "taps": self._tapped,
                    "web_taps": self._web_tapped,
                    "direct": {domain: house.clients for domain, house in houses.items()},
                    "web": {domain: house.web for domain, house in houses.items()},
                    "password": PASSWORD,
                    "authority": str(self._authority),
                    "content": scenario.content,
                    "largest": scenario.largest,
                    "seed": scenario.seed,
                    "probing": scenario.plan == "probe",
                    "profile": self._own_profile(),
                    "truth": str(self._place / "actors" / f"{number}.jsonl"),
                },
            )

    def _records(self) -> bool:
        """The devices pad by records."""
        return self._scenario.client == "padded" and self._scenario.padding == "records"

    def _own_profile(self) -> dict[str, Any]:
        """What the devices do themselves."""
        scenario = self._scenario
        if scenario.beside_clients or self._records():
            return {"profile": "off", "follows": False}
        both = scenario.client == scenario.server == "steady" and not scenario.shield
        return {"profile": scenario.client, "follows": both, **scenario.links}

    def _reported(self, worker: Ordered, report: dict[str, Any]) -> None:
        if self._over:
            return
        match report.get("event"):
            case "trouble":
                self._troubles.append(f"{worker.name}: {report['what']}")
            case "done":
                self._counts[worker.name] = report["count"]
                self._say("playing", sum(self._counts.values()), len(self._events))

    # -- living --------------------------------------------------------------------------------------------------------

    async def _order(self, do: str, seconds: float = SETTLE_SECONDS, **arguments: Any) -> list[dict[str, Any]]:
        return await together(*(worker.order(do, seconds, **arguments) for worker in self._workers))

    async def _settle(self) -> None:
        self._say("making friends")
        await self._order("arrive")
        await self._order("befriend")
        deadline = time.monotonic() + SETTLE_SECONDS
        before = -1
        while missing := sum(answer["missing"] for answer in await self._order("friends")):
            if time.monotonic() > deadline:
                raise BedError(f"{missing} friendships were not made in {SETTLE_SECONDS:.0f} s")
            before = max(before, missing)
            self._say("making friends", before - missing, before)
            await asyncio.sleep(0.5)
        self._say("furnishing")
        await self._order("furnish")
        await self._order("depart")

    async def _play(self) -> dict[str, Any]:
        scenario = self._scenario
        self._say("playing", 0, len(self._events))
        await self._order("prepare")
        begin = time.time() + LEAD
        answers = await self._order("play", LEAD + scenario.seconds + GRACE, at=begin, compress=scenario.compress)
        end = max(begin + scenario.seconds, *(answer["ended"] for answer in answers)) + LINGER
        await asyncio.sleep(max(0.0, end - time.time()))
        self._over = True
        counts: dict[str, dict[str, int]] = {"done": {}, "left_out": {}}
        for answer in answers:
            for name, found in counts.items():
                for kind, number in answer[name].items():
                    found[kind] = found.get(kind, 0) + number
        return {"begin": round(begin, 6), "end": round(end, 6), **counts}

    async def _take_down(self) -> None:
        for tap in self._taps:
            await tap.close()
        for writer in self._writers.values():
            writer.close()
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        for server in self._servers:  # all at once: only some can be waited for at a time
            server.process.terminate()
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in self._servers))

    def _record(self) -> dict[str, Any]:
        """Joins what the actors wrote with what the taps know."""
        self._say("reading the truth")
        written = [event for path in sorted((self._place / "actors").glob("*.jsonl")) for event in truth.read(path)]
        events, lost = truth.joined(written, self._ports, self._helped)
        file = truth.TruthFile(self._place / "truth.jsonl")
        for event in events:
            file.write(event)
        file.close()
        self._write_facts(self._cast)
        return {"events": len(events), "without_link": lost, "troubles": len(self._troubles)}

    def _write_facts(self, cast: Cast) -> None:
        facts = {
            "scenario": self._scenario.document(),
            "domains": list(cast.domains),
            "accounts": {str(user): cast.account(user) for user in cast.users},
            "addresses": {f"{user}.{device}": cast.address((user, device)) for user, device in cast.devices},
            "friends": sorted(map(list, cast.friends)),
            "rooms": {str(number): list(members) for number, members in cast.rooms.items()},
            "links": {
                name: f"{user}.{device}"
                for (user, device, *_), taken in (*self._ports.items(), *self._helped.items())
                for _, name in taken
            },
        }
        (self._place / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
