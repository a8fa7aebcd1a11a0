"""`quietwire serve` as a process. What clients see of it: `tests/scenarios`."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

from loopback import LoopbackStage, Served

from quietwire.testing.playbook import closed


def test_starts_serves_the_administrator_and_stops(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice0"])
    try:
        assert served.command("account", "add", "carol", "--password-stdin", stdin="canary-password\n").startswith(
            "carol"
        )
        assert served.command("account", "list") == "alice0@a.example\ncarol@a.example\n"
        assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "data" / "control.sock").stat().st_mode) == 0o600
        second = subprocess.run(
            [sys.executable, "-m", "quietwire", "serve", "-c", str(served.config)],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert len(second.stderr.strip().splitlines()) == 1, second.stderr
    finally:
        assert served.stop() == 0
    log = served.log.read_text()
    assert "event='stopped'" in log
    assert not [canary for canary in ("alice", "carol", "canary", "@") if canary in log]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", served.port)) != 0


def test_a_deleted_account_is_thrown_out_at_once(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice0"])
    stage = LoopbackStage(served, 0)
    try:
        stage.log_in("phone", "alice", "phone")
        served.command("account", "delete", "alice0", "--yes")
        stage.receive("phone")
        assert stage.receive("phone") is closed
    finally:
        stage.close()
        assert served.stop() == 0


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "quietwire.toml"
    config.write_text("domain = 3\n")
    done = subprocess.run(
        [sys.executable, "-m", "quietwire", "serve", "-c", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "domain: " in done.stderr
