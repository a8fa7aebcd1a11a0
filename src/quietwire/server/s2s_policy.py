"""What an administrator decides about other servers: who may be talked to, how they prove who they are, how fast."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from quietwire.shaping.bucket import Meter, Rates

Authentication = Literal["certificate", "dialback"]
REMEMBERED = 4_096
"""Domains whose rate is remembered though they have no stream: reconnecting must not be a way around it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`[federation]` of the configuration. Patterns of domains: `example.org`; `*.example.org`, all below it at any
    depth but not itself; `*`, all."""

    authentication: Authentication = "certificate"
    """`certificate`: somewhere a valid certificate of the domain must be shown, on its stream (SASL EXTERNAL, or
    dialback that needs no question) or by the server that is asked for the dialback key. `dialback`: DNS is believed,
    as XEP-0220 does; TLS, with whatever certificate, stays a must."""
    allow: tuple[str, ...] = ()
    """Only these; empty: all."""
    refuse: tuple[str, ...] = ()
    """Never these, whatever `allow` says."""
    rates: Rates = field(default_factory=lambda: Rates(bytes=8e6, stanzas=20_000.0))
    """Of one domain, all its streams together: more than an honest server of thousands sends, less than what stops this
    one."""
    connections_per_domain: int = 20
    """Authenticated streams that one domain may have open to us: two for each pair of domains are usual."""
    name_domains: bool = False
    """Log lines name the other domain. Otherwise they have a tag that means nothing after a restart."""

    def admits(self, domain: str) -> bool:
        """Whether this domain may be talked to at all."""
        if any(_matches(pattern, domain) for pattern in self.refuse):
            return False
        return not self.allow or any(_matches(pattern, domain) for pattern in self.allow)


def _matches(pattern: str, domain: str) -> bool:
    return pattern in ("*", domain) or (pattern.startswith("*.") and domain.endswith(pattern[1:]))


class Peer:
    """One other domain as far as it is limited."""

    __slots__ = ("meter", "streams")

    def __init__(self, meter: Meter | None) -> None:
        self.meter = meter
        self.streams = 0


class Peers:
    """All other domains that are authenticated, or were lately."""

    def __init__(self, policy: Policy, clock: Callable[[], float], salt: bytes) -> None:
        self.policy = policy
        self._clock = clock
        self._salt = salt
        self._known: dict[str, Peer] = {}

    def enter(self, domain: str) -> Peer | None:
        """One more stream of that domain; None if it has too many."""
        peer = self._known.pop(domain, None)
        if peer is None:
            self._make_room()
            rates = self.policy.rates
            peer = Peer(None if rates.unlimited else Meter(rates, self._clock))
        self._known[domain] = peer  # the last one again
        if peer.streams >= self.policy.connections_per_domain:
            return None
        peer.streams += 1
        return peer

    def _make_room(self) -> None:
        if len(self._known) < REMEMBERED:
            return
        idle = next((domain for domain, peer in self._known.items() if not peer.streams), None)
        if idle is not None:
            del self._known[idle]

    def tag(self, domain: str) -> str:
        """What log lines call it: its name where the administrator wants names, else eight digits that are others
        after the next start."""
        if self.policy.name_domains:
            return domain
        return hmac.new(self._salt, domain.encode(), hashlib.sha256).hexdigest()[:8]
