"""Settings that weaken the server, or that contradict each other. Unknown keys and wrong types are refused by
`config.load` before."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import partial

from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.config import Config
from quietwire.core.jid import JID
from quietwire.shaping.cost import cost
from quietwire.shaping.policy import Profile

ITERATIONS = 100_000
"""RFC 7677 §4 says 4,096 at least, of 2015. docs/weak-passwords.md has what a guess costs a thief."""
STANZA_BYTES = 1 << 20
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
WAIT_SECONDS = 120.0
RESUME_SECONDS = 3_600.0
TOKEN_HOURS = 7 * 24.0
CLIENT_DAY, SERVER_DAY = 200e6, 2e9
"""Bytes a day and direction, of one link."""
SLOW_SECONDS = 60.0

_note = partial(Finding, Severity.NOTE, "configuration")
_warning = partial(Finding, Severity.WARNING, "configuration")
_error = partial(Finding, Severity.ERROR, "configuration")


def configuration(config: Config) -> list[Finding]:
    """Everything that can be said of the file alone."""
    found = [
        *_login(config),
        *_people(config),
        *_limits(config),
        *_ports(config),
        *_federation(config),
        *_others(config),
    ]
    return found or [Finding(Severity.OK, "configuration", "quietwire.toml", "no weak settings")]


def _login(config: Config) -> Iterator[Finding]:
    login = config.login
    if login.iterations < ITERATIONS:
        yield _warning(
            "login.iterations",
            f"a thief of the database guesses new passwords {ITERATIONS / login.iterations:.2g} times as fast: each is "
            f"worth {math.log2(ITERATIONS / login.iterations):.1f} bits less",
            "100000, but for clients that refuse it (Pidgin: 65536 at most); passwords that exist keep theirs until "
            "they are changed",
        )
    if login.plain:
        yield _note(
            "login.plain",
            "PLAIN shows passwords to whoever has broken into the running server",
            "false, if all your clients can do SCRAM; those that people use can",
        )
    if login.token_hours > TOKEN_HOURS:
        yield _note("login.token_hours", "who takes a token from a device has the account for that long")


def _people(config: Config) -> Iterator[Finding]:
    """Who gets in, who gives commands, who is written to."""
    if config.modules.get("registration", {}).get("open"):
        yield _warning(
            "modules.registration.open",
            "everybody may make accounts: spammers find such a server within days, and other servers shut it out",
            "false; `quietwire invite` lets in whom you know",
        )
    for jid in config.admin.jids:
        if JID.parse(jid).domain != config.domain:
            yield _warning("admin.jids", f"{jid} has no account here: its commands are refused", "an account of yours")
    for kind, value in config.modules.get("addresses", {}).items():
        for word in str(value).split():
            if not URI.fullmatch(word):
                yield _warning(f"modules.addresses.{kind}", f"{word} is no URI and is not shown", f"mailto:{word}")


def _limits(config: Config) -> Iterator[Finding]:
    limits = config.limits
    for key in ("client_bytes", "client_stanzas"):
        if not getattr(config.rates, key):
            yield _warning(f"rates.{key}", "no limit: one stream may take the whole server", "remove the key")
    if limits.stanza_bytes > STANZA_BYTES:
        yield _warning(
            "limits.stanza_bytes",
            f"{limits.stanza_bytes} bytes of one stanza are held in memory, for each stream",
            "262144; files have a place of their own (XEP-0363)",
        )
    if limits.unauthenticated_seconds > WAIT_SECONDS:
        yield _warning(
            "limits.unauthenticated_seconds",
            f"a stranger may hold a connection for {limits.unauthenticated_seconds:.0f} s",
            "90.0",
        )
    if limits.strangers_per_network > limits.strangers // 2:
        yield _warning(
            "limits.strangers_per_network",
            "one network alone can take most of the places of those who log in",
            f"at most a tenth of limits.strangers, {limits.strangers // 10}",
        )
    if limits.resume_seconds > RESUME_SECONDS:
        yield _note("limits.resume_seconds", "contacts see a user who has lost the network as online for that long")


def _ports(config: Config) -> Iterator[Finding]:
    listen = config.listen
    if not (listen.c2s or listen.c2s_tls or listen.c2s_local or listen.https or listen.http):
        yield _error("listen", "no port for clients", "c2s = 5222 and c2s_tls = 5223")
    elif not listen.c2s_tls:
        yield _note("listen.c2s_tls", "no port with TLS from the first byte: some networks let nothing else through")
    taken: dict[int, str] = {}
    for key in ("c2s", "c2s_tls", "c2s_local", "s2s", "s2s_tls", "https", "http"):
        port = getattr(listen, key)
        if port and port in taken:
            yield _error(f"listen.{key}", f"port {port} is listen.{taken[port]}, too", "another number, or 0")
        elif port:
            taken[port] = key
    if config.federation.enabled and not (listen.s2s or listen.s2s_tls):
        yield _warning("listen.s2s", "other servers cannot reach this one", "s2s = 5269, or federation.enabled = false")


def _federation(config: Config) -> Iterator[Finding]:
    federation = config.federation
    if not federation.enabled:
        return
    if federation.authentication == "dialback":
        yield _warning(
            "federation.authentication",
            "DNS is believed: whoever can lie to your resolver can speak for any other domain",
            '"certificate"',
        )
    for key in ("domain_bytes", "domain_stanzas"):
        if not getattr(federation, key):
            cause = "no limit: one other server may take the whole of this one"
            yield _warning(f"federation.{key}", cause, "remove the key")
    if federation.log_domains:
        yield _note("federation.log_domains", "the log says which other servers your users talk to")
    if config.modules.get("muc", {}).get("create") == "anyone":
        yield _warning("modules.muc.create", "users of any server may make rooms here", '"local"')


def _others(config: Config) -> Iterator[Finding]:
    yield from _links(config)
    if not config.federation.enabled:
        yield _note("federation.enabled", "users reach nobody on other servers")
    elif config.tls.authority is not None:
        yield _note("tls.authority", "only servers whose certificate this authority has signed are let in")
    for domain in config.federation.override:
        yield _note(f'federation.override."{domain}"', "found by the configuration, whatever DNS says")
    if config.log.level == "debug":
        yield _note("log.level", "debug: many lines, though nobody's name")


def _links(config: Config) -> Iterator[Finding]:
    """Profiles that do not hide what they look like hiding, or cost more than somebody may have meant."""
    links = config.links
    policies = {"links": links.policy(), "links.s2s": links.server_policy()}
    if links.profile == "off":
        yield _note("links.profile", "record sizes show the network what users do", '"padded", or "steady"')
    elif links.profile == "steady" and (config.listen.https or config.listen.http):
        yield _note("listen.https", "WebSockets and uploads are not steady: what is sent there shows")
    for table, policy in policies.items():
        if policy.profile is Profile.JITTER:
            yield _note(f"{table}.profile", "delays alone do not keep senders and recipients apart", '"steady"')
        if policy.profile is not Profile.STEADY:
            continue
        day = cost(policy).day
        most = CLIENT_DAY if table == "links" else SERVER_DAY
        if day > most:
            yield _warning(
                f"{table}.tick", f"{day / 1e6:.0f} MB a day and direction of every link, said or not", "less"
            )
        if policy.tick > SLOW_SECONDS:
            yield _warning(f"{table}.tick", f"a message waits for up to {policy.tick:g} s at this hop", "30.0")
        if not policy.window:
            yield _warning(f"{table}.window", "logins and archives wait for the slow tick: clients give up", "30.0")
        if policy.queue < 2 * policy.cell:
            yield _warning(f"{table}.queue", "not two cells: clients are held back for every answer", "262144")
    if config.listen.c2s_local and links.profile in ("steady", "jitter"):
        yield _note("listen.c2s_local", "links without TLS are not shaped: who ends TLS shows what they carry")
