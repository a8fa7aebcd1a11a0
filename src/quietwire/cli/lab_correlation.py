"""`quietwire lab correlate`, `lab frontier` and `lab timings`: who talks with whom, on simulated servers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quietwire.cli.extras import needs
from quietwire.core.errors import QuietwireError

if TYPE_CHECKING:
    from quietwire.lab.correlation.timings import Timings
    from quietwire.lab.correlation.world import Shaping
    from quietwire.lab.figures import Figure

NARROWEST = 110
"""Columns under which the tables become unreadable; a pipe gets these."""
MISSING = needs("the laboratory's libraries", "lab")
QUESTIONS = ("linking", "disclosure", "groups", "probing", "flooding", "intersection")
PROFILES = ("off", "padded", "jitter", "jitter-batch", "steady", "server-steady", "client-steady")
"""Those of `lab.study.plan`."""
PEOPLE = ("poisson", "bursty", "life")

Say = Callable[[str, int, int], None]


def register(lab: typer.Typer) -> None:
    lab.command("correlate")(correlate)
    lab.command("frontier")(frontier)
    lab.command("timings")(timings)


def correlate(
    questions: Annotated[
        list[str] | None, typer.Option("--only", help=f"{', '.join(QUESTIONS)}; may be repeated. Else all.")
    ] = None,
    profiles: Annotated[
        list[str] | None, typer.Option("--profile", help=f"{', '.join(PROFILES)}; may be repeated.")
    ] = None,
    users: Annotated[int, typer.Option(help="Of the simulated server.", min=20, max=10_000)] = 3000,
    messages: Annotated[int, typer.Option(help="At most, from the sender to its partner.", min=1, max=500)] = 50,
    senders: Annotated[int, typer.Option(help="Judged under each seed.", min=4, max=1000)] = 40,
    seeds: Annotated[int, typer.Option(help="Each makes its own world to train on and to judge.", min=1, max=20)] = 5,
    people: Annotated[str, typer.Option(help=f"{', '.join(PEOPLE)}: how they talk, for linking.")] = "poisson",
    servers: Annotated[int, typer.Option(help="That users are spread over, for linking.", min=1, max=300)] = 1,
    server_links: Annotated[bool, typer.Option("--server-links", help="Candidates: servers, not users.")] = False,
    cell: Annotated[int, typer.Option(help="Bytes of a steady cell.", min=64, max=16_384)] = 816,
    tick: Annotated[float, typer.Option(help="Seconds between two steady cells.", min=0.3, max=120)] = 2.2,
    delay: Annotated[float, typer.Option(help="Seconds that jitter delays by at most.", min=0.0, max=60)] = 0.3,
    from_timings: Annotated[Path | None, typer.Option("--timings", help="Made by `lab timings`.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
) -> None:
    """Correlate links of a simulated server: who receives, contacts, rooms, probes, floods, and patience."""
    _libraries()
    from quietwire.lab import figures as kept
    from quietwire.lab.correlation import active, gathering, linking, weeks

    chosen = _known("--only", questions or list(QUESTIONS), QUESTIONS)
    names = _known("--profile", profiles or list(PROFILES), PROFILES)
    _known("--people", [people], PEOPLE)
    if server_links and servers < 3:
        raise QuietwireError("--server-links: needs --servers 3 at least, one to watch and two to tell apart")
    shapings = {name: _shaping(name, cell, tick, delay) for name in names}
    measured = _timings(from_timings)
    numbers = tuple(range(1, seeds + 1))
    setting = linking.Setting(
        users=users - users % 2,
        messages=(*(n for n in linking.MESSAGES if n < messages), messages),
        senders=senders,
        seeds=numbers,
        people=people,
        servers=servers,
        links="servers" if server_links else "users",
    )
    console, made = _console(), []
    with _progress(console) as say:
        for shaping in shapings.values():
            if "linking" in chosen:
                try:
                    made += linking.figures(linking.link(shaping, setting, measured, say))
                except linking.TooQuiet as error:
                    raise QuietwireError(str(error)) from None
            if "disclosure" in chosen:
                made += weeks.disclose(
                    shaping, weeks.Weeks(users=min(users, 300), seeds=numbers), measured, say=say
                )  # fmt: skip
            if "groups" in chosen:
                made += gathering.members_found(
                    shaping, gathering.Gathering(users=max(100, min(users, 1000)), seeds=numbers), measured, say=say
                )
            if "probing" in chosen:
                made += active.probe(shaping, active.Probing(users=min(users, 1000), seeds=numbers), measured, say=say)
            if "flooding" in chosen:
                made += active.flood(shaping, active.Flooding(users=min(users, 200), seeds=numbers), measured, say=say)
        if "intersection" in chosen:
            made += active.intersect(active.Waiting(users=users, seeds=numbers), say)
    if "linking" in chosen:
        console.print(linking_table(made, messages))
    rest = [figure for figure in made if not figure.question.startswith("linking")]
    if rest:
        console.print(others_table(rest))
    console.print("All of it is simulated. Timings: " + measured.made, markup=False, highlight=False)
    console.print("Intervals are 95 %, by user and seed.")
    if json_file is not None:
        kept.write(json_file, made)


def frontier(
    users: Annotated[int, typer.Option(help="Of the simulated server, where linking is tried.", min=20)] = 300,
    messages: Annotated[int, typer.Option(help="From the sender to its partner.", min=1, max=500)] = 50,
    senders: Annotated[int, typer.Option(help="Judged under each seed.", min=4, max=1000)] = 20,
    seeds: Annotated[int, typer.Option(min=1, max=20)] = 2,
    attacked: Annotated[bool, typer.Option("--attack/--no-attack", help="Try linking at each point.")] = True,
    rate: Annotated[float, typer.Option(help="Messages a minute that each user sends, and gets.", min=0.1)] = 4.0,
    shield: Annotated[
        bool, typer.Option("--shield", help="Clients behind a shield, whose cells come at any time in the tick.")
    ] = False,
    from_timings: Annotated[Path | None, typer.Option("--timings", help="Made by `lab timings`.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the points to this file too.")] = None,
) -> None:
    """What steady links cost and delay, for each cell and tick, and what is left to correlate."""
    _libraries()
    from dataclasses import asdict

    from quietwire.lab.correlation import frontier as over
    from quietwire.lab.correlation.linking import Setting

    measured = _timings(from_timings)
    setting = Setting(
        users=users - users % 2, messages=(messages,), senders=senders, seeds=tuple(range(1, seeds + 1)), rate=rate / 60
    )  # fmt: skip
    console = _console()
    with _progress(console) as say:
        points = over.frontier(setting, measured, attacked=attacked, follows=not shield, say=say)
    table = Table("cell", "tick", "MB a day", "p50 s", "p95 s", "linked, top 1", "chance", box=None, title="steady")
    for point in sorted(points, key=lambda point: point.day):
        table.add_row(
            str(point.cell),
            f"{point.tick:g} s",
            f"{point.day:.1f}",
            f"{point.p50:.1f}",
            f"{point.p95:.1f}" if point.late <= 0.05 else "falls behind",
            f"{point.top:.2%} ({point.low:.2%} to {point.high:.2%})" if point.attack else "",
            f"{point.chance:.2%}" if point.attack else "",
            style="bold" if point.within() else "",
        )
    console.print(table)
    console.print("Bold: at most 35 MB a day and direction, and 95 % of texts in 5 s. Both ends ours, one server.")
    console.print("All of it is simulated. Timings: " + measured.made, markup=False, highlight=False)
    if json_file is not None:
        rows = [{name: _number(value) for name, value in asdict(point).items()} for point in points]
        json_file.write_text(json.dumps({"points": rows, "timings": measured.made}, indent=1) + "\n", encoding="utf-8")


def timings(
    folders: Annotated[list[Path], typer.Argument(help="Runs of the range without shaping.")],
    into: Annotated[Path, typer.Option("--into", help="The file to write.")],
    made: Annotated[str, typer.Option(help="How they came about, in a line.")] = "",
    steady: Annotated[
        list[Path] | None, typer.Option(help="Runs with steady links, for how late cells are; may be repeated.")
    ] = None,
) -> None:
    """Measure what simulations are fed from: passages, receipts, sizes, lateness."""
    _libraries()
    from quietwire.lab.correlation.timings import of_runs
    from quietwire.lab.trace import TraceError

    try:
        found = of_runs(folders, steady or [], made or f"measured on {len(folders)} runs")
    except (TraceError, ValueError, KeyError) as error:
        raise QuietwireError(f"no run of the range: {error}") from None
    into.write_text(found.as_json(), encoding="utf-8")
    print(
        f"{into}: passage {found.passage.median * 1000:.1f} ms, receipt {found.answer.median * 1000:.0f} ms (medians)"
    )


def linking_table(figures: list[Figure], messages: int) -> Table:
    """Top 1 of the strongest attack, by number of users."""
    tops = [
        figure
        for figure in figures
        if figure.question.startswith("linking")
        and figure.question.endswith("receives, top 1")
        and figure.at == messages
    ]
    sizes = sorted({int(figure.detail["users"]) for figure in tops})
    table = Table("links", "p95", *(f"of {n:,}" for n in sizes), box=None, title=f"Linked after {messages} messages")
    for system in dict.fromkeys(figure.system for figure in tops):
        mine = [figure for figure in tops if figure.system == system]
        cells = []
        for number in sizes:
            best = max((f for f in mine if f.detail["users"] == number), key=lambda figure: figure.value)
            cells.append(f"{best.value:.1%} ({best.low * 100:.1f}-{best.high * 100:.1f})")
        table.add_row(system, f"{mine[0].detail['p95']:.2f} s", *cells)
    table.add_row("chance", "", *(f"{1 / (number - 1):.2%}" for number in sizes), style="dim")
    return table


def others_table(figures: list[Figure]) -> Table:
    """The last point of each curve, by what does best there."""
    table = Table("question", "links", "by", "reached", "chance", "after", box=None)
    best: dict[tuple[str, str], Figure] = {}
    for figure in figures:
        key = figure.question, figure.system
        known = best.get(key)
        if known is None or (figure.at or 0, figure.value) > (known.at or 0, known.value):
            best[key] = figure
    former = ""
    for (question, system), figure in sorted(best.items(), key=lambda item: item[0][0]):
        value = f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
        after = f"{figure.at:g} {figure.over}" if figure.at is not None else ""
        by = figure.note.partition(";")[0].partition(",")[0]
        table.add_row(question if question != former else "", system, by, value, f"{figure.chance:.3f}", after)
        former = question
    return table


def _shaping(name: str, cell: int, tick: float, delay: float) -> Shaping:
    """That of the study with other parameters; servers shape their links among each other as both ends do, but for
    cells."""
    from quietwire.lab.correlation.frontier import policy
    from quietwire.lab.study.plan import SHAPINGS
    from quietwire.shaping.policy import Policy, Profile

    def chosen(usual: Policy) -> Policy:
        if usual.profile is Profile.STEADY:
            return policy(cell, tick)
        return replace(usual, delay=delay) if usual.profile is Profile.JITTER else usual

    up, down = chosen(SHAPINGS[name].up), chosen(SHAPINGS[name].down)
    same = up == down and up.profile is not Profile.STEADY
    return replace(SHAPINGS[name], up=up, down=down, between=up if same else Policy())


def _timings(path: Path | None) -> Timings:
    from quietwire.lab.correlation.timings import default, read

    try:
        return default() if path is None else read(path)
    except ValueError as error:
        raise QuietwireError(f"{path}: {error}") from None


def _known(option: str, given: list[str], there: tuple[str, ...]) -> list[str]:
    for name in given:
        if name not in there:
            raise QuietwireError(f"{option} {name}: there are {', '.join(there)}")
    return given


def _libraries() -> None:
    if any(find_spec(name) is None for name in ("numpy", "scipy", "sklearn")):
        raise QuietwireError(MISSING)


def _number(value: Any) -> Any:
    """JSON has no infinities."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _console() -> Console:
    console = Console()
    return console if console.width >= NARROWEST else Console(width=NARROWEST)


@contextmanager
def _progress(console: Console) -> Iterator[Say]:
    """A bar on a terminal, lines in a pipe."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("", total=None)

        def say(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=done, total=total)
            if not console.is_terminal and done < total:
                console.print(f"{what}: {done + 1} of {total}", markup=False, highlight=False)

        yield say
