"""`quietwire links`: what the profiles of the configuration cost, and how the links of the running server are."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from quietwire.cli.commands import ask_running
from quietwire.cli.compose import Composition
from quietwire.cli.config import Config, load
from quietwire.core.errors import QuietwireError
from quietwire.shaping.cost import DAY, cost
from quietwire.shaping.policy import Policy, Profile


def planned(config: Config) -> list[dict[str, Any]]:
    """By arithmetic: bytes a day and direction of an idle link, seconds of added latency, bytes that may wait."""
    each = {"c2s": config.links.policy(), "s2s": config.links.server_policy()}
    padded = [policy.block for policy in each.values() if policy.profile is Profile.PADDED]
    # One process has one record size, whatever writes the record.
    block = padded[0] if padded and config.links.padding == "records" else 0
    return [_cost(name, policy, block) for name, policy in each.items()]


def _cost(name: str, policy: Policy, block: int) -> dict[str, Any]:
    found = cost(policy, block)
    steady = policy.profile is Profile.STEADY
    return {
        "links": name,
        "profile": str(policy.profile),
        "cell": policy.cell if steady else None,
        "tick": policy.tick if steady else None,
        "block": _block(policy),
        "bytes_a_day": round(found.day),
        "p50_seconds": round(found.p50, 3),
        "p95_seconds": round(found.p95, 3),
        "queue_bytes": policy.queue if steady else None,
    }


def _block(policy: Policy) -> int | None:
    """What sizes are multiples of."""
    padded = policy.profile is Profile.PADDED or (policy.profile is Profile.JITTER and policy.pad)
    return policy.block if padded else None


def links(composition: Composition) -> dict[str, Any]:
    """Of the running server, over the control socket. Counts only."""
    pacer, server = composition.shell.pacer, composition.server
    seconds = max(time.monotonic() - composition.started, 1e-3)
    waiting = server.queued()
    return {
        "steady_links": pacer.links,
        "jittered_links": pacer.jittered,
        "cells": pacer.cells,
        "cell_bytes": pacer.written,
        "link_seconds": round(pacer.link_seconds(), 1),
        "bytes_a_day_and_link": round(pacer.written / max(pacer.link_seconds(), 1e-3) * DAY),
        "queued_sessions": sum(1 for size in waiting if size),
        "queued_bytes": sum(waiting),
        "queued_bytes_most": max(waiting, default=0),
        "cells_not_taken": pacer.stalled,
        "slots_late": pacer.late,
        "uptime_seconds": round(seconds),
    }


def rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """For people."""
    return [
        ("steady links", f"{told['steady_links']}"),
        ("jittered links", f"{told['jittered_links']}"),
        ("cells", f"{told['cells']}, {told['bytes_a_day_and_link'] / 1e6:.1f} MB a day and link"),
        ("queued", f"{told['queued_bytes']} bytes of {told['queued_sessions']} sessions"),
        ("not taken", f"{told['cells_not_taken']} cells, as the peer read nothing"),
        ("late", f"{told['slots_late']} slots of 50 ms in {told['uptime_seconds']} s"),
    ]


def table(plan: list[dict[str, Any]]) -> Table:
    made = Table(box=None)
    for title in ("links", "profile", "MB a day and direction", "p50", "p95", "may wait"):
        made.add_column(title)
    for row in plan:
        shown = f"{row['bytes_a_day'] / 1e6:.1f}" if row["bytes_a_day"] else ""
        if row["profile"] != "steady":
            shown += " and more " * bool(shown) + "with the traffic"
        queue = f"{row['queue_bytes'] / 1024:.0f} KiB" if row["queue_bytes"] is not None else ""
        made.add_row(
            row["links"], row["profile"], shown, f"{row['p50_seconds']:.2f} s", f"{row['p95_seconds']:.2f} s", queue
        )
    return made


def register(app: typer.Typer) -> None:
    @app.command("links")
    def command(
        config: Path = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file."),
        as_json: bool = typer.Option(False, "--json", help="One JSON object."),
    ) -> None:
        """Tell what the links' profiles cost, and how the links of the running server are: counts only."""
        settings = load(config)
        plan = planned(settings)
        try:
            told = ask_running(settings, "links")
        except QuietwireError:
            told = None  # none is running
        if as_json:
            typer.echo(json.dumps({"planned": plan, "running": told}))
            return
        console = Console()
        console.print(table(plan))
        if told is None:
            console.print("No server is running with this configuration.")
            return
        now = Table(show_header=False, box=None)
        for name, value in rows(told):
            now.add_row(name, value)
        console.print(now)
