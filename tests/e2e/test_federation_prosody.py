"""Federation with Debian's Prosody, over STARTTLS and over direct TLS."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from federation_world import OURS, PASSWORD, House, chatter, expired, federate, run

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("prosody") is None, reason="Debian's prosody is not installed"),
]

PROSODY = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data-prosody"
log = {{ {{ levels = {{ min = "debug" }}, to = "file", filename = "{folder}/prosody.log" }} }}
interfaces = {{ "127.0.0.1" }}
use_ipv6 = false
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ {clients} }}
s2s_ports = {{ {starttls} }}
s2s_direct_tls_ports = {{ {direct} }}
authentication = "internal_hashed"
storage = "internal"
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "s2s", "s2s_auth_certs" {more} }}
modules_disabled = {{ {less} }}
s2s_secure_auth = {strict}
ssl = {{ certificate = "{folder}/{domain}.pem", key = "{folder}/{domain}-key.pem", cafile = "{folder}/root.pem" }}
c2s_direct_tls_ssl = {{ certificate = "{folder}/{domain}.pem", key = "{folder}/{domain}-key.pem" }}
s2s_direct_tls_ssl = {{ certificate = "{folder}/{domain}.pem", key = "{folder}/{domain}-key.pem" }}
unbound = {{
  resolvconf = false, hoststxt = false, forward = "127.0.0.1@{dns}",
  options = {{ ["do-not-query-localhost:"] = "no" }},
}}
VirtualHost "{domain}"
Component "conference.{domain}" "muc"
ssl = {{ certificate = "{folder}/{domain}.pem", key = "{folder}/{domain}-key.pem", cafile = "{folder}/root.pem" }}
restrict_room_creation = false
"""


def start_prosody(house: House) -> subprocess.Popen[bytes]:
    config = str(house.folder / "prosody.cfg.lua")
    dialback = house.authentication == "dialback"
    more = ', "dialback"' if dialback else ""
    more += ', "s2s_bidi", "smacks"' if house.manners == "rich" else ""
    template = PROSODY.replace("{more}", more).replace("{less}", "" if dialback else '"dialback"')
    template = template.replace("{strict}", "false" if dialback else "true")
    Path(config).write_text(house.fill(template))
    (house.folder / "data-prosody").mkdir()
    run("prosodyctl", "--config", config, "--root", "register", "bob", house.domain, PASSWORD)
    return subprocess.Popen(
        ["prosody", "--config", config, "-F", "--root"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["starttls", "direct"])
def test_federation(tmp_path: Path, kind: str) -> None:
    federate(tmp_path, kind, start_prosody)
    log = (tmp_path / "prosody.log").read_text()
    assert f"SASL EXTERNAL with {OURS} succeeded" in log
    assert f"Accepting SASL EXTERNAL identity from {OURS}" in log


@pytest.mark.slow
@pytest.mark.parametrize("authentication", ["certificate", "dialback"])
def test_both_directions_on_one_stream_and_acknowledgements(tmp_path: Path, authentication: str) -> None:
    federate(tmp_path, "starttls", start_prosody, authentication, "rich")
    log = (tmp_path / "prosody.log").read_text()
    assert "Requested bidirectional stream" in log or "Requesting bidirectional stream" in log
    if authentication == "certificate":
        assert "Enabling stream management" in log  # on ours or theirs: only one is needed


@pytest.mark.slow
def test_dialback(tmp_path: Path) -> None:
    federate(tmp_path, "starttls", start_prosody, "dialback")
    log = (tmp_path / "prosody.log").read_text()
    assert "SASL EXTERNAL with" not in log


@pytest.mark.slow
def test_their_certificate_has_expired(tmp_path: Path) -> None:
    asyncio.run(expired(tmp_path, start_prosody))


@pytest.mark.slow
@pytest.mark.parametrize("authentication", ["certificate", "dialback"])
def test_rooms(tmp_path: Path, authentication: str) -> None:
    asyncio.run(chatter(tmp_path, start_prosody, authentication))
