"""How many connections may be there: those that have not said who they are, from one network and in all.

Networks are known as long as one of their connections waits, in memory only. Nothing here does I/O.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

RESERVED = 128
"""File descriptors that connections must leave for the database, the control socket, DNS and uploads."""
RESUME_SHARE = 0.9
"""Doors that were full open again when this share is taken: else every departure would be an event of its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    strangers: int = 1_000
    """Connections that have not logged in. Further ones wait in the kernel: after a restart everybody comes at once,
    and a thousand handshakes are some seconds' work, well within the time a login has."""
    per_network: int = 100
    """Of them, from one IPv4 address or one IPv6 /64: behind an address may be a house. Further ones are closed."""


class Visitor:
    """One accepted connection."""

    __slots__ = ("_doors", "_known", "_open", "network")

    def __init__(self, doors: Doors, network: str | None) -> None:
        self._doors = doors
        self.network = network
        """As `network_of` has it."""
        self._known = False
        self._open = True

    def known(self) -> None:
        """It has logged in. Idempotent."""
        if not self._known:
            self._known = True
            self._doors.left(self.network)

    def gone(self) -> None:
        """The connection is closed. Idempotent."""
        self.known()
        if self._open:
            self._open = False
            self._doors.closed()


class Doors:
    """`room()` says whether to accept at all; `enter(address)` whether this one may stay. `opened` is called when there
    is room again after there was none."""

    def __init__(self, limits: Limits, capacity: int, opened: Callable[[], None] = lambda: None) -> None:
        """`capacity`: connections of any kind that the process can hold."""
        self.limits = limits
        self.capacity = capacity
        self.opened = opened
        self.strangers = 0
        self.open = 0
        self.noted_at = float("-inf")
        """When the log was last told that they are full; for those who accept."""
        self._networks: Counter[str] = Counter()
        self._full = ""

    def room(self) -> str:
        """'' if one more may be accepted, else what there is too much of: "strangers" or "descriptors"."""
        if self.open >= self.capacity:
            self._full = "descriptors"
        elif self.strangers >= self.limits.strangers:
            self._full = "strangers"
        return self._full

    def enter(self, address: str) -> Visitor | None:
        """None: its network has too many already; close it without a word."""
        network = network_of(address)
        if network is not None:
            if self._networks[network] >= self.limits.per_network:
                return None
            self._networks[network] += 1
        self.strangers += 1
        self.open += 1
        return Visitor(self, network)

    def left(self, network: str | None) -> None:
        """For visitors: one stranger less."""
        self.strangers -= 1
        if network is not None:
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]
        self._look()

    def closed(self) -> None:
        """For visitors: one connection less."""
        self.open -= 1
        self._look()

    @property
    def networks(self) -> int:
        """How many networks are remembered now."""
        return len(self._networks)

    def _look(self) -> None:
        if (
            self._full
            and self.strangers <= self.limits.strangers * RESUME_SHARE
            and self.open <= self.capacity * RESUME_SHARE
        ):
            self._full = ""
            self.opened()


def network_of(address: str) -> str | None:
    """What connections are counted by: an IPv4 address, an IPv6 /64. None for this machine itself: a proxy or an onion
    service in front of the server brings all its users from there, and they share the total only."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
