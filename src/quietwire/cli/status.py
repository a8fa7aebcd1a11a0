"""`quietwire status`: how a running server is. Counts only: nobody's name, address or domain."""

from __future__ import annotations

import json
import platform
import resource
import sqlite3
import ssl
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from quietwire.cli.commands import ask_running
from quietwire.cli.compose import Composition
from quietwire.cli.config import load
from quietwire.cli.room import rooms_of
from quietwire.core.errors import ConfigError
from quietwire.net.tls import own_expiry


def status(composition: Composition) -> dict[str, Any]:
    """What the command shows. Values are what JSON can hold, times are seconds."""
    server, storage, doors = composition.server, composition.storage, composition.daemon.doors
    refusing, reason, waiting = storage.condition
    try:
        left: float | None = round(own_expiry(composition.config.tls.certificate) - time.time())
    except ConfigError:
        left = None
    return {
        "uptime_seconds": round(time.monotonic() - composition.started),
        "accounts": len(server.accounts.names),
        "unlocked": len(server.keyring),
        "accounts_in_clear": len(server.migration.left),
        "sessions": server.sessions,
        "sessions_resumable": server.parked,
        "client_streams": server.streams,
        "server_streams_in": composition.incoming.streams,
        "server_streams_out": composition.federation.streams,
        "connections": doors.open,
        "connections_before_login": doors.strangers,
        "connections_paused": bool(doors.room()),
        "rooms": len(rooms_of(server).rooms),
        "jobs_computing": composition.shell.computing,
        "storage_accepting": not refusing,
        "storage_fault": reason,
        "storage_waiting_bytes": waiting,
        "memory_bytes": memory(),
        "certificate_seconds_left": left,
        "versions": {
            "quietwire": version("quietwire"),
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION.split()[1],
            "sqlite": sqlite3.sqlite_version,
        },
    }


def memory() -> int:
    """Resident bytes of this process; the most it has had, where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


def rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """For people."""
    left = told["certificate_seconds_left"]
    versions = told["versions"]
    storage = "accepting" if told["storage_accepting"] else "REFUSING"
    if told["storage_fault"]:
        storage += f", the disk refuses: {told['storage_fault']}"
    return [
        ("up for", _span(told["uptime_seconds"])),
        (
            "accounts",
            f"{told['accounts']}, {told['unlocked']} of them unlocked"
            + (f", {told['accounts_in_clear']} not sealed before they log in" if told["accounts_in_clear"] else ""),
        ),
        ("sessions", f"{told['sessions']}, {told['sessions_resumable']} of them wait for their client"),
        ("client streams", f"{told['client_streams']}"),
        ("server streams", f"{told['server_streams_in']} in, {told['server_streams_out']} out"),
        (
            "connections",
            f"{told['connections']}, {told['connections_before_login']} before login"
            + (", further ones wait" if told["connections_paused"] else ""),
        ),
        ("rooms", f"{told['rooms']}"),
        ("computing", f"{told['jobs_computing']} jobs"),
        ("storage", f"{storage}, {told['storage_waiting_bytes']} bytes wait"),
        ("memory", f"{told['memory_bytes'] / (1 << 20):.0f} MiB"),
        ("certificate", "unreadable" if left is None else f"{_span(left)} left" if left > 0 else "EXPIRED"),
        ("versions", ", ".join(f"{name} {number}" for name, number in versions.items())),
    ]


def _span(seconds: float) -> str:
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def register(app: typer.Typer) -> None:
    @app.command("status")
    def command(
        config: Path = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file."),
        as_json: bool = typer.Option(False, "--json", help="One JSON object."),
    ) -> None:
        """Tell how the running server is, in counts."""
        told = ask_running(load(config), "status")
        if as_json:
            typer.echo(json.dumps(told))
            return
        table = Table(show_header=False, box=None)
        for name, value in rows(told):
            table.add_row(name, value)
        Console().print(table)
