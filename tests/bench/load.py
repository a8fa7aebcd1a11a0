"""A load generator for any XMPP server on loopback.

    python load.py chat|room|login|idle --port P --pid SERVER_PID[,PID] [options]

`chat` pairs the sessions and pumps messages through, with a window outstanding a pair or at a fixed rate in all; with
`--peer-port` the other half of each pair is at another server. `room` fans out in one room; `login` counts logins;
`idle` weighs sessions. Accounts u0, u1, ... with the password `pw` must exist; the port speaks
TLS at once. Every session has stream management and carbons on (see session.py). One JSON line comes out; exit status
1 and one line on stderr when the server failed or a message was lost, doubled or out of order.

Pin the server and this program to different cores, and compare servers in one sitting, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import sys
from dataclasses import dataclass, field

import uvloop
from meter import Meter, family, parents, rss_kb
from session import LoadError, Session, unverified_tls
from wire import SHARE, Arrivals, Keys, Letter, RoomArrivals, percentile

DRAIN = 20.0
"""Seconds for what is under way to arrive and be acknowledged once nobody sends any more."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["chat", "room", "login", "idle"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", required=True, help="the server's processes, by commas; descendants are counted in")
    parser.add_argument("--host", default="localhost", help="the domain of the accounts")
    parser.add_argument("--peer-port", type=int, default=0, help="chat: where those who receive are")
    parser.add_argument("--peer-host", default="", help="chat: the domain of those who receive")
    parser.add_argument("--senders", type=int, default=5, help="room: how many of the occupants talk")
    parser.add_argument("--label", default="", help="copied into the result")
    parser.add_argument("-n", type=int, default=100, help="chat: accounts, in pairs; login: logins")
    parser.add_argument("--steps", default="500,2000", help="idle: session counts to weigh at, ascending")
    parser.add_argument("--resources", type=int, default=1, help="chat: sessions an account")
    parser.add_argument("--window", type=int, default=4, help="chat: messages under way a pair")
    parser.add_argument("--rate", type=float, default=0, help="chat: messages a second in all, instead of a window")
    parser.add_argument("--rich", action="store_true", help="chat: state, receipt request, marker and origin-id too")
    parser.add_argument("--ack-every", type=int, default=10, help="chat: stanzas between requests for acknowledgement")
    parser.add_argument("--secs", type=float, default=5, help="chat: seconds measured")
    parser.add_argument("--warm", type=float, default=2, help="chat: seconds before that")
    parser.add_argument("--settle", type=float, default=4, help="idle: seconds before weighing")
    parser.add_argument("--together", type=int, default=16, help="logins under way at once")
    return parser


@dataclass
class Load:
    """What the runs share. A session that is lost while it should not be makes `broken` fail the run at once."""

    options: argparse.Namespace
    keys: Keys = field(default_factory=lambda: Keys(b"pw"))
    sessions: list[Session] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tls = unverified_tls()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.look_around()

    def look_around(self) -> None:
        """The server's processes as they are now."""
        everybody = parents()
        self.pids = [pid for root in self.options.pid.split(",") for pid in family(int(root), everybody)]

    def _lost(self, error: LoadError) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    async def connect(self, names: list[tuple[str, str]], *, peer: bool = False) -> list[Session]:
        """Logs in each (user, resource), at most `--together` at once, in their order."""
        host = self.options.peer_host if peer else self.options.host
        port = self.options.peer_port if peer else self.options.port
        made = [
            Session(user, host, self.keys, resource=resource, ack_every=self.options.ack_every)
            for user, resource in names
        ]
        todo = iter(made)

        async def worker() -> None:
            for session in todo:
                await session.login(port, self.tls)
                session.on_lost = self._lost

        await asyncio.gather(*(worker() for _ in range(self.options.together)))
        self.sessions.extend(made)
        return made

    async def passing(self, seconds: float) -> None:
        """Lets time pass; raises LoadError as soon as a session is lost."""
        await asyncio.wait([self.broken], timeout=seconds)
        if self.broken.done():
            self.broken.result()

    async def close(self) -> None:
        await asyncio.gather(*(session.close() for session in self.sessions))
        self.sessions.clear()


