"""The report: per adversary and question what was learned, beside the truth, at which layer, and what removes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from quietwire.lab.findings import Finding, Question
from quietwire.lab.score import Known, score

WORDS: dict[Question, str] = {
    "who": "who talks to whom",
    "when": "when",
    "count": "how many messages",
    "lengths": "message lengths",
    "kinds": "kinds of event",
    "contacts": "contact list",
    "devices": "devices",
    "text": "text",
}
SEES = {
    "live-server": "has broken into the running server a.example",
    "disk": "has the disk of a.example afterwards",
    "server-network": "watches all links of a.example",
    "client-network": "watches Alice's network",
    "peer-server": "b.example, Bob's server, about Alice",
}
NOT_YET = " (not built yet)"
_NETWORK = ("server-network", "client-network")
_STANZAS = ("live-server", "peer-server")


def layer_and_remedy(adversary: str, question: Question) -> tuple[str, str]:
    """The layer at which the fact leaks, and the protection that removes it (DESIGN §2)."""
    if question == "text":
        return "end-to-end", "OMEMO 2, on"
    if adversary in _NETWORK:
        if question == "lengths":
            return "transport", "size classes, on; padded links"
        if question in ("who", "when", "count", "kinds"):
            return "transport", "steady links: this talk was without"
        return "transport", "nothing: being online shows"
    if adversary in _STANZAS:
        if question == "lengths":
            return "end-to-end", "size classes, on"
        if question == "kinds":
            return "end-to-end", "OMEMO 2 envelopes, on; times remain"
        if question == "contacts":
            return "server", "vault" + NOT_YET
        if question == "devices":
            return "end-to-end", "nothing: keys name devices"
        return "server", "sealed sender" + NOT_YET
    if question == "devices":
        return "server", "nothing: open nodes"
    return "server", "sealed store, on"


@dataclass(frozen=True, slots=True)
class Cell:
    adversary: str
    question: Question
    learned: float
    seen: str
    truth: str
    layer: str
    remedy: str
    how: str
    confidence: float
    records: tuple[str, ...]


def cells(adversary: str, findings: Sequence[Finding], known: Known, watched: str) -> list[Cell]:
    """One cell a finding."""
    made = []
    for finding in findings:
        result = score(finding, known, watched)
        layer, remedy = layer_and_remedy(adversary, finding.question)
        made.append(
            Cell(
                adversary,
                finding.question,
                round(result.learned, 3),
                result.seen,
                result.truth,
                layer,
                remedy,
                finding.how,
                round(finding.confidence, 3),
                finding.records,
            )
        )
    return made


def mark(learned: float) -> Text:
    """A sign that reads without colours too."""
    if learned >= 0.8:
        return Text("●", style="red")
    if learned >= 0.1:
        return Text("◐", style="yellow")
    return Text("○", style="green")


LEGEND = "● learned nearly all   ◐ learned something   ○ learned nothing, or no more than a blind guess"


def table(rows: Sequence[Cell], title: str) -> RenderableType:
    """One table for one world."""
    shown = Table(title=title, title_justify="left", expand=False, pad_edge=False, show_lines=False)
    shown.add_column("", width=1)
    shown.add_column("asked", no_wrap=True, min_width=17)
    shown.add_column("what it learned", ratio=5, overflow="fold")
    shown.add_column("the truth", ratio=4, overflow="fold")
    shown.add_column("leaks at: removed by", ratio=3, overflow="fold")
    previous = ""
    for cell in rows:
        if cell.adversary != previous:
            if previous:
                shown.add_section()
            shown.add_row("", Text(cell.adversary, style="bold"), Text(SEES[cell.adversary], style="italic"), "", "")
            previous = cell.adversary
        shown.add_row(mark(cell.learned), WORDS[cell.question], cell.seen, cell.truth, f"{cell.layer}: {cell.remedy}")
    return Group(shown, Text(LEGEND, style="dim"))


def changes(before: Sequence[Cell], after: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """The cells in which what was learned differs by five hundredths or more."""
    later = {(cell.adversary, cell.question): cell for cell in after}
    pairs = [(cell, later[cell.adversary, cell.question]) for cell in before]
    return [(one, two) for one, two in pairs if abs(one.learned - two.learned) >= 0.05]


def changed_table(before: Sequence[Cell], after: Sequence[Cell], names: tuple[str, str]) -> RenderableType:
    shown = Table(
        title=f"What changed from {names[0]} to {names[1]} links", title_justify="left", pad_edge=False, expand=False
    )
    shown.add_column("adversary", no_wrap=True)
    shown.add_column("asked", no_wrap=True)
    shown.add_column("", width=1)
    shown.add_column(names[0], ratio=1, overflow="fold")
    shown.add_column("", width=1)
    shown.add_column(names[1], ratio=1, overflow="fold")
    for one, two in changes(before, after):
        shown.add_row(one.adversary, WORDS[one.question], mark(one.learned), one.seen, mark(two.learned), two.seen)
    note = (
        "Both worlds play the same talk; what differs by chance of timing shows too. Servers see stanzas, not records."
    )
    return Group(shown, Text(note, style="dim"))


def as_json(
    worlds: Mapping[str, Sequence[Cell]], violations: Mapping[str, Sequence[str]], **about: Any
) -> dict[str, Any]:
    """The same as data. `records` name lines of the traces as ``place#id``."""
    names = list(worlds)
    data: dict[str, Any] = {
        **about,
        "worlds": {
            name: {"cells": [asdict(cell) for cell in rows], "violations": list(violations[name])}
            for name, rows in worlds.items()
        },
    }
    if len(names) == 2:
        data["changed"] = [
            {
                "adversary": one.adversary,
                "question": one.question,
                names[0]: {"learned": one.learned, "seen": one.seen},
                names[1]: {"learned": two.learned, "seen": two.seen},
            }
            for one, two in changes(worlds[names[0]], worlds[names[1]])
        ]
    return data
