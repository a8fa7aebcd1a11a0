from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from configs import Setup
from pair import HOSTS, start_pair
from peers import PEERS, PeerError, Running


def sleeper(folder: Path, accounts: int, core: int | None, setup: Setup) -> Running:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    return Running("sleeper", setup.host, setup.s2s, folder, process)


def test_two_servers_are_told_of_each_other_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Setup] = []

    def start(folder: Path, accounts: int, core: int | None, setup: Setup) -> Running:
        seen.append(setup)
        return sleeper(folder, accounts, core, setup)

    monkeypatch.setitem(PEERS, "sleeper", start)
    pair = start_pair("sleeper", tmp_path, 1, None)
    words = pair.arguments()
    pair.check()
    pair.stop()
    assert [setup.host for setup in seen] == list(HOSTS)
    assert seen[0].s2s != seen[1].s2s
    assert seen[0].dns == seen[1].dns != 0
    assert words[words.index("--peer-host") + 1] == HOSTS[1]
    assert pair.names.poll() is not None
    assert all((tmp_path / host / f"{host}.crt").exists() for host in HOSTS)
    with pytest.raises(PeerError):
        pair.check()


def test_what_was_started_is_stopped_where_the_second_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Running] = []

    def start(folder: Path, accounts: int, core: int | None, setup: Setup) -> Running:
        if begun:
            raise PeerError("no")
        begun.append(sleeper(folder, accounts, core, setup))
        return begun[0]

    monkeypatch.setitem(PEERS, "sleeper", start)
    with pytest.raises(PeerError, match="no"):
        start_pair("sleeper", tmp_path, 1, None)
    assert begun[0].process.poll() is not None
