"""Where a domain's server is: the configuration's override, SRV records of both kinds, or the domain itself.

RFC 6120 §3.2, RFC 2782 (order), XEP-0368 §3 (records of ``_xmpps-server`` are mixed with those of ``_xmpp-server``).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import idna

from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.core.jid import JID, JIDError

DNS_SECONDS = 5.0
"""For all queries of one step together: three servers that do not answer must leave time for the dial itself."""
DEFAULT_PORT = 5269
RECORDS = 16
"""SRV records that are looked at: more targets than anybody tries within the time that stanzas wait."""
ADDRESSES = 8
"""Addresses of one target that are tried."""


@dataclass(frozen=True, slots=True)
class Override:
    """Where a domain is, whatever DNS says. `direct`: TLS from the first byte."""

    host: str
    port: int
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """One place to try. `host` is a name in A-labels without its final dot, or an address. `overridden`: named by the
    configuration, so that the name is the system's affair and no DNS server's."""

    host: str
    port: int
    direct: bool = False
    overridden: bool = False


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record (RFC 2782). `target` is '.' where the service is refused."""

    priority: int
    weight: int
    port: int
    target: str


class NotFound(QuietwireError):
    """The domain has no server. `state`, for the log: "no-such-domain", "service-refused" (RFC 2782: target "."), or
    "dns-nonsense", where there are records and none can be used."""

    def __init__(self, text: str, state: str = "no-such-domain") -> None:
        super().__init__(text)
        self.state = state


class Unresolved(QuietwireError):
    """DNS did not answer in time; it may later."""


class Lookup(Protocol):
    """The DNS. `NotFound` for names that do not exist or have no such record, `Unresolved` for no answer."""

    async def srv(self, name: str) -> Sequence[Srv]: ...

    async def addresses(self, host: str) -> Sequence[str]: ...


class Resolver:
    """`overrides` by domain. `randomness(n)` gives n bytes. `server` is "address" or "address:port" of the DNS server
    to ask instead of the system's. Raises ConfigError for what is no domain or no address."""

    def __init__(
        self,
        overrides: Mapping[str, Override],
        randomness: Callable[[int], bytes],
        *,
        server: str | None = None,
        lookup: Lookup | None = None,
        service: str = "server",
        port: int = DEFAULT_PORT,
    ) -> None:
        """`service`: "client" for where a domain's users log in, with its usual `port`."""
        self._service = service
        self._port = port
        self._overrides = {_canonical(name): override for name, override in overrides.items()}
        self._randomness = randomness
        self._lookup = lookup or DnsLookup(server)

    async def targets(self, domain: str) -> list[Target]:
        """Where to try, in order. `domain` as in `JID.domain`. Raises NotFound, Unresolved."""
        override = self._overrides.get(domain)
        if override is not None:
            return [Target(override.host, override.port, override.direct, overridden=True)]
        name = ascii_name(domain)
        found = await asyncio.gather(
            self._srv(f"_xmpps-{self._service}._tcp.{name}"),
            self._srv(f"_xmpp-{self._service}._tcp.{name}"),
            return_exceptions=True,
        )
        direct, starttls = (_records(outcome) for outcome in found)
        records = [(record, True) for record in direct if _usable(record)]
        records += [(record, False) for record in starttls if _usable(record)]
        if not records and starttls:
            refused = all(record.target == "." for record in starttls)
            raise NotFound("no record can be used", "service-refused" if refused else "dns-nonsense")
        if not records:
            # RFC 6120 §3.2.1: also where the question was not answered.
            return [Target(name, self._port)]
        ordered = order(records, self._randomness)
        return [Target(record.target, record.port, is_direct) for record, is_direct in ordered]

    async def _srv(self, name: str) -> Sequence[Srv]:
        async with asyncio.timeout(DNS_SECONDS):
            return await self._lookup.srv(name)

    async def addresses(self, target: Target) -> list[str]:
        """The addresses of a target. Raises NotFound, Unresolved."""
        host = target.host
        try:
            return [str(ipaddress.ip_address(host.strip("[]")))]
        except ValueError:
            pass
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3: never asked of DNS
            return ["127.0.0.1", "::1"]
        try:
            async with asyncio.timeout(DNS_SECONDS):
                found = await (system_addresses(host) if target.overridden else self._lookup.addresses(host))
        except TimeoutError:
            raise Unresolved("DNS did not answer") from None
        if not found:
            raise NotFound("no address")
        return by_turns(found)[:ADDRESSES]


def _records(outcome: Sequence[Srv] | BaseException) -> list[Srv]:
    if isinstance(outcome, QuietwireError | TimeoutError):
        return []
    if isinstance(outcome, BaseException):
        raise outcome
    return list(outcome)[:RECORDS]


