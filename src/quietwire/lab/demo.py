"""The demo: two worlds, `off` and `padded`, in which the same talk is played, and what each adversary made of them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quietwire.lab import checks, report, truth
from quietwire.lab.findings import Finding, from_json
from quietwire.lab.processes import run_once, together
from quietwire.lab.report import Cell
from quietwire.lab.score import Known
from quietwire.lab.testbed import DEVICES, DOMAINS, PEOPLE, Commands, World
from quietwire.lab.workload import Script, script
from quietwire.server.modules import discover
from quietwire.server.sealed.store import places

PROFILES = ("off", "padded")
EACH = 21
"""Messages that each says, besides a correction."""
WATCHED = "alice@a.example"
OBSERVER_SECONDS = 180.0
"""One takes five, unless the machine has other work."""


@dataclass(slots=True)
class Outcome:
    profile: str
    cells: list[Cell] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


async def run(
    folder: Path, *, seconds: float, seed: int, commands: Commands, say: Callable[[str, str], None]
) -> list[Outcome]:
    """Builds both worlds, plays the talk in one after the other, then has the adversaries read what they got.

    Nothing else is done while people talk: load would blur the times that the adversaries go by. `say` is told
    (profile, what is going on). Raises BedError, ValueError for too short a time.
    """
    talk = script((next(iter(PEOPLE)), list(PEOPLE)[1]), seconds=seconds, each=EACH, seed=seed)
    built = {profile: asyncio.Event() for profile in PROFILES}
    over = {profile: asyncio.Event() for profile in PROFILES}

    async def one(place: int) -> Outcome:
        profile = PROFILES[place]
        begin = asyncio.Event()

        def told(what: str) -> None:
            say(profile, what)

        async def turn() -> None:
            for event in built.values():
                await event.wait()
            if place:
                await over[PROFILES[place - 1]].wait()
            begin.set()

        waiting = asyncio.get_running_loop().create_task(turn())
        world = World(folder / profile, profile, commands, told)
        try:
            await world.live(talk, built[profile], begin)
        finally:
            waiting.cancel()
            over[profile].set()
        await over[PROFILES[-1]].wait()
        told("reading the traces")
        outcome = await _judge(world, talk)
        told("done")
        return outcome

    return await together(*(one(place) for place in range(len(PROFILES))))


async def _judge(world: World, talk: Script) -> Outcome:
    outcome = Outcome(world.profile)
    events = truth.read(world.truth_files)
    known = Known(tuple(event for event in events if event.event == "sent"), truth.read_facts(world.facts_file))
    for adversary, place in evidence(world).items():
        findings = await observe(adversary, place, world.folder / "observed")
        outcome.cells += report.cells(adversary, findings, known, WATCHED)
    outcome.violations = [
        *world.troubles,
        *checks.delivery(events, known.facts),
        *checks.readable(talk.canaries, must_be_sealed(world)),
        *_search_works(talk.canaries[0], world.folder),
        *_kept(world),
    ]
    return outcome


def evidence(world: World) -> dict[str, Path]:
    """What each adversary is given, in the order of the report."""
    home, away = DOMAINS
    return {
        "live-server": world.trace(f"live-server.{home}"),
        "disk": world.folder / home,
        "server-network": world.trace(f"server-network.{home}"),
        "client-network": world.trace("client-network.alice"),
        "peer-server": world.trace(f"live-server.{away}"),
    }


def must_be_sealed(world: World) -> list[tuple[str, Path]]:
    """All places where no text may be readable: traces, both disks, the clients' own stores, every log."""
    return [
        ("the traces", world.folder / "traces"),
        *((f"the disk of {domain}", world.folder / domain) for domain in DOMAINS),
        *((f"the store of {w}'s {d}", world.folder / "clients" / f"{w}-{d}.sqlite") for w in PEOPLE for d in DEVICES),
        ("the logs", world.folder / "logs"),
    ]


def _search_works(word: str, folder: Path) -> list[str]:
    """A search that finds nothing proves something only if it finds what is there."""
    planted = folder / "planted"
    planted.write_bytes(b"<body>" + word.encode() + b"</body>")
    return [] if checks.readable([word], [("control", planted)]) else ["readable: the search missed a planted text"]


def _kept(world: World) -> list[str]:
    """The disks against what the features declare that they keep (docs/xeps.md)."""
    declared = places(keeps.table for module in discover() for keeps in module.keeps)
    files = [file for domain in DOMAINS for file in sorted(world.data(domain).glob("*.sqlite"))]
    if len(files) != len(DOMAINS):
        return ["undeclared: the servers' databases are not where they were looked for"]
    return [violation for file in files for violation in checks.undeclared(file, declared)]


async def observe(adversary: str, evidence: Path, place: Path) -> list[Finding]:
    """Runs an adversary as a process of its own, in a folder with a copy of its evidence and nothing else."""
    copy = _hand_over(evidence, place / adversary)
    argv = [sys.executable, "-m", "quietwire.lab.observers", adversary, str(copy)]
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH", "LANG")}
    return from_json(json.loads(await run_once(argv, environment, OBSERVER_SECONDS)))


def _hand_over(evidence: Path, room: Path) -> Path:
    room.mkdir(parents=True)
    copy = room / evidence.name
    if evidence.is_dir():
        shutil.copytree(evidence, copy, ignore=lambda _, names: {name for name in names if name.endswith(".sock")})
    else:
        shutil.copyfile(evidence, copy)
    return copy


def failed(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.violations for outcome in outcomes)
