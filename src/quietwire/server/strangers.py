"""Requests for subscription from people whom nobody knows yet: how fast they may come, and how many are kept.

From another domain they are let through at a rate; what comes faster waits its turn, and what does not fit is dropped
in silence: an honest server repeats it when its user logs in again (RFC 6121 §3.1.2). A user of ours who asks too many
people is told so.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Presence
from quietwire.server.roster import MAX_PENDING, Contact, Roster
from quietwire.server.timers import Timers
from quietwire.shaping.bucket import Bucket

DOMAIN_RATE: Final = 0.1
DOMAIN_BURST: Final = 50.0
"""Requests of one other domain, a second and at once: a busy server's users make some hundred new contacts here a day,
a spammer's thousands an hour."""
DOMAIN_WAITING: Final = 100
"""Of one domain: 17 minutes' worth."""
WAITING: Final = 2_000
"""Of all domains; each is at most a stanza, most are 200 bytes."""
OWN_RATE: Final = 1 / 30
OWN_BURST: Final = 200.0
"""Requests of one local account: who moves in from elsewhere asks all contacts at once."""
MAX_KNOWN: Final = 2_000
"""Domains, and accounts, whose rate is remembered; who has not asked for longest is forgotten first."""
DOMAIN_PENDING: Final = 20
"""Kept requests of one other domain's strangers to one account: a tenth of all, so that none can crowd out the rest."""

Deliver = Callable[[Presence], None]


class _Line:
    """One domain, and what of it waits."""

    __slots__ = ("bucket", "queue")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.queue: deque[tuple[Presence, Deliver]] = deque()


class Strangers:
    """One for a server."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._lines: dict[str, _Line] = {}
        self._accounts: dict[JID, Bucket] = {}
        self._waiting = 0

    def asked(self, account: JID) -> None:
        """A local account asks somebody. Raises StanzaError(resource-constraint) where it asks too many."""
        bucket = self._accounts.pop(account, None) or Bucket(OWN_RATE, OWN_BURST, self._timers.clock)
        self._accounts[account] = bucket
        if len(self._accounts) > MAX_KNOWN:
            del self._accounts[next(iter(self._accounts))]
        if bucket.spend(1) > 0:
            bucket.spend(-1)
            raise StanzaError("resource-constraint", "too many requests for subscription")

    def come(self, presence: Presence, deliver: Deliver) -> None:
        """A request from another domain, addressed bare to bare: `deliver` gets it now, or when its turn has come, or
        never."""
        assert presence.from_ is not None
        line = self._line(presence.from_.domain)
        if line.queue:
            self._enqueue(line, presence, deliver)
        elif (wait := line.bucket.spend(1)) == 0:
            deliver(presence)
        elif self._enqueue(line, presence, deliver):
            self._timers.after(wait, lambda: self._next(line))
        else:
            line.bucket.spend(-1)  # what is dropped is no reason for the next one to wait longer

    def follow(self, presence: Presence, deliver: Deliver) -> bool:
        """Another subscription stanza: whether it waits too, since a request of the same two people does."""
        assert presence.from_ is not None
        line = self._lines.get(presence.from_.domain)
        if line is None or not any(
            (waiting.from_, waiting.to) == (presence.from_, presence.to) for waiting, _ in line.queue
        ):
            return False
        self._enqueue(line, presence, deliver)
        return True

    def _enqueue(self, line: _Line, presence: Presence, deliver: Deliver) -> bool:
        if len(line.queue) >= DOMAIN_WAITING or self._waiting >= WAITING:
            return False
        line.queue.append((presence, deliver))
        self._waiting += 1
        return True

    def _next(self, line: _Line) -> None:
        presence, deliver = line.queue.popleft()
        self._waiting -= 1
        if line.queue:
            self._timers.after(line.bucket.spend(1), lambda: self._next(line))
        deliver(presence)

    def _line(self, domain: str) -> _Line:
        line = self._lines.pop(domain, None) or _Line(Bucket(DOMAIN_RATE, DOMAIN_BURST, self._timers.clock))
        self._lines[domain] = line
        if len(self._lines) > MAX_KNOWN:
            # Those with something that waits are kept; their number is bounded by what may wait.
            oldest = next((name for name, other in self._lines.items() if not other.queue and other is not line), None)
            if oldest is not None:
                del self._lines[oldest]
        return line


def room_for(roster: Roster, stranger: JID, own_domain: str) -> Contact | None:
    """Whose kept request gives way to that of `stranger`, None if there is room: the oldest of the same domain where
    that has its share, else the oldest of the domain that has most. Of requests read from the store the age is not
    known; they come before those that came since."""
    pending = [contact for contact in roster if not contact.listed]
    if stranger.domain != own_domain:
        same = [contact for contact in pending if contact.jid.domain == stranger.domain]
        if len(same) >= DOMAIN_PENDING:
            return same[0]
    if len(pending) < MAX_PENDING:
        return None
    [(domain, _)] = Counter(contact.jid.domain for contact in pending).most_common(1)
    return next(contact for contact in pending if contact.jid.domain == domain)
