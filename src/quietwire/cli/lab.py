"""`quietwire lab`: the laboratory on the command line."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from quietwire.cli import lab_attack, lab_correlation, lab_flows, lab_plan, lab_range, lab_study
from quietwire.cli.client import MISSING
from quietwire.core.errors import QuietwireError

STAGES = (
    "making accounts",
    "starting servers",
    "starting four clients",
    "subscribing",
    "waiting for its turn",
    "talking",
    "waiting for what is under way",
    "reading the traces",
    "done",
)
LIBRARIES = ("slixmpp", "omemo", "twomemo", "x3dh", "argon2")
"""What the people of the demo need: better said before servers were started than after."""
NARROWEST = 100
"""Columns under which the table's sentences become unreadable; a pipe gets these."""


def register(app: typer.Typer) -> None:
    lab = typer.Typer(help="See what every adversary learns from a conversation.", no_args_is_help=True)
    lab.callback()(lambda: None)
    lab.command("demo")(demo)
    lab_attack.register(lab)
    lab_correlation.register(lab)
    lab_flows.register(lab)
    lab_plan.register(lab)
    lab_range.register(lab)
    lab_study.register(lab)
    app.add_typer(lab, name="lab")


def demo(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON too.")] = None,
    seconds: Annotated[float, typer.Option(help="How long they talk.", min=12, max=600)] = 20.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same talk.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Keep traces, disks and truth in this new folder.")] = None,
) -> None:
    """Two servers, two people, a private conversation: and what each adversary learned from it."""
    from quietwire.lab import report
    from quietwire.lab.demo import PROFILES, Outcome, failed, run
    from quietwire.lab.processes import BedError
    from quietwire.lab.testbed import Commands

    if any(find_spec(name) is None for name in LIBRARIES):
        raise QuietwireError(MISSING)
    python = [sys.executable, "-m"]
    commands = Commands(
        server=[*python, "quietwire.cli.bed.server"],
        account=[*python, "quietwire", "account"],
        actor=[*python, "quietwire.cli.bed.actor"],
    )
    console = Console()
    if console.width < NARROWEST:
        console = Console(width=NARROWEST)
    if keep is not None and keep.exists():
        raise QuietwireError(f"{keep}: exists already; name a new folder")
    began = time.monotonic()

    async def all_of(folder: Path) -> list[Outcome]:
        with Progress(
            TextColumn("{task.fields[profile]:>6} links"),
            BarColumn(len(STAGES) * 3),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress:
            bars = {name: progress.add_task("waiting", total=len(STAGES), profile=name) for name in PROFILES}

            def say(profile: str, what: str) -> None:
                progress.update(bars[profile], description=what, completed=STAGES.index(what) + 1)
                if not console.is_terminal:
                    console.print(f"{time.monotonic() - began:5.1f} s  {profile} links: {what}")

            return await run(folder, seconds=seconds, seed=seed, commands=commands, say=say)

    with tempfile.TemporaryDirectory(prefix="quietwire-") as temporary:
        folder = Path(temporary) / "worlds" if keep is None else keep
        folder.mkdir(parents=True)
        try:
            outcomes = asyncio.run(all_of(folder))
        except BedError as error:
            raise QuietwireError(str(error)) from None
        total = time.monotonic() - began
        for outcome in outcomes:
            console.print(report.table(outcome.cells, f"What was learned, {outcome.profile} links"))
            console.print()
        console.print(report.changed_table(outcomes[0].cells, outcomes[1].cells, PROFILES))
        for outcome in outcomes:
            for violation in outcome.violations:
                console.print(f"VIOLATION ({outcome.profile} links): {violation}", style="bold red", markup=False)
        if not failed(outcomes):
            console.print("Nothing was lost, doubled or reordered, and no text was readable where it must not be.")
        console.print(f"Took {total:.0f} s.")
        if json_file is not None:
            data = report.as_json(
                {outcome.profile: outcome.cells for outcome in outcomes},
                {outcome.profile: outcome.violations for outcome in outcomes},
                seed=seed,
                talk_seconds=seconds,
                took_seconds=round(total, 1),
            )
            json_file.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if failed(outcomes):
        raise typer.Exit(1)
