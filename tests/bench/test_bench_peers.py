from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from peers import (
    PeerError,
    Running,
    certificate,
    ejabberd_boot,
    free_port,
    log_end,
    package_version,
    pinned,
    prosody_account,
    spawn,
)


def test_a_prosody_account_holds_the_keys_of_rfc_5802() -> None:
    written = prosody_account("pencil", "salt", 4096)
    assert written.startswith("return {\n")
    assert '["iteration_count"] = 4096;' in written
    assert '["salt"] = "salt";' in written
    assert len(written.partition('["stored_key"] = "')[2].partition('"')[0]) == 40


def test_ejabberd_makes_its_accounts() -> None:
    assert "lists:seq(1, 99)" in ejabberd_boot(100, Path("done"))


def test_a_certificate_is_made_with_a_private_key_only_we_can_read(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path, "h.example")
    assert chain.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))


def test_pinning_puts_taskset_in_front_and_none_leaves_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert pinned(["a", "b"], 1) == ["/usr/bin/taskset", "-c", "1", "a", "b"]
    assert pinned(["a", "b"], None) == ["a", "b"]


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert package_version("no-such-package-at-all") == ""


def test_a_server_that_dies_at_once_is_one_line_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="dud ended with status 3: first"):
        spawn("dud", "1", [sys.executable, "-c", "print('first\\nsecond'); exit(3)"], tmp_path, free_port(), None)


def test_a_server_that_listens_is_started_and_stopped(tmp_path: Path) -> None:
    port = free_port()
    program = (
        "import socket,time; s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
        f"s.bind(('127.0.0.1', {port})); s.listen(); time.sleep(60)"
    )
    running = spawn("good", "1", [sys.executable, "-c", program], tmp_path, port, None)
    running.check()
    running.stop()
    with pytest.raises(PeerError, match="good ended"):
        running.check()


def test_the_end_of_a_log_is_one_line(tmp_path: Path) -> None:
    assert log_end(tmp_path) == "it said nothing"
    (tmp_path / "a.log").write_text("x" * 1000 + "\nlast\n")
    assert log_end(tmp_path, 10).endswith("| last")


def test_stop_kills_what_does_not_end(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal,time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    Running("stubborn", "1", 1, tmp_path, process, patience=0.1).stop()
    assert process.returncode == -9
