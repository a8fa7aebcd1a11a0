"""The servers of the scripted week, as an operator would have them: default storage, default logs, and the features
that people's clients expect switched on in all three. Rates are lifted: a week passes in a minute."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from configs import ITERATIONS
from peers import PeerError, Running, certificate, free_port, package_version, prosody_account, spawn, wait_until

from quietwire.lab.range.configs import PROSODY_MODULES

HOST = "week.example"
ROOMS = f"conference.{HOST}"


@dataclass
class Home:
    """A server of the week. `data`: what a thief takes; `logs`: what it wrote beside; `web`: where uploads go, 0 for
    none."""

    running: Running
    data: Path
    logs: Path
    web: int = 0
    key: Path | None = None


def start_quietwire(folder: Path, accounts: Mapping[str, str]) -> Home:
    """Raises PeerError."""
    clients, web = free_port(), free_port(26_000)
    chain, key = certificate(folder, HOST)
    config, names, logs = folder / "quietwire.toml", folder / "accounts", folder / "logs"
    logs.mkdir()
    config.write_text(f"""\
domain = "{HOST}"
data = "{folder}/data"
server_key = "{folder}/server.key"
[tls]
certificate = "{chain}"
key = "{key}"
[listen]
address = "127.0.0.1"
c2s = 0
c2s_tls = {clients}
s2s = 0
s2s_tls = 0
https = {web}
[login]
iterations = {ITERATIONS}
[web]
url = "https://localhost:{web}"
[modules.muc]
rate = 0.0
""")
    names.write_text("".join(f"{name} {password}\n" for name, password in accounts.items()))
    quietwire = [sys.executable, "-m", "quietwire"]
    command = [*quietwire, "account", "import", str(names), "--iterations", str(ITERATIONS), "--config", str(config)]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode:
        raise PeerError(f"quietwire account import failed: {made.stderr.decode(errors='replace')[-600:]}")
    names.unlink()
    serve = [*quietwire, "serve", "--config", str(config)]
    running = spawn("Quietwire", version("quietwire"), serve, folder, clients, None)
    (folder / "output.log").rename(logs / "output.log")
    return Home(running, folder / "data", logs, web, folder / "server.key")


def invite(folder: Path, name: str) -> None:
    """An invitation of our server's, for an account of that name. Raises PeerError."""
    command = [sys.executable, "-m", "quietwire", "invite", "--plain", "--name", name]
    made = subprocess.run([*command, "--config", str(folder / "quietwire.toml")], capture_output=True, check=False)
    if made.returncode:
        raise PeerError(f"quietwire invite failed: {made.stderr.decode(errors='replace')[-600:]}")


def start_prosody(folder: Path, accounts: Mapping[str, str]) -> Home:
    """Raises PeerError."""
    installed, program = package_version("prosody"), shutil.which("prosody")
    if program is None:
        raise PeerError("Prosody is not installed (apt install prosody): left out")
    clients, web = free_port(), free_port(26_000)
    chain, key = certificate(folder, HOST)
    config, logs = folder / "prosody.cfg.lua", folder / "logs"
    logs.mkdir()
    config.write_text(f"""\
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
run_as_root = true
use_ipv6 = false
interfaces = {{ "127.0.0.1" }}
modules_enabled = {{ {", ".join(f'"{name}"' for name in PROSODY_MODULES)} }}
modules_disabled = {{ "s2s", "admin_shell" }}
authentication = "internal_hashed"
archive_expires_after = "1w"
default_archive_policy = true
log = {{ info = "{logs}/prosody.log"; error = "{logs}/prosody.err" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{ {clients} }}
c2s_direct_tls_ssl = {{ certificate = "{chain}", key = "{key}" }}
ssl = {{ certificate = "{chain}", key = "{key}" }}
http_ports = {{ {web} }}
https_ports = {{}}
http_interfaces = {{ "127.0.0.1" }}
VirtualHost "{HOST}"
http_host = "localhost"
Component "{ROOMS}" "muc"
modules_enabled = {{ "muc_mam" }}
muc_log_by_default = true
Component "upload.{HOST}" "http_file_share"
http_host = "localhost"
http_external_url = "http://localhost:{web}/"
""")
    store = folder / "data" / HOST.replace(".", "%2e") / "accounts"
    store.mkdir(parents=True)
    for name, password in accounts.items():
        (store / f"{name}.dat").write_text(prosody_account(password, os.urandom(12).hex(), ITERATIONS))
    running = spawn("Prosody", installed, [program, "--config", str(config), "-F"], folder, clients, None)
    return Home(running, folder / "data", logs, web)


