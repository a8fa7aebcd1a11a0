"""`quietwire check`: what is wrong with a server, or will be, and what to do about it. Changes nothing.

Exit status, for scripts: 0 nothing worse than a note, 1 warnings, 2 errors.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quietwire.cli.checks.certificates import certificates
from quietwire.cli.checks.configuration import configuration
from quietwire.cli.checks.dns import Fetch, dns
from quietwire.cli.checks.finding import Finding, Severity, exit_status
from quietwire.cli.checks.keys import keys
from quietwire.cli.checks.system import descriptors, features, files, ports, reachable
from quietwire.cli.commands import CONTROL
from quietwire.cli.compose import DATABASE
from quietwire.cli.config import load
from quietwire.core.errors import ConfigError
from quietwire.net.resolver import DnsLookup, Lookup
from quietwire.server.module import Hosted
from quietwire.server.modules import discover

FETCH_SECONDS = 8.0
_COLOURS = {Severity.OK: "green", Severity.NOTE: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


async def examine(path: Path, lookup: Lookup | None = None, fetch: Fetch | None = None) -> list[Finding]:
    """Everything there is to say about the server of that configuration. `lookup` and `fetch`: the network, where it is
    not the real one."""
    try:
        config = load(path)
        lookup = lookup or DnsLookup(config.federation.resolver)
    except ConfigError as error:
        remedy = "docs/configuration.md has every key"
        return [Finding(Severity.ERROR, "configuration", error.key, f"{error.where}: {error.allowed}", remedy)]
    modules = discover()
    hosted = [
        f"{one.label}.{config.domain}" for module in modules for one in module.handlers if isinstance(one, Hosted)
    ]
    return [
        *configuration(config),
        *certificates(config, hosted, time.time()),
        *await dns(config, hosted, lookup, fetch or get),
        *await ports(config, reachable(config.data / CONTROL)),
        *files(config, os.getuid()),
        *keys(config, os.getuid(), (config.data / DATABASE).exists()),
        *descriptors(),
        *features(modules),
    ]


async def get(url: str) -> int:
    """The status of a GET. Raises OSError, TimeoutError."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    async with asyncio.timeout(FETCH_SECONDS):
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or 443, ssl=ssl.create_default_context()
        )
        writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
    words = line.split()
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionError("not HTTP")
    return int(words[1])


def show(findings: list[Finding], console: Console) -> None:
    """The worst first, each with what to do about it below; at the end how many there are of each kind."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=34)
    table.add_column(overflow="fold")
    for one in sorted(findings, key=lambda finding: -finding.severity):
        text = Text(one.cause)
        if one.remedy:
            text.append(f"\n-> {one.remedy}", style="italic")
        table.add_row(Text(one.severity.name.lower(), style=_COLOURS[one.severity]), Text(one.subject), text)
    console.print(table)
    counts = Counter(finding.severity for finding in findings)
    console.print(", ".join(_counted(counts[severity], severity) for severity in reversed(Severity)), style="bold")


def _counted(number: int, severity: Severity) -> str:
    if severity is Severity.OK:
        return f"{number} in order"
    return f"{number} {severity.name.lower()}{'' if number == 1 else 's'}"


def register(app: typer.Typer) -> None:
    @app.command("check")
    def command(
        config: Path = typer.Option(Path("quietwire.toml"), "--config", "-c", help="The configuration file."),
        as_json: bool = typer.Option(False, "--json", help="One JSON array of findings."),
    ) -> None:
        """Look for what is wrong with a server or will be: configuration, certificate, DNS, ports, files.

        Exit status 0: nothing worse than a note, 1: warnings, 2: errors."""
        findings = asyncio.run(examine(config))
        if as_json:
            typer.echo(json.dumps([one.as_dict() for one in findings]))
        else:
            show(findings, Console())
        raise typer.Exit(exit_status(findings))
