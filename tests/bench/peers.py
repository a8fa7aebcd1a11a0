"""Starts the servers that are compared: ours, and Debian's Prosody and ejabberd, as ordinary processes.

Each gets a temporary folder, a free loopback port with direct TLS, the accounts u0... with the password `pw`, and the
settings fairest to it: archives, limits and server-to-server links off, stream management and carbons on, errors alone
logged, Prosody's generational collector, one scheduler for ejabberd that does not spin while it waits.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from wire import stored_keys

from quietwire.seal.authority import Authority, new_p256_key

HOST = "localhost"
PASSWORD = "pw"
ITERATIONS = 4096
START = 120.0
"""Seconds until a server must accept connections; ejabberd takes ten of them on a busy machine."""


NOTHING = "it said nothing"


class PeerError(Exception):
    """A server is missing, did not start or died. One line, with the end of its log."""


@dataclass
class Running:
    """A server process that accepts connections on 127.0.0.1:`port`, with direct TLS."""

    name: str
    release: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    patience: float = 15.0
    """Seconds between SIGTERM and SIGKILL."""

    def check(self) -> None:
        """Raises PeerError when the process has ended."""
        if self.process.poll() is not None:
            raise PeerError(f"{self.name} ended with status {self.process.returncode}: {log_end(self.folder)}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def log_end(folder: Path, size: int = 600) -> str:
    """The end of what the server said, on one line."""
    text = "".join(path.read_text(errors="replace")[-size:] for path in sorted(folder.glob("*.log")))
    return " | ".join(text.splitlines())[-size:] or NOTHING


def free_port() -> int:
    """A port nobody listens on now, below the range that the kernel takes for outgoing connections."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise PeerError("no free port between 20000 and 32000")


def pinned(command: list[str], core: int | None) -> list[str]:
    """`command`, kept on one core where the machine has the means."""
    taskset = shutil.which("taskset")
    return command if core is None or taskset is None else [taskset, "-c", str(core), *command]


def certificate(folder: Path, host: str = HOST) -> tuple[Path, Path]:
    """A fresh certificate and its key in `folder`, as PEM files."""
    authority = Authority("bench", now=time.time(), days=2, new_key=new_p256_key, random=os.urandom)
    issued = authority.issue([host])
    chain, key = folder / f"{host}.crt", folder / f"{host}.key"
    chain.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    key.chmod(0o600)
    return chain, key


