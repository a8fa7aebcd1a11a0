"""`quietwire lab study` and `quietwire lab report`: from people's lives to one page that says what is left to see."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from quietwire.cli.client import MISSING as NO_CLIENT
from quietwire.cli.extras import needs
from quietwire.core.errors import QuietwireError

if TYPE_CHECKING:
    from quietwire.lab.figures import Figure
    from quietwire.lab.range.scenario import Scenario
    from quietwire.lab.study.bounds import Bound
    from quietwire.lab.study.plan import Plan

LIBRARIES = ("numpy", "sklearn", "matplotlib")
MISSING = needs("numpy, scikit-learn and matplotlib", "lab")
SIZES = ("seeds", "splits", "worlds", "users", "seconds")
"""Options that `--small` leaves no choice of."""
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
    context: typer.Context,
    small: Annotated[bool, typer.Option("--small", help="Minutes, not hours: what is promised, and no more.")] = False,
    into: Annotated[Path, typer.Option(help="Where everything goes; what is there is not made again.")] = Path("study"),
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Steps by name, with * and ?, for instance 'attack prosody*'; may be repeated."),
    ] = None,
    budget: Annotated[float, typer.Option(help="Minutes after which no step is begun; 0: no limit.", min=0)] = 0.0,
    list_: Annotated[bool, typer.Option("--list", help="Say what steps there are, and which are done.")] = False,
    seeds: Annotated[int, typer.Option(help="How often each system is played.", min=1, max=20)] = 3,
    splits: Annotated[int, typer.Option(help="Splits and models of each attack.", min=1, max=20)] = 5,
    worlds: Annotated[int, typer.Option(help="Seeds of what is simulated.", min=1, max=20)] = 5,
    users: Annotated[int, typer.Option(help="People who are played.", min=4, max=200)] = 24,
    seconds: Annotated[float, typer.Option(help="How long they are.", min=10)] = 120.0,
) -> None:
    """Play lives on Quietwire, Prosody and ejabberd, attack every profile, and write the report.

    What is done is kept: a study that was broken off goes on where it was, and the report says what has not been run.
    Exits with 1 when a profile leaks more than it is said to, or an attack no longer finds what is there to see."""
    if small:
        _of_its_own_size(context)
    _libraries()
    if find_spec("slixmpp") is None:
        raise QuietwireError(NO_CLIENT)
    from quietwire.cli.lab_range import means
    from quietwire.lab.range.bed import STAGES, run
    from quietwire.lab.study import bounds, plan, steps

    chosen = (
        plan.small()
        if small
        else plan.full(
            tuple(range(1, seeds + 1)),
            users=users,
            seconds=seconds,
            splits=tuple(range(1, splits + 1)),
            worlds=tuple(range(1, worlds + 1)),
        )
    )
    console = Console()
    began = time.monotonic()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=console, disable=list_ or not console.is_terminal,
    ) as progress:  # fmt: skip
        bar = progress.add_task("", total=1.0)
        told, name, at, of = "", "", 0.0, 1.0

        def say(what: str, done: float, total: float) -> None:
            """Of a step: its share of the whole is one."""
            nonlocal told
            progress.update(bar, description=f"{name}: {what}", completed=at + done / max(total, 1), total=of)
            if not console.is_terminal and what != told:
                line(f"{name}: {what}")
            told = what

        def stepped(what: str, done: float, total: float) -> None:
            nonlocal name, at, of
            name, at, of = what, done, total
            progress.update(bar, description=name, completed=at, total=of)
            if not console.is_terminal:
                line(name)

        def line(text: str) -> None:
            text = f"{time.monotonic() - began:6.1f} s  {text}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)

        def play(scenario: Scenario) -> Path:
            def playing(what: str, done: int = 0, total: int = 0) -> None:
                share = (STAGES.index(what) + (done / total if total else 0.0)) / len(STAGES)
                say(f"{scenario.name}: {what}", share / 2, 1.0)

            return asyncio.run(run(scenario, into, playing, means()))

        every = steps.steps(chosen, into, play, say)
        if list_:
            for step in every:
                console.print(
                    f"{'done' if step.kept() is not None else '-':5}{step.name}", markup=False, soft_wrap=True
                )
            return
        if only and not any(steps.wanted(step.name, only) for step in every):
            raise QuietwireError(f"--only {' '.join(only)}: no such step; `--list` has them")
        into.mkdir(parents=True, exist_ok=True)
        done = steps.do(every, stepped, only or (), lambda: not budget or time.monotonic() - began < budget * 60)
    command = "quietwire lab study" + (
        " --small" if small else f" --seeds {seeds} --splits {splits} --worlds {worlds} --users {users}"
        f" --seconds {seconds:g}"
    )  # fmt: skip
    if not done.figures:
        raise QuietwireError("; ".join(f"{name}: {why}" for name, why in done.left.items()))
    promised = [bound for bound in bounds.read() if bound.small or not small]
    _written(
        done.figures, into, command, _facts(chosen, began), console, promised, done.left, partial=bool(only or budget)
    )


def report(
    files: Annotated[
        list[Path],
        typer.Argument(help="Figures, as `lab attack --json` and others write them; audit.json, demo.json."),
    ],
    into: Annotated[Path, typer.Option(help="Folder for report.html and report.md.")] = Path(),
) -> None:
    """Join figures of several runs into one report."""
    _libraries()
    from quietwire.lab import figures
    from quietwire.lab.study import others

    found: list[Figure] = []
    try:
        for file in files:
            try:
                found += figures.read(file)
            except ValueError as error:
                try:
                    found += others.read(file)
                except ValueError:
                    raise error from None
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
    left: Mapping[str, str] | None = None,
    *,
    partial: bool = False,
) -> None:
    from quietwire.lab import figures
    from quietwire.lab.study import bounds
    from quietwire.lab.study.curves import svg
    from quietwire.lab.study.page import Study, markdown, page, pictured

    broken, missing = bounds.violations(found, promised)
    left = left or {}
    made = Study("What links give away", command, found, facts, broken, missing, OPEN, left)
    pictures = {key: svg(key[1], key[2], lines) for key, lines in pictured(found).items()}
    (into / "report.html").write_text(page(made, pictures), encoding="utf-8")
    (into / "report.md").write_text(markdown(made), encoding="utf-8")
    figures.write(into / "report.json", found)
    for line in broken:
        console.print(f"BROKEN  {line}", style="bold red", markup=False, soft_wrap=True)
    for line in missing:
        console.print(f"not measured  {line}", markup=False, soft_wrap=True)
    for name, why in left.items():
        console.print(f"not run  {name}: {why}", markup=False, highlight=False, soft_wrap=True)
    text = f"{into / 'report.html'}, report.md and report.json: {len(found)} figures"
    console.print(text, soft_wrap=True, markup=False)
    # Of a part of a study nobody expects the whole.
    if broken or (not partial and (missing or left)):
        raise typer.Exit(1)


def _of_its_own_size(context: typer.Context) -> None:
    """Raises QuietwireError where `--small` was said and one of SIZES too."""
    for name in SIZES:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            raise QuietwireError(f"--small has its own size, which --{name} does not change: leave one of them out")


def _facts(plan: Plan, began: float) -> dict[str, str]:
    first = plan.scenarios[0]
    runs = len({scenario.seed for scenario in plan.scenarios})
    facts = {
        "played": f"{first.users} people, {first.seconds:g} s, {runs} times each; real clients and TLS over loopback",
        "attacks": f"{len(plan.seeds)} splits and models each",
        "took": f"{(time.monotonic() - began) / 60:.0f} minutes, with what was there already",
        "python": sys.version.split()[0],
    }
    if plan.linking is not None:
        setting = plan.linking
        facts["simulated"] = f"linking among {setting.users} users, {len(setting.seeds)} seeds of {setting.senders}"
    return facts


def _libraries() -> None:
    if any(find_spec(name) is None for name in LIBRARIES):
        raise QuietwireError(MISSING)
