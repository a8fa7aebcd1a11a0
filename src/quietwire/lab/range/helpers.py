"""`quietwire shield` in the range: before each server, and one process beside each device, as people would have it."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quietwire.lab.range.configs import House
from quietwire.lab.range.hosts import Running, spawn
from quietwire.lab.range.scenario import Scenario

SHIELD = (sys.executable, "-m", "quietwire", "shield")


def pin(chain: Path) -> str:
    """What a tunnel's end is known by: the first certificate's key (docs/protocols/shield.md)."""
    key = x509.load_pem_x509_certificate(chain.read_bytes()).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return "sha256/" + base64.b64encode(digest).decode()


def before(house: House, scenario: Scenario, port: int) -> list[str]:
    """What stands at `port` before a server that has a plain port, or, for a tunnel, one with TLS."""
    own = ["--certificate", str(house.chain), "--key", str(house.key)]
    shape = _shape(scenario, scenario.server)
    if scenario.shield == "tunnel":
        return [
            "tunnel-server", "--to", f"127.0.0.1:{house.clients}", "--listen", f"127.0.0.1:{port}", *own, *shape,
        ]  # fmt: skip
    return [
        "server", "--to", f"127.0.0.1:{house.plain}", "--listen", "", "--listen-tls", f"127.0.0.1:{port}", *own, *shape,
    ]  # fmt: skip


def beside(house: House, scenario: Scenario, port: int, reached: int, folder: Path) -> list[str]:
    """What stands at `port` beside a device that reaches its server, or the tunnel's other end, at port `reached`."""
    kept = ["--folder", str(folder)]
    shape = _shape(scenario, scenario.client)
    if scenario.shield == "tunnel":
        return [
            "tunnel-client", "--to", f"127.0.0.1:{reached}", "--listen", f"127.0.0.1:{port}", "--pin",
            pin(house.chain), *kept, *shape,
        ]  # fmt: skip
    return [
        "client", "--server", house.domain, "--address", f"127.0.0.1:{reached}", "--direct-tls", "--listen", "",
        "--listen-tls", f"127.0.0.1:{port}", "--ca-file", str(house.authority), *kept, *shape,
    ]  # fmt: skip


def _shape(scenario: Scenario, profile: str) -> Iterator[str]:
    yield from ("--profile", profile)
    for name, value in scenario.links.items():
        yield f"--{name.replace('_', '-')}"
        if value is not True:
            yield str(value)


def start_before(house: House, scenario: Scenario, port: int) -> Running:
    """Before a server. Raises BedError."""
    command = [*SHIELD, *before(house, scenario, port)]
    return spawn("shield", version("quietwire"), command, replace(house, clients=port))


def start_beside(house: House, scenario: Scenario, port: int, reached: int, folder: Path) -> Running:
    """Beside a device. `folder`: of its own. Raises BedError."""
    folder.mkdir(parents=True)
    if scenario.shield != "tunnel":
        # Where the helper keeps what it shows to its clients: with these it makes no authority, which each device
        # would have to be told of.
        (folder / "certificate.pem").write_bytes(house.chain.read_bytes())
        (folder / "key.pem").touch(0o600)
        (folder / "key.pem").write_bytes(house.key.read_bytes())
    command = [*SHIELD, *beside(house, scenario, port, reached, folder)]
    return spawn("shield", version("quietwire"), command, replace(house, folder=folder, clients=port))
