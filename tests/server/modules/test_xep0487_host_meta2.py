from __future__ import annotations

import json
from typing import Any

import pytest

from quietwire.core.errors import ConfigError
from quietwire.server.http import Request
from quietwire.server.modules.xep0487_host_meta2 import MODULE, read
from quietwire.testing.assembly import Assembly
from quietwire.testing.web import ask

WEBSOCKET = {"rel": "urn:xmpp:alt-connections:websocket", "href": "wss://web.example:5443/x/xmpp-websocket"}


def document(**settings: Any) -> dict[str, Any]:
    house = Assembly((MODULE,), settings={"host-meta-2": settings}, extra={"web": "https://web.example:5443/x"})
    got = ask(house, Request("GET", "/.well-known/host-meta.json"))
    assert (got.status, got.headers["Access-Control-Allow-Origin"]) == (200, "*")
    found: dict[str, Any] = json.loads(got.body)
    return found


def test_without_addresses_it_is_the_document_of_xep_0156() -> None:
    assert document(tls=443) == {"links": [WEBSOCKET]}


def test_with_addresses_it_has_every_way_and_all_that_is_mandatory() -> None:
    got = document(addresses="192.0.2.1 2001:DB8::1", tls=443, s2s_tls=5270, ttl=60)
    more = {"ips": ["192.0.2.1", "2001:db8::1"], "priority": 10, "weight": 0}
    assert got == {
        "xmpp": {"ttl": 60},
        "links": [
            {**WEBSOCKET, **more, "sni": "web.example"},
            {"rel": "urn:xmpp:alt-connections:tls", "port": 443, "sni": "a.example", **more},
            {"rel": "urn:xmpp:alt-connections:s2s-tls", "port": 5270, "sni": "a.example", **more},
        ],
    }


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"addresses": "a.example"}, "addresses"), ({"ttl": 0}, "ttl"), ({"ttl": 604_801}, "ttl")],
)
def test_mistakes_in_the_configuration(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(settings)
    assert caught.value.key == key
