"""Room commands, in a server's absence and on one that runs."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quietwire.cli.app import app
from quietwire.cli.commands import administrate
from quietwire.cli.compose import compose
from quietwire.cli.config import load
from quietwire.cli.logs import Log
from quietwire.cli.serve import take_commands
from quietwire.core.errors import QuietwireError


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "quietwire.toml"
    path.write_text('domain = "a.example"\n[login]\niterations = 4096\n')
    CliRunner().invoke(app, ["account", "add", "alice", "-c", str(path)], catch_exceptions=False)
    return str(path)


def run(config: str, *words: str) -> str:
    done = CliRunner().invoke(app, ["room", *words, "-c", config], catch_exceptions=False, env={"COLUMNS": "140"})
    assert done.exit_code == 0, done.output
    return done.output


def test_the_life_of_a_room_without_a_server(config: str) -> None:
    assert run(config, "create", "den", "--owner", "alice", "--name", "[Den]") == "den@conference.a.example\n"
    assert run(config, "affiliation", "den", "bob@b.example", "outcast") == "bob@b.example is outcast\n"
    assert run(config, "members", "den") == "owner\talice@a.example\noutcast\tbob@b.example\n"
    line = run(config, "list").splitlines()[1].split()
    assert line == ["den@conference.a.example", "[Den]", "no", "no", "yes", "0", "1"]
    assert run(config, "destroy", "den@conference.a.example", "--yes") == "den@conference.a.example destroyed\n"
    assert "den@" not in run(config, "list")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["destroy", "none", "--yes"], "no such room"),
        (["create", "den", "--owner", "alice"], "such a room already"),
        (["create", "den@b.example", "--owner", "alice"], "rooms of this server are at conference.a.example"),
        (["create", "a b", "--owner", "alice"], "is not an address"),
        (["members", "none"], "no such room"),
        (["affiliation", "den", "bob", "king"], "one of "),
    ],
)
def test_what_cannot_be_done_has_a_reason(config: str, words: list[str], why: str) -> None:
    run(config, "create", "den", "--owner", "alice")
    with pytest.raises(QuietwireError, match=why):
        CliRunner().invoke(app, ["room", *words, "-c", config], catch_exceptions=False)


def test_nothing_is_destroyed_without_a_yes(config: str) -> None:
    run(config, "create", "den", "--owner", "alice")
    assert CliRunner().invoke(app, ["room", "destroy", "den", "-c", config], input="n\n").exit_code == 1
    assert "den@" in run(config, "list")


def test_on_a_server_that_runs(tmp_path: Path) -> None:
    from quietwire.cli.quickstart import prepare

    config = load(prepare(tmp_path / "server", "chat.example", "alice")[0])

    async def main() -> list[str]:
        composition = await compose(config, Log("error", io.StringIO()))
        await take_commands(composition)
        try:
            await asyncio.to_thread(administrate, config, "room-create", room="den", owner="alice")
            listed = await asyncio.to_thread(administrate, config, "room-list")
            assert (await asyncio.to_thread(administrate, config, "status"))["rooms"] == 1
            return [one["jid"] for one in listed]
        finally:
            await composition.stop()

    assert asyncio.run(main()) == ["den@conference.chat.example"]
    assert [one["jid"] for one in administrate(config, "room-list")] == ["den@conference.chat.example"]
