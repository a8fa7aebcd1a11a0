"""What each server of the range is told, as text: the same service from all three, as people's clients expect it, and
rates lifted, since a day may pass in a minute."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ITERATIONS = 4096
"""Of SCRAM: what counts here is the wire."""

PROSODY_MODULES = (
    "disco", "roster", "saslauth", "tls", "blocklist", "bookmarks", "carbons", "pep", "private", "smacks", "vcard4",
    "vcard_legacy", "csi_simple", "invites", "invites_adhoc", "ping", "register", "time", "uptime", "version", "mam",
    "posix",
)  # fmt: skip
"""Those of Debian's configuration file, and the archive, which it has as a comment."""


@dataclass(frozen=True)
class House:
    """A server's folder, names, ports of loopback (0: none) and certificate. `plain`: for clients without TLS, which
    stand behind a shield. `links`: keys of our `[links]`. `openssl`: the configuration of OpenSSL that the server is
    started with. `others`: domain -> port where its server is reached over direct TLS. `dns`: a resolver on loopback,
    for who needs one."""

    folder: Path
    domain: str
    clients: int
    web: int
    chain: Path
    key: Path
    servers: int = 0
    plain: int = 0
    authority: Path | None = None
    dns: int = 0
    openssl: Path | None = None
    links: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def url(self) -> str:
        return f"https://upload.{self.domain}:{self.web}"


def openssl_config(block: int) -> str:
    """Makes OpenSSL pad each TLS 1.3 record to a multiple of `block` bytes, in any program that reads it."""
    return f"""\
openssl_conf = padding
[padding]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
RecordPadding = {block}
"""


def toml(value: object) -> str:
    """A value of a table, as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def quietwire_config(house: House) -> str:
    authority = f'authority = "{house.authority}"\n' if house.authority else ""
    links = "".join(f"{key} = {toml(value)}\n" for key, value in house.links.items())
    if house.servers and "profile" in house.links:
        links += f"[links.s2s]\nprofile = {toml(house.links['profile'])}\n"
    federation = f"[federation]\nenabled = {toml(bool(house.servers))}\n"
    if house.dns:
        federation += f'resolver = "127.0.0.1:{house.dns}"\n'
    for domain, port in house.others.items():
        federation += f'[federation.override."{domain}"]\nhost = "127.0.0.1"\nport = {port}\ntls = "direct"\n'
        federation += (
            f'[federation.override."conference.{domain}"]\nhost = "127.0.0.1"\nport = {port}\ntls = "direct"\n'
        )
    text = f"""\
domain = "{house.domain}"
data = "{house.data}"
server_key = "{house.folder}/server.key"
[tls]
certificate = "{house.chain}"
key = "{house.key}"
{authority}[listen]
address = "127.0.0.1"
c2s = 0
c2s_tls = {house.clients}
c2s_local = {house.plain}
s2s = 0
s2s_tls = {house.servers}
https = {house.web}
[login]
iterations = {ITERATIONS}
[limits]
strangers = 10000
[rates]
client_bytes = 0.0
client_stanzas = 0.0
[web]
url = "{house.url}"
[links]
{links}[modules.muc]
rate = 0.0
{federation}"""
    tomllib.loads(text)
    return text


def prosody_config(house: House) -> str:
    off = ["admin_shell", "limits", *([] if house.servers else ["s2s"]), *(["dialback"] if house.servers else [])]
    on = [*PROSODY_MODULES, *(["s2s", "s2s_auth_certs"] if house.servers else [])]
    pair = f'certificate = "{house.chain}", key = "{house.key}"'
    authority = f', cafile = "{house.authority}"' if house.authority else ""
    others = ""
    if house.servers:
        others = f"s2s_ports = {{}}\ns2s_direct_tls_ports = {{ {house.servers} }}\ns2s_secure_auth = true\n"
        others += f"s2s_direct_tls_ssl = {{ {pair} }}\n"
    if house.dns:
        others += f'unbound = {{ resolvconf = false, hoststxt = false, forward = "127.0.0.1@{house.dns}", '
        others += 'options = { ["do-not-query-localhost:"] = "no" } }\n'
    return f"""\
pidfile = "{house.folder}/prosody.pid"
data_path = "{house.data}"
run_as_root = true
network_backend = "epoll"
use_ipv6 = false
interfaces = {{ "127.0.0.1" }}
modules_enabled = {{ {_quoted(on)} }}
modules_disabled = {{ {_quoted(off)} }}
authentication = "internal_hashed"
archive_expires_after = "1w"
default_archive_policy = true
log = {{ info = "{house.logs}/prosody.log"; error = "{house.logs}/prosody.err" }}
c2s_ports = {{ {house.plain or ""} }}
c2s_require_encryption = {toml(not house.plain)}
c2s_direct_tls_ports = {{ {house.clients} }}
c2s_direct_tls_ssl = {{ {pair} }}
ssl = {{ {pair}{authority} }}
http_ports = {{}}
https_ports = {{ {house.web} }}
https_ssl = {{ {pair} }}
https_interfaces = {{ "127.0.0.1" }}
{others}VirtualHost "{house.domain}"
Component "conference.{house.domain}" "muc"
ssl = {{ {pair}{authority} }}
modules_enabled = {{ "muc_mam" }}
muc_log_by_default = true
Component "upload.{house.domain}" "http_file_share"
ssl = {{ {pair}{authority} }}
http_external_url = "{house.url}/"
"""


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def ejabberd_config(house: House) -> str:
    """Wants the certificate and its key in one file, `house.chain` with the ending .pem."""
    pem = house.chain.with_suffix(".pem")
    servers = ""
    if house.servers:
        servers = f'  - port: {house.servers}\n    ip: "127.0.0.1"\n    module: ejabberd_s2s_in\n    tls: true\n'
    plain = ""
    if house.plain:
        plain = f'  - port: {house.plain}\n    ip: "127.0.0.1"\n    module: ejabberd_c2s\n'
        plain += "    shaper: none\n    access: all\n"
    authority = f'ca_file: "{house.authority}"\ns2s_cafile: "{house.authority}"\n' if house.authority else ""
    federation = "s2s_use_starttls: required_trusted\n" if house.servers else ""
    return f"""\
hosts: ["{house.domain}"]
loglevel: info
certfiles: ["{pem}"]
{authority}{federation}auth_method: internal
auth_password_format: scram
listen:
  - port: {house.clients}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    shaper: none
    access: all
    max_stanza_size: 262144
  - port: {house.web}
    ip: "127.0.0.1"
    module: ejabberd_http
    tls: true
    request_handlers:
      /upload: mod_http_upload
{plain}{servers}shaper_rules:
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
    put_url: "{house.url}/upload"
    docroot: "{house.data}/uploads"
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
"""
