from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quietwire.cli.app import app
from quietwire.cli.compose import compose
from quietwire.cli.config import Config, load
from quietwire.cli.links import links, planned, rows
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.cli.serve import take_commands
from quietwire.net.pacer import SteadyLine
from quietwire.shaping.policy import Policy, Profile

STEADY = "[links]\nprofile = 'steady'\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = prepare(tmp_path / "server", "chat.example", "canaryname")[0]
    found.write_text(found.read_text() + STEADY)
    return found


def of(**links: Any) -> list[dict[str, Any]]:
    return planned(Config.model_validate({"domain": "a.example", "links": links}))


def test_what_is_planned() -> None:
    clients, servers = of(profile="steady")
    assert clients["bytes_a_day"] == pytest.approx(35e6, rel=0.01)
    assert (clients["cell"], clients["tick"], clients["p50_seconds"], clients["p95_seconds"]) == (816, 2.2, 1.1, 2.09)
    assert (servers["links"], servers["profile"], servers["cell"], servers["tick"]) == ("s2s", "steady", 2046, 1.0)
    clients, servers = of(profile="jitter", garbage=60, pad=True, s2s={"pad": False})
    assert clients["bytes_a_day"] == 1440 * (544 + 256 + 62)
    assert servers["bytes_a_day"] == 1440 * (544 + 62)
    assert (clients["block"], servers["block"]) == (512, None)
    clients, servers = of(profile="jitter", delay=0.2, s2s={"profile": "off"})
    assert (clients["bytes_a_day"], clients["p50_seconds"]) == (0, 0.1)
    assert servers["p95_seconds"] == 0.0


def test_one_process_has_one_record_size() -> None:
    padded = {"profile": "padded"}
    clients = of(profile="steady")[0]["bytes_a_day"]
    assert of(profile="steady", s2s=padded)[0]["bytes_a_day"] > 1.2 * clients
    assert of(profile="steady", s2s=padded, padding="spaces")[0]["bytes_a_day"] == clients


def test_without_a_server(path: Path) -> None:
    said = CliRunner().invoke(app, ["links", "-c", str(path)])
    assert said.exit_code == 0
    assert "35.0" in said.output
    assert "No server is running" in said.output
    told = json.loads(CliRunner().invoke(app, ["links", "--json", "-c", str(path)]).output)
    assert told["running"] is None
    assert [row["links"] for row in told["planned"]] == ["c2s", "s2s"]


class Nobody:
    """Implements `pacer.Host`."""

    def write(self, data: bytes) -> None: ...

    def clear(self) -> bool:
        return True

    def drained(self) -> None: ...

    def roomy(self) -> None: ...

    def end(self) -> None: ...

    def abort(self) -> None: ...


def test_of_the_running_server(path: Path) -> None:
    async def main() -> None:
        composition = await compose(load(path), Log("error", io.StringIO()))
        await take_commands(composition, path)
        try:
            policy = Policy(Profile.STEADY, cell=128, tick=0.1, fast_tick=0.1, window=0.0, bulk_every=0.0)
            SteadyLine(composition.shell.pacer, policy, Nobody())
            await asyncio.sleep(0.5)
            done = await asyncio.to_thread(CliRunner().invoke, app, ["links", "--json", "-c", str(path)])
            told = json.loads(done.output)["running"]
            assert told["steady_links"] == 1
            assert told["cells"] >= 3
            assert told["cell_bytes"] == 128 * told["cells"]
            assert 0.2 * 128 * 864_000 < told["bytes_a_day_and_link"] < 1.5 * 128 * 864_000
            assert told["queued_bytes"] == told["queued_sessions"] == told["jittered_links"] == 0
            assert "canaryname" not in done.output
            assert "chat.example" not in done.output
            shown = await asyncio.to_thread(CliRunner().invoke, app, ["links", "-c", str(path)])
            assert "MB a day and link" in shown.output
            assert dict(rows(links(composition)))["steady links"] == "1"
        finally:
            await composition.stop()

    asyncio.run(main())
