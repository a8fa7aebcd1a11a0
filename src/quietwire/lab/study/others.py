"""Figures from results of other programs: what a thief of the disk reads, and what the running server sees. Pure.

- `make audit` writes ``audit.json``: a scripted week on each server, and what thieves of its disk find.
- `quietwire lab demo --json demo.json`: a talk between two servers, and what each adversary infers from it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from quietwire.lab.figures import Adversary, Figure, estimate, share, tally
from quietwire.lab.report import WORDS

THIEVES: Final[Mapping[str, Adversary]] = {"backup": "backup", "disk": "disk", "files": "disk"}
"""Of the audit: the others have no key that lies apart, so whoever has the files has all."""
FILES: Final = {
    "audit.json": "make audit ARGS='--json FOLDER/audit.json'",
    "demo.json": "quietwire lab demo --json FOLDER/demo.json",
}
"""Names under which a study looks for them in its folder, and what makes them."""


def read(path: Path) -> list[Figure]:
    """Raises ValueError for what is neither, OSError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if "cases" in document:
            return of_audit(document)
        if "worlds" in document:
            return of_demo(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: {error!r}") from None
    raise ValueError(f"{path.name}: neither of an audit's week nor of a demo")


def of_audit(document: Mapping[str, Any]) -> list[Figure]:
    """Fields are what differs, not the words planted in one: intervals are over fields drawn again."""
    found = []
    for case in document["cases"]:
        if case.get("log") == "cut":
            continue  # the same with less in it
        adversary = THIEVES[case["thief"]]
        names = [name for name in sorted(case["planted"]) if case["planted"][name]]
        if not names:
            continue
        shares = [case["found"].get(name, 0) / case["planted"][name] for name in names]
        owners = "away" if case["owners"] == "away" else "half of them on"
        found.append(
            _over_fields(
                adversary, f"what clients wrote, share of fields read, owners {owners}", case["system"], shares
            )
        )
        if (edges := case.get("edges")) is not None:
            found.append(_pairs(adversary, f"who knows whom, named outright, owners {owners}", case, edges, "read"))
        if attacks := case.get("attacks"):
            name, best = max(attacks.items(), key=lambda each: each[1]["area"])
            note = f"{name}; as good by luck in {case.get('luck', {}).get(name, 0):.0%} of renamings"
            found.append(_pairs(adversary, f"who knows whom, by attack, owners {owners}", case, best, note))
    for one in document.get("seizures", []):
        counts = one.get("planted", {})
        shares = [one["canaries"].get(name, 0) / counts[name] for name in sorted(counts) if counts[name]]
        if shares and not one.get("readable"):
            question = f"what clients wrote, share of fields in memory, owners {one['owners']}"
            found.append(_over_fields("seizure", question, "quietwire", shares))
    return found


def _over_fields(adversary: Adversary, question: str, system: str, shares: list[float]) -> Figure:
    rows = np.column_stack([shares, np.ones(len(shares))])
    value, low, high, _ = estimate([tally(np.arange(len(shares)), rows)], share)
    note = f"{len(shares)} fields with planted words, `make audit`"
    return Figure(adversary, question, system, value, low, high, 0.0, 0.0, "share", False, note)


def _pairs(adversary: Adversary, question: str, case: Mapping[str, Any], score: Mapping[str, Any], note: str) -> Figure:
    """All pairs of the week were counted: the interval is that of a share of so many (Wilson)."""
    low, high = wilson(score["recall"], score["true"])
    chance = score["chance"]
    return Figure(
        adversary, question, case["system"], score["recall"], low, high, 0.0 if note == "read" else chance, chance,
        "share", False, f"{note}; {score['true']} pairs, `make audit`",
    )  # fmt: skip


def wilson(value: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` (E. B. Wilson, JASA 22, 1927); it holds the share."""
    if not count:
        return 0.0, 1.0
    z = 1.959964
    middle = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = z * ((value * (1 - value) + z * z / (4 * count)) / count) ** 0.5 / (1 + z * z / count)
    return min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half))


def of_demo(document: Mapping[str, Any]) -> list[Figure]:
    """Of the live server and the correspondent's only: the others have better figures. One talk is no sample, so the
    interval is no more than both kinds of links, whose content is the same for who sees stanzas."""
    learned: defaultdict[tuple[Adversary, str], list[tuple[float, str]]] = defaultdict(list)
    for world in document["worlds"].values():
        for cell in world["cells"]:
            if cell["adversary"] in ("live-server", "peer-server"):
                learned[cell["adversary"], WORDS[cell["question"]]].append((float(cell["learned"]), cell["how"]))
    made = []
    for (adversary, question), found in learned.items():
        values = [value for value, _ in found]
        made.append(
            Figure(
                adversary, f"one talk: {question}", "quietwire", max(values), min(values), max(values), 0.0, 0.0,
                "share", False, f"{found[0][1]}; `quietwire lab demo`",
            )
        )  # fmt: skip
    return made
