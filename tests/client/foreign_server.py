"""A foreign server for the client: Debian's Prosody, in a temporary folder, on free loopback ports."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from certs import Authority

DOMAINS = ("a.example", "b.example")
PASSWORD = "correct horse battery staple"
USERS = ("alice@a.example", "bob@b.example", "carol@b.example", "dave@a.example")

CONFIG = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ {{ levels = {{ min = "info" }}, to = "file", filename = "{folder}/prosody.log" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {starttls} }}
c2s_direct_tls_ports = {{ {direct} }}
s2s_ports = {{ }}
c2s_require_encryption = true
authentication = "internal_hashed"
storage = "internal"
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "pep", "carbons", "smacks", "ping", "offline" }}
modules_disabled = {{ "s2s" }}
smacks_hibernation_time = {hibernation}
c2s_direct_tls_ssl = {{ certificate = "{folder}/{first}.crt", key = "{folder}/{first}.key" }}
"""
HOST = """
VirtualHost "{domain}"
  ssl = {{ certificate = "{folder}/{first}.crt", key = "{folder}/{first}.key" }}
"""


@dataclass(frozen=True)
class Server:
    folder: Path
    direct: int
    starttls: int

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def start(folder: Path) -> Iterator[Server]:
    if shutil.which("prosody") is None:
        pytest.skip("Debian's prosody is not installed")
    direct, starttls = free_ports(2)
    authority = Authority()
    authority.write(folder / "ca.pem")
    authority.issue(folder, *DOMAINS)
    (folder / "data").mkdir()
    fill = {"folder": folder, "direct": direct, "starttls": starttls, "first": DOMAINS[0], "hibernation": 60}
    config = CONFIG.format(**fill) + "".join(HOST.format(domain=domain, **fill) for domain in DOMAINS)
    path = folder / "prosody.cfg.lua"
    path.write_text(config)
    for user in USERS:
        local, domain = user.split("@")
        command = ["prosodyctl", "--config", str(path), "--root", "register", local, domain, PASSWORD]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    process = subprocess.Popen(
        ["prosody", "--config", str(path), "-F", "--root"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(direct, process)
        yield Server(folder, direct, starttls)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    # The operating system offers no event for "somebody listens": ask until the deadline.
    for _ in range(200):
        if process.poll() is not None:
            pytest.fail("prosody ended at once")
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            return
        except OSError:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
    pytest.fail("prosody does not listen")
