from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from quietwire.cli.config import load
from quietwire.cli.padding import openssl_configuration, padding_in_force
from quietwire.lab.range.configs import (
    House,
    ejabberd_config,
    openssl_config,
    prosody_config,
    quietwire_config,
    toml,
)

HOUSE = House(Path("/h"), "a.example", 5001, 5002, Path("/h/a.crt"), Path("/h/a.key"))
PAIR = replace(HOUSE, servers=5003, dns=5004, authority=Path("/h/ca.pem"), others={"b.example": 5005})


@pytest.mark.parametrize("house", [HOUSE, PAIR, replace(PAIR, links={"profile": "steady", "tick": 3.0})])
def test_ours_is_one_that_our_server_reads(tmp_path: Path, house: House) -> None:
    file = tmp_path / "quietwire.toml"
    file.write_text(quietwire_config(house))
    config = load(file)
    assert config.listen.c2s_tls == 5001
    assert config.listen.https == 5002
    assert config.listen.s2s_tls == house.servers
    assert config.federation.enabled == bool(house.servers)
    assert config.links.profile == house.links.get("profile", "off")


def test_a_profile_is_of_both_kinds_of_links() -> None:
    whole = tomllib.loads(quietwire_config(replace(PAIR, links={"profile": "jitter", "delay": 0.2})))
    assert whole["links"] == {"profile": "jitter", "delay": 0.2, "s2s": {"profile": "jitter"}}


def test_the_other_server_is_reached_where_the_tap_is() -> None:
    others = tomllib.loads(quietwire_config(PAIR))["federation"]["override"]
    assert {name: each["port"] for name, each in others.items()} == {"b.example": 5005, "conference.b.example": 5005}


def test_what_prosody_is_told() -> None:
    alone, pair = prosody_config(HOUSE), prosody_config(PAIR)
    assert 'VirtualHost "a.example"' in alone
    assert "c2s_direct_tls_ports = { 5001 }" in alone
    assert '"s2s"' in alone.partition("modules_disabled")[2].partition("\n")[0]
    assert "s2s_direct_tls_ports = { 5003 }" in pair
    assert '"s2s"' not in pair.partition("modules_disabled")[2].partition("\n")[0]
    assert "127.0.0.1@5004" in pair


def test_what_ejabberd_is_told() -> None:
    alone, pair = ejabberd_config(HOUSE), ejabberd_config(PAIR)
    assert "port: 5001" in alone
    assert "ejabberd_s2s_in" not in alone
    assert "port: 5003" in pair
    assert 'certfiles: ["/h/a.pem"]' in alone


def test_openssl_is_told_to_pad_as_our_server_tells_its_own(tmp_path: Path) -> None:
    file = tmp_path / "openssl.cnf"
    file.write_text(openssl_config(1024))
    assert padding_in_force({"OPENSSL_CONF": str(file)}) == 1024
    assert openssl_config(64).splitlines()[1:] == [
        line.replace("quietwire", "padding") for line in openssl_configuration(64).splitlines()[1:]
    ]


def test_values_as_toml_has_them() -> None:
    values = {"a": True, "b": 3, "c": 0.25, "d": 'quoted "text" \\'}
    assert tomllib.loads("".join(f"{name} = {toml(value)}\n" for name, value in values.items())) == values
