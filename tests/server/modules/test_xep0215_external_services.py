from __future__ import annotations

import base64
import hashlib
import hmac
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from quietwire.core.errors import ConfigError
from quietwire.server.modules.xep0215_external_services import MODULE, NS, read
from quietwire.testing.assembly import Assembly, Client

SERVICES = "turn:relay.example:3480?transport=udp turns:[2001:db8::1] stun:relay.example"
ASK = f"<services xmlns='{NS}'/>"


def house(**settings: Any) -> tuple[Assembly, Client]:
    built = Assembly((MODULE,), settings={"external-services": settings})
    built.add("alice@a.example")
    return built, built.log_in("alice@a.example/x")


def ask(client: Client, payload: str, to: str = "a.example") -> ET.Element:
    client.write(f"<iq type='get' id='1' to='{to}'>{payload}</iq>")
    (answer,) = client.take()
    return ET.fromstring(answer)


def services(answer: ET.Element) -> list[dict[str, str]]:
    return [dict(service.attrib) for service in answer[0]]


def test_every_service_is_listed_and_turn_has_credentials_that_coturn_takes() -> None:
    _, alice = house(services=SERVICES, secret="s3cret")
    turn, turns, stun = services(ask(alice, ASK))
    assert stun == {"type": "stun", "host": "relay.example", "port": "3478", "transport": "udp"}
    assert (turns["host"], turns["port"], turns["transport"]) == ("2001:db8::1", "5349", "tcp")
    assert (turn["type"], turn["port"], turn["restricted"]) == ("turn", "3480", "true")
    expected = base64.b64encode(hmac.new(b"s3cret", turn["username"].encode(), hashlib.sha1).digest()).decode()
    assert turn["password"] == expected


def test_credentials_last_as_long_as_they_should_and_tell_neither_who_nor_when() -> None:
    built, alice = house(services=SERVICES, secret="s", seconds=600)
    names = set()
    for _ in range(3):
        turn = services(ask(alice, ASK))[0]
        expires, _, nonce = turn["username"].partition(":")
        assert 600 < int(expires) - built.now <= 900
        assert int(expires) % 300 == 0
        assert "alice" not in turn["username"]
        assert turn["expires"].endswith("Z")
        names.add(nonce)
        built.pass_time(7)
    assert len(names) == 3


def test_one_type_alone() -> None:
    _, alice = house(services=SERVICES, secret="s")
    answer = ask(alice, f"<services xmlns='{NS}' type='stun'/>")
    assert [service["type"] for service in services(answer)] == ["stun"]
    assert answer[0].get("type") == "stun"
    assert services(ask(alice, f"<services xmlns='{NS}' type='ftp'/>")) == []


def test_credentials_of_one_service() -> None:
    _, alice = house(services="turn:r.example turn:r.example:1 stun:r.example", secret="s")
    both = ask(alice, f"<credentials xmlns='{NS}'><service host='r.example' type='turn'/></credentials>")
    assert [service["port"] for service in services(both)] == ["3478", "1"]
    one = ask(alice, f"<credentials xmlns='{NS}'><service host='r.example' type='turn' port='1'/></credentials>")
    assert [service["port"] for service in services(one)] == ["1"]
    assert one[0].tag == f"{{{NS}}}credentials"


@pytest.mark.parametrize(
    ("payload", "condition"),
    [
        (f"<credentials xmlns='{NS}'/>", "bad-request"),
        (f"<credentials xmlns='{NS}'><service host='r.example'/></credentials>", "bad-request"),
        (f"<credentials xmlns='{NS}'><service host='other.example' type='turn'/></credentials>", "item-not-found"),
    ],
)
def test_what_cannot_be_answered(payload: str, condition: str) -> None:
    _, alice = house(services=SERVICES, secret="s")
    answer = ask(alice, payload)
    assert answer[0][0].tag.endswith(condition)


def test_without_services_the_list_is_empty() -> None:
    _, alice = house()
    assert services(ask(alice, ASK)) == []


def test_strangers_get_no_credentials_and_accounts_have_none() -> None:
    built, alice = house(services=SERVICES, secret="s")
    for payload in (ASK, f"<credentials xmlns='{NS}'><service host='relay.example' type='turn'/></credentials>"):
        built.receive(f"<iq type='get' id='1' to='a.example'>{payload}</iq>", "eve@b.example/x")
        (answer,) = built.take_remote()
        assert "forbidden" in answer
        assert "password" not in answer
        assert "service-unavailable" in ET.tostring(ask(alice, payload, "alice@a.example")).decode()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"services": "turn:r.example"}, "secret"),
        ({"services": "http://r.example", "secret": "s"}, "services"),
        ({"services": "stun:r.example:70000"}, "services"),
        ({"services": "stun:r.example:0"}, "services"),
        ({"services": "stun:r.example", "seconds": 299}, "seconds"),
    ],
)
def test_mistakes_in_the_configuration(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(settings)
    assert caught.value.key == key
