from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quietwire.cli.app import app
from quietwire.cli.compose import compose
from quietwire.cli.config import load
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.cli.serve import take_commands
from quietwire.cli.status import rows
from quietwire.core.errors import QuietwireError


def told(path: Path, *words: str) -> str:
    """What the command says while the server runs."""

    async def main() -> str:
        composition = await compose(load(path), Log("error", io.StringIO()))
        await take_commands(composition, path)
        try:
            done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "-c", str(path)])
            assert done.exit_code == 0, done.output
            return done.output
        finally:
            await composition.stop()

    return asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return prepare(tmp_path / "server", "chat.example", "canaryname")[0]


def test_counts_and_nobodys_name(path: Path) -> None:
    said = told(path, "status", "--json")
    counts = json.loads(said)
    assert (counts["accounts"], counts["unlocked"]) == (1, 0)
    assert counts["sessions"] == counts["rooms"] == counts["client_streams"] == 0
    assert counts["accounts_in_clear"] == 0
    assert counts["storage_accepting"] is True
    assert counts["storage_fault"] == ""
    assert counts["memory_bytes"] > 10 << 20
    assert 80 * 86_400 < counts["certificate_seconds_left"] <= 90 * 86_400
    assert set(counts["versions"]) == {"quietwire", "python", "openssl", "sqlite"}
    assert "canaryname" not in said
    assert "chat.example" not in said
    shown = dict(rows(counts))
    assert shown["storage"].startswith("accepting")
    assert shown["certificate"].startswith("89 d")


def test_for_people(path: Path) -> None:
    said = told(path, "status")
    assert "wait for their client" in said
    assert "canaryname" not in said


def test_what_must_be_looked_at_is_loud() -> None:
    counts = {
        "uptime_seconds": 100_000, "accounts": 3, "unlocked": 1, "accounts_in_clear": 2, "sessions": 1,
        "sessions_resumable": 0,
        "client_streams": 1, "server_streams_in": 0, "server_streams_out": 0, "connections": 5,
        "connections_before_login": 4,
        "connections_paused": True, "rooms": 0, "jobs_computing": 0, "storage_accepting": False,
        "storage_fault": "disk full", "storage_waiting_bytes": 7, "memory_bytes": 1 << 30,
        "certificate_seconds_left": -5, "versions": {"quietwire": "1"},
    }  # fmt: skip
    shown = dict(rows(counts))
    assert shown["storage"] == "REFUSING, the disk refuses: disk full, 7 bytes wait"
    assert shown["certificate"] == "EXPIRED"
    assert shown["accounts"] == "3, 1 of them unlocked, 2 not sealed before they log in"
    assert shown["connections"] == "5, 4 before login, further ones wait"
    assert shown["up for"] == "1 d 3 h"
    assert dict(rows({**counts, "certificate_seconds_left": None}))["certificate"] == "unreadable"


def test_reload_by_command(path: Path) -> None:
    path.write_text(path.read_text())
    assert told(path, "reload") == "reloaded\n"


@pytest.mark.parametrize("word", ["status", "reload"])
def test_no_server_is_running(path: Path, word: str) -> None:
    with pytest.raises(QuietwireError, match="no server is running"):
        CliRunner().invoke(app, [word, "-c", str(path)], catch_exceptions=False)
