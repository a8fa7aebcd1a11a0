"""What each server of the bench is told, as text: the same service from all three."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ITERATIONS = 4096


@dataclass(frozen=True)
class Setup:
    """`archive`: every message is kept, in SQLite, on the disk when it is committed. `host`: the domain; `s2s`: the
    port for other servers, 0 for none; `dns`: a resolver on loopback that knows them; `authority`: who signed all;
    `links`: keys of our `[links]`, as TOML."""

    archive: bool = False
    host: str = "localhost"
    s2s: int = 0
    dns: int = 0
    authority: Path | None = None
    links: str = ""


PLAIN = Setup()


def quietwire_config(folder: Path, port: int, chain: Path, key: Path, setup: Setup = PLAIN) -> str:
    authority = f'authority = "{setup.authority}"\n' if setup.authority else ""
    keep = 30 if setup.archive else 0
    federation = f'[federation]\nresolver = "127.0.0.1:{setup.dns}"\n' if setup.dns else ""
    return f"""\
domain = "{setup.host}"
data = "{folder}/data"
server_key = "{folder}/server.key"
[tls]
certificate = "{chain}"
key = "{key}"
{authority}[listen]
address = "127.0.0.1"
c2s = 0
c2s_tls = {port}
s2s = 0
s2s_tls = {setup.s2s}
https = 0
[login]
iterations = {ITERATIONS}
{federation}[log]
level = "error"
[modules.archive]
days = {keep}
[modules.muc]
archive = {"true" if setup.archive else "false"}
rate = 0.0
[links]
{setup.links}
"""


def prosody_config(folder: Path, port: int, chain: Path, key: Path, setup: Setup = PLAIN) -> str:
    enabled = ["roster", "saslauth", "tls", "disco", "ping", "carbons", "smacks"]
    extra = ""
    if setup.archive:
        enabled.append("mam")
        extra += 'default_archive_policy = true\nstorage = { archive = "sql" }\n'
        extra += f'sql = {{ driver = "SQLite3", database = "{folder}/archive.sqlite" }}\n'
    if setup.s2s:
        enabled += ["s2s", "s2s_auth_certs"]
        extra += f"s2s_ports = {{}}\ns2s_direct_tls_ports = {{ {setup.s2s} }}\ns2s_secure_auth = true\n"
        extra += f's2s_direct_tls_ssl = {{ certificate = "{chain}", key = "{key}" }}\n'
        extra += f'unbound = {{ resolvconf = false, hoststxt = false, forward = "127.0.0.1@{setup.dns}", '
        extra += 'options = { ["do-not-query-localhost:"] = "no" } }\n'
    disabled = ["admin_shell", *([] if setup.s2s else ["s2s"]), *(["dialback"] if setup.s2s else [])]
    authority = f', cafile = "{setup.authority}"' if setup.authority else ""
    return f"""\
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
run_as_root = true
network_backend = "epoll"
gc = {{ mode = "generational" }}
use_ipv6 = false
interfaces = {{ "127.0.0.1" }}
modules_enabled = {{ {_quoted(enabled)} }}
modules_disabled = {{ {_quoted(disabled)} }}
archive_expires_after = "never"
authentication = "internal_hashed"
log = {{ error = "{folder}/prosody.log" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{ {port} }}
c2s_direct_tls_ssl = {{ certificate = "{chain}", key = "{key}" }}
ssl = {{ certificate = "{chain}", key = "{key}"{authority} }}
{extra}VirtualHost "{setup.host}"
Component "conference.{setup.host}" "muc"
modules_enabled = {{}}
"""


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def ejabberd_config(folder: Path, port: int, pem: Path, setup: Setup = PLAIN) -> str:
    storage = f'sql_type: sqlite\nsql_database: "{folder}/archive.sqlite"\n' if setup.archive else ""
    archive = "  mod_mam:\n    default: always\n    db_type: sql\n" if setup.archive else ""
    return f"""\
hosts: [{setup.host}]
loglevel: error
certfiles: ["{pem}"]
auth_method: internal
auth_password_format: scram
auth_use_cache: true
{storage}listen:
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
  mod_muc:
    access: all
    access_create: all
    access_persistent: all
{archive}"""
