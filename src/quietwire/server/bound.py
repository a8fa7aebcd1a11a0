"""What outlives a connection: a session and what it and its client owe each other."""

from __future__ import annotations

from dataclasses import dataclass

from quietwire.core import ns
from quietwire.server.account import Session
from quietwire.server.sealed.keyring import Lease
from quietwire.server.sm import Incoming, Outgoing
from quietwire.server.timers import Timer


@dataclass(slots=True)
class Bound:
    """A session and its two counters."""

    session: Session
    outgoing: Outgoing
    incoming: Incoming
    resume_id: str = ""
    """Empty once the session must not be resumed any more."""
    registered: str = ""
    """The id under which the server has it, until it is over."""
    doomed: bool = False
    """Its queue has overflowed: it ends with this turn."""
    waiting: Timer | None = None
    lease: Lease | None = None
    """Keeps the account unlocked."""

    def acknowledge(self, h: int) -> None:
        """Tells the client, where it is there, how many of its stanzas are safe (XEP-0198 §4)."""
        link = self.outgoing.link
        if link is not None:
            link.put(f"<a xmlns='{ns.SM}' h='{h}'/>".encode())
