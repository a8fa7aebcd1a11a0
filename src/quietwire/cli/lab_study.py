"""`quietwire lab study` and `quietwire lab report`: from people's lives to one page that says what is left to see."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from quietwire.cli.client import MISSING as NO_CLIENT
from quietwire.core.errors import QuietwireError

if TYPE_CHECKING:
    from quietwire.lab.figures import Figure
    from quietwire.lab.study.bounds import Bound
    from quietwire.lab.study.steps import Plan

LIBRARIES = ("numpy", "sklearn", "matplotlib")
MISSING = "this needs numpy, scikit-learn and matplotlib: pip install 'quietwire[lab]'"
OPEN = (
    "That somebody is online at all, when they come and go, and reconnect.",
    "DNS, the name in a ClientHello, the first dial of a link between servers.",
    "Uploads and downloads over HTTP: that there is one, when, and its size class.",
    "Calls, and what STUN and TURN carry.",
    "In windows after a login or a resumption: nothing but that there was one.",
)


def register(lab: typer.Typer) -> None:
    lab.command("study")(study)
    lab.command("report")(report)


def study(
    small: Annotated[bool, typer.Option("--small", help="Minutes, not hours: what is promised, and no more.")] = False,
    into: Annotated[Path, typer.Option(help="Where everything goes; what is there is not made again.")] = Path("study"),
    seeds: Annotated[int, typer.Option(help="How often each system is played.", min=1, max=20)] = 3,
) -> None:
    """Play lives on Quietwire, Prosody and ejabberd, attack every profile, and write the report.

    Exits with 1 when a profile leaks more than it is said to, or an attack no longer finds what is there to see."""
    _libraries()
    if find_spec("slixmpp") is None:
        raise QuietwireError(NO_CLIENT)
    from quietwire.cli.lab_range import means
    from quietwire.lab.processes import BedError
    from quietwire.lab.range.bed import STAGES, run
    from quietwire.lab.study import bounds, steps

    plan = steps.small() if small else steps.full(tuple(range(1, seeds + 1)))
    console = Console()
    began = time.monotonic()
    into.mkdir(parents=True, exist_ok=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=console, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        bar = progress.add_task("", total=1.0)
        told = ""

        def say(what: str, done: float, total: float) -> None:
            nonlocal told
            progress.update(bar, description=what, completed=done, total=total)
            if not console.is_terminal and what != told:
                text = f"{time.monotonic() - began:6.1f} s  {what}"
                console.print(text, markup=False, highlight=False, soft_wrap=True)
            told = what

        folders = []
        for place, scenario in enumerate(plan.scenarios):

            def playing(what: str, done: int = 0, total: int = 0, *, at: int = place) -> None:
                share = (STAGES.index(what) + (done / total if total else 0.0)) / len(STAGES)
                say(f"{plan.scenarios[at].name}: {what}", at + share, len(plan.scenarios))

            try:
                folders.append(asyncio.run(run(scenario, into, playing, means())))
            except BedError as error:
                raise QuietwireError(f"{scenario.name}: {error}") from None
        found = steps.attacked(folders, into, plan.seeds, say)
        found += steps.simulated(plan, into, say)
    command = "quietwire lab study" + (" --small" if small else f" --seeds {seeds}")
    promised = [bound for bound in bounds.read() if bound.small or not small]
    _written(found, into, command, _facts(plan, began), console, promised)


def report(
    files: Annotated[list[Path], typer.Argument(help="Figures, as `lab attack --json` and others write them.")],
    into: Annotated[Path, typer.Option(help="Folder for report.html and report.md.")] = Path(),
) -> None:
    """Join figures of several runs into one report."""
    _libraries()
    from quietwire.lab import figures

    try:
        found = [figure for file in files for figure in figures.read(file)]
    except (OSError, ValueError) as error:
        raise QuietwireError(str(error)) from None
    if not found:
        raise QuietwireError("these files have no figures in them")
    names = " ".join(file.name for file in files)
    into.mkdir(parents=True, exist_ok=True)
    _written(found, into, f"quietwire lab report {names}", {}, Console())


def _written(
    found: Sequence[Figure],
    into: Path,
    command: str,
    facts: dict[str, str],
    console: Console,
    promised: Sequence[Bound] = (),
) -> None:
    from quietwire.lab import figures
    from quietwire.lab.study import bounds
    from quietwire.lab.study.curves import svg
    from quietwire.lab.study.matrix import curves
    from quietwire.lab.study.page import Study, markdown, page

    broken, missing = bounds.violations(found, promised)
    made = Study("What links give away", command, found, facts, broken, missing, OPEN)
    pictures: dict[tuple[str, str, str], str] = {
        key: svg(key[1], key[2], lines) for key, lines in curves(found).items()
    }
    (into / "report.html").write_text(page(made, pictures), encoding="utf-8")
    (into / "report.md").write_text(markdown(made), encoding="utf-8")
    figures.write(into / "report.json", found)
    for line in broken:
        console.print(f"BROKEN  {line}", style="bold red", markup=False, soft_wrap=True)
    for line in missing:
        console.print(f"not measured  {line}", markup=False, soft_wrap=True)
    text = f"{into / 'report.html'}, report.md and report.json: {len(found)} figures"
    console.print(text, soft_wrap=True, markup=False)
    if broken or missing:
        raise typer.Exit(1)


def _facts(plan: Plan, began: float) -> dict[str, str]:
    played = sorted({scenario.label for scenario in plan.scenarios})
    first = plan.scenarios[0]
    return {
        "played": f"{', '.join(played)}; {first.users} people, {first.seconds:g} s, real clients and TLS over loopback",
        "simulated": f"{', '.join(plan.profiles)}; linking among {plan.linking.users} users",
        "took": f"{(time.monotonic() - began) / 60:.0f} minutes, with what was there already",
        "python": sys.version.split()[0],
    }


def _libraries() -> None:
    if any(find_spec(name) is None for name in LIBRARIES):
        raise QuietwireError(MISSING)
