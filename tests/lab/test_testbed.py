from __future__ import annotations

import asyncio
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from quietwire.lab.processes import BedError
from quietwire.lab.testbed import ADDRESSES, DEVICES, PEOPLE, Commands, World, configuration, free_ports, write_private
from quietwire.lab.workload import script


def test_the_configuration_names_ports_profile_and_the_other_server() -> None:
    parsed = tomllib.loads(configuration("a.example", "b.example", 1001, 1002, 2002, "padded"))
    assert parsed["domain"] == "a.example"
    ports = {"c2s": 0, "c2s_tls": 1001, "s2s": 1002, "s2s_tls": 0, "https": 0}
    assert parsed["listen"] == {"address": "127.0.0.1", **ports}
    assert parsed["links"] == {"profile": "padded"}
    assert parsed["federation"]["override"]["b.example"]["port"] == 2002


def test_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_private_files_are_private(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"k")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "key", b"other")


def test_every_device_has_an_address_of_its_own() -> None:
    assert len({ADDRESSES[who][device] for who in PEOPLE for device in DEVICES}) == 4


def test_a_world_that_cannot_be_built_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    broken = [sys.executable, "-c", "import sys; sys.exit('no accounts today')"]
    said: list[str] = []
    world = World(tmp_path / "w", "padded", Commands(broken, broken, broken), said.append)

    async def main() -> None:
        talk = script(("alice", "bob"), seconds=20, each=21, seed=1)
        with pytest.raises(BedError, match="no accounts today"):
            await world.live(talk, asyncio.Event(), asyncio.Event())
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert said == ["making accounts"]
    assert "RecordPadding = 512" in (tmp_path / "w" / "openssl.cnf").read_text()
    assert world.trace("client-network.alice").exists()
