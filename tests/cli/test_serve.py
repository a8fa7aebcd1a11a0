"""`quietwire serve` as a process. What clients see of it: `tests/scenarios`."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback import LoopbackStage, Served

from quietwire.seal.authority import Authority, new_p256_key
from quietwire.testing.playbook import closed


def test_starts_serves_the_administrator_and_stops(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice0"])
    try:
        assert served.command("account", "add", "carol", "--password-stdin", stdin="canary-password\n").startswith(
            "carol"
        )
        assert served.command("account", "list").startswith("2 accounts, 2 of them locked")
        assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "data" / "control.sock").stat().st_mode) == 0o600
        second = subprocess.run(
            [sys.executable, "-m", "quietwire", "serve", "-c", str(served.config)],
            capture_output=True, text=True, timeout=60, check=False,
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


def core_size(served: Served) -> str:
    limits = Path(f"/proc/{served.process.pid}/limits").read_text().splitlines()
    return next(line.split()[4] for line in limits if line.startswith("Max core file size"))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux shows the limits of a process")
def test_a_crash_leaves_no_core_dump_unless_it_is_told_to(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice0"])
    assert core_size(served) == "0"
    assert served.stop() == 0
    assert "core-dumps" not in served.log.read_text()
    served.config.write_text(served.config.read_text() + "[process]\ncore_dumps = true\n")
    served.start()
    assert served.stop() == 0
    assert "event='core-dumps-allowed'" in served.log.read_text()


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
        timeout=60,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "domain: " in done.stderr


def test_a_hang_up_reads_the_configuration_anew_and_drops_nobody(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice0"])
    stage = LoopbackStage(served, 0)
    try:
        stage.log_in("phone", "alice", "phone")
        text = served.config.read_text()
        for more, line in (
            ("[rates]\nclient_stanzas = 77\n", "event='reloaded'"),
            ("[rates]\nnonsense = 77\n", "event='reload-refused' where='rates.nonsense'"),
            ("[links]\nblock = 1024\n", "event='restart-needed' where='links.block'"),
        ):
            served.config.write_text(text + more)
            served.process.send_signal(signal.SIGHUP)
            wait_for(served, line)
        stage.send("phone", "<iq type='get' id='still'><ping xmlns='urn:xmpp:ping'/></iq>")
        stage.receive("phone")
        assert json.loads(served.command("status", "--json"))["sessions"] == 1
    finally:
        stage.close()
        assert served.stop() == 0


def wait_for(served: Served, line: str) -> None:
    deadline = time.monotonic() + 20
    while line not in served.log.read_text():
        assert time.monotonic() < deadline, served.log.read_text()
        time.sleep(0.02)


def test_an_expired_certificate_is_a_line_of_log_and_the_server_runs(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice0"])
    assert served.stop() == 0
    authority = Authority("expired", now=time.time() - 10 * 86_400, days=1, new_key=new_p256_key, random=os.urandom)
    issued = authority.issue(["a.example"])
    (tmp_path / "certificate.pem").write_bytes(issued.certificate)
    (tmp_path / "key.pem").write_bytes(issued.key)
    served.start()
    assert "event='certificate-expired'" in served.log.read_text()
    assert served.stop() == 0
