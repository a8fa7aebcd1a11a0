"""The sending half of stream management (XEP-0198): what has been sent, what is acknowledged, what goes again. Pure.

slixmpp's own queue is dropped on <failed/>, loses what is sent between the cut and its notice, and after a resumption
writes what was queued meanwhile before what is sent again; hence this one. Stanzas are kept as written: a message sent
twice is the same ciphertext under the same origin-id, so its receiver recognises it.

  waiting --live--> unacked --ack--> confirmed
     ^                 | resume: written again, in order
     +----- lose ------+ messages only; what else was there belonged to the lost session
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from quietwire.client.errors import ClientError

MAX_WAITING: Final = 2000
"""Entries while the link is down: some 4 MB, and more than anybody types on a train."""

_MODULUS: Final = 2**32


class OutboxFull(ClientError):
    """Too much is waiting for the link to come back."""


class BadAck(ClientError):
    """The server acknowledged what was never sent: the stream cannot be trusted to be in step."""


@dataclass(frozen=True)
class Entry:
    data: bytes
    """The stanza as written on the stream."""
    kind: Literal["message", "passing", "session"]
    """``message`` survives the session. ``passing`` (a chat state) and ``session`` (iq, presence) mean nothing in a
    new one."""
    id: str = ""
    """Origin-id of a message."""


class Outbox:
    """One a client. `live`: entries are written as they come. `counting`: the server acknowledges them."""

    def __init__(self) -> None:
        self.live = False
        self.counting = False
        self._waiting: deque[Entry] = deque()
        self._unacked: deque[Entry] = deque()
        self._h = 0

    @property
    def unacked(self) -> int:
        return len(self._unacked)

    @property
    def idle(self) -> bool:
        """Nothing waits, and nothing is unacknowledged."""
        return not self._waiting and not self._unacked

    def put(self, entry: Entry) -> list[Entry]:
        """What to write now. Raises OutboxFull."""
        if not self.live:
            if len(self._waiting) >= MAX_WAITING:
                raise OutboxFull("too many messages wait for the connection to come back")
            self._waiting.append(entry)
            return []
        self._unacked.append(entry)
        return [entry]

    def enable(self) -> None:
        """<enable/> was written: the server counts from the next stanza on. Nothing was written before it."""
        self.counting = True
        self._h = 0

    def disable(self) -> None:
        """The server has no stream management, or refused it."""
        self.counting = False

    def start(self) -> list[Entry]:
        """A new session may send: what waited, in order."""
        self.live = True
        ready = list(self._waiting)
        self._waiting.clear()
        self._unacked.extend(ready)
        return ready

    def wrote(self, count: int) -> list[Entry]:
        """Without acknowledgements, handed to the kernel is all that can be known: the first `count` were."""
        return [self._unacked.popleft() for _ in range(min(count, len(self._unacked)))]

    def ack(self, h: int) -> list[Entry]:
        """The entries that `h` confirms. Raises BadAck."""
        confirmed = (h - self._h) % _MODULUS
        if confirmed > len(self._unacked):
            raise BadAck("the server acknowledged more than was sent")
        self._h = h
        return [self._unacked.popleft() for _ in range(confirmed)]

    def cut(self) -> None:
        """The link broke; the session may live on."""
        self.live = False

    def resume(self, h: int) -> tuple[list[Entry], list[Entry]]:
        """(confirmed, to write): what is unacknowledged again, then what waited. Raises BadAck."""
        confirmed = self.ack(h)
        again = list(self._unacked)
        self.live = True
        return confirmed, again + self.start()

    def lose(self, h: int | None = None) -> list[Entry]:
        """The session is gone; `h`: what the server says it had handled. Returns what that confirms.

        Messages neither confirmed nor written go into the next session, first those that may have arrived.
        """
        confirmed: list[Entry] = []
        if h is not None and self.counting:
            try:
                confirmed = self.ack(h)
            except BadAck:
                confirmed = []  # a stale h of another session: better twice than never
        survivors = [entry for entry in (*self._unacked, *self._waiting) if entry.kind == "message"]
        self._unacked.clear()
        self._waiting = deque(survivors)
        self.live = self.counting = False
        self._h = 0
        return confirmed


class Inbound:
    """The receiving half: what arrived, and what of it is handled, that is, on disk or of no consequence."""

    def __init__(self) -> None:
        self.received = 0
        self._first_open = 0
        self._done: set[int] = set()

    @property
    def handled(self) -> int:
        """For <a h=''/>: everything up to here is safe. A resumption claims `received` instead: what is in memory
        will still be handled, and must not come twice."""
        return self._first_open % _MODULUS

    @property
    def idle(self) -> bool:
        """Everything that arrived is handled."""
        return self._first_open == self.received

    def arrive(self) -> int:
        """A stanza came in: its number, for `done`."""
        self.received += 1
        return self.received - 1

    def done(self, number: int) -> None:
        self._done.add(number)
        while self._first_open in self._done:
            self._done.remove(self._first_open)
            self._first_open += 1
