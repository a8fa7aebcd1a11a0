from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quietwire.cli import shield
from quietwire.lab.range import helpers
from quietwire.lab.range.configs import House
from quietwire.lab.range.hosts import Running
from quietwire.lab.range.scenario import Scenario
from quietwire.seal.authority import Authority, new_p256_key

STEADY = Scenario(
    system="prosody", shield="both", server="steady", client="padded", links={"tick": 1.5, "fast_tick": 0.5}
)
SHAPED = ["--tick", "1.5", "--fast-tick", "0.5"]


@pytest.fixture
def house(tmp_path: Path) -> House:
    authority = Authority("Test", now=1.8e9, days=2, new_key=new_p256_key, random=lambda size: b"\x11" * size)
    issued = authority.issue(["a.example"])
    chain, key = tmp_path / "a.crt", tmp_path / "a.key"
    chain.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    return House(tmp_path, "a.example", 5001, 5002, chain, key, plain=5003, authority=tmp_path / "ca.pem")


def test_before_a_server_stands_its_helper_with_the_servers_profile(house: House) -> None:
    command = helpers.before(house, STEADY, 6001)
    assert command == [
        "server", "--to", "127.0.0.1:5003", "--listen", "", "--listen-tls", "127.0.0.1:6001",
        "--certificate", str(house.chain), "--key", str(house.key), "--profile", "steady", *SHAPED,
    ]  # fmt: skip


def test_beside_a_device_stands_its_helper_with_the_clients_profile(house: House) -> None:
    command = helpers.beside(house, STEADY, 6001, 7001, Path("/f"))
    assert command == [
        "client", "--server", "a.example", "--address", "127.0.0.1:7001", "--direct-tls", "--listen", "",
        "--listen-tls", "127.0.0.1:6001", "--ca-file", str(house.authority), "--folder", "/f", "--profile", "padded",
        *SHAPED,
    ]  # fmt: skip


def test_a_tunnel_has_two_ends_that_know_each_other(house: House) -> None:
    scenario = replace(STEADY, shield="tunnel")
    far, near = helpers.before(house, scenario, 6001), helpers.beside(house, scenario, 6002, 7001, Path("/f"))
    mixed = Scenario(shield="client", client="jitter", links={"pad": True, "garbage": 2.5})
    assert helpers.beside(house, mixed, 1, 2, Path("/f"))[-3:] == ["--pad", "--garbage", "2.5"]
    assert far[:5] == ["tunnel-server", "--to", "127.0.0.1:5001", "--listen", "127.0.0.1:6001"]
    assert near[:5] == ["tunnel-client", "--to", "127.0.0.1:7001", "--listen", "127.0.0.1:6002"]
    key = subprocess.run(
        ["openssl", "x509", "-in", str(house.chain), "-noout", "-pubkey"], capture_output=True, check=True
    ).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True)
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary"], input=der.stdout, capture_output=True, check=True
    )
    base64 = subprocess.run(["openssl", "base64"], input=digest.stdout, capture_output=True, check=True).stdout
    assert near[near.index("--pin") + 1] == "sha256/" + base64.decode().strip()


@pytest.mark.parametrize("where", ["both", "tunnel"])
def test_the_program_takes_what_it_is_told(
    house: House, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as to running."""
    import typer

    ran: list[object] = []

    def run(main: object) -> None:
        ran.append(main)
        main.close()  # type: ignore[attr-defined]

    monkeypatch.setattr(shield, "run", run)
    app = typer.Typer()
    shield.register(app)
    scenario = replace(STEADY, shield=where)  # type: ignore[arg-type]
    (tmp_path / "ca.pem").write_bytes(house.chain.read_bytes())
    for command in (
        helpers.before(house, scenario, 6001),
        helpers.beside(house, scenario, 6002, 7001, tmp_path / "kept"),
    ):
        result = CliRunner().invoke(app, ["shield", *command])
        assert result.exit_code == 0, result.output + repr(result.exception)
    assert len(ran) == 2


def test_a_helper_beside_a_device_shows_the_servers_certificate(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a device need not be told of an authority of the helper's."""
    started: list[tuple[list[str], House]] = []

    def spawn(name: str, release: str, command: list[str], its: House, **environment: str) -> Running:
        started.append((command, its))
        return Running(name, release, its.clients, its.folder, subprocess.Popen([sys.executable, "-c", ""]))

    monkeypatch.setattr(helpers, "spawn", spawn)
    folder = tmp_path / "helpers" / "0.0"
    running = helpers.start_beside(house, STEADY, 6001, 7001, folder)
    running.process.wait()
    assert (folder / "certificate.pem").read_bytes() == house.chain.read_bytes()
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    running = helpers.start_before(house, STEADY, 6002)
    running.process.wait()
    assert [(its.clients, its.folder) for _, its in started] == [(6001, folder), (6002, house.folder)]
    assert [command[:5] for command, _ in started] == [[*helpers.SHIELD, "client"], [*helpers.SHIELD, "server"]]
