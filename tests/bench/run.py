"""`make bench`: our server and Debian's Prosody and ejabberd under the same load, in turn, on one core each.

Five rounds; in each, every server is started afresh, weighed, and stopped before the next. Prints medians and ratios,
writes all results as JSON, and exits with 1 when our server fails or loses a message, or (--floors) a floor is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from configs import Setup
from figures import FAILED, Row, Table, document, rows, shown, text, value
from pair import Pair, start_pair
from peers import NOTHING, PEERS, PeerError, Running, log_end, package_version, pinned

HERE = Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = 0, 1
LOAD_TIME = 300.0
"""Seconds for one run of the load generator; the longest (2,000 logins) takes 20."""

Results = dict[str, dict[str, list[dict[str, object]]]]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default=",".join(PEERS), help="which, of " + ", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=5.0, help="seconds measured in each chat run")
    parser.add_argument("--rows", default="", help="only rows whose key is among these (comma separated)")
    parser.add_argument("--quick", action="store_true", help="one short round with few sessions: a smoke test")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where all results go")
    parser.add_argument("--again", type=Path, help="run nothing: the table of an earlier run, from its JSON")
    parser.add_argument("--floors", action="store_true", help="exit with 1 when a floor is missed")
    parser.add_argument("--update-docs", action="store_true", help="write docs/performance.md")
    return parser


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cores() -> tuple[int | None, int | None]:
    """(server's, load's), (None, None) where there are not two to have."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    mine = sorted(os.sched_getaffinity(0))
    return (mine[SERVER_CORE], mine[LOAD_CORE]) if len(mine) > 1 else (None, None)


def load(server: Running | Pair, command: Sequence[str], core: int | None) -> dict[str, object]:
    """One run of the load generator. Raises PeerError with its complaint or the server's."""
    whole = [sys.executable, str(HERE / "load.py"), *command, "--label", server.name]
    whole += server.arguments()
    try:
        done = subprocess.run(pinned(whole, core), capture_output=True, timeout=LOAD_TIME, check=False)
    except subprocess.TimeoutExpired:
        raise PeerError(f"{server.name}: {command[0]} took more than {LOAD_TIME:.0f} s") from None
    server.check()
    if done.returncode:
        raise PeerError(f"{server.name}: {' '.join(command)}: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def runs(wanted: Iterable[Row], options: argparse.Namespace) -> list[tuple[tuple[str, ...], list[Row]]]:
    """(arguments of the load generator, the rows that one run of them fills), in the rows' order."""
    grouped: dict[tuple[str, ...], list[Row]] = {}
    for row in wanted:
        grouped.setdefault(row.arguments, []).append(row)
    timing = ("--secs", str(options.secs), "--warm", "1" if options.quick else "2")
    return [
        ((*command, *timing) if command[0] in ("chat", "room") else command, group)
        for command, group in grouped.items()
    ]


def started(name: str, setup: str, folder: Path, accounts: int, core: int | None) -> Running | Pair:
    """A server, or two, for rows of that setup. Raises PeerError."""
    if setup == "pair":
        return start_pair(name, folder, accounts, core)
    return PEERS[name](folder, accounts, core, Setup(archive=setup == "archive"))


def one_server(name: str, wanted: Sequence[Row], options: argparse.Namespace, results: Results) -> str:
    """Starts, weighs and stops one server, afresh for each setup, in a round of its own; returns its version."""
    version = ""
    for setup in dict.fromkeys(row.setup for row in wanted):
        version = one_setup(name, setup, [row for row in wanted if row.setup == setup], options, results)
    return version


def needed(wanted: Sequence[Row]) -> int:
    """Accounts that these rows take."""
    return max(200, *map(sessions, wanted)) + 600


def sessions(row: Row) -> int:
    """How many its run logs in at once, those of other rows of that run included."""
    if row.arguments[0] not in ("login", "idle"):
        return 0
    return max(map(int, row.arguments[2].split(",")))


def one_setup(name: str, setup: str, wanted: Sequence[Row], options: argparse.Namespace, results: Results) -> str:
    server_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="quietwire-bench-") as folder:
        server = started(name, setup, Path(folder), needed(wanted), server_core)
        try:
            left = runs(wanted, options)
            while left:
                command, group = left.pop(0)
                result = tried(server, command, load_core)
                for row in group:
                    results.setdefault(row.key, {}).setdefault(name, []).append(result)
                    say(f"    {row.title}: {told(row, result)}")
                if FAILED in result and left:  # it may be at its end: the rest is asked of a new one
                    server.stop()
                    server = started(name, setup, Path(tempfile.mkdtemp(dir=folder)), needed(wanted), server_core)
        finally:
            server.stop()
        if name == "quietwire" and (words := log_end(server.folder, 300)) != NOTHING:
            say(f"    its log: {words}")
        return f"{server.name} {server.release}"


