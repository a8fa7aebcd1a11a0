"""What a study does: plays scenarios, lets every attack loose on their traces, simulates what no two cores can play.

Each step leaves its figures in a file named by what they depend on; a step whose file is there is not done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from quietwire.lab import figures
from quietwire.lab.attacks import data, run
from quietwire.lab.correlation import active, gathering, linking, weeks
from quietwire.lab.correlation.timings import Timings
from quietwire.lab.correlation.timings import default as default_timings
from quietwire.lab.correlation.world import Shaping
from quietwire.lab.figures import Figure
from quietwire.lab.range.cache import code
from quietwire.lab.range.scenario import Scenario
from quietwire.shaping.policy import Policy, Profile

Say = Callable[[str, int, int], None]
"""What is done, how much of it, out of how much."""
PARTS = ("lab/attacks", "lab/correlation", "lab/flows.py", "lab/figures.py", "shaping")
"""What figures depend on, besides what was played."""
STEADY = Policy(Profile.STEADY)
SHAPINGS: dict[str, Shaping] = {
    "off": Shaping(),
    "padded": Shaping(Policy(Profile.PADDED), Policy(Profile.PADDED)),
    "jitter": Shaping(Policy(Profile.JITTER), Policy(Profile.JITTER)),
    "server-steady": Shaping(Policy(), STEADY),
    "client-steady": Shaping(STEADY, Policy()),
    "steady": Shaping(STEADY, STEADY),
}
"""Both ends, the server's alone, the client's alone."""
LIFE: dict[str, float] = {
    "squeeze": 60.0, "messages": 300.0, "file_share": 0.12, "reaction_share": 0.2, "correction_share": 0.15,
    "subscribes": 3.0, "scrolls": 12.0, "unknown": 0.6, "pings": 6.0, "publishes": 8.0, "statuses": 8.0,
    "resumes": 10.0, "contacts": 8.0, "room_share": 0.35, "largest_file": 300_000, "checks": 60.0,
}  # fmt: skip
"""An hour passes in a minute, and of all that people do so much that each kind is seen often enough to be learned."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`scenarios` are played and attacked; `profiles` (of `SHAPINGS`) are simulated, with those settings. `seeds`: of
    the attacks' splits and models."""

    scenarios: tuple[Scenario, ...]
    profiles: tuple[str, ...]
    linking: linking.Setting
    weeks: weeks.Weeks | None = None
    gathering: gathering.Gathering | None = None
    probing: active.Probing | None = None
    flooding: active.Flooding | None = None
    waiting: active.Waiting | None = None
    seeds: tuple[int, ...] = figures.SEEDS


def small() -> Plan:
    """Minutes: what is promised of a profile, and that the attack finds what others show."""
    base = Scenario(users=20, seconds=60.0, people={**LIFE, "messages": 600.0})
    return Plan(
        (replace(base, server="off", client="off"), replace(base, server="steady", client="steady")),
        ("off", "jitter", "steady"),
        linking.Setting(users=300, messages=(1, 5, 20), senders=15, seeds=(1, 2), attacks=("likelihood",)),
        seeds=(1, 2),
    )


def full(seeds: Sequence[int] = (1, 2, 3)) -> Plan:
    """Some hours on two cores."""
    base = Scenario(users=24, seconds=120.0, people=LIFE)
    both = [replace(base, server=name, client=name) for name in ("off", "padded", "jitter", "steady")]
    sides = [replace(base, server="steady"), replace(base, client="steady")]
    stock = [replace(base, system=name) for name in ("prosody", "ejabberd")]
    return Plan(
        tuple(replace(each, seed=seed) for each in (*both, *sides, *stock) for seed in seeds),
        tuple(SHAPINGS),
        linking.Setting(),
        weeks.Weeks(),
        gathering.Gathering(),
        active.Probing(),
        active.Flooding(),
        active.Waiting(),
    )


def attacked(folders: Sequence[Path], into: Path, seeds: Sequence[int], say: Say) -> list[Figure]:
    """Figures of what was played, all folders of a system together."""
    everything = data.joined([data.read(folder) for folder in folders])
    found: list[Figure] = []
    for place, one in enumerate(everything):
        say(f"attacking {one.system}", place, len(everything))
        names = sorted(folder.name for folder in folders if folder.name.startswith(one.system))

        def also(text: str, place: int = place) -> None:
            say(text, place, len(everything))

        made = partial(run.attack, one, seeds=seeds, say=also)
        found += _kept(into, ["attack", one.system, names, list(seeds)], made)
    return found


def simulated(plan: Plan, into: Path, say: Say, timings: Timings | None = None) -> list[Figure]:
    """Figures of linking, disclosure, groups and active attacks, on simulated users. Their systems are called as the
    test bed calls those that were played."""
    known = timings or default_timings()
    found: list[Figure] = []
    steps: list[tuple[str, object, Callable[[Shaping], list[Figure]]]] = [
        ("linking", plan.linking, lambda shaping: linking.figures(linking.link(shaping, plan.linking, known)))
    ]
    if (long := plan.weeks) is not None:
        steps.append(("disclosure", long, lambda shaping: weeks.disclose(shaping, long, known)))
    if (rooms := plan.gathering) is not None:
        steps.append(("groups", rooms, lambda shaping: gathering.members_found(shaping, rooms, known)))
    if (probing := plan.probing) is not None:
        steps.append(("probing", probing, lambda shaping: active.probe(shaping, probing, known)))
    if (flooding := plan.flooding) is not None:
        steps.append(("flooding", flooding, lambda shaping: active.flood(shaping, flooding, known)))
    work = [(name, profile, setting, make) for name, setting, make in steps for profile in plan.profiles]
    measured = hashlib.sha256(json.dumps(asdict(known), sort_keys=True, default=str).encode()).hexdigest()
    for place, (name, profile, setting, make) in enumerate(work):
        say(f"{name}, {profile}", place, len(work))
        made = _kept(into, [name, profile, repr(setting), measured], lambda: make(SHAPINGS[profile]))  # noqa: B023
        found += [replace(figure, system=f"quietwire-{profile}") for figure in made]
    if plan.waiting is not None:
        waiting = plan.waiting
        found += _kept(into, ["intersection", repr(waiting)], lambda: active.intersect(waiting))
    return found


def _kept(into: Path, on: Sequence[object], make: Callable[[], list[Figure]]) -> list[Figure]:
    """What `make` returns, or has returned when all it depends on was the same."""
    text = json.dumps([*on, code(PARTS)], sort_keys=True, default=str)
    path = into / f"figures-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if path.exists():
        return figures.read(path)
    made = make()
    half = path.with_suffix(".new")
    figures.write(half, made)
    half.replace(path)
    return made
