"""Can anybody tell a `steady` link that carries something from one that carries nothing? From captures in the kernel.

    python tests/bench/steady_links.py run FOLDER [-n 1000] [--seconds 100] [--life off] [--load] ...
    python tests/bench/steady_links.py judge FOLDER [--json FILE]

`run` starts the server, all of whose links are steady, and clients in processes of their own, captures every packet
on loopback with the kernel's times, and writes capture.pcap, and apart from it truth.json: which links had a life.
Whole sessions of one length; half of the links are drawn by the seed to have a life: texts, typing, bursts, rosters,
pages of the archive, floods that fill queues, their own and, from strangers, other people's. The others log in and say
nothing. Which process and place a link has is drawn too. Server and clients have a core each.

`judge` is the attack (quietwire.lab.attacks.indistinct) on what the server writes, what clients write, both, all
segments of TCP with their acknowledgements, and the windows that these advertise; and the same with leaks planted. Root
only: packet sockets.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from configs import Setup
from meter import Meter, family, parents
from peers import PeerError, Running, more_files, pinned, start_quietwire
from steady_client import STYLES, One, Orders

from quietwire.lab import figures
from quietwire.lab.attacks import indistinct
from quietwire.lab.capture import Capturing
from quietwire.lab.flows import Flow, make
from quietwire.lab.pcap import Segment, segments
from quietwire.lab.reassembly import connections
from quietwire.shaping.policy import SLOT, Policy

LEAD = 3.0
"""Seconds for the processes to start."""
SPARE = 15.0
"""Seconds after the last session's end, for it to be closed."""
VIEWS = ("down", "up", "both", "segments", "windows")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "judge"])
    parser.add_argument("folders", type=Path, nargs="+", help="run: one; judge: all together")
    parser.add_argument("-n", type=int, default=1000, help="links")
    parser.add_argument("--seconds", type=float, default=100.0, help="length of a session")
    parser.add_argument("--spread", type=float, default=20.0, help="seconds in which they begin")
    parser.add_argument("--tick", type=float, default=Policy().tick)
    parser.add_argument("--fast-tick", type=float, default=Policy().fast_tick)
    parser.add_argument("--window", type=float, default=10.0)
    parser.add_argument("--bulk-every", type=float, default=25.0)
    parser.add_argument("--queue", type=int, default=16_384)
    parser.add_argument("--default", action="store_true", help="times as links have them by default, in place of those")
    parser.add_argument(
        "--life", choices=["on", "off"], default="on", help="off: nobody has one, what remains is chance"
    )
    parser.add_argument("--load", action="store_true", help="two processes keep both cores busy meanwhile")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of the clients")
    parser.add_argument("--work", type=float, default=0.0, help="seconds that a message costs a client, at each end")
    parser.add_argument("--apart", action="store_true", help="each client has a process of its own")
    parser.add_argument("--slow", type=float, default=2.0, help="a life is so many times as slow")
    parser.add_argument("--workers", type=int, default=8, help="processes of clients")
    parser.add_argument("--strangers", type=int, default=2, help="who fill the queues of others")
    parser.add_argument("--cores", default="0,1", help="of the server; of clients and capture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--views", default=",".join(VIEWS), help="judge: which")
    parser.add_argument("--json", type=Path, default=None, help="judge: figures go here too")
    return parser


