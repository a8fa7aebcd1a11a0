"""Starts a server, ours or Debian's Prosody or ejabberd, as an ordinary process with accounts, and stops it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from quietwire.lab.processes import BedError
from quietwire.lab.range.configs import ITERATIONS, House, ejabberd_config, prosody_config, quietwire_config

START = 120.0
"""Seconds until a server must accept connections; ejabberd takes ten of them on a busy machine."""
NOTHING = "it said nothing"


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
        """Raises BedError when the process has ended."""
        if self.process.poll() is not None:
            raise BedError(f"{self.name} ended with status {self.process.returncode}: {log_end(self.folder)}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def log_end(folder: Path, size: int = 600) -> str:
    """The end of what the server said, on one line."""
    text = "".join(path.read_text(errors="replace")[-size:] for path in sorted(folder.rglob("*.log")))
    return " | ".join(text.splitlines())[-size:] or NOTHING


def spare_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at, below the range from which the kernel takes those of outgoing
    connections: there a port that is free now may not be so when the server comes to it. Raises BedError."""
    held: list[socket.socket] = []
    first = 20_000 + secrets.randbelow(10_000)
    try:
        for port in range(first, 32_000):
            probe = socket.socket()
            held.append(probe)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                held.pop().close()
            if len(held) == count:
                return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
    raise BedError("no free ports between 20000 and 32000")


def more_files() -> None:
    """As many open files as this user may have; what is started from here on has them too."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def spawn(name: str, release: str, command: list[str], house: House, **environment: str) -> Running:
    """Starts a server and waits until it listens. Raises BedError when it does not."""
    more_files()
    if house.openssl is not None:
        environment["OPENSSL_CONF"] = str(house.openssl)
    house.logs.mkdir(parents=True, exist_ok=True)
    with (house.logs / "output.log").open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=house.folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Running(name, release, house.clients, house.folder, process)
    try:
        wait_until(lambda: listening(house.clients), running)
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
            raise BedError(f"{running.name} did not start within {START:.0f} s: {log_end(running.folder)}")
        time.sleep(0.05)


def package_version(package: str) -> str:
    """The version of a Debian package, "" when it is not installed."""
    try:
        found = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.decode().partition("-")[0]


def release(system: str) -> str:
    """What a system's results depend on besides our own code: its version, "" when it is not installed."""
    return version("quietwire") if system == "quietwire" else package_version(system)


def tls_release() -> str:
    return ssl.OPENSSL_VERSION


def start_quietwire(house: House, accounts: Mapping[str, str]) -> Running:
    """`accounts`: passwords by name. Raises BedError."""
    config, names = house.folder / "quietwire.toml", house.folder / "accounts"
    config.write_text(quietwire_config(house))
    names.touch(0o600)
    names.write_text("".join(f"{name} {password}\n" for name, password in accounts.items()))
    quietwire = [sys.executable, "-m", "quietwire"]
    command = [*quietwire, "account", "import", str(names), "--iterations", str(ITERATIONS), "--config", str(config)]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode:
        raise BedError(f"quietwire account import failed: {made.stderr.decode(errors='replace')[-600:]}")
    names.unlink()
    return spawn("Quietwire", version("quietwire"), [*quietwire, "serve", "--config", str(config)], house)


def stored_keys(password: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """StoredKey and ServerKey of RFC 5802 §3 with SHA-1, as a server keeps them."""
    salted = hashlib.pbkdf2_hmac("sha1", password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha1")
    return hashlib.sha1(client_key).digest(), hmac.digest(salted, b"Server Key", "sha1")  # noqa: S324


def prosody_account(password: str, salt: str, iterations: int) -> str:
    """An account as Prosody's internal storage keeps it; the salt may be any text."""
    stored, server = stored_keys(password.encode(), salt.encode(), iterations)
    fields = {"salt": f'"{salt}"', "iteration_count": str(iterations)}
    fields |= {"stored_key": f'"{stored.hex()}"', "server_key": f'"{server.hex()}"'}
    return "return {\n" + "".join(f'\t["{name}"] = {value};\n' for name, value in fields.items()) + "};\n"


def prosody_folder(host: str) -> str:
    """What Prosody calls a host's folder."""
    return host.replace(".", "%2e").replace("-", "%2d")


def start_prosody(house: House, accounts: Mapping[str, str]) -> Running:
    """Raises BedError when the package is missing or the server does not start."""
    installed, program = package_version("prosody"), shutil.which("prosody")
    if program is None:
        raise BedError("Prosody is not installed (apt install prosody)")
    config = house.folder / "prosody.cfg.lua"
    config.write_text(prosody_config(house))
    store = house.data / prosody_folder(house.domain) / "accounts"
    store.mkdir(parents=True)
    for name, password in accounts.items():
        (store / f"{name}.dat").write_text(prosody_account(password, os.urandom(12).hex(), ITERATIONS))
    return spawn("Prosody", installed, [program, "--config", str(config), "-F"], house)


def start_ejabberd(house: House, accounts: Mapping[str, str]) -> Running:
    """Raises BedError when the package is missing or the server does not start."""
    installed, program = package_version("ejabberd"), shutil.which("erl")
    homes = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
    if program is None or not installed or not homes:
        raise BedError("ejabberd is not installed (apt install ejabberd)")
    config, names = house.folder / "ejabberd.yml", house.folder / "inetrc"
    done = house.folder / "accounts.done"
    house.data.mkdir(parents=True, exist_ok=True)
    config.write_text(ejabberd_config(house))
    house.chain.with_suffix(".pem").write_bytes(house.chain.read_bytes() + house.key.read_bytes())
    environment = {}
    if house.dns:
        resolver = f"{{nameserver, {{127, 0, 0, 1}}, {house.dns}}}."
        names.write_text(f'{{resolv_conf, ""}}.\n{{hosts_file, ""}}.\n{{lookup, [dns]}}.\n{resolver}\n')
        environment["ERL_INETRC"] = str(names)
    made = ",".join(
        f'ok = ejabberd_auth:try_register(<<"{name}">>, <<"{house.domain}">>, <<"{password}">>)'
        for name, password in accounts.items()
    )
    command = [program, "+S", "1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-noinput"]
    command += ["-mnesia", "dir", f'"{house.data}/mnesia"', "-s", "ejabberd"]
    command += ["-eval", f'{made}, ok = file:write_file("{done}", <<>>).']
    running = spawn(
        "ejabberd",
        installed,
        command,
        house,
        **environment,
        HOME=str(house.folder),
        ERL_LIBS=str(homes[-1].parents[2]),
        EJABBERD_CONFIG_PATH=str(config),
        EJABBERD_LOG_PATH=str(house.logs / "ejabberd.log"),
        ERL_CRASH_DUMP_SECONDS="0",
    )
    try:
        wait_until(done.exists, running)
    except BaseException:
        running.stop()
        raise
    return running


Start = Callable[[House, Mapping[str, str]], Running]
"""(the house, its folder empty but for the certificate; passwords by name) -> the server. Raises BedError."""

SYSTEMS: dict[str, Start] = {"quietwire": start_quietwire, "prosody": start_prosody, "ejabberd": start_ejabberd}