def _usable(record: Srv) -> bool:
    """The service is there (RFC 2782: "." says that it is not), at a port that can be one, under a name: an address
    is none, and would let a DNS server point at whatever listens beside us."""
    try:
        return record.port > 0 and record.target != "." and bool(ascii_name(record.target))
    except NotFound:
        return False


def by_turns(addresses: Iterable[str]) -> list[str]:
    """IPv6 and IPv4 by turns, the kind of the first one first (RFC 8305 §4)."""
    found = list(dict.fromkeys(addresses))
    kinds = [[a for a in found if (":" in a) is six] for six in (True, False)]
    if found and ":" not in found[0]:
        kinds.reverse()
    return [address for pair in zip_longest(*kinds) for address in pair if address is not None]


def ascii_name(domain: str) -> str:
    """The domain in A-labels, as DNS, TLS and certificates have it. Raises NotFound for what DNS cannot hold: an
    address, too, is no name that a certificate could stand for."""
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        pass
    else:
        raise NotFound("an address is no domain")
    try:
        labels = [label if label.isascii() else idna.alabel(label).decode() for label in domain.split(".")]
    except idna.IDNAError:
        raise NotFound("not a DNS name") from None
    name = ".".join(labels)
    if len(name) > 253 or any(not 0 < len(label) <= 63 for label in labels):
        raise NotFound("not a DNS name")
    return name


def order(records: Iterable[tuple[Srv, bool]], randomness: Callable[[int], bytes]) -> list[tuple[Srv, bool]]:
    """Lowest priority first, at random by weight within one (RFC 2782)."""
    by_priority: dict[int, list[tuple[Srv, bool]]] = {}
    for item in records:
        by_priority.setdefault(item[0].priority, []).append(item)
    ordered: list[tuple[Srv, bool]] = []
    for priority in sorted(by_priority):
        rest = sorted(by_priority[priority], key=lambda item: item[0].weight > 0)  # those of weight 0 first
        while rest:
            total = sum(record.weight for record, _ in rest)
            drawn = int.from_bytes(randomness(8), "big") % (total + 1)
            running = 0
            for index, (record, _) in enumerate(rest):
                running += record.weight
                if running >= drawn:
                    ordered.append(rest.pop(index))
                    break
    return ordered


class DnsLookup:
    """`Lookup` by dnspython. Without `server`, addresses come from the system's own resolver, hosts file and all."""

    def __init__(self, server: str | None = None) -> None:
        self._system = server is None
        self._resolver: dns.asyncresolver.Resolver | None = None
        if server is not None:
            address, port = _server(server)
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            self._resolver.nameservers = [address]
            self._resolver.port = port

    def _dns(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver()
        return self._resolver

    async def srv(self, name: str) -> Sequence[Srv]:
        return [
            Srv(record.priority, record.weight, record.port, record.target.to_text(omit_final_dot=True).lower() or ".")
            for record in await self._ask(name, dns.rdatatype.SRV)
        ]

    async def addresses(self, host: str) -> Sequence[str]:
        if self._system:
            return await system_addresses(host)
        answers = await asyncio.gather(
            self._ask(host, dns.rdatatype.AAAA), self._ask(host, dns.rdatatype.A), return_exceptions=True
        )
        found = [record.address for answer in answers if not isinstance(answer, BaseException) for record in answer]
        if not found:
            for answer in answers:
                if isinstance(answer, BaseException) and not isinstance(answer, NotFound):
                    raise answer
            raise NotFound("no address")
        return found

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> list[Any]:
        try:
            # The final dot keeps the system's search list out of it.
            answer = await self._dns().resolve(f"{name}.", kind, lifetime=DNS_SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.LabelTooLong, dns.name.NameTooLong):
            raise NotFound("no such record") from None
        except (dns.exception.DNSException, OSError):
            raise Unresolved("DNS did not answer") from None
        return list(answer)


async def system_addresses(host: str) -> list[str]:
    """By the system's resolver, hosts file and all. Raises NotFound, Unresolved."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            raise NotFound("no such name") from None
        raise Unresolved("DNS did not answer") from None
    except (OSError, UnicodeError):
        raise NotFound("not a name") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def _canonical(name: str) -> str:
    try:
        return JID.parse(name).domain
    except JIDError:
        raise ConfigError("federation.override", name, "a domain name") from None


def _server(text: str) -> tuple[str, int]:
    address, port = text, "53"
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    try:
        ipaddress.ip_address(address)
        if not 0 < int(port) < 65_536:
            raise ValueError
    except ValueError:
        raise ConfigError("federation", "resolver", 'an address, or "address:port"') from None
    return address, int(port)