def policy_of(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `Policy`, and keys of `[links]`."""
    if options.default:
        return {"queue": options.queue}
    return {
        "tick": options.tick, "fast_tick": options.fast_tick, "window": options.window,
        "bulk_every": options.bulk_every, "queue": options.queue,
    }  # fmt: skip


def cast(options: argparse.Namespace, port: int) -> list[Orders]:
    """Who is where and has which life: from the seed. The last of the processes has the strangers."""
    dice = random.Random(options.seed)
    users = [f"u{number}" for number in range(options.n)]
    alive = dice.sample(users, options.n // 2) if options.life == "on" else []
    styles = {user: list(STYLES)[place % len(STYLES)] for place, user in enumerate(alive)}
    places = dice.sample(range(options.n), options.n)
    ones = [
        One(
            user, dice.uniform(0, options.spread), options.seconds, styles.get(user, ""),
            tuple(dice.sample([other for other in alive if other != user], 3)) if user in styles else (),
        )
        for user in users
    ]  # fmt: skip
    common: dict[str, Any] = {
        "port": port, "seed": options.seed, "policy": policy_of(options), "stock": options.loop == "asyncio",
        "slow": options.slow,
    }  # fmt: skip
    ours = {"work": options.work, "apart": options.apart}
    found = [
        Orders(links=tuple(ones[place] for place in sorted(places[number :: options.workers])), **common, **ours)
        for number in range(options.workers)
    ]
    if alive and options.strangers:
        begin = options.spread
        away = tuple(
            One(f"u{options.n + number}", begin, options.seconds - begin, "flooder", tuple(alive))
            for number in range(options.strangers)
        )
        found.append(Orders(links=away, outside=True, **common))
    return found


def run(options: argparse.Namespace) -> None:
    folder: Path = options.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    server_core, client_core = (int(core) for core in options.cores.split(","))
    links = 'profile = "steady"\n' + "".join(f"{key} = {value}\n" for key, value in policy_of(options).items())
    with tempfile.TemporaryDirectory() as place:
        server = start_quietwire(
            Path(place), options.n + options.strangers, server_core, Setup(archive=True, links=links)
        )
        burning: list[subprocess.Popen[bytes]] = []
        try:
            if options.load:
                burn = [sys.executable, "-c", "while True: sum(range(100000))"]
                burning = [subprocess.Popen(pinned(burn, core)) for core in (server_core, client_core)]
            os.sched_setaffinity(0, {client_core})  # ours and the capture's
            told, meter, captured = _captured(options, server, client_core)
        finally:
            for process in burning:
                process.kill()
                process.wait()
            server.stop()
        complaints = (Path(place) / "output.log").read_text(errors="replace")
    about = {
        **{key: value for key, value in vars(options).items() if key not in ("command", "folders", "json", "views")},
        "server_cpu": round(meter.server / meter.wall, 3), "client_cpu": round(meter.clients / meter.wall, 3),
        "packets": captured.packets, "dropped": captured.dropped,
        "clock": time.time() - time.monotonic(),
        "server_said": complaints[-2000:],
    }  # fmt: skip
    (folder / "truth.json").write_text(json.dumps({"run": about, "port": server.port, "links": told}) + "\n")
    print(json.dumps(about | summary(told)), flush=True)


@dataclass
class Spent:
    """CPU seconds."""

    wall: float = 0.0
    server: float = 0.0
    clients: float = 0.0


def _captured(
    options: argparse.Namespace, server: Running, core: int
) -> tuple[list[dict[str, Any]], Spent, Capturing]:  # fmt: skip
    script = Path(__file__).with_name("steady_client.py")
    orders = cast(options, server.port)
    more_files()
    with Capturing(options.folders[0] / "capture.pcap", [server.port]) as capture:
        workers = [
            subprocess.Popen(
                pinned([sys.executable, str(script)], core), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in orders
        ]
        try:
            for worker, each in zip(workers, orders, strict=True):
                assert worker.stdin is not None
                worker.stdin.write(each.written() + "\n")
                worker.stdin.flush()
            for worker in workers:
                assert worker.stdout is not None
                if worker.stdout.readline() != "ready\n":
                    raise PeerError("a process of clients did not start")
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            with Meter(family(server.process.pid, parents())) as meter:
                start = time.monotonic() + LEAD
                for worker in workers:
                    assert worker.stdin is not None
                    worker.stdin.write(f"{start}\n")
                    worker.stdin.flush()
                limit = LEAD + options.spread + options.seconds + 4 * SPARE
                told = []
                for worker in workers:
                    out, _ = worker.communicate(timeout=limit)
                    told += [json.loads(line) for line in out.splitlines()]
                server.check()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    spent = Spent(meter.wall, meter.server, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime)
    return told, spent, capture


def summary(told: Sequence[dict[str, Any]]) -> dict[str, object]:
    """What was done, all together."""
    did: dict[str, int] = {}
    for row in told:
        for kind, count in row["did"].items():
            did[kind] = did.get(kind, 0) + count
    inside = [row for row in told if not row["outside"]]
    alive = [row for row in inside if row["style"]]
    idle = [row for row in inside if not row["style"]]
    return {
        "alive": len(alive), "idle": len(idle), "did": did,
        "stanzas_sent": {"alive": sum(row["sent"] for row in alive), "idle": sum(row["sent"] for row in idle)},
        "bytes_came": {"alive": sum(row["came"] for row in alive), "idle": sum(row["came"] for row in idle)},
        "unacknowledged": sum(row["sent"] - row["acknowledged"] for row in alive),
        "left": sum(row["left"] > 0 for row in inside),
        "troubles": [f"{row['user']}: {row['trouble']}" for row in told if row["trouble"]][:5],
        "troubled": sum(bool(row["trouble"]) for row in told),
    }  # fmt: skip


# What a watcher has


def seen(path: Path, server: int) -> dict[str, dict[int, Flow]]:
    """What is known of every link of a capture, by view and by the client's port."""
    packets: dict[int, list[tuple[float, int, int, int]]] = {}

    def passing() -> Iterator[Segment]:
        for segment in segments(path):
            up = segment.target[1] == server
            port = segment.source[1] if up else segment.target[1]
            packets.setdefault(port, []).append((segment.time, segment.length, segment.window, 1 if up else -1))
            yield segment

    views: dict[str, dict[int, Flow]] = {view: {} for view in VIEWS}
    for connection in connections(passing()):
        port, name = connection.initiator[1], connection.name
        up, down = connection.up.records, connection.down.records
        views["up"][port] = make(name, up.times, up.sizes, [1] * len(up.times))
        # Leaks are planted in what goes up.
        views["down"][port] = make(name, down.times, down.sizes, [1] * len(down.times))
        views["both"][port] = make(
            name, [*up.times, *down.times], [*up.sizes, *down.sizes], [1] * len(up.times) + [-1] * len(down.times)
        )
    for port, rows in packets.items():
        times, lengths, windows, ways = zip(*rows, strict=True)
        views["segments"][port] = make(str(port), times, lengths, ways)
        views["windows"][port] = make(str(port), times, windows, ways)
    return views


def sides(truth: dict[str, Any], flows: dict[int, Flow], seed: int) -> tuple[list[Flow], list[Flow]]:
    """(links without a life, links with one). Where nobody had one: drawn, for what remains is chance."""
    inside = [row for row in truth["links"] if not row["outside"] and not row["trouble"]]
    if not any(row["style"] for row in inside):
        chosen = {row["port"] for row in random.Random(seed).sample(inside, len(inside) // 2)}
        return (
            [flows[row["port"]] for row in inside if row["port"] not in chosen],
            [flows[row["port"]] for row in inside if row["port"] in chosen],
        )
    return (
        [flows[row["port"]] for row in inside if not row["style"]],
        [flows[row["port"]] for row in inside if row["style"]],
    )


def lateness(flows: Sequence[Flow], clock: float) -> dict[str, float]:
    """Milliseconds after the beginning of its slot, of all cells. `clock`: epoch seconds of the clock's zero."""
    if not flows:
        return {}
    after = np.concatenate([(flow.times - clock) % SLOT for flow in flows]) * 1000
    return {name: round(float(np.quantile(after, at)), 2) for name, at in
            (("p1", 0.01), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999))}  # fmt: skip


def judge(options: argparse.Namespace) -> list[figures.Figure]:
    truths = [json.loads((folder / "truth.json").read_text()) for folder in options.folders]
    captures = [
        seen(folder / "capture.pcap", truth["port"]) for folder, truth in zip(options.folders, truths, strict=True)
    ]
    for truth in truths:
        print(json.dumps(summary(truth["links"])), flush=True)
    found: list[figures.Figure] = []
    for view in options.views.split(","):
        pairs = [
            sides(truth, flows[view], options.seed) for truth, flows in zip(truths, captures, strict=True)
        ]  # fmt: skip
        verdict = indistinct.compare_captures(pairs, seed=options.seed)
        row: dict[str, object] = {"view": view, "links": verdict.between.sessions, "passed": verdict.passed}
        if view in ("up", "down"):
            row["lateness_ms"] = [
                lateness([*left, *right], truth["run"]["clock"])
                for truth, (left, right) in zip(truths, pairs, strict=True)
            ]
        for name, one in (("area", verdict.between), ("late", verdict.late), ("longer", verdict.longer)):
            row[name] = [*(round(x, 3) for x in (one.area.value, one.area.low, one.area.high)), one.best]
        print(json.dumps(row), flush=True)
        found += indistinct.as_figures(verdict, f"steady links, {view}", simulated=False)
    return found


def main(options: argparse.Namespace) -> None:
    if options.command == "run":
        run(options)
        return
    found = judge(options)
    if options.json is not None:
        figures.write(options.json, found)


if __name__ == "__main__":
    try:
        main(arguments().parse_args())
    except (PeerError, OSError) as error:
        sys.exit(f"steady_links.py: {error}")