def tried(server: Running | Pair, command: Sequence[str], core: int | None) -> dict[str, object]:
    """As `load`, save that a peer's failure is a result without figures: it is their round that is lost, not ours."""
    try:
        return load(server, command, core)
    except PeerError as error:
        if server.name == "quietwire":
            raise
        return {FAILED: str(error)}


def told(row: Row, result: Mapping[str, object]) -> str:
    """The row's figure, or why there is none."""
    if FAILED in result:
        return f"no figure: {result[FAILED]}"
    note = "  (the machine was busy with something else)" if disturbed(result) else ""
    return f"{shown(value(row, result))} {row.unit}{note}"


def disturbed(result: Mapping[str, object]) -> bool:
    """Whether something else used more than a fifth of a core meanwhile."""
    return float(str(result.get("other_cpu_s", 0))) > 0.2 * float(str(result.get("wall_s", 1)))


def chosen(options: argparse.Namespace) -> list[Row]:
    wanted = rows((100, 200), 100, 200, 300) if options.quick else rows()
    keys = set(options.rows.split(",")) - {""}
    if unknown := keys - {row.key for row in wanted}:
        raise PeerError(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.key for row in wanted)}")
    return [row for row in wanted if not keys or row.key in keys]


def processor() -> str:
    """What the machine says it is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def main(options: argparse.Namespace) -> int:
    if options.again is not None:
        return again(options)
    if options.quick:
        options.rounds, options.secs = 1, 1.5
    wanted = chosen(options)
    servers = [name for name in PEERS if name in options.servers.split(",")]
    results: Results = {}
    versions: dict[str, str] = {}
    for name in [name for name in servers if name != "quietwire" and not package_version(name)]:
        say(f"{name} is not installed (apt install {name}): left out")
        servers.remove(name)
    started = time.monotonic()
    for number in range(1, options.rounds + 1):
        for name in servers:
            say(f"round {number} of {options.rounds}, {name} ({time.monotonic() - started:.0f} s so far)")
            now = [row for row in wanted if (number == 1 or not row.once) and name not in row.without]
            if now:
                versions[name] = one_server(name, now, options, results)
    every = [result for by_server in results.values() for runs in by_server.values() for result in runs]
    facts = {
        "command": f"`make bench ARGS='{asked(options)}'`",
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{processor()}, {platform.system()} {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}",
        "servers": ", ".join(versions.values()),
        "rounds": f"{options.rounds}, servers in turn; {options.secs:g} s a run; server on one core, load on another",
        "other work": f"{sum(map(disturbed, every))} of {len(every)} figures were taken while something else used more "
        "than a fifth of a core",
        "without a figure": f"{sum(FAILED in result for result in every)}: the peer did not get through that run",
    }
    options.json.write_text(json.dumps({"facts": facts, "servers": servers, "results": results}, indent=1) + "\n")
    return conclude(Table(wanted, servers, results), facts, options)


def asked(options: argparse.Namespace) -> str:
    """What was asked for, as it would be asked for again."""
    words = [f"--rounds {options.rounds}", f"--secs {options.secs:g}"]
    words += [f"--rows {options.rows}"] if options.rows else []
    words += [f"--servers {options.servers}"] if options.servers != ",".join(PEERS) else []
    return "--quick" if options.quick else " ".join(words)


def conclude(table: Table, facts: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the table, writes the document where that is asked for, and returns the exit status."""
    print(text(table.cells()))
    missed = [verdict for verdict in table.verdicts() if verdict.passed is False]
    for verdict in missed:
        print(f"floor missed: {verdict.row.title}: {verdict.ratio:.2f} of {verdict.peer}'s, {verdict.floor} allowed")
    if options.update_docs:
        (HERE.parents[1] / "docs" / "performance.md").write_text(document(table, facts))
    return 1 if missed and options.floors else 0


def again(options: argparse.Namespace) -> int:
    """The table of an earlier run, from its JSON."""
    try:
        earlier = json.loads(options.again.read_text())
        return conclude(Table(chosen(options), earlier["servers"], earlier["results"]), earlier["facts"], options)
    except (OSError, ValueError, KeyError) as error:
        raise PeerError(f"{options.again} holds no results ({type(error).__name__})") from None


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
    )  # the servers are stopped on the way out
    try:
        sys.exit(main(arguments().parse_args()))
    except PeerError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
