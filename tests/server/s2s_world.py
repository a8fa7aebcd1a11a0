"""What tests of streams between servers share: the rest of the server, on lists."""

from __future__ import annotations

from collections.abc import Callable

from quietwire.core.framing import Limits
from quietwire.core.jid import JID
from quietwire.core.later import Ticket
from quietwire.core.stanza import Stanza
from quietwire.server.s2s import Common
from quietwire.server.s2s_policy import Policy
from quietwire.server.settings import Settings
from quietwire.server.timers import Timers


class Inward:
    """Implements `s2s.Inward`: keeps what comes."""

    def __init__(self) -> None:
        self.got: list[Stanza] = []
        self.suspends = False
        """The handlers of requests wait for `finish`."""
        self.finishes: list[Callable[[], None]] = []
        self.durable: Ticket | None = None
        self.leaving: Ticket | None = None
        self.bug: BaseException | None = None

    def from_remote(self, stanza: Stanza, finished: Callable[[], None] | None = None) -> bool:
        if self.bug is not None:
            raise self.bug
        self.got.append(stanza)
        if self.suspends and finished is not None:
            self.finishes.append(finished)
            return False
        return True

    def caused(self) -> tuple[Ticket | None, Ticket | None]:
        return self.durable, self.leaving

    def ids(self) -> list[str]:
        """Of what came since the last call."""
        taken, self.got = self.got, []
        return [stanza.id for stanza in taken]


class Surroundings:
    """`common` for the server of `domain`, which also has conference.DOMAIN; a clock to turn; what was noted."""

    def __init__(self, domain: str, policy: Policy | None = None, *, stanza_bytes: int = 262_144) -> None:
        self.now = 1000.0
        self.timers = Timers(lambda: self.now)
        self.inward = Inward()
        self.notes: list[tuple[str, dict[str, str]]] = []
        self.faults: list[BaseException] = []
        self.common = Common(
            Settings(domain=JID.parse(domain), limits=Limits(stanza_bytes=stanza_bytes)),
            self.timers,
            self.inward,
            lambda name: name in (domain, f"conference.{domain}"),
            randomness=bytes,
            note=lambda event, **facts: self.notes.append((event, facts)),
            fault=self.faults.append,
            policy=policy or Policy(name_domains=True),
        )

    def passes(self, seconds: float) -> None:
        """Time passes, timer by timer."""
        until = self.now + seconds
        while (at := self.timers.next_at()) is not None and at <= until:
            self.now = max(at, self.now)
            self.timers.fire(self.now)
        self.now = until

    def states(self) -> list[str]:
        """Of everything that was noted."""
        return [facts.get("state") or facts["condition"] for _, facts in self.notes]
