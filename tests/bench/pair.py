"""Two servers of one kind that talk to each other over TLS with certificates (SASL EXTERNAL), on one core."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from configs import Setup
from peers import PEERS, PeerError, Running, certificate, free_port, new_authority

HOSTS = ("one.example", "two.example")
FIRST_PORT = 26_000
"""For the links between the two: beyond what `free_port` gives to the servers, which are not listening yet."""


@dataclass
class Pair:
    """Stands where a `Running` does: the load generator is given both."""

    servers: list[Running]
    names: subprocess.Popen[str]

    @property
    def name(self) -> str:
        return self.servers[0].name

    @property
    def release(self) -> str:
        return self.servers[0].release

    @property
    def folder(self) -> Path:
        return self.servers[0].folder

    def arguments(self) -> list[str]:
        """For the load generator."""
        one, two = self.servers
        pids = f"{one.process.pid},{two.process.pid}"
        return ["--port", str(one.port), "--host", HOSTS[0], "--peer-port", str(two.port), "--peer-host", HOSTS[1],
                "--pid", pids]  # fmt: skip

    def check(self) -> None:
        for server in self.servers:
            server.check()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        self.names.communicate()


def start_pair(name: str, folder: Path, accounts: int, core: int | None) -> Pair:
    """Raises PeerError."""
    authority = new_authority()
    root = folder / "root.pem"
    root.write_bytes(authority.certificate)
    first = free_port(FIRST_PORT)
    ports = dict(zip(HOSTS, (first, free_port(first + 1)), strict=True))
    names = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("names.py")), json.dumps(ports)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    pair = Pair([], names)
    try:
        assert names.stdout is not None
        setup = Setup(dns=int(names.stdout.readline() or 0), authority=root)
        if not setup.dns:
            raise PeerError("the resolver of the pair did not start")
        for host in HOSTS:
            own = folder / host
            own.mkdir()
            certificate(own, host, authority)
            whole = replace(setup, host=host, s2s=ports[host])
            pair.servers.append(PEERS[name](own, accounts, core, whole))
    except BaseException:
        pair.stop()
        raise
    return pair
