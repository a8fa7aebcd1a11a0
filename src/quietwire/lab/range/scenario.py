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
Place = L["", "server", "client", "both", "tunnel"]
Padding = L["", "records", "spaces"]
GOOD = Impairment()
SYSTEMS: tuple[System, ...] = get_args(System)


class ScenarioError(Exception):
    """A scenario that cannot be: one line."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Raises ScenarioError for one that cannot be."""

    system: System = "quietwire"
    shield: Place = ""
    """Where `quietwire shield` stands: in front of each server, beside each device, both, or both ends of a tunnel. It
    has the profile of its side, and what is behind it is as it comes."""
    server: str = "off"
    """Profile of what servers send, to clients and to each other; behind a shield to clients alone."""
    client: str = "off"
    """Profile of what clients send. Without a shield our client's link does it, around slixmpp."""
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
    """Further keys of `[links]`, for both sides: block, delay, batch, pad, garbage, cell, tick, …"""
    padding: Padding = ""
    """How `padded` pads: by TLS 1.3 records, all of the process, or by spaces after what is written. Nothing: as each
    does by itself, our server by records, devices and helpers by spaces. With `records` any server can, by a
    configuration of OpenSSL."""
    up: Impairment = GOOD
    down: Impairment = GOOD
    people: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the generator of life."""
    roads: tuple[float, ...] = ()
    """Seconds one way between users and their server, besides `up` and `down`: users take turns in this order."""
    spread: float = 0.0
    """Of each user's way from others' of that length: the standard deviation of its logarithm."""
    plan: str = ""
    """A file of a plan, instead of the generator; ``small``: one by hand that has all kinds; ``probe``: users with even
    numbers, whose links have no shaping, write to the next one each, whose client answers with a receipt at once."""

    def __post_init__(self) -> None:
        profiles = [profile.value for profile in Profile]
        for name, value, allowed in (
            ("system", self.system, SYSTEMS),
            ("server", self.server, profiles),
            ("client", self.client, profiles),
            ("content", self.content, get_args(Content)),
            ("shield", self.shield, get_args(Place)),
            ("padding", self.padding, get_args(Padding)),
            ("servers", self.servers, (1, 2)),
        ):
            if value not in allowed:
                shown = ", ".join(str(each) or "nothing" for each in allowed)
                raise ScenarioError(f"{name}: one of {shown}, not {value!r}")
        if self.server != "off" and self.system != "quietwire" and not (self.before_servers or self.server_records):
            raise ScenarioError(f"server: {self.system} has no profile {self.server!r} without a shield before it")
        if self.padding == "records" and self.shield:
            raise ScenarioError("padding: a shield pads by spaces")
        if self.shield == "tunnel" and not {self.server, self.client} <= {"padded", "steady"}:
            raise ScenarioError("shield: a tunnel is cells, so server and client are padded or steady")
        if not all(road >= 0 for road in self.roads) or self.spread < 0:
            raise ScenarioError("roads and spread are at least 0")
        if self.users < 2 or self.seconds <= 0 or self.compress <= 0:
            raise ScenarioError("users is at least 2; seconds and compress are more than 0")

    @property
    def before_servers(self) -> bool:
        """Each server has a helper before it."""
        return self.shield in ("server", "both", "tunnel")

    @property
    def beside_clients(self) -> bool:
        """Each device has a helper beside it."""
        return self.shield in ("client", "both", "tunnel")

    @property
    def server_records(self) -> bool:
        """A server of somebody else's pads by records of TLS."""
        return self.system != "quietwire" and self.server == "padded" and self.padding == "records"

    @property
    def label(self) -> str:
        """The system with its profiles, ``quietwire-padded``, ``prosody``, ``prosody-server-shield-padded``,
        ``quietwire-jitter-delay0-pad``: what is compared."""
        helper = "tunnel-" if self.shield == "tunnel" else "shield-"
        server = (helper if self.before_servers else "") + self.server
        client = (helper if self.beside_clients else "") + self.client
        name: str = self.system
        if server == client:
            name += f"-{server}" if server != "off" or self.system == "quietwire" else ""
        else:
            sides = (("server", server), ("client", client))
            name += "".join(f"-{side}-{profile}" for side, profile in sides if profile != "off")
        name += f"-{self.padding}" if self.padding and "padded" in (self.server, self.client) else ""
        for key, value in self.links.items():
            name += f"-{key}" + ("" if value is True else f"{value:g}" if isinstance(value, float) else str(value))
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
        elif name == "roads":
            try:
                given[name] = tuple(float(road) for road in value)
            except (TypeError, ValueError):
                raise ScenarioError("roads: a list of seconds") from None
        elif hints[name] is float and isinstance(value, int) and not isinstance(value, bool):
            given[name] = float(value)
        elif hints[name] in (int, float, str) and type(value) is not hints[name]:
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
