"""`make audit`: the same scripted week on Quietwire, Prosody and ejabberd, then what a thief of each disk has.

A week of 50 accounts passes in about a minute of real time. Canaries are in every field that a client can set. When all
have logged out, and again when half are back, the data directory is copied from the running server, as a thief would,
and examined by `quietwire audit disk`'s own code: without our server key (`backup`) and with it (`disk`). Of ours the
memory of the process is searched as well (`seizure`). Exits with 1 when our storage holds what it must not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import week_figures
from peers import PeerError
from week_life import live
from week_plan import FIELDS, Plan, make_plan
from week_seizure import Seizure, seize
from week_servers import HOST, SERVERS, Home, invite

from quietwire.lab.audit import attacks, quietwire, score, snapshot
from quietwire.lab.audit.audit import Report, examine
from quietwire.lab.audit.facts import pairs
from quietwire.lab.audit.raw import Canary
from quietwire.lab.audit.report import edge_facts
from quietwire.seal.keys import ServerKeys
from quietwire.seal.server_key import RawKey

CLOSED = 34.0
"""Seconds after which our write-ahead log has been moved into the database and cut (storage.md: 30)."""
EVENING = 100
"""Messages one by one."""
FLUSHED = 4.0
"""Seconds after which the others have written what they had collected."""


@dataclass
class Case:
    """What one thief has. `fields`: canaries found by field; `edges`: pairs that storage names outright; `attacks`:
    by table."""

    system: str
    release: str
    owners: str
    """`away`, or `half on`."""
    thief: str
    """`backup`, `disk`, or `files` where there is no key apart from them."""
    log: str = ""
    """`open`: copied right after the last change; `cut`: when the write-ahead log had been cut."""
    found: dict[str, int] = field(default_factory=dict)
    planted: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """Field -> where one of its canaries was."""
    categories: dict[str, int] = field(default_factory=dict)
    edges: score.Score | None = None
    attacks: dict[str, score.Score] = field(default_factory=dict)
    luck: dict[str, float] = field(default_factory=dict)
    """Attack -> how often other names would have done as well."""
    left: dict[str, Any] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)


@dataclass
class Week:
    """The whole result."""

    accounts: int
    days: int
    seed: int
    messages: int
    friendships: int
    cases: list[Case]
    seizures: list[Seizure]
    seconds: float


def truth(plan: Plan) -> set[frozenset[str]]:
    """Pairs of whom one has the other on their contact list, asked for it, or wrote to the other."""
    return {frozenset(f"{name}@{HOST}" for name in pair) for pair in (*plan.friends, *plan.strangers, *plan.sent)}


async def lived(
    system: str, plan: Plan, folder: Path, *, quick: bool, evening: int
) -> tuple[list[Case], list[Seizure]]:
    """One server's week, and what thieves of its disk have. Raises PeerError, WeekError."""
    home = SERVERS[system](folder, plan.people)
    ours = system == "quietwire"
    cases, seizures = [], []
    try:
        before = partial(cut, home) if ours and not quick else None
        life = await live(plan, home, evening=evening, before=before)
        if ours:
            await asyncio.to_thread(invite, folder, plan.canaries.new("invited name"))
        await life.go(list(life.online))
        await asyncio.sleep(1 if ours else FLUSHED)
        cases += looked(system, plan, home, folder, "away", "open" if ours else "")
        if ours:
            seizures.append(seize("away", plan, home, [], folder / "copy"))
            if not quick:
                await asyncio.sleep(CLOSED)
                cases += looked(system, plan, home, folder, "away", "cut")
        half = sorted(plan.people)[::2]
        await life.come(half)
        await asyncio.sleep(1 if ours else FLUSHED)
        cases += looked(system, plan, home, folder, "half on", "open" if ours else "")
        if ours:
            seizures.append(seize("half on", plan, home, half, folder / "copy"))
        await life.go(half)
    finally:
        home.running.stop()
    return cases, seizures


async def cut(home: Home) -> None:
    """Until our write-ahead log has been cut, so that what comes now is in it whole. Raises PeerError."""
    (log,) = home.data.glob("*.sqlite-wal")
    for _ in range(int(3 * CLOSED)):
        if not log.stat().st_size:
            return
        await asyncio.sleep(1)
    raise PeerError("Quietwire does not cut its write-ahead log")


