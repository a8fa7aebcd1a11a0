"""Debian's Prosody and ejabberd, as they are and as docs/operating.md has them behind a helper."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quietwire.seal.authority import Authority, new_p256_key

DOMAIN = "b.example"
PASSWORD = "a password, for once"
NAMES = ("carol", "dave")
START = 120.0
OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
HOMES = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
PROSODY = shutil.which("prosody")

PROSODY_HEAD = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ error = "{folder}/prosody.log" }}
use_ipv6 = false
interfaces = {{ "127.0.0.1" }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "smacks", "carbons" }}
modules_disabled = {{ "s2s" }}
authentication = "internal_hashed"
ssl = {{ certificate = "{folder}/chain.pem", key = "{folder}/key.pem" }}
"""
EJABBERD_HEAD = """
hosts: ["b.example"]
loglevel: error
certfiles: ["{folder}/both.pem"]
auth_method: internal
auth_password_format: scram
access_rules:
  c2s:
    - allow: all
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_ping: {{}}
  mod_stream_mgmt: {{}}
"""


def documented(language: str) -> str:
    """The configuration in docs/operating.md that puts this server behind a helper."""
    section = OPERATING.read_text().partition("## In front of another server")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None, language
    return found[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Peer:
    folder: Path
    port: int

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def pair(self) -> tuple[str, str]:
        return str(self.folder / "chain.pem"), str(self.folder / "key.pem")


def _prepare(folder: Path) -> None:
    authority = Authority("peers", now=time.time(), days=2, new_key=new_p256_key, random=os.urandom)
    issued = authority.issue([DOMAIN])
    (folder / "root.pem").write_bytes(authority.certificate)
    (folder / "chain.pem").write_bytes(issued.certificate)
    (folder / "key.pem").write_bytes(issued.key)
    (folder / "both.pem").write_bytes(issued.certificate + issued.key)


def _wait(port: int, process: subprocess.Popen[bytes], ready: Path | None = None) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended with status {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0 and (ready is None or ready.exists()):
                return
        time.sleep(0.05)
    raise AssertionError("it did not start")


@contextmanager
def prosody(folder: Path, *, behind: bool) -> Iterator[Peer]:
    """`behind`: as documented for a helper in front of it, else as it is, with STARTTLS."""
    _prepare(folder)
    port = free_port()
    more = documented("lua").replace("15222", str(port)) if behind else f"c2s_ports = {{ {port} }}\n"
    config = folder / "prosody.cfg.lua"
    config.write_text(PROSODY_HEAD.format(folder=folder) + more + f'VirtualHost "{DOMAIN}"\n')
    (folder / "data").mkdir()
    for name in NAMES:
        register = ["prosodyctl", "--config", str(config), "--root", "register", name, DOMAIN, PASSWORD]
        subprocess.run(register, check=True, capture_output=True)
    process = subprocess.Popen(
        ["prosody", "--config", str(config), "-F", "--root"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port, process)
        yield Peer(folder, port)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def ejabberd(folder: Path, *, behind: bool) -> Iterator[Peer]:
    """See `prosody`."""
    _prepare(folder)
    port = free_port()
    usual = 'listen:\n  - port: 15222\n    ip: "127.0.0.1"\n    module: ejabberd_c2s\n    starttls_required: true\n'
    more = (documented("yaml") if behind else usual).replace("15222", str(port))
    (folder / "ejabberd.yml").write_text(EJABBERD_HEAD.format(folder=folder) + more)
    done = folder / "accounts.done"
    boot = "".join(f'ok = ejabberd_auth:try_register(<<"{n}">>, <<"{DOMAIN}">>, <<"{PASSWORD}">>),' for n in NAMES)
    command = ["erl", "+S", "1", "+sbwt", "none", "-noinput", "-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd"]
    command += ["-eval", boot + f'ok = file:write_file("{done}", <<>>).']
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_LIBS": str(HOMES[-1].parents[2]),
        "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        "ERL_CRASH_DUMP_SECONDS": "0",
    }
    with (folder / "ejabberd.out").open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=folder)
    try:
        _wait(port, process, done)
        yield Peer(folder, port)
    finally:
        process.terminate()
        process.wait(30)
