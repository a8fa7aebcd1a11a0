"""The steps of a study: each plays lives and attacks them, or simulates what no two cores can play.

Each step leaves its figures in a file named by what they depend on; a step whose file is there is not done again. So a
study can be broken off and continued, and what has not been done is said by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from quietwire.core.errors import QuietwireError
from quietwire.lab import figures, startups
from quietwire.lab.attacks import actions, data, run
from quietwire.lab.attacks import startups as by_starts
from quietwire.lab.attacks.data import Data
from quietwire.lab.correlation import active, frontier, gathering, linking, weeks
from quietwire.lab.correlation.timings import Timings
from quietwire.lab.correlation.timings import default as default_timings
from quietwire.lab.correlation.world import Shaping
from quietwire.lab.figures import Figure
from quietwire.lab.processes import BedError
from quietwire.lab.range import cache
from quietwire.lab.range.scenario import Scenario
from quietwire.lab.study import others
from quietwire.lab.study.defences import Defence, Price, defended
from quietwire.lab.study.plan import SHAPINGS, Plan, Played

Say = Callable[[str, float, float], None]
"""What is done, how much of it, out of how much."""
Play = Callable[[Scenario], Path]
"""Plays a scenario, or returns the folder of its result. Raises BedError."""
PARTS: Final = ("lab/attacks", "lab/correlation", "lab/flows.py", "lab/figures.py", "shaping")
"""What figures depend on, besides what was played."""
CHANGED: Final = ("lab/study/defences.py",)
LATER: Final = "not asked for, or no time was left"


@dataclass(frozen=True)
class Step:
    """`kept`: what was found the last time, None where nothing was; `make`: does it. Raises BedError, ValueError."""

    name: str
    kept: Callable[[], list[Figure] | None]
    make: Callable[[], list[Figure]]


@dataclass(frozen=True)
class Done:
    """`left`: name of a step -> why there is nothing of it."""

    figures: tuple[Figure, ...]
    left: dict[str, str]


def do(steps: Sequence[Step], say: Say, only: Sequence[str] = (), more: Callable[[], bool] = lambda: True) -> Done:
    """`only`: shell patterns of steps' names, all if there is none; what others have left is taken too. No step is
    begun once `more` says no."""
    found: list[Figure] = []
    left: dict[str, str] = {}
    for place, step in enumerate(steps):
        there = step.kept()
        if there is None and (wanted(step.name, only) and more()):
            say(step.name, place, len(steps))
            try:
                there = step.make()
            except KeyboardInterrupt:
                left[step.name] = "broken off"
                more = _no
                continue
            except (BedError, QuietwireError, ValueError, OSError) as error:
                left[step.name] = str(error)
                continue
        if there is None:
            left[step.name] = LATER
        else:
            found += there
    return Done(tuple(found), left)


def _no() -> bool:
    return False


def wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(name, pattern) for pattern in only)


def steps(plan: Plan, into: Path, play: Play, say: Say, timings: Timings | None = None) -> list[Step]:
    """All steps of a plan, the most telling first: what is played and what is simulated take turns."""
    real = [step for each in plan.played for step in _played(each, plan, into, play, say)]
    made = _simulated(plan, into, say, timings or default_timings())
    mixed = [step for pair in zip(real, made, strict=False) for step in pair]
    rest = real[len(made) :] + made[len(real) :]
    return [*mixed, *rest, *([_starts(plan, into, say), *_others(into)] if plan.others else ())]


def _played(what: Played, plan: Plan, into: Path, play: Play, say: Say) -> list[Step]:
    scenarios = what.scenarios

    def said(text: str) -> None:
        say(text, 0.5, 1.0)

    names = [f"{each.name}-{cache.key(cache.depends(each))}" for each in scenarios]
    on: list[object] = [what.name, names, plan.seeds, plan.attacks]
    first = partial(_unknown, what, plan) if what.unknown else partial(_attacked, what, plan, said)
    found = [_attack(f"attack {what.name}", _file(into, on, PARTS), scenarios, play, first)]
    for name, defence in what.changed:
        make = partial(_changed, what, name, defence, plan, said)
        file = _file(into, [*on, name, repr(defence)], (*PARTS, *CHANGED))
        found.append(_attack(f"change {name}", file, scenarios, play, make))
    return found


def _attack(
    name: str, file: Path, scenarios: Sequence[Scenario], play: Play, make: Callable[[list[Path]], list[Figure]]
) -> Step:
    return Step(name, partial(_read, file), lambda: _made(file, lambda: make([play(each) for each in scenarios])))


def _one(folders: Sequence[Path], name: str) -> Data:
    """All runs of a condition, under its name."""
    (whole,) = data.joined([replace(data.read(folder), system=name) for folder in folders])
    return whole


def _attacked(what: Played, plan: Plan, said: run.Say, folders: list[Path]) -> list[Figure]:
    one = _one(folders, what.name)
    found = run.attack(one, plan.attacks, seeds=plan.seeds, say=said)
    waits = latencies(folders)
    price = {"KB a second": rate(one)}
    if len(waits):
        price |= {"p50": float(np.median(waits)), "p95": float(np.quantile(waits, 0.95))}
    return [replace(figure, detail={**figure.detail, **price}) for figure in found]


def _changed(what: Played, name: str, defence: Defence, plan: Plan, said: run.Say, folders: list[Path]) -> list[Figure]:
    one, price = defended(_one(folders, what.name), defence, name)
    which = [each for each in plan.attacks if each in ("actions", "length")]
    found = run.attack(one, which, seeds=plan.seeds, say=said)
    return [replace(each, detail={**each.detail, **_priced(one, price)}, note=_noted(each, what)) for each in found]


def _noted(figure: Figure, what: Played) -> str:
    return "; ".join(part for part in (figure.note, f"links of {what.name}, changed afterwards") if part)


def _priced(one: Data, price: Price) -> dict[str, float]:
    return {"KB a second": rate(one), "more bytes": price.bytes, "p50 each hop": price.p50, "p95 each hop": price.p95}


def _unknown(what: Played, plan: Plan, folders: list[Path]) -> list[Figure]:
    """Trained on lives of all families but one, judged on those of that one, in turn."""
    one = _one(folders, what.name.partition(",")[0])
    windows = actions.collect(one.places, one.told, plan.seeds[0])
    found = actions.recognise(windows, plan.seeds, apart=windows.families)
    clock = actions.recognise(windows.columns(actions.CLOCK), plan.seeds, apart=windows.families)
    return actions.as_figures(found, one.system, simulated=one.simulated, held_out="family", clock=clock)


def rate(one: Data) -> float:
    """KB a second and direction of a link, the web's left out."""
    places = [place.flow for place in one.places if not place.web and len(place.flow)]
    seconds = sum(flow.seconds for flow in places)
    return sum(int(flow.sizes.sum(dtype=np.int64)) for flow in places) / 2000 / seconds if seconds else 0.0