def looked(system: str, plan: Plan, home: Home, folder: Path, owners: str, log: str) -> list[Case]:
    """Copies the disk now, and examines the copy: ours as `backup` and as `disk`."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    snapshot.take(home.data, copy)
    canaries = [Canary(each.text, each.field, each.owner) for each in plan.canaries.planted]
    key = RawKey(home.key.read_bytes()) if home.key is not None else None
    guesses = [f"{name}@{HOST}" for name in plan.people]
    cases = []
    for thief in ("backup", "disk") if key is not None else ("files",):
        case = Case(system, home.running.release, owners, thief, log)
        report = examine(
            copy, secret=key if thief == "disk" else None, canaries=canaries, guesses=guesses, logs=[home.logs]
        )
        fill(case, report, plan)
        if key is not None and thief == "backup":  # the key adds names, not pairs
            attacked(case, report, plan, copy, key)
        cases.append(case)
    return cases


def fill(case: Case, report: Report, plan: Plan) -> None:
    planted = Counter(each.field for each in plan.canaries.planted)
    found = Counter(canary.field for canary in report.hits)
    case.planted = {name: planted[name] for name in FIELDS if planted[name]}
    case.found = {name: found[name] for name in FIELDS if planted[name]}
    for canary, hits in report.hits.items():
        case.places.setdefault(canary.field, hits.places.most_common(1)[0][0])
    case.categories = {name: count for name, count in report.facts.counts().items() if count}
    people = {f"{name}@{HOST}" for name in plan.people}
    said = {pair for pair in pairs(edge_facts(report)) if pair <= people}
    case.edges = score.of_set(said, truth(plan), len(people))
    case.pages = asdict(report.pages)
    if report.left is not None:
        case.left = asdict(report.left)


def attacked(case: Case, report: Report, plan: Plan, copy: Path, key: RawKey) -> None:
    """Scores each attack as if its pairs had names: whoever scores knows which hash is whose."""
    keys = server_keys(copy, key)
    names = {
        (table, keys.owner(table, f"{name}@{HOST}".encode())): f"{name}@{HOST}"
        for name in plan.people
        for table in {each.table for each in report.attacks}
    }
    for each in report.attacks:
        pairs_ = named(each, names)
        if pairs_:
            label = f"{each.name}, {each.table}"
            case.attacks[label] = score.ranked(pairs_, truth(plan), len(plan.people))
            case.luck[label] = score.luck(pairs_, truth(plan), [f"{name}@{HOST}" for name in plan.people])


def named(attack: attacks.Attack, names: dict[tuple[str, bytes], str]) -> dict[frozenset[str], float]:
    """Its pairs of accounts: those with a room or the server left out, in its favour."""
    found = {}
    for pair, weight in attack.pairs.items():
        who = frozenset(names[attack.table, owner] for owner in pair if (attack.table, owner) in names)
        if len(who) == 2:
            found[who] = weight
    return found


def server_keys(copy: Path, key: RawKey) -> ServerKeys:
    """Of our database in that copy."""
    return quietwire.keys_of(quietwire.rows_of(next(copy.glob("*.sqlite"))), key)


def must_not(cases: Sequence[Case]) -> list[str]:
    """What our storage holds and must not: one line for each field."""
    bad = []
    for case in cases:
        if case.system == "quietwire":
            allowed = {"backup": set(), "disk": {"open", "room"}}[case.thief]
            for name, count in case.found.items():
                if count and FIELDS[name] not in allowed and (case.thief, name) not in KNOWN:
                    where = case.places.get(name, "")
                    bad.append(f"{name}: {count} of {case.planted[name]}, {where}, owners {case.owners}, {case.thief}")
    return bad


KNOWN = {("disk", "account"), ("disk", "resource")}
"""Names of accounts stand in what is under the server's key: members of rooms, and whom their messages are from."""


async def week(systems: Sequence[str], plan: Plan, folder: Path, *, quick: bool, evening: int) -> Week:
    began = time.monotonic()
    cases: list[Case] = []
    seizures: list[Seizure] = []
    messages = 0
    for system in systems:
        mine = make_plan(len(plan.people), len(plan.there), plan.seed)
        place = folder / system
        place.mkdir()
        print(f"{system}: the week", file=sys.stderr, flush=True)
        try:
            done = await lived(system, mine, place, quick=quick, evening=evening)
        except PeerError as error:
            print(f"{system}: {error}", file=sys.stderr)
            continue
        cases += done[0]
        seizures += done[1]
        messages = len(mine.sent)
    took = time.monotonic() - began
    return Week(
        len(plan.people), len(plan.there), plan.seed, messages, len(plan.friends), cases, seizures, round(took, 1)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default=",".join(SERVERS), help="which, of " + ", ".join(SERVERS))
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="do not wait until our write-ahead log is cut")
    parser.add_argument("--json", type=Path, default=Path("audit.json"), help="where all results go")
    parser.add_argument("--keep", type=Path, help="keep servers' folders and copies in this new folder")
    parser.add_argument("--update-docs", action="store_true", help="write docs/sealed-store-figures.md")
    options = parser.parse_args()
    plan = make_plan(options.accounts, options.days, options.seed)
    with tempfile.TemporaryDirectory(prefix="quietwire-week-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = asyncio.run(week(options.servers.split(","), plan, folder, quick=options.quick, evening=EVENING))
    options.json.write_text(json.dumps(asdict(result), indent=1) + "\n")
    print(week_figures.text(result))
    if options.update_docs:
        week_figures.update(Path(__file__).parents[2] / "docs" / "sealed-store-figures.md", result)
    bad = must_not(result.cases)
    for line in bad:
        print(f"MUST NOT BE THERE: {line}", file=sys.stderr)
    return 1 if bad or not result.cases else 0


if __name__ == "__main__":
    sys.exit(main())
