"""Federation with Debian's ejabberd, which dials over STARTTLS and over direct TLS too."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from federation_world import PASSWORD, House, chatter, expired, federate

HOMES = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not HOMES or shutil.which("erl") is None, reason="Debian's ejabberd is not installed"),
]

EJABBERD = """
hosts: ["{domain}"]
loglevel: debug
certfiles: ["{folder}/ejabberd.pem"]
ca_file: "{folder}/root.pem"
s2s_cafile: "{folder}/root.pem"
s2s_use_starttls: {starttls_rule}
auth_method: internal
auth_password_format: scram
listen:
  - port: {clients}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
  - port: {starttls}
    ip: "127.0.0.1"
    module: ejabberd_s2s_in
  - port: {direct}
    ip: "127.0.0.1"
    module: ejabberd_s2s_in
    tls: true
modules:
  mod_ping: {{}}
  mod_roster: {{}}
  mod_disco: {{}}
  mod_muc:
    host: "conference.@HOST@"
{more}
"""
INETRC = """
{{resolv_conf, ""}}.
{{hosts_file, ""}}.
{{lookup, [dns]}}.
{{nameserver, {{127, 0, 0, 1}}, {dns}}}.
"""
BOOT = 'ok = ejabberd_auth:try_register(<<"bob">>, <<"{domain}">>, <<"{password}">>).'


def start_ejabberd(house: House) -> subprocess.Popen[bytes]:
    folder = house.folder
    pem = (folder / f"{house.domain}.pem").read_bytes() + (folder / f"{house.domain}-key.pem").read_bytes()
    (folder / "ejabberd.pem").write_bytes(pem)
    dialback = house.authentication == "dialback"
    template = EJABBERD.replace("{more}", "  mod_s2s_dialback: {{}}" if dialback else "")
    template = template.replace("{starttls_rule}", "required" if dialback else "required_trusted")
    (folder / "ejabberd.yml").write_text(house.fill(template))
    (folder / "inetrc").write_text(house.fill(INETRC))
    command = ["erl", "+S", "1", "+sbwt", "none", "-noinput", "-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd"]
    command += ["-eval", BOOT.format(domain=house.domain, password=PASSWORD)]
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_LIBS": str(HOMES[-1].parents[2]),
        "ERL_INETRC": str(folder / "inetrc"),
        "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        "ERL_CRASH_DUMP_SECONDS": "0",
    }
    with (folder / "ejabberd.out").open("wb") as out:
        return subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["starttls", "direct"])
def test_federation(tmp_path: Path, kind: str) -> None:
    federate(tmp_path, kind, start_ejabberd)


@pytest.mark.slow
def test_dialback(tmp_path: Path) -> None:
    federate(tmp_path, "starttls", start_ejabberd, "dialback")


@pytest.mark.slow
def test_their_certificate_has_expired(tmp_path: Path) -> None:
    asyncio.run(expired(tmp_path, start_ejabberd))


@pytest.mark.slow
@pytest.mark.parametrize("authentication", ["certificate", "dialback"])
def test_rooms(tmp_path: Path, authentication: str) -> None:
    asyncio.run(chatter(tmp_path, start_ejabberd, authentication))
