"""Stanzas for other servers: one stream a domain, dialled on demand, and what waits while there is none.

Order is kept for each domain, and so for each pair of sender and recipient (RFC 6120 §10.1). A ticket is settled when
its stanza is in the kernel's hands, or when its sender was told that it cannot be delivered; until then the sender's
0198 acknowledgement waits.

Known limits, without 0198 between servers: what the kernel has taken and a dying connection did not deliver is lost;
what was put and not confirmed as written when a connection dies is sent again, so that it can arrive twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from quietwire.core.framing import Limits
from quietwire.core.jid import JID
from quietwire.core.later import Ticket
from quietwire.core.stanza import Presence, Stanza
from quietwire.server.links import Link
from quietwire.server.s2s import Dial, Failure
from quietwire.server.s2s_out import OutgoingServerStream
from quietwire.server.timers import Timer, Timers

QUEUE_STANZAS = 2_000
QUEUE_BYTES = 4 << 20
"""For one domain, not yet written: half a minute of a busy server's traffic to one peer, and little enough that ten
dead peers hold no more than one login storm does. What exceeds it is bounced with resource-constraint."""
DOMAINS = 1_000
"""Dialled or connected at once. A client that invents domains costs a dial each; what exceeds it is bounced."""
WAIT_SECONDS = 30.0
"""How long a stanza waits for a stream: a peer may restart meanwhile, and a person still remembers what they sent."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Between dials: doubling, with jitter, so that the servers of a dead network do not all come back at once."""
STALL_SECONDS = 60.0
"""For the kernel to take what was put: a peer that reads nothing for so long is gone (TCP alone takes 15 minutes)."""
IDLE_SECONDS = 600.0
"""Without a stanza of ours; longer than the pauses of a conversation, so that few dials show on the network."""


@dataclass(slots=True)
class _Waiting:
    stanza: Stanza
    data: bytes
    ticket: Ticket
    since: float
    """When its time of waiting began."""


