"""`quietwire lab attack` and `quietwire lab indistinct`: attacks on links, from folders of the test bed or captures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from quietwire.cli.extras import needs
from quietwire.core.errors import QuietwireError

if TYPE_CHECKING:
    from quietwire.lab.figures import Figure
    from quietwire.lab.flows import Flow

NARROWEST = 150
"""Columns under which the tables become unreadable; a pipe gets these."""
LIBRARIES = ("numpy", "sklearn")
MISSING = needs("numpy and scikit-learn", "lab")


def register(lab: typer.Typer) -> None:
    lab.command("attack")(attack)
    lab.command("indistinct")(indistinct)


def attack(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="What the test bed wrote, one folder a run, or folders of those. Without any: recorded "
            "start-ups of real clients, for `--only clients`.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="actions, length, clients or location; may be repeated.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="How many splits and models each figure is the mean of.", min=1, max=20)
    ] = 5,
) -> None:
    """Train attackers on traces of clients' links, and say what they learn about people they have never seen."""
    _libraries()
    from quietwire.lab import figures
    from quietwire.lab.attacks import data, run, startups
    from quietwire.lab.startups import starts
    from quietwire.lab.trace import TraceError

    which = only or list(run.ATTACKS)
    for name in which:
        if name not in run.ATTACKS:
            raise QuietwireError(f"--only {name}: there are {', '.join(run.ATTACKS)}")
    if not folders and which != ["clients"]:
        raise QuietwireError("name folders that the test bed wrote; without any there is --only clients")
    console = _console()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {text}", markup=False, highlight=False)

    each = range(1, seeds + 1)
    try:
        everything = data.joined([data.read(folder) for folder in _runs(folders)]) if folders else []
        recorded = [] if folders else starts()
    except (TraceError, ValueError) as error:
        raise QuietwireError(str(error)) from None
    found = startups.measure(recorded, seeds=each, say=say)
    found += [figure for one in everything for figure in run.attack(one, which, seeds=each, say=say)]
    if not found:
        raise QuietwireError("nothing could be measured: too few people, or too little happened")
    console.print(table(found))
    console.print("Intervals are 95 %, by user and seed. * not measured on real links alone: simulated or planted.")
    console.print(
        "Clock alone: what is learned by who sees only when a link began and ended. Being online is not hidden."
    )
    if json_file is not None:
        figures.write(json_file, found)


def indistinct(
    left: Annotated[Path, typer.Argument(help="Traces or captures of the one kind: a file, or a folder of files.")],
    right: Annotated[Path, typer.Argument(help="Those of the other kind.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    slot: Annotated[float, typer.Option(help="Seconds of the clock that all steady links keep.", min=0.001)] = 0.05,
    seed: Annotated[int, typer.Option(help="The same seed, the same figures.")] = 1,
) -> None:
    """Can two kinds of sessions be told apart? Passes if not, while leaks of 1 ms and of one byte are found.

    Whole links count, 500 at least; 1,000 of each kind leave little to chance. The exit status is 1 if it fails."""
    _libraries()
    from quietwire.lab import figures
    from quietwire.lab.attacks import indistinct as attack

    console = _console()
    sides = [_flows(path) for path in (left, right)]
    try:
        verdict = attack.compare(*sides, slot=slot, seed=seed)
    except ValueError as error:
        raise QuietwireError(str(error)) from None
    found = attack.as_figures(verdict, f"{left.name} / {right.name}", simulated=False)
    console.print(table(found))
    if not verdict.sees:
        console.print("Nothing is proved: planted leaks were not found, so others would not be either.")
    elif not verdict.enough:
        console.print(f"Nothing is proved: {verdict.between.sessions} sessions, {attack.LINKS} at least.")
    elif verdict.passed:
        console.print(f"They cannot be told apart: the area under the ROC is at most {verdict.between.area.high:.3f}.")
    else:
        console.print(f"They may be told apart: the area under the ROC may be {verdict.between.area.high:.3f}.")
    if json_file is not None:
        figures.write(json_file, found)
    if not verdict.passed:
        raise typer.Exit(1)


def table(found: Sequence[Figure]) -> Table:
    shown = Table(title="What an attacker learns", show_lines=False)
    for name in ("system", "question", "value", "95 %", "chance", "clock alone", "worst tenth", "unit"):
        shown.add_column(name, justify="left" if name in ("system", "question", "unit") else "right")
    for figure in found:
        at = f", {figure.at:g} {figure.over}" if figure.at is not None else ""
        shown.add_row(
            figure.system,
            figure.question + at + ("*" if figure.simulated else ""),
            f"{figure.value:.3g}",
            f"{figure.low:.3g} to {figure.high:.3g}",
            f"{figure.chance:.3g}",
            f"{figure.detail['clock alone']:.3g}" if "clock alone" in figure.detail else "",
            "" if figure.worst is None else f"{figure.worst:.3g}",
            figure.unit,
        )
    return shown


def _runs(folders: Sequence[Path]) -> list[Path]:
    """Folders with traces, themselves or one below."""
    found: list[Path] = []
    for folder in folders:
        # A run that goes on has no facts yet.
        below = sorted(path.parent for path in folder.glob("*/traces") if (path.parent / "facts.json").exists())
        if (folder / "traces").is_dir():
            found.append(folder)
        elif below:
            found += below
        else:
            raise QuietwireError(f"{folder}: no run of the test bed: traces and facts.json are not there")
    return found


def _flows(path: Path) -> list[Flow]:
    from quietwire.lab.flows import flows
    from quietwire.lab.trace import TraceError

    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            found += flows(file)
        except TraceError as error:
            raise QuietwireError(str(error)) from None
    return found


def _console() -> Console:
    console = Console()
    return console if console.width >= NARROWEST else Console(width=NARROWEST)


def _libraries() -> None:
    if any(find_spec(name) is None for name in LIBRARIES):
        raise QuietwireError(MISSING)
