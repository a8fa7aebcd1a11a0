"""A scenario: which system, with which profiles, who lives on it and how long. Values, and TOML files of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints
from typing import Literal as L

from quietwire.lab.road import Impairment
from quietwire.shaping.policy import Profile

System = L["quietwire", "prosody", "ejabberd"]
Content = L["omemo", "plain"]
GOOD = Impairment()
SYSTEMS: tuple[System, ...] = get_args(System)


class ScenarioError(Exception):
    """A scenario that cannot be: one line."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Raises ScenarioError for one that cannot be."""

    system: System = "quietwire"
    shield: bool = False
    """The server stands behind `quietwire shield`, which has the profile of `server`."""
    server: str = "off"
    """Profile of what servers send, to clients and to each other."""
    client: str = "off"
    """Profile of what clients send."""
    users: int = 24
    seconds: float = 120.0
    seed: int = 1
    servers: int = 1
    """1, or 2 that are federated: users take turns between them."""
    compress: float = 1.0
    """So many seconds of life pass in one."""
    content: Content = "omemo"
    """`omemo`: messages between two carry an opaque payload as long as their text, and keys, as legacy OMEMO has it
    (for who watches a network only sizes matter); `plain`: text in the clear. Rooms are in the clear always."""
    largest: int = 1_000_000
    """Bytes; larger files are cut to this."""
    links: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `[links]`, for both sides: block, delay, batch, cell, tick, …"""
    up: Impairment = GOOD
    down: Impairment = GOOD
    people: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the generator of life."""
    plan: str = ""
    """A file of a plan, instead of the generator; ``small``: one by hand that has all kinds."""

    def __post_init__(self) -> None:
        profiles = [profile.value for profile in Profile]
        for name, value, allowed in (
            ("system", self.system, SYSTEMS),
            ("server", self.server, profiles),
            ("client", self.client, profiles),
            ("content", self.content, get_args(Content)),
            ("servers", self.servers, (1, 2)),
        ):
            if value not in allowed:
                raise ScenarioError(f"{name}: one of {', '.join(map(str, allowed))}, not {value!r}")
        if self.server != "off" and self.system != "quietwire" and not self.shield:
            raise ScenarioError(f"server: {self.system} has no profile {self.server!r} without shield = true")
        if self.users < 2 or self.seconds <= 0 or self.compress <= 0:
            raise ScenarioError("users is at least 2; seconds and compress are more than 0")

    @property
    def label(self) -> str:
        """The system with its profiles, for instance ``quietwire-padded`` or ``prosody``: what is compared."""
        name: str = self.system + ("-shield" if self.shield else "")
        if self.server == self.client:
            name += f"-{self.server}" if self.server != "off" or self.system == "quietwire" else ""
        else:
            name += "".join(
                f"-{side}-{profile}" for side, profile in (("server", self.server), ("client", self.client))
                if profile != "off"
            )  # fmt: skip
        return name + ("-pair" if self.servers == 2 else "")

    @property
    def name(self) -> str:
        return f"{self.label}-u{self.users}-{self.seconds:g}s-seed{self.seed}"

    def document(self) -> dict[str, Any]:
        """All of it as JSON takes it."""
        return asdict(self)


def made(values: Mapping[str, Any], base: Scenario | None = None) -> Scenario:
    """A scenario from keys as in TOML, on top of `base`. Raises ScenarioError."""
    known = {each.name for each in fields(Scenario)}
    hints = get_type_hints(Scenario)
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ScenarioError(f"{name}: no such key; there are {', '.join(sorted(known))}")
        given[name] = value
        if name in ("up", "down"):
            try:
                given[name] = Impairment(**value)
            except (TypeError, ValueError) as error:
                raise ScenarioError(f"{name}: {error}") from None
        elif hints[name] is float and isinstance(value, int) and not isinstance(value, bool):
            given[name] = float(value)
        elif hints[name] in (int, float, bool, str) and type(value) is not hints[name]:
            raise ScenarioError(f"{name}: a value of type {hints[name].__name__}")
    return replace(base or Scenario(), **given)


def read(path: Path) -> list[Scenario]:
    """The scenarios of a file: keys at the top hold for all, each ``[[scenario]]`` has its own, and ``seeds`` plays
    each once a seed. Raises ScenarioError."""
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path.name}: {error}") from None
    seeds = whole.pop("seeds", None)
    several = whole.pop("scenario", [{}])
    if not isinstance(several, list) or not all(isinstance(each, dict) for each in several):
        raise ScenarioError(f"{path.name}: [[scenario]] tables, not one value")
    try:
        found = [made(each, made(whole)) for each in several]
        return found if seeds is None else sown(found, seeds)
    except ScenarioError as error:
        raise ScenarioError(f"{path.name}: {error}") from None


def sown(scenarios: list[Scenario], seeds: object) -> list[Scenario]:
    """Each scenario once a seed. Raises ScenarioError."""
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise ScenarioError("seeds: a list of whole numbers")
    return [replace(each, seed=seed) for each in scenarios for seed in seeds]
