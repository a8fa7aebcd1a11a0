"""`quietwire lab flows`: what links are in traces and captures."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quietwire.cli.extras import needs
from quietwire.core.errors import QuietwireError

MISSING = needs("the laboratory's libraries", "lab")


def need_libraries() -> None:
    """Raises QuietwireError where the extra `lab` is not installed."""
    if any(find_spec(name) is None for name in ("numpy", "scipy", "sklearn")):
        raise QuietwireError(MISSING)


def register(lab: typer.Typer) -> None:
    lab.command("flows")(flows)


def flows(
    files: Annotated[list[Path], typer.Argument(help="Link traces, pcap or pcapng.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """The links in traces and captures: how many records of how many bytes, which way, for how long."""
    need_libraries()
    from quietwire.lab.flows import flows as read
    from quietwire.lab.trace import TraceError

    rows: list[dict[str, str | int | float]] = []
    for file in files:
        try:
            found = read(file)
        except TraceError as error:
            raise QuietwireError(str(error)) from None
        for flow in found:
            rows.append(
                {
                    "file": file.name,
                    "link": flow.link,
                    "began": round(float(flow.times[0]), 6),
                    "seconds": round(flow.seconds, 6),
                    "records_up": int((flow.ways > 0).sum()),
                    "bytes_up": flow.bytes(1),
                    "records_down": int((flow.ways < 0).sum()),
                    "bytes_down": flow.bytes(-1),
                }
            )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("link", box=None)
    for heading in ("seconds", "records up", "bytes up", "records down", "bytes down"):
        table.add_column(heading, justify="right")
    for row in rows:
        name = f"{row['file']}: {row['link']}" if len(files) > 1 else str(row["link"])
        numbers = (f"{row[key]:,}" for key in ("records_up", "bytes_up", "records_down", "bytes_down"))
        table.add_row(name, f"{row['seconds']:.3f}", *numbers)
    console = Console()
    if console.width < 100 and not console.is_terminal:
        console = Console(width=140)  # a pipe gets whole lines
    console.print(table)
