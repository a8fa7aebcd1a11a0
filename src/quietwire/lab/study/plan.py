"""What a study does, by name: lives that are played, links that are changed afterwards, servers that are simulated.

A condition is a column of the report, or a question to several columns. The most telling come first, so that a study
that is broken off has said most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quietwire.lab import figures
from quietwire.lab.correlation import frontier as grid
from quietwire.lab.correlation.active import Flooding, Probing, Waiting
from quietwire.lab.correlation.gathering import Gathering
from quietwire.lab.correlation.linking import Setting
from quietwire.lab.correlation.weeks import Weeks
from quietwire.lab.correlation.world import Shaping
from quietwire.lab.range.scenario import Scenario
from quietwire.lab.study.defences import Defence
from quietwire.shaping.policy import Policy, Profile

STEADY = Policy(Profile.STEADY)
_JITTER = Policy(Profile.JITTER)
SHAPINGS: dict[str, Shaping] = {
    "off": Shaping(),
    "padded": Shaping(Policy(Profile.PADDED), Policy(Profile.PADDED)),
    "jitter": Shaping(_JITTER, _JITTER),
    "jitter-batch": Shaping(replace(_JITTER, batch=0.3), replace(_JITTER, batch=0.3)),
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
FAMILIES = ("sessions", "queue")
"""Generators of life besides the usual one, `hawkes`: an attack trained on some is tried on another."""
ALONE: dict[str, Defence] = {
    "padding": Defence(block=512),
    "delay": Defence(delay=0.3),
    "grouping": Defence(batch=0.3),
    "garbage": Defence(garbage=1.0),
}
"""What the published idea is made of; `TOGETHER` are its sums."""
TOGETHER: dict[str, Defence] = {
    "delay + grouping": Defence(delay=0.3, batch=0.3),
    "padding + delay": Defence(block=512, delay=0.3),
    "padding + grouping": Defence(block=512, batch=0.3),
    "padding + garbage": Defence(block=512, garbage=1.0),
    "padding + delay + grouping": Defence(block=512, delay=0.3, batch=0.3),
    "padding + delay + grouping + garbage": Defence(block=512, delay=0.3, batch=0.3, garbage=1.0),
}


NOTHING: Mapping[str, Defence] = {}
PUBLISHED: dict[str, dict[str, float | bool]] = {
    "grouping": {"delay": 0.0, "batch": 0.3},
    "garbage": {"delay": 0.0, "garbage": 2.0},
    "padding + delay": {"pad": True},
    "padding + delay + grouping + garbage": {"batch": 0.3, "pad": True, "garbage": 2.0},
}
"""Some of the same as links of `jitter`, really played."""


@dataclass(frozen=True, slots=True)
class Played:
    """`scenarios` are played; all attacks on what is seen become the column `name`. `changed`: further columns, from
    the same lives, as each defence would have changed their links. `unknown`: instead, only whether an attack finds as
    much among lives of a family it has not been trained on."""

    name: str
    scenarios: tuple[Scenario, ...]
    changed: tuple[tuple[str, Defence], ...] = ()
    unknown: bool = False


@dataclass(frozen=True)
class Plan:
    """`profiles` (of `SHAPINGS`) are simulated, with those settings; None: not at all. `seeds`: of the attacks' splits
    and models."""

    played: tuple[Played, ...]
    profiles: tuple[str, ...]
    linking: Setting | None = None
    weeks: Weeks | None = None
    gathering: Gathering | None = None
    probing: Probing | None = None
    flooding: Flooding | None = None
    waiting: Waiting | None = None
    frontier: Setting | None = None
    cells: tuple[int, ...] = grid.CELLS
    ticks: tuple[float, ...] = grid.TICKS
    seeds: tuple[int, ...] = figures.SEEDS
    attacks: tuple[str, ...] = ("actions", "length", "clients", "location")
    others: bool = True
    """What the audit and the demo wrote belongs into the report."""

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        return tuple(scenario for each in self.played for scenario in each.scenarios)


def small() -> Plan:
    """Minutes: what is promised of a profile, and that the attack finds what others show."""
    steady = Scenario(users=20, seconds=60.0, server="steady", client="steady", people={**LIFE, "messages": 600.0})
    # What there is to see without a profile is so much that fewer show it.
    off = replace(steady, server="off", client="off", users=16, seconds=50.0)
    return Plan(
        tuple(Played(each.label, (each,)) for each in (off, steady)),
        ("off", "jitter", "steady"),
        Setting(users=300, messages=(1, 5, 20, 50), senders=15, seeds=(1, 2), attacks=("likelihood",)),
        gathering=Gathering(seeds=(1, 2, 3)),
        seeds=(1, 2),
        attacks=("actions",),
        others=False,
    )


def full(
    runs: Sequence[int] = (1, 2, 3),
    *,
    users: int = 24,
    seconds: float = 120.0,
    splits: Sequence[int] = figures.SEEDS,
    worlds: Sequence[int] = figures.SEEDS,
) -> Plan:
    """Some hours on two cores. `runs`: seeds of lives; `splits`: of the attacks' models; `worlds`: of what is
    simulated."""
    base = Scenario(users=users, seconds=seconds, people=LIFE)

    def sown(scenario: Scenario, name: str = "", changed: Mapping[str, Defence] = NOTHING) -> Played:
        name = name or scenario.label
        columns = tuple((f"{name} with {what}", how) for what, how in changed.items())
        return Played(name, tuple(replace(scenario, seed=run) for run in runs), columns)

    def lives(scenario: Scenario) -> Played:
        """One run of each family."""
        families = [replace(scenario, people={**LIFE, "family": family}) for family in FAMILIES]
        several = tuple(replace(each, seed=runs[0]) for each in (scenario, *families))
        return Played(f"{scenario.label}, unknown lives", several, unknown=True)

    off, padded, jitter, steady = (
        replace(base, server=name, client=name) for name in ("off", "padded", "jitter", "steady")
    )
    prosody, ejabberd = replace(base, system="prosody"), replace(base, system="ejabberd")
    played = (
        sown(off),
        sown(steady),
        sown(prosody, changed=ALONE | TOGETHER),
        sown(ejabberd),
        sown(padded),
        sown(jitter),
        sown(replace(base, server="steady")),
        sown(replace(base, client="steady")),
        sown(replace(padded, padding="records")),
        sown(replace(padded, padding="spaces")),
        sown(replace(prosody, server="padded", padding="records")),
        sown(replace(prosody, server="padded", shield="server")),
        sown(replace(prosody, server="steady", shield="server")),
        sown(replace(prosody, client="steady", shield="client")),
        sown(replace(prosody, server="steady", client="steady", shield="both")),
        sown(replace(ejabberd, server="steady", shield="server")),
        sown(replace(jitter, links={"batch": 0.3}), "quietwire-jitter-batch"),
        *(sown(replace(jitter, links=links), f"quietwire-jitter, {name}") for name, links in PUBLISHED.items()),
        lives(off),
        lives(steady),
    )
    seeds = tuple(worlds)
    return Plan(
        played,
        ("off", "jitter", "steady", "server-steady", "client-steady", "padded", "jitter-batch"),
        Setting(seeds=seeds),
        Weeks(seeds=seeds),
        Gathering(seeds=seeds),
        Probing(seeds=seeds),
        Flooding(seeds=seeds),
        Waiting(seeds=seeds),
        Setting(users=1000, messages=(50,), senders=20, seeds=seeds[:2], attacks=("likelihood",)),
        (510, 816, 1022, 2046),
        (1.5, 2.2, 3.0, 6.0),
        tuple(splits),
    )
