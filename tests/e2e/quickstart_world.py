"""A server as its quickstart makes it, run as a process, for trials with clients that we did not write."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import slixmpp

from quietwire.lab.testbed import free_ports

PASSWORD = "correct horse battery staple"
DOMAIN = "localhost"
WAIT = 40.0
"""Seconds for anything to happen on a machine that has other work."""
_PORT = re.compile(r"^(c2s|c2s_tls|https) = (\d+)$", re.MULTILINE)


def quietwire(*arguments: str, stdin: str = "") -> None:
    """One command, which must succeed."""
    command = (sys.executable, "-m", "quietwire", *arguments)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stderr


@dataclass
class Home:
    """The folder of a server that runs, and its ports: `starttls` and `direct`."""

    folder: Path
    starttls: int
    direct: int

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def make(folder: Path, *names: str) -> Home:
    """A server with accounts of these names, all with `PASSWORD`."""
    quietwire("quickstart", "--no-run", "--folder", str(folder), "--domain", DOMAIN)
    config = folder / "quietwire.toml"
    # Not the ports that everybody tries: other tests run beside this one and would find them free as well.
    text = config.read_text()
    taken = [port for _, port in _PORT.findall(text)]
    for old, new in zip(taken, free_ports(len(taken)), strict=True):
        text = re.sub(rf"\b{old}\b", str(new), text)  # in the address of the web port too
    config.write_text(text)
    ports = {key: int(port) for key, port in _PORT.findall(config.read_text())}
    for name in names:
        quietwire("account", "add", name, "--password-stdin", "--config", str(config), stdin=PASSWORD + "\n")
    return Home(folder, ports["c2s"], ports["c2s_tls"])


def start(home: Home, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Returns when it listens."""
    command = (sys.executable, "-m", "quietwire", "serve", "--config", str(home.folder / "quietwire.toml"))
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        log.write(line)
        log.flush()
        if b"event='ready'" in line:
            return process
    raise AssertionError(home.log)


class Friend(slixmpp.ClientXMPP):
    """slixmpp, which checks the server's certificate against the quickstart's authority."""

    def __init__(self, name: str, home: Home, *, direct: bool = False) -> None:
        super().__init__(f"{name}@{DOMAIN}/friend", PASSWORD)
        self._home = home
        self._direct = direct
        self.enable_starttls = not direct
        self.enable_plaintext = False
        self.enable_direct_tls = direct
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0198")
        self.register_plugin("xep_0199")
        self.register_plugin("xep_0280")

    def get_ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._home.authority))

    def dial(self) -> asyncio.Future[None]:
        """-> when the session has started."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def begun(_: object) -> None:
            if not started.done():
                started.set_result(None)

        self.add_event_handler("session_start", begun)
        self.connect("127.0.0.1", self._home.direct if self._direct else self._home.starttls)
        return started