def spawn(
    name: str, release: str, command: list[str], folder: Path, port: int, core: int | None, **environment: str
) -> Running:
    """Starts a server and waits until it listens. Raises PeerError when it does not."""
    with (folder / "output.log").open("ab") as output:
        process = subprocess.Popen(
            pinned(command, core),
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Running(name, release, port, folder, process)
    try:
        wait_until(lambda: listening(port), running)
    except BaseException:
        running.stop()
        raise
    return running


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(true: Callable[[], bool], running: Running) -> None:
    deadline = time.monotonic() + START
    while not true():
        running.check()
        if time.monotonic() > deadline:
            raise PeerError(f"{running.name} did not start within {START:.0f} s: {log_end(running.folder)}")
        time.sleep(0.05)


def package_version(package: str) -> str:
    """The version of a Debian package, "" when it is not installed."""
    try:
        found = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.decode().partition("-")[0]


# Quietwire


def quietwire_config(folder: Path, port: int, chain: Path, key: Path) -> str:
    return f"""\
domain = "{HOST}"
data = "{folder}/data"
server_key = "{folder}/server.key"
[tls]
certificate = "{chain}"
key = "{key}"
[listen]
address = "127.0.0.1"
c2s = 0
c2s_tls = {port}
s2s = 0
s2s_tls = 0
[login]
iterations = {ITERATIONS}
[log]
level = "error"
"""


def start_quietwire(folder: Path, accounts: int, core: int | None) -> Running:
    """Raises PeerError when the accounts cannot be made or the server does not start."""
    port = free_port()
    config, names = folder / "quietwire.toml", folder / "accounts"
    config.write_text(quietwire_config(folder, port, *certificate(folder)))
    names.write_text("".join(f"u{i} {PASSWORD}\n" for i in range(accounts)))
    quietwire = [sys.executable, "-m", "quietwire"]
    made = subprocess.run(
        [*quietwire, "account", "import", str(names), "--iterations", str(ITERATIONS), "--config", str(config)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise PeerError(f"quietwire account import failed: {made.stderr.decode(errors='replace')[-600:]}")
    return serve_quietwire(folder, core)


def serve_quietwire(folder: Path, core: int | None) -> Running:
    """Starts our server on a folder that `start_quietwire` has filled: once more after it was stopped or killed."""
    config = folder / "quietwire.toml"
    port = int(tomllib.loads(config.read_text())["listen"]["c2s_tls"])
    command = [sys.executable, "-m", "quietwire", "serve", "--config", str(config)]
    return spawn("Quietwire", version("quietwire"), command, folder, port, core)


# Prosody


def prosody_config(folder: Path, port: int, chain: Path, key: Path) -> str:
    return f"""\
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
run_as_root = true
network_backend = "epoll"
gc = {{ mode = "generational" }}
use_ipv6 = false
interfaces = {{ "127.0.0.1" }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "carbons", "smacks" }}
modules_disabled = {{ "s2s", "admin_shell" }}
archive_expires_after = "never"
authentication = "internal_hashed"
storage = "internal"
log = {{ error = "{folder}/prosody.log" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{ {port} }}
c2s_direct_tls_ssl = {{ certificate = "{chain}", key = "{key}" }}
ssl = {{ certificate = "{chain}", key = "{key}" }}
VirtualHost "{HOST}"
"""


def prosody_account(password: str, salt: str, iterations: int) -> str:
    """An account as Prosody's internal storage keeps it; the salt may be any text."""
    stored, server = stored_keys(password.encode(), salt.encode(), iterations)
    fields = {"salt": f'"{salt}"', "iteration_count": str(iterations)}
    fields |= {"stored_key": f'"{stored.hex()}"', "server_key": f'"{server.hex()}"'}
    return "return {\n" + "".join(f'\t["{name}"] = {value};\n' for name, value in fields.items()) + "};\n"


def start_prosody(folder: Path, accounts: int, core: int | None) -> Running:
    """Raises PeerError when the package is missing or the server does not start."""
    installed, program = package_version("prosody"), shutil.which("prosody")
    if program is None:
        raise PeerError("Prosody is not installed (apt install prosody): left out")
    port = free_port()
    config = folder / "prosody.cfg.lua"
    config.write_text(prosody_config(folder, port, *certificate(folder)))
    store = folder / "data" / HOST / "accounts"
    store.mkdir(parents=True)
    account = prosody_account(PASSWORD, base64.b64encode(os.urandom(16)).decode(), ITERATIONS)
    for i in range(accounts):
        (store / f"u{i}.dat").write_text(account)
    return spawn("Prosody", installed, [program, "--config", str(config), "-F"], folder, port, core)


# ejabberd


def ejabberd_config(port: int, pem: Path) -> str:
    return f"""\
hosts: [{HOST}]
loglevel: error
certfiles: ["{pem}"]
auth_method: internal
auth_password_format: scram
auth_use_cache: true
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    shaper: none
    access: all
    max_stanza_size: 262144
shaper_rules:
  max_user_sessions: 10
access_rules: {{}}
modules:
  mod_stream_mgmt: {{}}
  mod_carboncopy: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_disco: {{}}
"""


def ejabberd_boot(accounts: int, done: Path) -> str:
    """Erlang that makes the accounts: one by ejabberd's own means, the others as copies of its row."""
    return (
        f'U0 = <<"u0">>, H = <<"{HOST}">>,'
        f'ok = ejabberd_auth:try_register(U0, H, <<"{PASSWORD}">>),'
        "[R] = mnesia:dirty_read(passwd, {U0, H}),"
        '[ok = mnesia:dirty_write(setelement(2, R, {list_to_binary("u" ++ integer_to_list(I)), H}))'
        f" || I <- lists:seq(1, {accounts - 1})],"
        "[erlang:garbage_collect(P) || P <- processes()],"  # what starting left behind is no session's weight
        f'ok = file:write_file("{done}", <<>>).'
    )


def start_ejabberd(folder: Path, accounts: int, core: int | None) -> Running:
    """Raises PeerError when the package is missing or the server does not start."""
    installed, program = package_version("ejabberd"), shutil.which("erl")
    homes = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
    if program is None or not installed or not homes:
        raise PeerError("ejabberd is not installed (apt install ejabberd): left out")
    port = free_port()
    chain, key = certificate(folder)
    pem = folder / "ejabberd.pem"
    pem.write_bytes(chain.read_bytes() + key.read_bytes())
    config, done = folder / "ejabberd.yml", folder / "accounts.done"
    config.write_text(ejabberd_config(port, pem))
    command = [program, "+S", "1", "+K", "true", "+P", "250000"]
    command += ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]  # spinning while idle is not work
    command += ["-noinput", "-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd"]
    command += ["-eval", ejabberd_boot(accounts, done)]
    running = spawn(
        "ejabberd",
        installed,
        command,
        folder,
        port,
        core,
        HOME=str(folder),
        ERL_LIBS=str(homes[-1].parents[2]),
        EJABBERD_CONFIG_PATH=str(config),
        EJABBERD_LOG_PATH=str(folder / "ejabberd.log"),
        ERL_MAX_PORTS="32000",
        ERL_CRASH_DUMP_SECONDS="0",
    )
    try:
        wait_until(done.exists, running)
    except BaseException:
        running.stop()
        raise
    return running


Start = Callable[[Path, int, int | None], Running]
"""(an empty folder, how many accounts, the core to run on or None) -> the server."""

PEERS: dict[str, Start] = {"quietwire": start_quietwire, "prosody": start_prosody, "ejabberd": start_ejabberd}
"""In the order of the tables."""


if __name__ == "__main__":  # for a look by hand: peers.py NAME FOLDER ACCOUNTS; ends on end of input
    server = PEERS[sys.argv[1]](Path(sys.argv[2]).resolve(), int(sys.argv[3]), 0)
    print(server.name, server.release, server.port, server.process.pid, flush=True)
    try:
        sys.stdin.read()
    finally:
        server.stop()
