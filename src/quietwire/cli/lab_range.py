"""`quietwire lab range`: many people's lives on a server, with a tap on each link."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from quietwire.cli.client import MISSING
from quietwire.core.errors import QuietwireError

if TYPE_CHECKING:
    from quietwire.lab.range.bed import Means
    from quietwire.lab.range.scenario import Scenario

FOLDER = Path("range")


def register(lab: typer.Typer) -> None:
    lab.command("range")(command)


def means() -> Means:
    """What the range takes from elsewhere."""
    from quietwire.lab.range.bed import Means
    from quietwire.testing.nameserver import Nameserver

    return Means(resolver=Nameserver)


def chosen(file: Path | None, given: dict[str, Any], seeds: str) -> list[Scenario]:
    """The scenarios of a file, or one, with what was given on the command line. Raises QuietwireError."""
    from quietwire.lab.range.scenario import ScenarioError, made, read, sown

    try:
        found = [made(given, each) for each in (read(file) if file is not None else [made({})])]
        return sown(found, [int(seed) for seed in seeds.split(",")]) if seeds else found
    except ScenarioError as error:
        raise QuietwireError(str(error)) from None
    except ValueError:
        raise QuietwireError("--seeds: whole numbers with commas between, for instance 1,2,3") from None


def shape(given: list[str]) -> dict[str, Any]:
    """`key=value`, the value as in TOML. Raises QuietwireError."""
    try:
        return {key: value for text in given for key, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError:
        raise QuietwireError("--link: key=value as in [links], for instance tick=1 or pad=true") from None


def command(
    file: Annotated[Path | None, typer.Argument(help="A TOML file of scenarios.", show_default=False)] = None,
    into: Annotated[Path, typer.Option(help="Where results are; one that is there is not made again.")] = FOLDER,
    system: Annotated[str, typer.Option(help="quietwire, prosody or ejabberd.")] = "",
    server: Annotated[str, typer.Option(help="Profile of what the server sends: off, padded, jitter, steady.")] = "",
    client: Annotated[str, typer.Option(help="Profile of what clients send.")] = "",
    shield: Annotated[
        str, typer.Option(help="Where `quietwire shield` does that instead: server, client, both or tunnel.")
    ] = "",
    padding: Annotated[str, typer.Option(help="How padded pads: records (of TLS) or spaces.")] = "",
    link: Annotated[
        list[str] | None,
        typer.Option(help="A key of the links table, for both sides: tick=1, delay=0, pad=true. Repeatable."),
    ] = None,
    users: Annotated[int, typer.Option(help="People.", min=0)] = 0,
    seconds: Annotated[float, typer.Option(help="How long it takes.", min=0)] = 0.0,
    servers: Annotated[int, typer.Option(help="1, or 2 that are federated.", min=0, max=2)] = 0,
    seeds: Annotated[str, typer.Option(help="Play each scenario once a seed: 1,2,3.")] = "",
    small: Annotated[bool, typer.Option("--small", help="A short plan that has every kind of event.")] = False,
) -> None:
    """Play people's lives on a server and record sizes and times of every link, and, apart, what happened."""
    from quietwire.lab.processes import BedError
    from quietwire.lab.range.bed import STAGES, run

    if find_spec("slixmpp") is None:
        raise QuietwireError(MISSING)
    asked: dict[str, Any] = {"system": system, "server": server, "client": client, "shield": shield, "users": users}
    asked |= {"seconds": seconds, "servers": servers, "plan": "small" if small else ""}
    asked |= {"padding": padding, "links": shape(link or [])}
    scenarios = chosen(file, {key: value for key, value in asked.items() if value}, seeds)
    console = Console()
    began = time.monotonic()

    async def all_of() -> int:
        failures = 0
        playing = asyncio.current_task()
        assert playing is not None
        # No servers are left behind; SIGINT does the same by itself.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
        with Progress(
            TextColumn("{task.fields[name]}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as progress:
            for scenario in scenarios:
                bar = progress.add_task("", total=len(STAGES), name=scenario.name)
                told = ""

                def say(what: str, done: int = 0, total: int = 0, *, bar: Any = bar, name: str = scenario.name) -> None:
                    nonlocal told
                    share = done / total if total else 0.0
                    progress.update(bar, description=what, completed=STAGES.index(what) + share)
                    if not console.is_terminal and what != told:
                        console.print(f"{time.monotonic() - began:6.1f} s  {name}: {what}", soft_wrap=True)
                    told = what

                try:
                    place = await run(scenario, into, say, means())
                except BedError as error:
                    failures += 1
                    console.print(f"{scenario.name}: {error}", style="bold red", markup=False, soft_wrap=True)
                    continue
                progress.update(bar, description="done", completed=len(STAGES))
                console.print(summary(place), soft_wrap=True, markup=False)
        return failures

    into.mkdir(parents=True, exist_ok=True)
    try:
        failures = asyncio.run(all_of())
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    if failures:
        raise typer.Exit(1)


def summary(place: Path) -> str:
    """One line on a result."""
    done = json.loads((place / "done.json").read_text())
    kinds, left = len(done["done"]), sum(done["left_out"].values())
    happened = sum(done["done"].values())
    text = f"{place}: {happened} happenings of {kinds} kinds, seen {done['events']} times on links"
    return text + (f"; {left} could not be, see troubles.txt" if left else "")
