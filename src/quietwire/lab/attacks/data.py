"""Folders of the test bed as an attack takes them: traces of clients' networks, and apart from them what happened."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quietwire.lab.attacks import probes
from quietwire.lab.attacks.probes import Probed
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import Happened, Place
from quietwire.lab.flows import flows

FOLDER = re.compile(r"^(?P<label>.+?)-u\d+-")
WEB = ("upload.", "share.", "files.")
"""How names of web ports begin: DNS and the ClientHello tell them to any watcher."""


@dataclass(frozen=True)
class Data:
    """All links of one system. `texts`: user -> nothing; lengths are in `happened.sizes`."""

    system: str
    told: Told
    places: tuple[Place, ...]
    simulated: bool = False
    probed: tuple[Probed, ...] = ()


def read(folder: Path) -> Data:
    """A folder that the test bed wrote: ``traces/client-network.*.jsonl``, ``truth.jsonl``, ``facts.json``. Raises
    ValueError (TraceError for a trace) for what is no such folder, OSError."""
    facts = _facts(folder / "facts.json")
    scenario = facts.get("scenario", {})
    named = FOLDER.match(folder.name)
    happened = _truth(folder / "truth.jsonl")
    clients = facts.get("clients", {})
    addresses = {address: name for name, address in facts.get("addresses", {}).items()}
    family = json.dumps(scenario.get("people") or {}, sort_keys=True)
    places = []
    for path in sorted((folder / "traces").glob("client-network.*.jsonl")):
        opened = _opened(path)
        for flow in flows(path):
            initiator, responder = opened.get(flow.link, ("", ""))
            device = addresses.get(initiator, "")
            rows = happened.get(flow.link, [])
            user = int(device.partition(".")[0]) if device else rows[0][0] if rows else -1
            places.append(
                Place(
                    flow,
                    Happened.of([row[1:] for row in rows]),
                    user,
                    str(clients.get(device, "slixmpp")),
                    family,
                    responder.startswith(WEB),
                )
            )
    if not places:
        raise ValueError(f"{folder.name}: no traces of clients' networks")
    told = Told.of_scenario(scenario)
    probed = probes.read(folder, scenario, told.tick if told.up == "steady" else 0.0)
    return Data(named["label"] if named else folder.name, told, tuple(places), probed=tuple(probed))


def joined(all_: Sequence[Data]) -> list[Data]:
    """Data of the same system (and the same parameters) become one: people of another run are other people."""
    groups: defaultdict[tuple[str, Told], list[Place]] = defaultdict(list)
    probed: defaultdict[tuple[str, Told], list[Probed]] = defaultdict(list)
    after: defaultdict[tuple[str, Told], int] = defaultdict(int)
    for data in all_:
        key = data.system, data.told
        offset = after[key]
        groups[key] += [replace(place, user=place.user + offset) for place in data.places]
        probed[key] += [replace(one, user=one.user + offset) for one in data.probed]
        after[key] = offset + max(place.user for place in data.places) + 1
    several = [system for system, _ in groups]
    return [
        Data(
            system if several.count(system) == 1 else f"{system} {_parameters(told)}", told, tuple(places),
            probed=tuple(probed[system, told]),
        )
        for (system, told), places in groups.items()
    ]  # fmt: skip


def _parameters(told: Told) -> str:
    """What parts two policies of one profile."""
    usual = Told(told.up, told.down)
    given = {name: getattr(told, name) for name in Told.__dataclass_fields__}
    return " ".join(f"{name} {value:g}" for name, value in given.items() if value != getattr(usual, name)) or "default"


def _facts(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path.name}: not an object")
    return document


def _truth(path: Path) -> dict[str, list[tuple[int, float, str, int, int]]]:
    """Link -> rows of (user, time, kind, way, size)."""
    found: defaultdict[str, list[tuple[int, float, str, int, int]]] = defaultdict(list)
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                way = 1 if row["way"] == "up" else -1
                found[row["link"]].append((int(row["user"]), float(row["at"]), str(row["kind"]), way, int(row["size"])))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path.name}: line {number}: {error!r}") from None
    return found


def _opened(path: Path) -> dict[str, tuple[str, str]]:
    """Link -> addresses of both ends, as the watcher knows them."""
    found = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            if '"open"' in line:
                record = json.loads(line)
                if record.get("event") == "open":
                    found[str(record["link"])] = (str(record["initiator"]), str(record["responder"]))
    return found
