from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from quietwire.cli import check
from quietwire.cli.app import app
from quietwire.cli.check import examine, get, show
from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.quickstart import prepare
from quietwire.net.resolver import NotFound, Srv


class Nowhere:
    """A `Lookup` that knows no name."""

    async def srv(self, name: str) -> Sequence[Srv]:
        raise NotFound("no such record")

    async def addresses(self, host: str) -> Sequence[str]:
        raise NotFound("no such name")


async def unreachable(url: str) -> int:
    raise ConnectionRefusedError


def test_every_area_has_its_say(tmp_path: Path) -> None:
    path, *_ = prepare(tmp_path / "server", "chat.example", "alice")
    found = asyncio.run(examine(path, Nowhere(), unreachable))
    assert {one.area for one in found} == {"configuration", "certificate", "dns", "port", "files", "keys", "features"}
    assert all("\n" not in one.cause + one.remedy for one in found)
    assert all(one.remedy for one in found if one.severity >= Severity.WARNING)
    assert "alice" not in repr(found)


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "quietwire.toml"
    path.write_text('domain = "a.example"\nnonsense = 1\n')
    done = CliRunner().invoke(app, ["check", "--json", "-c", str(path)])
    assert done.exit_code == 2
    (found,) = json.loads(done.output)
    assert (found["severity"], found["subject"]) == ("error", "nonsense")
    assert "no such key" in found["cause"]


@pytest.mark.parametrize(("severity", "status"), [(Severity.NOTE, 0), (Severity.WARNING, 1), (Severity.ERROR, 2)])
def test_the_exit_status_is_for_scripts(monkeypatch: pytest.MonkeyPatch, severity: Severity, status: int) -> None:
    async def found(path: Path) -> list[Finding]:
        return [Finding(severity, "dns", "_xmpp-client._tcp.a.example", "is [not] there", "make it")]

    monkeypatch.setattr(check, "examine", found)
    done = CliRunner().invoke(app, ["check"], env={"COLUMNS": "160"})
    assert done.exit_code == status
    assert "is [not] there" in done.output


def test_the_worst_comes_first() -> None:
    stream = io.StringIO()
    findings = [Finding(one, "dns", f"s{one.value}", "c", "r") for one in Severity]
    show(findings, Console(file=stream, width=120))
    *lines, last = stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["error", "->", "warning", "->", "note", "->", "ok", "->"]
    assert last == "1 error, 1 warning, 1 note, 1 in order"


def test_nobody_answers() -> None:
    with pytest.raises(OSError):
        asyncio.run(get("https://127.0.0.1:1/x"))
