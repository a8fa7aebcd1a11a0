"""Starts the servers that are compared: ours, and Debian's Prosody and ejabberd, as ordinary processes.

Each gets a temporary folder, a free loopback port with direct TLS, the accounts u0... with the password `pw`, and the
settings fairest to it: limits off, stream management, carbons and rooms on, archives and links to other servers only
where a row asks for them, errors alone logged, Prosody's generational collector, one scheduler for ejabberd that does
not spin while it waits.
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

from configs import ITERATIONS, PLAIN, Setup, ejabberd_config, prosody_config, quietwire_config

from quietwire.lab.range.hosts import NOTHING, listening, more_files, package_version, prosody_account
from quietwire.seal.authority import Authority, new_p256_key

PASSWORD = "pw"
START = 120.0
"""Seconds until a server must accept connections; ejabberd takes ten of them on a busy machine."""


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

    def arguments(self) -> list[str]:
        """For the load generator."""
        return ["--port", str(self.port), "--pid", str(self.process.pid)]

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


def free_port(start: int = 0) -> int:
    """A port nobody listens on now, from `start` on, below the range that the kernel takes for outgoing connections."""
    for port in range(start or 20000 + os.getpid() % 5000, 32000):
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


def new_authority() -> Authority:
    """A throw-away authority."""
    return Authority("bench", now=time.time(), days=2, new_key=new_p256_key, random=os.urandom)


def certificate(folder: Path, host: str = PLAIN.host, authority: Authority | None = None) -> tuple[Path, Path]:
    """A fresh certificate and its key in `folder`, as PEM files. One that is there already stays."""
    chain, key = folder / f"{host}.crt", folder / f"{host}.key"
    if chain.exists():
        return chain, key
    issued = (authority or new_authority()).issue([host])
    chain.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    key.chmod(0o600)
    return chain, key


def spawn(
    name: str, release: str, command: list[str], folder: Path, port: int, core: int | None, **environment: str
) -> Running:
    """Starts a server and waits until it listens. Raises PeerError when it does not."""
    more_files()
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


def wait_until(true: Callable[[], bool], running: Running) -> None:
    deadline = time.monotonic() + START
    while not true():
        running.check()
        if time.monotonic() > deadline:
            raise PeerError(f"{running.name} did not start within {START:.0f} s: {log_end(running.folder)}")
        time.sleep(0.05)


# Quietwire


def start_quietwire(folder: Path, accounts: int, core: int | None, setup: Setup = PLAIN) -> Running:
    """Raises PeerError when the accounts cannot be made or the server does not start."""
    port = free_port()
    config, names = folder / "quietwire.toml", folder / "accounts"
    config.write_text(quietwire_config(folder, port, *certificate(folder, setup.host), setup))
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


def start_prosody(folder: Path, accounts: int, core: int | None, setup: Setup = PLAIN) -> Running:
    """Raises PeerError when the package is missing or the server does not start."""
    installed, program = package_version("prosody"), shutil.which("prosody")
    if program is None:
        raise PeerError("Prosody is not installed (apt install prosody): left out")
    port = free_port()
    config = folder / "prosody.cfg.lua"
    config.write_text(prosody_config(folder, port, *certificate(folder, setup.host), setup))
    store = folder / "data" / setup.host.replace(".", "%2e").replace("-", "%2d") / "accounts"
    store.mkdir(parents=True)
    account = prosody_account(PASSWORD, base64.b64encode(os.urandom(16)).decode(), ITERATIONS)
    for i in range(accounts):
        (store / f"u{i}.dat").write_text(account)
    return spawn("Prosody", installed, [program, "--config", str(config), "-F"], folder, port, core)


# ejabberd


def ejabberd_boot(accounts: int, done: Path, host: str = PLAIN.host) -> str:
    """Erlang that makes the accounts: one by ejabberd's own means, the others as copies of its row."""
    return (
        f'U0 = <<"u0">>, H = <<"{host}">>,'
        f'ok = ejabberd_auth:try_register(U0, H, <<"{PASSWORD}">>),'
        "[R] = mnesia:dirty_read(passwd, {U0, H}),"
        '[ok = mnesia:dirty_write(setelement(2, R, {list_to_binary("u" ++ integer_to_list(I)), H}))'
        f" || I <- lists:seq(1, {accounts - 1})],"
        "[erlang:garbage_collect(P) || P <- processes()],"  # what starting left behind is no session's weight
        f'ok = file:write_file("{done}", <<>>).'
    )


def start_ejabberd(folder: Path, accounts: int, core: int | None, setup: Setup = PLAIN) -> Running:
    """Raises PeerError when the package is missing or the server does not start."""
    installed, program = package_version("ejabberd"), shutil.which("erl")
    homes = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
    if program is None or not installed or not homes:
        raise PeerError("ejabberd is not installed (apt install ejabberd): left out")
    port = free_port()
    chain, key = certificate(folder, setup.host)
    pem = folder / "ejabberd.pem"
    pem.write_bytes(chain.read_bytes() + key.read_bytes())
    config, done = folder / "ejabberd.yml", folder / "accounts.done"
    config.write_text(ejabberd_config(folder, port, pem, setup))
    command = [program, "+S", "1", "+K", "true", "+P", "250000"]
    command += ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]  # spinning while idle is not work
    command += ["-noinput", "-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd"]
    command += ["-eval", ejabberd_boot(accounts, done, setup.host)]
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


Start = Callable[[Path, int, int | None, Setup], Running]
"""(an empty folder, how many accounts, the core to run on or None, what it is to do) -> the server."""

PEERS: dict[str, Start] = {"quietwire": start_quietwire, "prosody": start_prosody, "ejabberd": start_ejabberd}
"""In the order of the tables."""


if __name__ == "__main__":  # for a look by hand: peers.py NAME FOLDER ACCOUNTS; ends on end of input
    server = PEERS[sys.argv[1]](Path(sys.argv[2]).resolve(), int(sys.argv[3]), 0, PLAIN)
    print(server.name, server.release, server.port, server.process.pid, flush=True)
    try:
        sys.stdin.read()
    finally:
        server.stop()
