"""Do others find this server: SRV records, addresses, host-meta. Asks the resolver that the configuration names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.config import Config
from quietwire.core.errors import QuietwireError
from quietwire.net.resolver import Lookup, NotFound, Srv, Unresolved, ascii_name

T = TypeVar("T")

SECONDS = 8.0
"""For one question."""
SERVICES = (
    ("c2s", "_xmpp-client._tcp", 5222),
    ("c2s_tls", "_xmpps-client._tcp", 0),
    ("s2s", "_xmpp-server._tcp", 5269),
    ("s2s_tls", "_xmpps-server._tcp", 0),
)
"""Key of `[listen]`, its service, and the port that is tried without a record."""

Fetch = Callable[[str], Awaitable[int]]
"""GETs an https URL -> the status. Raises OSError."""

_ok = partial(Finding, Severity.OK, "dns")
_note = partial(Finding, Severity.NOTE, "dns")
_warning = partial(Finding, Severity.WARNING, "dns")
_error = partial(Finding, Severity.ERROR, "dns")


async def dns(config: Config, hosted: Sequence[str], lookup: Lookup, fetch: Fetch) -> list[Finding]:
    """`hosted`: domains below ours that other servers must find as well."""
    try:
        name = ascii_name(config.domain)
    except NotFound:
        return [_error("domain", f"{config.domain} is no name that DNS could hold", "a domain name")]
    if name == "localhost" or name.endswith(".localhost"):
        return [_note("domain", f"{config.domain} is this machine alone: DNS is not asked")]
    try:
        addresses = await _ask(lookup.addresses(name))
        found: list[Finding] = []
        for key, service, fallback in SERVICES:
            if key.startswith("c2s") or config.federation.enabled:
                found += await _service(config, lookup, name, key, service, fallback, bool(addresses))
        if config.federation.enabled:
            for domain in hosted:
                found += await _hosted(lookup, ascii_name(domain))
    except Unresolved:
        server = config.federation.resolver or "the system's"
        return [_error("resolver", f"{server} does not answer", "look at the network, or at federation.resolver")]
    if config.listen.https or config.listen.http:
        found += await _host_meta(name, addresses, fetch)
    return found


async def _ask(question: Awaitable[Sequence[T]]) -> Sequence[T]:
    """Empty for what is not there. Raises Unresolved."""
    try:
        async with asyncio.timeout(SECONDS):
            return await question
    except NotFound:
        return ()
    except TimeoutError:
        raise Unresolved("DNS did not answer") from None


async def _service(
    config: Config, lookup: Lookup, name: str, key: str, service: str, fallback: int, addressed: bool
) -> list[Finding]:
    record = f"{service}.{name}"
    port: int = getattr(config.listen, key)
    records = await _ask(lookup.srv(record))
    if not records:
        return list(_without(record, key, port, fallback, addressed, config.domain))
    if all(one.target == "." for one in records):
        if port:
            return [_error(record, "says that the service is refused", f"0 0 {port} HOST., the host's name")]
        return [_ok(record, "says that the service is refused")]
    found = [await _target(lookup, record, one) for one in records]
    if not port:
        found.append(_error(record, f"is there, but listen.{key} is 0", "remove the record, or open the port"))
    elif all(one.port != port for one in records):
        ports = ", ".join(str(one.port) for one in records)
        found.append(_warning(record, f"names port {ports}, listen.{key} is {port}", "right where a firewall maps it"))
    return found


def _without(record: str, key: str, port: int, fallback: int, addressed: bool, domain: str) -> Iterator[Finding]:
    if not port:
        return
    who = "clients" if key.startswith("c2s") else "other servers"
    wanted = f"{record}. SRV 5 0 {port} HOST., the host's name"
    if port == fallback and addressed:
        yield _note(record, f"is not there: {who} try the domain's own addresses, which works", wanted)
    elif not fallback:
        yield _warning(record, f"is not there: {who} do not find the port with TLS from the first byte", wanted)
    else:
        yield _error(record, f"is not there, and {domain}:{fallback} is not this server: {who} do not find it", wanted)


async def _target(lookup: Lookup, record: str, one: Srv) -> Finding:
    if not await _ask(lookup.addresses(one.target)):
        return _error(record, f"names {one.target}, which has no address", "an A or AAAA record for it")
    return _ok(record, f"{one.target}:{one.port}")


async def _hosted(lookup: Lookup, name: str) -> list[Finding]:
    for service in ("_xmpp-server._tcp", "_xmpps-server._tcp"):
        if any(one.target != "." for one in await _ask(lookup.srv(f"{service}.{name}"))):
            return [_ok(name, "other servers find it")]
    if await _ask(lookup.addresses(name)):
        return [_ok(name, "other servers find it by its address, on port 5269")]
    return [
        _warning(name, "has no record: other servers' users do not find it", "the same server records as the domain")
    ]


async def _host_meta(name: str, addresses: Sequence[str], fetch: Fetch) -> list[Finding]:
    url = f"https://{name}/.well-known/host-meta"
    remedy = "have the web server of the domain pass /.well-known/host-meta on to the web port (docs/operating.md)"
    if not addresses:
        return [_warning(url, "the domain has no address: web clients do not find the web port", remedy)]
    try:
        status = await fetch(url)
    except (OSError, QuietwireError, TimeoutError):
        return [_warning(url, "nobody answers: web clients do not find the web port", remedy)]
    if status != 200:
        return [_warning(url, f"answers {status}: web clients do not find the web port", remedy)]
    return [_ok(url, "is there")]