async def chat(load: Load) -> dict[str, object]:
    """CPU per message, latency of messages and of acknowledgements."""
    options = load.options
    resources: int = options.resources
    names = [[(f"u{i + half}", f"r{k}") for i in range(0, options.n, 2) for k in range(resources)] for half in (0, 1)]
    here = await load.connect(names[0])
    there = await load.connect(names[1], peer=bool(options.peer_port))
    sessions = [
        session
        for start in range(0, len(here), resources)
        for session in (*here[start : start + resources], *there[start : start + resources])
    ]
    pairs = [(sessions[i], sessions[i + resources]) for i in range(0, len(sessions), 2 * resources)]
    senders = [sender for sender, _ in pairs]
    latencies: list[int] = []
    ack_latencies: list[int] = []
    delivered = 0
    measuring = False
    running = True

    def acknowledged(took: int) -> None:
        if measuring:
            ack_latencies.append(took)

    def arm(sender: Session, receiver: Session) -> None:
        sender.letter = Letter(receiver.jid.partition(b"/")[0], options.rich)
        sender.on_acknowledged = acknowledged
        send, closed_loop = sender.send, not options.rate

        def arrived(now: int, stamps: list[int]) -> None:
            nonlocal delivered
            delivered += len(stamps)
            if measuring:
                latencies.extend(now - stamp for stamp in stamps)
            if closed_loop and running:
                send(len(stamps))

        receiver.on_messages = arrived

    for sender, receiver in pairs:
        arm(sender, receiver)
    await load.passing(0.5)
    if options.rate:
        pump = asyncio.create_task(paced(senders, options.rate))
    else:
        for sender in senders:
            sender.send(options.window)
    await load.passing(options.warm)
    before, measuring = delivered, True
    safe_before = sum(sender.acknowledged for sender in senders)
    with Meter(load.pids) as meter:
        await load.passing(options.secs)
    measuring, count = False, delivered - before
    safe = sum(sender.acknowledged for sender in senders) - safe_before
    running = False
    if options.rate:
        pump.cancel()
    for sender in senders:
        sender.ask()
    await drained(load, sessions, resources)
    sent = sum(sender.sent for sender in senders)
    faults = {
        "missing": sum(
            senders[i // (2 * resources)].sent - session.arrivals.seen + session.arrivals.skipped
            for i, session in enumerate(sessions)
            if i % (2 * resources)
        ),
        "doubled": sum(session.arrivals.doubled for session in sessions),
        "skipped": sum(session.arrivals.skipped for session in sessions),
        "unacknowledged": sum(sender.stanzas - sender.acknowledged for sender in senders),
    }
    if any(faults.values()):
        raise LoadError(f"of {sent} messages: " + ", ".join(f"{n} {what}" for what, n in faults.items()))
    if not count or not ack_latencies:
        raise LoadError(f"{count} messages and {len(ack_latencies)} acknowledgements in {options.secs} s: too few")
    latencies.sort()
    ack_latencies.sort()
    return {
        "accounts": options.n,
        "resources": resources,
        "rich": options.rich,
        "target_per_s": options.rate or None,
        "messages": count,
        "per_s": round(count / meter.wall),
        "acknowledged_per_s": round(safe / meter.wall),
        "us_wall_per_acknowledged": round(meter.wall / safe * 1e6, 2) if safe else None,
        "us_per_message": round(meter.server / count * 1e6, 2),
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
        "acks": len(ack_latencies),
        "ack_p50_ms": percentile(ack_latencies, 0.5),
        "ack_p99_ms": percentile(ack_latencies, 0.99),
        "rss_kb": rss_kb(load.pids),
        **meter.report(),
    }


async def room(load: Load) -> dict[str, object]:
    """CPU per delivery in one room: `--senders` of its occupants keep `--window` messages each on their way."""
    options = load.options
    sessions = await load.connect([(f"u{i}", "r0") for i in range(options.n)])
    address = b"perf@conference." + options.host.encode()
    for session in sessions:
        session.arrivals = RoomArrivals([Arrivals() for _ in range(options.senders)])
        await session.join(address, first=session is sessions[0])
    senders = sessions[: options.senders]
    latencies: list[int] = []
    delivered = 0
    measuring = False
    running = True

    def arrived(now: int, stamps: list[int]) -> None:
        nonlocal delivered
        delivered += len(stamps)
        if measuring:
            latencies.extend(now - stamp for stamp in stamps)

    def arm(sender: Session, number: int) -> None:
        sender.letter = Letter(address, options.rich, b"groupchat", number * SHARE)

        def came(numbers: list[int]) -> None:
            own = sum(1 for each in numbers if each // SHARE == number)
            if own and running:
                sender.send(own)

        sender.on_numbers = came

    for session in sessions:
        session.on_messages = arrived
    for number, sender in enumerate(senders):
        arm(sender, number)
    await load.passing(1)
    for sender in senders:
        sender.send(options.window)
    await load.passing(options.warm)
    before, measuring = delivered, True
    with Meter(load.pids) as meter:
        await load.passing(options.secs)
    measuring, count = False, delivered - before
    running = False
    for sender in senders:
        sender.ask()
    waited = 0.0
    sent = sum(sender.sent for sender in senders)
    while waited < DRAIN and any(s.arrivals.seen < sent for s in sessions):
        await load.passing(0.05)
        waited += 0.05
    faults = {
        "missing": sum(sent - session.arrivals.seen + session.arrivals.skipped for session in sessions),
        "doubled": sum(session.arrivals.doubled for session in sessions),
        "skipped": sum(session.arrivals.skipped for session in sessions),
    }
    if any(faults.values()):
        raise LoadError(f"of {sent} messages to {len(sessions)}: " + ", ".join(f"{n} {w}" for w, n in faults.items()))
    if not count:
        raise LoadError(f"nothing was delivered in {options.secs} s")
    latencies.sort()
    return {
        "occupants": options.n,
        "deliveries": count,
        "per_s": round(count / meter.wall),
        "us_per_delivery": round(meter.server / count * 1e6, 2),
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
        **meter.report(),
    }


async def paced(senders: list[Session], rate: float) -> None:
    """Sends `rate` messages a second, evenly, the senders in turn, until it is cancelled."""
    loop = asyncio.get_running_loop()
    start, count = loop.time(), 0
    while True:
        due = int((loop.time() - start) * rate)
        while count < due:
            senders[count % len(senders)].send()
            count += 1
        await asyncio.sleep(max(0.0, start + (count + 1) / rate - loop.time()))


async def drained(load: Load, sessions: list[Session], resources: int) -> None:
    """Waits until every copy of every message is there and every sender has its acknowledgement, DRAIN at most."""

    def done() -> bool:
        for start in range(0, len(sessions), 2 * resources):
            sender, *others = sessions[start : start + 2 * resources]
            if sender.acknowledged < sender.stanzas or any(other.arrivals.seen < sender.sent for other in others):
                return False
        return True

    waited = 0.0
    while waited < DRAIN and not done():
        await load.passing(0.05)
        waited += 0.05


async def login(load: Load) -> dict[str, object]:
    """CPU per login: TLS, SCRAM, bind, stream management, carbons and presence."""
    options = load.options
    warm = 20
    await load.connect([(f"u{i}", "r0") for i in range(warm)])
    with Meter(load.pids) as meter:
        await load.connect([(f"u{i}", "r0") for i in range(warm, warm + options.n)])
    return {
        "logins": options.n,
        "ms_per_login": round(meter.server / options.n * 1e3, 3),
        "per_s": round(options.n / meter.wall),
        **meter.report(),
    }


async def idle(load: Load) -> dict[str, object]:
    """Resident memory per session, beyond what the server has after its first logins."""
    options = load.options
    steps = [int(step) for step in options.steps.split(",")]
    warm = 20  # caches and code that the first logins bring in are not a session's weight
    await load.connect([(f"u{i}", "r0") for i in range(warm)])
    await load.passing(options.settle / 2)
    load.look_around()
    empty = rss_kb(load.pids)
    weights: dict[str, float] = {}
    at = warm
    for step in steps:
        await load.connect([(f"u{i}", "r0") for i in range(at, warm + step)])
        at = warm + step
        await load.passing(options.settle)
        weights[str(step)] = round((rss_kb(load.pids) - empty) / step, 2)
    with Meter(load.pids) as meter:
        await load.passing(2)
    return {"kb_per_session": weights, "empty_kb": empty, "idle_cpu_share": round(meter.server / meter.wall, 4)}


async def main(options: argparse.Namespace) -> dict[str, object]:
    load = Load(options)
    run = {"chat": chat, "room": room, "login": login, "idle": idle}[options.command]
    try:
        result = await run(load)
    finally:
        await load.close()
    return {"label": options.label, "command": options.command, **result}


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    parsed = arguments().parse_args()
    gc.freeze()
    gc.disable()  # a collection here would show up as the server's latency
    try:
        print(json.dumps(uvloop.run(main(parsed))), flush=True)
    except (LoadError, OSError) as error:
        sys.exit(f"load.py: {error}")
