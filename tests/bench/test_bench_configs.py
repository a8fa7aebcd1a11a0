from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from configs import PLAIN, Setup, ejabberd_config, prosody_config, quietwire_config

FOLDER, CHAIN, KEY = Path("f"), Path("c.pem"), Path("k.pem")
ARCHIVE = replace(PLAIN, archive=True)
LINKED = Setup(host="one.example", s2s=5270, dns=53, authority=Path("root.pem"))


def test_ours_listens_for_clients_on_direct_tls_alone() -> None:
    config = tomllib.loads(quietwire_config(FOLDER, 12345, CHAIN, KEY))
    assert {key: port for key, port in config["listen"].items() if port} == {"address": "127.0.0.1", "c2s_tls": 12345}
    assert config["tls"] == {"certificate": "c.pem", "key": "k.pem"}


def test_ours_keeps_everything_or_nothing() -> None:
    kept = tomllib.loads(quietwire_config(FOLDER, 1, CHAIN, KEY, ARCHIVE))["modules"]["archive"]
    plain = tomllib.loads(quietwire_config(FOLDER, 1, CHAIN, KEY))["modules"]["archive"]
    assert (kept["days"], plain["days"]) == (30, 0)


def test_ours_finds_the_other_one() -> None:
    config = tomllib.loads(quietwire_config(FOLDER, 1, CHAIN, KEY, LINKED))
    assert config["domain"] == "one.example"
    assert config["listen"]["s2s_tls"] == 5270
    assert config["federation"]["resolver"] == "127.0.0.1:53"
    assert config["tls"]["authority"] == "root.pem"


def test_prosody_gets_its_fair_settings() -> None:
    lines = prosody_config(FOLDER, 12345, CHAIN, KEY).splitlines()
    assert 'gc = { mode = "generational" }' in lines
    assert "c2s_direct_tls_ports = { 12345 }" in lines
    enabled = next(line for line in lines if line.startswith("modules_enabled"))
    assert '"smacks"' in enabled
    assert '"carbons"' in enabled
    assert "mam" not in enabled
    assert "limits" not in enabled
    assert 'Component "conference.localhost" "muc"' in lines


def test_prosody_keeps_and_links_where_that_is_asked_for() -> None:
    assert 'storage = { archive = "sql" }' in prosody_config(FOLDER, 1, CHAIN, KEY, ARCHIVE)
    linked = prosody_config(FOLDER, 1, CHAIN, KEY, LINKED)
    assert "s2s_direct_tls_ports = { 5270 }" in linked
    assert "127.0.0.1@53" in linked
    assert 'cafile = "root.pem"' in linked


def test_ejabberd_gets_stream_management_and_an_archive_where_that_is_asked_for() -> None:
    lines = ejabberd_config(FOLDER, 12345, Path("c.pem")).splitlines()
    assert "  - port: 12345" in lines
    assert "  mod_stream_mgmt: {}" in lines
    assert "  mod_carboncopy: {}" in lines
    assert "  mod_muc:" in lines
    assert not [line for line in lines if "mod_mam" in line]
    kept = ejabberd_config(FOLDER, 1, Path("c.pem"), ARCHIVE).splitlines()
    assert "  mod_mam:" in kept
    assert "sql_type: sqlite" in kept
