from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from quietwire.cli.checks.dns import dns
from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.config import Config
from quietwire.net.resolver import NotFound, Srv, Unresolved

SERVER = ("host.a.example", "192.0.2.1")


class Zone:
    """A `Lookup` with these records."""

    def __init__(self, records: dict[str, list[Srv]], addresses: dict[str, str], mute: bool = False) -> None:
        self.records = records
        self.hosts = addresses
        self.mute = mute

    async def srv(self, name: str) -> Sequence[Srv]:
        if name not in self.records:
            raise NotFound("no such record")
        return self.records[name]

    async def addresses(self, host: str) -> Sequence[str]:
        if self.mute:
            raise Unresolved("DNS did not answer")
        if host not in self.hosts:
            raise NotFound("no such name")
        return [self.hosts[host]]


def records(**ports: int) -> dict[str, list[Srv]]:
    names = {
        "client": "_xmpp-client._tcp.a.example", "clients": "_xmpps-client._tcp.a.example",
        "server": "_xmpp-server._tcp.a.example", "servers": "_xmpps-server._tcp.a.example",
    }  # fmt: skip
    return {names[key]: [Srv(0, 0, port, SERVER[0])] for key, port in ports.items()}


ALL = records(client=5222, clients=5223, server=5269, servers=5270)


def found(zone: Zone, *hosted: str, status: int = 200, domain: str = "a.example", **listen: Any) -> list[Finding]:
    async def fetch(url: str) -> int:
        assert url == f"https://{domain}/.well-known/host-meta"
        if not status:
            raise ConnectionRefusedError
        return status

    config = Config.model_validate({"domain": domain, "listen": listen})
    return asyncio.run(dns(config, hosted, zone, fetch))


def bad(findings: list[Finding]) -> dict[str, str]:
    return {one.subject: one.cause for one in findings if one.severity >= Severity.WARNING}


def test_all_is_there() -> None:
    told = found(Zone(ALL, {SERVER[0]: SERVER[1], "a.example": "192.0.2.2"}))
    assert [one.severity for one in told] == [Severity.OK] * 5


def test_without_records_the_domain_itself_is_tried() -> None:
    told = found(Zone({}, {"a.example": "192.0.2.2"}))
    assert [one.severity for one in told].count(Severity.NOTE) == 2
    assert set(bad(told)) == {"_xmpps-client._tcp.a.example", "_xmpps-server._tcp.a.example"}
    told = found(Zone({}, {"a.example": "192.0.2.2"}), c2s=15222)
    assert "a.example:5222 is not this server" in bad(told)["_xmpp-client._tcp.a.example"]
    told = found(Zone({}, {}))
    assert "clients do not find it" in bad(told)["_xmpp-client._tcp.a.example"]


def test_records_that_lead_nowhere() -> None:
    told = found(Zone(ALL, {"a.example": "192.0.2.2"}))
    assert "has no address" in bad(told)["_xmpp-client._tcp.a.example"]
    zone = Zone({**ALL, "_xmpp-client._tcp.a.example": [Srv(0, 0, 0, ".")]}, {SERVER[0]: SERVER[1], "a.example": "x"})
    assert "refused" in bad(found(zone))["_xmpp-client._tcp.a.example"]
    assert not bad(found(zone, c2s=0))


def test_other_ports() -> None:
    zone = Zone(ALL, {SERVER[0]: SERVER[1], "a.example": "192.0.2.2"})
    assert bad(found(zone, c2s=15222))["_xmpp-client._tcp.a.example"] == "names port 5222, listen.c2s is 15222"
    assert "listen.s2s_tls is 0" in bad(found(zone, s2s_tls=0))["_xmpps-server._tcp.a.example"]


def test_domains_below_ours_must_be_found_too() -> None:
    hosts = {SERVER[0]: SERVER[1], "a.example": "192.0.2.2"}
    assert set(bad(found(Zone(ALL, hosts), "rooms.a.example"))) == {"rooms.a.example"}
    assert not bad(found(Zone(ALL, {**hosts, "rooms.a.example": "192.0.2.3"}), "rooms.a.example"))
    more = {**ALL, "_xmpp-server._tcp.rooms.a.example": [Srv(0, 0, 5269, SERVER[0])]}
    assert not bad(found(Zone(more, hosts), "rooms.a.example"))


def test_host_meta() -> None:
    zone = Zone(ALL, {SERVER[0]: SERVER[1], "a.example": "192.0.2.2"})
    url = "https://a.example/.well-known/host-meta"
    assert "answers 404" in bad(found(zone, status=404))[url]
    assert "nobody answers" in bad(found(zone, status=0))[url]
    assert not bad(found(zone, status=0, https=0))


def test_a_resolver_that_is_gone() -> None:
    told = found(Zone({}, {}, mute=True))
    assert [(one.severity, one.subject) for one in told] == [(Severity.ERROR, "resolver")]


def test_this_machine_alone_is_not_asked_for() -> None:
    told = found(Zone({}, {}, mute=True), domain="localhost")
    assert [one.severity for one in told] == [Severity.NOTE]