class Remote:
    """One other domain. Implements `s2s_out.Owner`."""

    __slots__ = (
        "_bytes", "_cancel_dial", "_failures", "_federation", "_last", "_put_since", "_queue", "_reason", "_retry",
        "_stream", "_used", "_watch", "_worked", "domain",
    )  # fmt: skip

    def __init__(self, federation: Federation, domain: str) -> None:
        self.domain = domain
        self._federation = federation
        self._queue: deque[_Waiting] = deque()
        """Not written: waiting for a stream, or put on it and not yet in the kernel's hands."""
        self._bytes = 0
        self._stream: OutgoingServerStream | None = None
        self._cancel_dial: Callable[[], None] | None = None
        self._retry: Timer | None = None
        self._failures = 0
        self._reason = Failure("remote-server-timeout", "none")
        self._worked = False
        """The stream has been ready."""
        self._used = 0.0
        """When a stanza was last handed in or put."""
        self._put_since = 0.0
        """When the oldest stanza that is put and not written was put."""
        self._last: Ticket | None = None
        self._watch: Timer | None = None

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, stanza: Stanza) -> Ticket:
        if self._retry is not None and self._reason.permanent:
            return self._federation.bounce(stanza, self._reason.condition)
        data = stanza.to_bytes()
        if len(self._queue) >= QUEUE_STANZAS or self._bytes + len(data) > QUEUE_BYTES:
            return self._federation.bounce(stanza, "resource-constraint")
        now = self._used = self._federation.timers.clock()
        stream = self._stream
        ready = stream is not None and stream.ready
        # Stanzas put in one turn are written together: they share a ticket.
        ticket = self._last if ready and self._last is not None else Ticket()
        if ready and not self._queue:
            self._put_since = now
        self._queue.append(_Waiting(stanza, data, ticket, now))
        self._bytes += len(data)
        if ready:
            assert stream is not None
            self._last = ticket
            stream.put(data)
        elif stream is None and self._cancel_dial is None and self._retry is None:
            self._dial()
        self._look_after()
        return ticket

    def written(self, stream: OutgoingServerStream) -> None:
        self._failures = 0
        self._last = None
        queue = self._queue
        self._bytes = 0
        while queue:
            queue.popleft().ticket.settle()

    # -- connecting ---------------------------------------------------------------------------------------------------

    def _dial(self) -> None:
        self._retry = None
        self._cancel_dial = self._federation.dial(self.domain, self._connected, self._undialled)

    def _connected(self, link: Link) -> OutgoingServerStream:
        federation = self._federation
        self._cancel_dial = None
        self._worked = False
        stream = OutgoingServerStream(
            link, federation.domain, self.domain, self, timers=federation.timers, limits=federation.limits
        )
        federation.links.add(stream)
        if not stream.ended:
            self._stream = stream
        return stream

    def lost(self, stream: OutgoingServerStream) -> None:
        self._federation.links.discard(stream)

    def _undialled(self, failure: Failure) -> None:
        self._cancel_dial = None
        self._failed(failure)

    def ready(self, stream: OutgoingServerStream) -> None:
        federation = self._federation
        federation.note("server-stream", state="ready")
        self._worked = True
        self._used = self._put_since = federation.timers.clock()
        for waiting in self._queue:
            stream.put(waiting.data)
        self._look_after()

    def ended(self, stream: OutgoingServerStream, failure: Failure) -> None:
        self._stream = None
        self._last = None
        if self._worked and self._failures == 0 and not self._federation.closed:
            self._federation.note("server-stream", state=failure.state)
            if self._queue:
                self._requeue(failure)
            else:
                self._forget()
        else:
            self._failed(failure)

    def _requeue(self, failure: Failure) -> None:
        """A stream that worked is gone: what it did not write goes first on the next one."""
        self._failures = 1
        self._reason = failure
        now = self._federation.timers.clock()
        for waiting in self._queue:
            waiting.since = now
        self._dial()
        self._look_after()

    def _failed(self, failure: Failure) -> None:
        federation = self._federation
        if federation.closed:
            return
        federation.note("server-stream", state=failure.state)
        self._reason = failure
        self._failures += 1
        pause = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE)
        jitter = int.from_bytes(federation.randomness(2), "big") / 65_536
        self._retry = federation.timers.after(pause * (0.5 + jitter / 2), self._again)
        if failure.permanent:
            self._expire(float("inf"))
        self._look_after()

    def _again(self) -> None:
        self._retry = None
        if self._queue:
            self._dial()
        else:
            self._forget()

    def _forget(self) -> None:
        self.drop()
        self._federation.forget(self)

    # -- what waits too long ------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Sets the one timer: the oldest stanza, or the idle stream."""
        if self._federation.closed:
            return
        stream = self._stream
        if stream is not None and stream.ready:
            at = self._put_since + STALL_SECONDS if self._queue else self._used + IDLE_SECONDS
        elif self._queue:
            at = self._queue[0].since + WAIT_SECONDS
        else:
            return
        watch = self._watch
        if watch is not None:
            if watch.at <= at:
                return  # looks too early then, and sets the next one
            watch.cancel()
        timers = self._federation.timers
        self._watch = timers.after(max(at - timers.clock(), 0.0), self._looked)

    def _looked(self) -> None:
        self._watch = None
        now = self._federation.timers.clock()
        stream = self._stream
        if stream is None or not stream.ready:
            self._expire(now - WAIT_SECONDS)
        elif self._queue:
            if self._put_since + STALL_SECONDS <= now:
                stream.abort(Failure("remote-server-timeout", "stalled"))
        elif self._used + IDLE_SECONDS <= now:
            stream.close()
        self._look_after()

    def _expire(self, before: float) -> None:
        """Bounces what has waited since then or longer."""
        queue = self._queue
        expired: list[_Waiting] = []
        while queue and queue[0].since <= before:
            waiting = queue.popleft()
            self._bytes -= len(waiting.data)
            expired.append(waiting)
        for waiting in expired:
            self._federation.refuse(waiting.stanza, self._reason.condition)
            waiting.ticket.settle()

    # -- ending -------------------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """No more timers, dials or streams. Tickets of what was not written stay open: nobody may acknowledge it."""
        for timer in (self._retry, self._watch):
            if timer is not None:
                timer.cancel()
        self._retry = self._watch = None
        if self._cancel_dial is not None:
            self._cancel_dial()
            self._cancel_dial = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class Federation:
    """The way to other servers. `send` is what `Server.federate` takes.

    `domain` is ours. `returned` gets the error answers for local senders. `randomness(n)` gives n bytes. `note` writes
    one line of log without personal data.
    """

    def __init__(
        self,
        domain: JID,
        dial: Dial,
        timers: Timers,
        returned: Callable[[Stanza], None],
        *,
        randomness: Callable[[int], bytes],
        limits: Limits = Limits(),  # noqa: B008 - frozen
        note: Callable[..., None],
    ) -> None:
        self.domain = domain
        self.dial = dial
        self.timers = timers
        self.randomness = randomness
        self.limits = limits
        self.note = note
        self.closed = False
        self._returned = returned
        self._remotes: dict[str, Remote] = {}
        self.links: set[OutgoingServerStream] = set()
        """Streams whose connection is not gone yet."""

    @property
    def streams(self) -> int:
        """Connections that are not yet gone."""
        return len(self.links)

    @property
    def domains(self) -> int:
        """Domains with a stream, a dial or a queue."""
        return len(self._remotes)

    def send(self, stanza: Stanza) -> Ticket:
        """Sends to the domain of `stanza.to`. The ticket settles when the stanza is written, or was answered with an
        error; presence that cannot be delivered is dropped, answers are never answered (RFC 6120 §8.3.1)."""
        assert stanza.to is not None
        domain = stanza.to.domain
        remote = self._remotes.get(domain)
        if remote is None:
            if self.closed:
                return Ticket()  # never acknowledged: the sender's client will send it again
            if len(self._remotes) >= DOMAINS:
                return self.bounce(stanza, "resource-constraint")
            remote = self._remotes[domain] = Remote(self, domain)
        return remote.send(stanza)

    def bounce(self, stanza: Stanza, condition: str) -> Ticket:
        """Refuses at once."""
        ticket = Ticket()
        self.refuse(stanza, condition)
        ticket.settle()
        return ticket

    def refuse(self, stanza: Stanza, condition: str) -> None:
        """Tells the sender, where a sender is told."""
        if stanza.type not in ("error", "result") and not isinstance(stanza, Presence):
            self._returned(stanza.error(condition))

    def forget(self, remote: Remote) -> None:
        if self._remotes.get(remote.domain) is remote:
            del self._remotes[remote.domain]

    def close(self) -> None:
        """Closes all streams in order; what they did not take is not acknowledged."""
        self.closed = True
        remotes = list(self._remotes.values())
        self._remotes.clear()
        for remote in remotes:
            remote.drop()