def start_ejabberd(folder: Path, accounts: Mapping[str, str]) -> Home:
    """Raises PeerError."""
    installed, program = package_version("ejabberd"), shutil.which("erl")
    homes = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
    if program is None or not installed or not homes:
        raise PeerError("ejabberd is not installed (apt install ejabberd): left out")
    clients, web = free_port(), free_port(26_000)
    chain, key = certificate(folder, HOST)
    pem, config, done = folder / "host.pem", folder / "ejabberd.yml", folder / "done"
    data, logs = folder / "data", folder / "logs"
    data.mkdir()
    logs.mkdir()
    pem.write_bytes(chain.read_bytes() + key.read_bytes())
    config.write_text(f"""\
hosts: [{HOST}]
loglevel: info
certfiles: ["{pem}"]
auth_method: internal
auth_password_format: scram
listen:
  - port: {clients}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    shaper: none
    access: all
    max_stanza_size: 262144
  - port: {web}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /upload: mod_http_upload
shaper_rules:
  max_user_sessions: 10
  max_user_offline_messages: 1000
access_rules: {{}}
modules:
  mod_adhoc: {{}}
  mod_avatar: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_http_upload:
    access: all
    put_url: "http://localhost:{web}/upload"
    docroot: "{data}/uploads"
  mod_last: {{}}
  mod_mam:
    default: always
  mod_muc:
    access: all
    access_create: all
    access_persistent: all
    access_mam: all
    default_room_options:
      mam: true
  mod_offline:
    access_max_user_messages: max_user_offline_messages
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_pubsub:
    plugins: [flat, pep]
    force_node_config:
      "eu.siacs.conversations.axolotl.*":
        access_model: open
      storage:bookmarks:
        access_model: whitelist
  mod_push: {{}}
  mod_roster:
    versioning: true
  mod_stream_mgmt:
    resend_on_timeout: if_offline
  mod_vcard:
    search: false
  mod_vcard_xupdate: {{}}
  mod_version: {{}}
""")
    made = ",".join(f'ok = ejabberd_auth:try_register(<<"{n}">>, <<"{HOST}">>, <<"{p}">>)' for n, p in accounts.items())
    command = [program, "+S", "1", "-noinput", "-mnesia", "dir", f'"{data}/mnesia"', "-s", "ejabberd"]
    command += ["-eval", f'{made}, ok = file:write_file("{done}", <<>>).']
    running = spawn(
        "ejabberd",
        installed,
        command,
        folder,
        clients,
        None,
        HOME=str(folder),
        ERL_LIBS=str(homes[-1].parents[2]),
        EJABBERD_CONFIG_PATH=str(config),
        EJABBERD_LOG_PATH=str(logs / "ejabberd.log"),
        ERL_CRASH_DUMP_SECONDS="0",
    )
    try:
        wait_until(done.exists, running)
    except BaseException:
        running.stop()
        raise
    return Home(running, data, logs, web)


Start = Callable[[Path, Mapping[str, str]], Home]
"""(an empty folder, passwords by name) -> the server with these accounts. Raises PeerError."""

SERVERS: dict[str, Start] = {"quietwire": start_quietwire, "prosody": start_prosody, "ejabberd": start_ejabberd}
"""In the order of the tables."""
