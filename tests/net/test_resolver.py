from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
import uvloop

from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.net.resolver import (
    DnsLookup,
    NotFound,
    Override,
    Resolver,
    Srv,
    Target,
    Unresolved,
    ascii_name,
    by_turns,
    order,
    system_addresses,
)
from quietwire.testing.nameserver import Nameserver

DIRECT, STARTTLS = "_xmpps-server._tcp.b.example", "_xmpp-server._tcp.b.example"


class FakeLookup:
    """Answers from two dictionaries; remembers what was asked."""

    def __init__(
        self,
        srv: dict[str, Sequence[Srv] | BaseException] | None = None,
        addresses: dict[str, Sequence[str]] | None = None,
    ) -> None:
        self.records = srv or {}
        self.names = addresses or {}
        self.asked: list[str] = []

    async def srv(self, name: str) -> Sequence[Srv]:
        self.asked.append(name)
        found = self.records.get(name, NotFound("no such record"))
        if isinstance(found, BaseException):
            raise found
        return found

    async def addresses(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.names.get(host, [])


def zeros(size: int) -> bytes:
    return bytes(size)


def targets(
    lookup: FakeLookup, domain: str = "b.example", overrides: dict[str, Override] | None = None
) -> list[Target]:
    return asyncio.run(Resolver(overrides or {}, zeros, lookup=lookup).targets(domain))


def srv(priority: int, target: str, port: int = 5269, weight: int = 0) -> Srv:
    return Srv(priority, weight, port, target)


def test_users_are_asked_for_by_another_name_and_port() -> None:
    lookup = FakeLookup({"_xmpps-client._tcp.b.example": [srv(1, "one", 443)]})
    resolver = Resolver({}, zeros, lookup=lookup, service="client", port=5222)
    assert asyncio.run(resolver.targets("b.example")) == [Target("one", 443, direct=True)]
    assert lookup.asked == ["_xmpps-client._tcp.b.example", "_xmpp-client._tcp.b.example"]
    assert asyncio.run(resolver.targets("c.example")) == [Target("c.example", 5222)]


def test_both_lists_are_mixed_by_priority() -> None:
    lookup = FakeLookup({DIRECT: [srv(2, "two", 443), srv(4, "four", 444)], STARTTLS: [srv(3, "three"), srv(1, "one")]})
    assert targets(lookup) == [
        Target("one", 5269),
        Target("two", 443, direct=True),
        Target("three", 5269),
        Target("four", 444, direct=True),
    ]


def test_no_records_fall_back_to_the_domain() -> None:
    lookup = FakeLookup()
    assert targets(lookup) == [Target("b.example", 5269)]
    assert sorted(lookup.asked) == sorted([DIRECT, STARTTLS])


@pytest.mark.parametrize("error", [Unresolved("x"), NotFound("x"), TimeoutError()])
def test_one_list_without_an_answer(error: BaseException) -> None:
    assert targets(FakeLookup({DIRECT: error, STARTTLS: [srv(1, "one")]})) == [Target("one", 5269)]
    assert targets(FakeLookup({DIRECT: [srv(1, "one")], STARTTLS: error})) == [Target("one", 5269, direct=True)]
    assert targets(FakeLookup({DIRECT: error, STARTTLS: error})) == [Target("b.example", 5269)]


def test_a_service_that_is_refused() -> None:
    with pytest.raises(NotFound):
        targets(FakeLookup({STARTTLS: [srv(0, ".", 0)]}))
    with pytest.raises(NotFound):
        targets(FakeLookup({STARTTLS: [srv(0, ".", 0)], DIRECT: [srv(0, ".", 0)]}))
    assert targets(FakeLookup({STARTTLS: [srv(0, ".", 0)], DIRECT: [srv(0, "one")]})) == [
        Target("one", 5269, direct=True)
    ]
    assert targets(FakeLookup({STARTTLS: [srv(0, "one")], DIRECT: [srv(0, ".", 0)]})) == [Target("one", 5269)]
    assert targets(FakeLookup({DIRECT: [srv(0, ".", 0)]})) == [Target("b.example", 5269)]


def test_our_own_mistakes_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        targets(FakeLookup({DIRECT: ZeroDivisionError()}))


def test_an_override_asks_nobody() -> None:
    lookup = FakeLookup()
    override = {"b.example": Override("127.0.0.1", 5300, True)}
    assert targets(lookup, overrides=override) == [Target("127.0.0.1", 5300, direct=True, overridden=True)]
    assert lookup.asked == []


def test_an_override_is_found_however_it_is_written() -> None:
    override = {"B.Example.": Override("127.0.0.1", 5300)}
    assert targets(FakeLookup(), overrides=override)[0].overridden
    with pytest.raises(ConfigError, match=r"federation\.override: @: a domain name"):
        Resolver({"@": Override("127.0.0.1", 1)}, zeros, lookup=FakeLookup())


def test_names_go_out_in_a_labels() -> None:
    lookup = FakeLookup()
    assert targets(lookup, "münchen.example") == [Target("xn--mnchen-3ya.example", 5269)]
    assert "_xmpp-server._tcp.xn--mnchen-3ya.example" in lookup.asked


@pytest.mark.parametrize("domain", ["127.0.0.1", "[::1]", "a" * 64 + ".example", ".".join(["label"] * 43), "a..b"])
def test_what_dns_cannot_hold(domain: str) -> None:
    with pytest.raises(NotFound):
        ascii_name(domain)


# -- RFC 2782 ---------------------------------------------------------------------------------------------------------


def test_weights_give_shares() -> None:
    source = random.Random(7)
    items = [(srv(1, "heavy", weight=60), False), (srv(1, "light", weight=20), True), (srv(1, "none", weight=0), False)]
    first = Counter(order(items, source.randbytes)[0][0].target for _ in range(4_000))
    assert 0.70 < first["heavy"] / 4_000 < 0.80
    assert 0.20 < first["light"] / 4_000 < 0.30
    assert 0 < first["none"] < 200


def test_every_record_comes_once_and_lower_priorities_first() -> None:
    source = random.Random(7)
    items = [(srv(number % 5, str(number), weight=number % 3), False) for number in range(20)]
    for _ in range(50):
        ordered = order(items, source.randbytes)
        assert sorted(record.target for record, _ in ordered) == sorted(record.target for record, _ in items)
        priorities = [record.priority for record, _ in ordered]
        assert priorities == sorted(priorities)


# -- addresses --------------------------------------------------------------------------------------------------------


def addresses(target: Target, lookup: FakeLookup) -> list[str]:
    return asyncio.run(Resolver({}, zeros, lookup=lookup).addresses(target))


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("[2001:db8::1]", ["2001:db8::1"]),
        ("::1", ["::1"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("x.localhost", ["127.0.0.1", "::1"]),
    ],
)
def test_addresses_that_nobody_is_asked_for(host: str, found: list[str]) -> None:
    lookup = FakeLookup()
    assert addresses(Target(host, 1), lookup) == found
    assert lookup.asked == []


def test_addresses_of_a_name() -> None:
    lookup = FakeLookup(addresses={"x.example": [f"192.0.2.{number}" for number in range(20)]})
    assert len(addresses(Target("x.example", 1), lookup)) == 8
    with pytest.raises(NotFound):
        addresses(Target("y.example", 1), lookup)


def test_the_name_in_an_override_is_the_systems_affair() -> None:
    lookup = FakeLookup()
    with pytest.raises(QuietwireError):
        addresses(Target("nowhere.invalid", 1, overridden=True), lookup)
    assert lookup.asked == []
    assert "127.0.0.1" in asyncio.run(system_addresses("localhost"))


# -- dnspython against a server on loopback --------------------------------------------------------------------------


async def asked(server: Nameserver, *work: str) -> list[Any]:
    """Outcomes of "srv name" or "addresses name" through a real resolver."""
    lookup = DnsLookup(f"127.0.0.1:{await server.open()}")
    outcomes: list[Any] = []
    for item in work:
        method, name = item.split()
        try:
            outcomes.append(await getattr(lookup, method)(name))
        except QuietwireError as error:
            outcomes.append(type(error))
    server.close()
    return outcomes


def run(scene: Coroutine[Any, Any, Any], loop: str) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop) as runner:
        return runner.run(scene)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_over_udp(loop: str) -> None:
    server = Nameserver(
        {
            (STARTTLS, "SRV"): ["5 10 5269 Im.B.example.", "6 0 5270 im2.b.example."],
            (DIRECT, "SRV"): ["0 0 0 ."],
            ("im.b.example", "A"): ["192.0.2.1"],
            ("im.b.example", "AAAA"): ["2001:db8::1"],
            ("four.b.example", "A"): ["192.0.2.4"],
            ("text.b.example", "TXT"): ["x"],
        }
    )
    work = ("srv " + STARTTLS, "srv " + DIRECT, "srv _x._tcp.b.example", "addresses im.b.example",
            "addresses four.b.example", "addresses text.b.example", "addresses none.b.example")  # fmt: skip
    found = run(asked(server, *work), loop)
    assert sorted(found[0], key=lambda record: record.priority) == [
        Srv(5, 10, 5269, "im.b.example"),
        Srv(6, 0, 5270, "im2.b.example"),
    ]
    assert found[1:] == [
        [Srv(0, 0, 0, ".")], NotFound, ["2001:db8::1", "192.0.2.1"], ["192.0.2.4"], NotFound, NotFound,
    ]  # fmt: skip


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quietwire.net.resolver.DNS_SECONDS", 0.05)
    server = Nameserver({}, mute=frozenset({"b.example", STARTTLS}))
    assert run(asked(server, "srv " + STARTTLS, "addresses b.example"), "uvloop") == [Unresolved, Unresolved]


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5300", "192.0.2.1", 5300),
        ("2001:db8::1", "2001:db8::1", 53),
        ("[2001:db8::1]:5300", "2001:db8::1", 5300),
    ],
)
def test_the_configured_server(text: str, address: str, port: int) -> None:
    resolver = DnsLookup(text)._dns()
    assert (resolver.nameservers, resolver.port) == ([address], port)


