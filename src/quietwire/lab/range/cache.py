"""Results are kept under a name made of all that they depend on, and made once. An interrupted run leaves no result."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quietwire.lab.range import hosts
from quietwire.lab.range.plans import NAMED
from quietwire.lab.range.scenario import Scenario

ROOT = Path(__file__).parents[2]
"""Of the package."""
BED = (
    "lab/range", "lab/people", "lab/tap.py", "lab/road.py", "lab/trace.py", "lab/processes.py", "cli/bed/crowd.py",
    "seal/authority.py",
)  # fmt: skip
CLIENT = ("client/link.py", "shaping")
SERVER = (
    "core",
    "shaping",
    "seal",
    "store",
    "server",
    "net",
    "cli/serve.py",
    "cli/compose.py",
    "cli/config.py",
    "cli/padding.py",
)
SHIELD = ("core", "shaping", "server", "net", "cli/shield.py")
DONE = "done.json"


def code(parts: Iterable[str], root: Path = ROOT) -> str:
    """A digest of these source files, and of all in these folders."""
    digest = hashlib.sha256()
    for part in sorted(set(parts)):
        place = root / part
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if file.exists():
                digest.update(f"{file.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def depends(scenario: Scenario) -> dict[str, Any]:
    """All that a scenario's result depends on."""
    parts = [*BED]
    parts += SERVER if scenario.system == "quietwire" else ()
    parts += CLIENT if scenario.client != "off" else ()
    parts += SHIELD if scenario.shield else ()
    by_hand = scenario.plan and scenario.plan not in NAMED
    plan = hashlib.sha256(Path(scenario.plan).read_bytes()).hexdigest() if by_hand else ""
    return {
        "scenario": scenario.document(),
        "plan": plan,
        "code": code(parts),
        "versions": {
            scenario.system: hosts.release(scenario.system),
            "slixmpp": version("slixmpp"),
            "python": platform.python_version(),
            "tls": hosts.tls_release(),
        },
    }


def key(dependencies: Mapping[str, Any]) -> str:
    whole = json.dumps(dependencies, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


async def cached(scenario: Scenario, folder: Path, make: Callable[[Path], Any]) -> tuple[Path, bool]:
    """The folder of the scenario's result below `folder`, and whether it was there already; otherwise awaits
    `make(new folder)`, whose answer becomes its ``done.json``, and which leaves a folder ``….failed`` if it fails."""
    dependencies = depends(scenario)
    place = folder / f"{scenario.name}-{key(dependencies)}"
    if (place / DONE).exists():
        return place, True
    shutil.rmtree(place, ignore_errors=True)  # begun and not finished
    failed = place.with_name(f"{place.name}.failed")
    shutil.rmtree(failed, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        result = await make(place)
    except BaseException:
        place.rename(failed)
        raise
    (place / "depends.json").write_text(json.dumps(dependencies, indent=1, sort_keys=True) + "\n")
    (place / DONE).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return place, False
