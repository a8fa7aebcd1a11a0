"""`quietwire lab plan`: what the people of the laboratory are going to do."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietwire.cli.lab_flows import need_libraries
from quietwire.core.errors import QuietwireError

if TYPE_CHECKING:
    from quietwire.lab.people import Parameters


def register(lab: typer.Typer) -> None:
    lab.command("plan")(plan)


def plan(
    seed: Annotated[int, typer.Option(help="The same seed, the same plan.")] = 1,
    users: Annotated[int, typer.Option(help="How many people.")] = 24,
    seconds: Annotated[float, typer.Option(help="How long.")] = 3600.0,
    family: Annotated[str, typer.Option(help="hawkes, sessions, queue or poisson.")] = "hawkes",
    squeeze: Annotated[float, typer.Option(help="So many days pass in one.")] = 1.0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of any other parameter.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the plan here: a line of JSON for each happening.")] = None,
) -> None:
    """A plan of human-shaped life: who does what when. Shows its figures, and writes it."""
    need_libraries()
    from quietwire.lab.people import plan as make
    from quietwire.lab.people.summary import lines, summary

    try:
        parameters = chosen(family, squeeze, settings or [])
        made = make(seed, users, seconds, parameters)
    except ValueError as error:
        raise QuietwireError(str(error)) from None
    figures = summary(made)
    if out is not None:
        with out.open("w", encoding="utf-8") as file:
            for one in made.events:
                file.write(json.dumps(asdict(one), separators=(",", ":"), sort_keys=True) + "\n")
    print(json.dumps(figures, indent=1) if as_json else "\n".join(lines(figures)))


def chosen(family: str, squeeze: float, settings: list[str]) -> Parameters:
    """Raises ValueError, QuietwireError."""
    from quietwire.lab.people import Parameters

    standard = Parameters()
    kinds: dict[str, type] = {field.name: type(getattr(standard, field.name)) for field in fields(standard)}
    given: dict[str, object] = {"family": family, "squeeze": squeeze}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in kinds:
            raise QuietwireError(f"--set {setting}: NAME=VALUE with one of {', '.join(kinds)}")
        kind = kinds[name]
        try:
            given[name] = value.lower() in ("true", "yes", "1") if kind is bool else kind(value)
        except ValueError:
            raise QuietwireError(f"--set {setting}: not a value of {name}") from None
    return replace(standard, **given)  # type: ignore[arg-type]