def latencies(folders: Sequence[Path]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds from when a text was given to its sender's link until a device of the recipient's understood it: of all,
    so also of those that came while nobody was connected."""
    found = []
    for folder in folders:
        given: dict[str, float] = {}
        with (folder / "truth.jsonl").open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row["kind"] != "message" or not row.get("id") or row.get("carbon"):
                    continue
                if row["way"] == "up":
                    given[row["id"]] = row["at"]
                elif row["id"] in given:
                    found.append(row["at"] - given.pop(row["id"]))
    return np.array(found)


def _simulated(plan: Plan, into: Path, say: Say, known: Timings) -> list[Step]:
    """Linking, disclosure, groups and active attacks, on simulated users. Their systems are called as those that were
    played."""
    asked: list[tuple[str, object, Callable[[Shaping], list[Figure]]]] = []
    if (setting := plan.linking) is not None:
        asked.append(("linking", setting, lambda shaping: linking.figures(linking.link(shaping, setting, known, say))))
    if (rooms := plan.gathering) is not None:
        asked.append(("groups", rooms, lambda shaping: gathering.members_found(shaping, rooms, known, say=say)))
    if (probing := plan.probing) is not None:
        asked.append(("probing", probing, lambda shaping: active.probe(shaping, probing, known, say=say)))
    if (flooding := plan.flooding) is not None:
        asked.append(("flooding", flooding, lambda shaping: active.flood(shaping, flooding, known, say=say)))
    if (long := plan.weeks) is not None:
        asked.append(("weeks", long, lambda shaping: weeks.disclose(shaping, long, known, say=say)))
    measured = hashlib.sha256(json.dumps(asdict(known), sort_keys=True, default=str).encode()).hexdigest()
    found = []

    def step(name: str, on: Sequence[object], make: Callable[[], list[Figure]]) -> None:
        file = _file(into, [name, *on, measured], PARTS)
        found.append(Step(name, partial(_read, file), partial(_made, file, make)))

    for name, settings, attack in asked:
        for profile in plan.profiles:
            step(f"{name} {profile}", [repr(settings)], partial(_columned, attack, profile))
    if (waiting := plan.waiting) is not None:
        step("intersection", [repr(waiting)], lambda: active.intersect(waiting, say))
    if (grid := plan.frontier) is not None:
        step("frontier", [repr(grid), plan.cells, plan.ticks], partial(_frontier, plan, grid, known, say))
    return found


def _columned(attack: Callable[[Shaping], list[Figure]], profile: str) -> list[Figure]:
    return [replace(figure, system=f"quietwire-{profile}") for figure in attack(SHAPINGS[profile])]


def _frontier(plan: Plan, grid: linking.Setting, known: Timings, say: Say) -> list[Figure]:
    points = frontier.frontier(grid, known, plan.cells, plan.ticks, say=say)
    return [replace(each, system="quietwire-steady") for each in frontier.figures(points, grid)]


def _starts(plan: Plan, into: Path, say: Say) -> Step:
    """Which client it is, by recorded starts of real ones."""
    parts = [*PARTS, *(f"lab/startups/{path.name}" for path in sorted(Path(startups.__file__).parent.iterdir()))]
    file = _file(into, ["clients", plan.seeds], [part for part in parts if not part.endswith("__")])

    def make() -> list[Figure]:
        return by_starts.measure(startups.starts(), seeds=plan.seeds, say=lambda text: say(text, 0.5, 1.0))

    return Step("clients by their starts", partial(_read, file), partial(_made, file, make))


def _others(into: Path) -> list[Step]:
    """What other programs have measured, if they have left it in the study's folder."""

    def kept(path: Path) -> list[Figure] | None:
        return others.read(path) if path.exists() else None

    def missing(name: str) -> list[Figure]:
        raise ValueError(f"made by `{others.FILES[name].replace('FOLDER', into.name)}`")

    return [Step(name, partial(kept, into / name), partial(missing, name)) for name in others.FILES]


def _file(into: Path, on: Sequence[object], parts: Sequence[str]) -> Path:
    text = json.dumps([*on, cache.code(parts)], sort_keys=True, default=str)
    return into / f"figures-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> list[Figure] | None:
    return figures.read(file) if file.exists() else None


def _made(file: Path, make: Callable[[], list[Figure]]) -> list[Figure]:
    """What `make` returns, kept for the next time."""
    found = make()
    half = file.with_suffix(".new")
    figures.write(half, found)
    half.replace(file)
    return found