@pytest.mark.parametrize("text", ["", "dns.example", "192.0.2.1:x", "192.0.2.1:0", "192.0.2.1:70000"])
def test_a_mistake_in_the_configured_server(text: str) -> None:
    with pytest.raises(ConfigError, match="resolver"):
        DnsLookup(text)


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ([Srv(0, 0, 0, ".")], "service-refused"),
        ([Srv(0, 0, 0, "im.b.example")], "dns-nonsense"),
        ([Srv(0, 0, 5269, "::1")], "dns-nonsense"),
        ([Srv(0, 0, 5269, "127.0.0.1"), Srv(0, 0, 5269, ".")], "dns-nonsense"),
    ],
)
def test_records_that_cannot_be_used(records: list[Srv], state: str) -> None:
    with pytest.raises(NotFound) as gone:
        asyncio.run(Resolver({}, os.urandom, lookup=FakeLookup({STARTTLS: records})).targets("b.example"))
    assert gone.value.state == state


def test_those_that_can_be_used_are() -> None:
    records = [Srv(0, 0, 0, "x.example"), Srv(1, 0, 5269, "im.b.example"), Srv(2, 0, 5269, "10.0.0.1")]
    found = asyncio.run(Resolver({}, os.urandom, lookup=FakeLookup({STARTTLS: records})).targets("b.example"))
    assert found == [Target("im.b.example", 5269)]


@pytest.mark.parametrize(
    ("found", "tried"),
    [
        (["::1", "::2", "10.0.0.1"], ["::1", "10.0.0.1", "::2"]),
        (["10.0.0.1", "10.0.0.2", "::1"], ["10.0.0.1", "::1", "10.0.0.2"]),
        (["::1", "::1"], ["::1"]),
        ([], []),
    ],
)
def test_both_versions_of_ip_by_turns(found: list[str], tried: list[str]) -> None:
    assert by_turns(found) == tried
