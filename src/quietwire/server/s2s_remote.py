"""One pair of domains: what is on its way to the other server, and when it is dialled, resumed and given up.

Order is kept for each pair of domains, and so for each pair of sender and recipient (RFC 6120 §10.1). A ticket is
settled when the other server has acknowledged its stanza (XEP-0198), or when the kernel has it where that server
cannot, or when its sender was told that it cannot be delivered; until then the sender's own acknowledgement waits.

What a lost connection left unacknowledged goes out again: once only where the stream can be resumed, which two of ours
agree on; a peer that acknowledges but does not resume, or comes back too late for that (`RETURN_SECONDS`), may get it
twice. Without 0198 what the kernel had taken is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from quietwire.core.later import Ticket, all_of
from quietwire.core.stanza import Stanza
from quietwire.server.links import Link
from quietwire.server.s2s import Common, Dial, Failure
from quietwire.server.s2s_out import OutgoingServerStream
from quietwire.server.s2s_traffic import Traffic
from quietwire.server.timers import Timer
from quietwire.shaping.fair import Fair

QUEUE_STANZAS = 2_000
QUEUE_BYTES = 4 << 20
"""For one pair of domains, not yet confirmed, on a `steady` link as on any other: half a minute of a busy server's
traffic to one peer, and little enough that ten dead peers hold no more than one login storm does. What exceeds it is
bounced with resource-constraint."""
WAIT_SECONDS = 30.0
"""How long a stanza waits for a stream: a peer may restart meanwhile, and a person still remembers what they sent."""
RETURN_SECONDS = 20.0
"""How long a stanza waits for a peer whose connection was lost to come back and resume its stream; then we dial."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Between dials: doubling, with jitter, so that the servers of a dead network do not all come back at once."""
STALL_SECONDS = 60.0
"""For the peer to confirm what was put: one that reads nothing for so long is gone (TCP alone takes 15 minutes)."""
IDLE_SECONDS = 600.0
"""Without a stanza; longer than the pauses of a conversation, so that few dials show on the network."""


class Way(Protocol):
    """What a route needs of all routes together (`federation.Federation`)."""

    common: Common
    dial: Dial
    closed: bool
    """The server stops."""

    def opened(self, stream: OutgoingServerStream) -> None:
        """The stream has a connection."""
        ...

    def gone(self, stream: OutgoingServerStream) -> None:
        """It has none any more."""
        ...

    def bounce(self, stanza: Stanza, condition: str) -> Ticket:
        """Refuses at once."""
        ...

    def refuse(self, stanza: Stanza, condition: str) -> None:
        """Tells the sender, where a sender is told."""
        ...

    def forget(self, remote: Remote) -> None:
        """There is nothing left of that route."""
        ...


@dataclass(slots=True)
class _Waiting:
    stanza: Stanza
    data: bytes
    ticket: Ticket
    since: float
    """When its time of waiting began."""


class Remote:
    """One pair of domains. Implements `s2s_out.Owner` and `s2s_traffic.Sender`."""

    __slots__ = (
        "_bytes", "_cancel_dial", "_common", "_failures", "_fair", "_federation", "_flying", "_given_up", "_last",
        "_left", "_parked", "_put_since", "_queue", "_reason", "_retry", "_stream", "_told", "_traffic", "_watch",
        "ours", "sender", "theirs", "worked",
    )  # fmt: skip

    def __init__(self, federation: Way, ours: str, theirs: str, sender: str = "") -> None:
        self.ours = ours
        self.theirs = theirs
        self.sender = sender
        """The bare JID it was first made for."""
        self._federation = federation
        self._common = federation.common
        self._queue: deque[_Waiting] = deque()
        """Not confirmed: the first `_flying` of it put on `_traffic`, the rest waiting for a stream."""
        self._fair: Fair[_Waiting] = Fair()
        """For a link that is paced: what is not put, fair by sender; not in the queue. Empty without a stream."""
        self._left = 0
        """Bytes of what was put that a paced link had not written when it was looked at last."""
        self._bytes = 0
        self._flying = 0
        self._traffic: Traffic | None = None
        """What carries the stanzas, on a stream of ours or, by XEP-0288, on one of theirs; without a connection while
        their stream waits to be resumed."""
        self._stream: OutgoingServerStream | None = None
        """Of ours, negotiating or ready."""
        self._given_up: OutgoingServerStream | None = None
        """Of ours, closed because one of theirs was ready first."""
        self._parked: Traffic | None = None
        """Of our own last stream, to be resumed by the next."""
        self._cancel_dial: Callable[[], None] | None = None
        self._retry: Timer | None = None
        self._failures = 0
        self._reason = Failure("remote-server-timeout", "none")
        self.worked = False
        """The stream has been ready."""
        self._told = ""
        """The state of the failure that the log knows of."""
        self._put_since = 0.0
        """When the oldest stanza that is put and not confirmed was put, or the last one before it confirmed."""
        self._last: Ticket | None = None
        """Of what was put since the peer last confirmed anything: stanzas put together share a ticket."""
        self._watch: Timer | None = None

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, stanza: Stanza) -> Ticket:
        federation = self._federation
        if self._retry is not None and self._reason.permanent:
            return federation.bounce(stanza, self._reason.condition)
        data = stanza.to_bytes()
        if len(self._queue) + len(self._fair) >= QUEUE_STANZAS or self._bytes + len(data) > QUEUE_BYTES:
            return federation.bounce(stanza, "resource-constraint")
        traffic = self._traffic
        now = self._common.timers.clock()
        live = traffic is not None and traffic.live
        if live and self._too_long(traffic, data):
            return federation.bounce(stanza, "policy-violation")
        if live and traffic is not None and traffic.paced:
            waiting = _Waiting(stanza, data, Ticket(), now)  # of its own: they do not leave in the order they came
            self._bytes += len(data)
            self._line_up(traffic, waiting)
            traffic.room()
            self._look_after()
            return waiting.ticket
        ticket = self._last if live and self._last is not None else Ticket()
        self._queue.append(_Waiting(stanza, data, ticket, now))
        self._bytes += len(data)
        if live:
            assert traffic is not None
            if not self._flying:
                self._put_since = now
            self._flying += 1
            self._last = ticket
            traffic.used = now
            traffic.put(self, data)
        elif traffic is None and not self._dialling:
            self._dial()
        self._look_after()
        return ticket

    def _line_up(self, traffic: Traffic, waiting: _Waiting) -> None:
        sender = waiting.stanza.from_
        self._fair.push(sender.bare.text if sender is not None else "", len(waiting.data), waiting)
        traffic.wanting[self] = None

    def pump(self) -> bool:
        traffic = self._traffic
        if traffic is None or not traffic.live or not self._fair:
            return False
        waiting = self._fair.pop()
        now = self._common.timers.clock()
        if not self._flying:
            self._put_since = now
        self._queue.append(waiting)
        self._flying += 1
        traffic.used = now
        traffic.put(self, waiting.data)
        self._look_after()
        return bool(self._fair)

    def _fall_in(self) -> None:
        """The stream is gone: what it had no room for goes back into the queue, in the order in which it came."""
        self._queue.extend(self._fair.drain())

    @staticmethod
    def _too_long(traffic: Traffic | None, data: bytes) -> bool:
        """Longer than the peer has said to take (XEP-0478 §4)."""
        return traffic is not None and 0 < traffic.max_bytes < len(data)

    def confirmed(self, count: int) -> None:
        self._failures = 0
        self._last = None
        queue = self._queue
        self._flying -= count
        self._put_since = self._common.timers.clock()
        settled: list[Ticket] = []
        for _ in range(count):
            waiting = queue.popleft()
            self._bytes -= len(waiting.data)
            if not queue or queue[0].ticket is not waiting.ticket:
                settled.append(waiting.ticket)
        for ticket in settled:  # last of all: whoever waits for one may send the next stanza
            ticket.settle()

    def _put_all(self, traffic: Traffic) -> None:
        """Everything in the queue goes out on a stream that has none of it."""
        self._put_since = traffic.used = self._common.timers.clock()
        self._last = None
        self._flying = 0
        self._fall_in()
        long = [waiting for waiting in self._queue if self._too_long(traffic, waiting.data)]
        if long:
            self._queue = deque(waiting for waiting in self._queue if not self._too_long(traffic, waiting.data))
            self._return(long, "policy-violation")
        if traffic.paced:
            again, self._queue = self._queue, deque()
            _part(again)
            for waiting in again:
                self._line_up(traffic, waiting)
            traffic.room()
            self._look_after()
            return
        for waiting in list(self._queue):
            self._flying += 1
            traffic.put(self, waiting.data)
        self._look_after()

    # -- connecting ---------------------------------------------------------------------------------------------------

    @property
    def _dialling(self) -> bool:
        return self._stream is not None or self._cancel_dial is not None or self._retry is not None

    def _dial(self) -> None:
        self._retry = None
        self._cancel_dial = self._federation.dial(self.ours, self.theirs, self._connected, self._undialled)

    def _connected(self, link: Link) -> OutgoingServerStream:
        federation = self._federation
        self._cancel_dial = None
        self.worked = False
        stream = OutgoingServerStream(link, self.ours, self.theirs, self, self._common, self._parked)
        federation.opened(stream)
        if not stream.ended:
            self._stream = stream
        return stream

    def lost(self, stream: OutgoingServerStream) -> None:
        self._federation.gone(stream)

    def _undialled(self, failure: Failure) -> None:
        self._cancel_dial = None
        self._failed(failure)

    def ready(self, stream: OutgoingServerStream, resumed: bool) -> None:
        self._common.tell("server-stream", self.theirs, state="resumed" if resumed else "ready")
        self.worked = True
        self._told = ""
        self._parked = None
        self._traffic = stream.traffic
        self._put_all(stream.traffic)

    def adopt(self, traffic: Traffic) -> None:
        """Their stream takes our stanzas (XEP-0288)."""
        if self._traffic is not None or (self._stream is not None and self._queue):
            return  # ours is there already, or nearly
        self._stop_dialling()
        self._given_up, self._stream = self._stream, None
        if self._given_up is not None:
            self._given_up.close()
        self._parked = None
        self._failures = 0
        self._traffic = traffic
        self._put_all(traffic)

    def carried_by(self, traffic: Traffic) -> bool:
        return self._traffic is traffic

    def parted(self, *, resumable: bool) -> None:
        """Their stream has no connection any more."""
        self._last = None
        self._flying = 0
        self._fall_in()
        now = self._common.timers.clock()
        for waiting in self._queue:
            waiting.since = now
        if resumable:
            self._look_after()
            return
        self._traffic = None
        if self._queue and not self._dialling:
            self._dial()
        elif not self._dialling:
            self._forget()
        self._look_after()

    def returned(self) -> None:
        """Their stream has a connection again."""
        if self._traffic is not None:
            self._put_all(self._traffic)

    def ended(self, stream: OutgoingServerStream, failure: Failure) -> None:
        if stream is self._given_up:
            return
        self._stream = None
        self._last = None
        self._fall_in()
        traffic = stream.traffic
        worked = self.worked and self._traffic is traffic
        if worked:
            self._traffic = None
            self._flying = 0
            if traffic.resume_id and failure.state in ("connection-lost", "silent", "stalled"):
                self._parked = traffic
            else:
                traffic.close()
        if worked and self._failures == 0 and not self._federation.closed:
            self._common.tell("server-stream", self.theirs, state=failure.state)
            if self._queue or (self._parked is not None and self._parked.pairs):
                self._requeue(failure)
            else:
                self._forget()
        else:
            self._failed(failure)

    def _requeue(self, failure: Failure) -> None:
        """A stream that worked is gone: what was not confirmed goes first on the next one."""
        self._failures = 1
        self._reason = failure
        now = self._common.timers.clock()
        for waiting in self._queue:
            waiting.since = now
        self._dial()
        self._look_after()

    def _failed(self, failure: Failure) -> None:
        federation = self._federation
        if federation.closed:
            return
        if failure.state != self._told:  # each try that fails like the one before is no news
            self._told = failure.state
            self._common.tell("server-stream", self.theirs, state=failure.state)
        self._reason = failure
        self._failures += 1
        pause = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE)
        jitter = int.from_bytes(self._common.randomness(2), "big") / 65_536
        self._retry = self._common.timers.after(pause * (0.5 + jitter / 2), self._again)
        if failure.permanent:
            self._expire(float("inf"))
        self._look_after()

    def _again(self) -> None:
        self._retry = None
        if self._queue:
            self._dial()
        else:
            self._forget()

    def _stop_dialling(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._cancel_dial is not None:
            self._cancel_dial()
            self._cancel_dial = None

    def _forget(self) -> None:
        self.drop()
        self._federation.forget(self)

    # -- what waits too long ------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Sets the one timer: the oldest stanza, or the idle stream."""
        if self._federation.closed:
            return
        traffic = self._traffic
        if traffic is not None and traffic.live:
            if self._queue or self._fair:
                at = self._put_since + STALL_SECONDS + traffic.patience
            elif self._stream is not None and not traffic.paced:  # that nobody had anything to say must not show
                at = traffic.used + IDLE_SECONDS
            else:
                return  # theirs: they close it
        elif self._queue:
            at = self._queue[0].since + (RETURN_SECONDS if traffic is not None else WAIT_SECONDS)
        else:
            return
        watch = self._watch
        if watch is not None:
            if watch.at <= at:
                return  # looks too early then, and sets the next one
            watch.cancel()
        timers = self._common.timers
        self._watch = timers.after(max(at - timers.clock(), 0.0), self._looked)

    def _looked(self) -> None:
        self._watch = None
        now = self._common.timers.clock()
        traffic, stream = self._traffic, self._stream
        if traffic is None:
            self._expire(now - WAIT_SECONDS)
        elif not traffic.live:
            if self._queue and self._queue[0].since + RETURN_SECONDS <= now:
                # Nobody came back: the stream is not to be resumed, so that nothing of it arrives twice.
                traffic.resume_id = ""
                self.parted(resumable=False)
        elif self._queue or self._fair:
            if self._put_since + STALL_SECONDS + traffic.patience <= now:
                self._put_since = now
                left, self._left = self._left, traffic.backlog()
                if traffic.paced and 0 < self._left != left:
                    pass  # a long stanza in many cells
                elif stream is not None:
                    stream.abort(Failure("remote-server-timeout", "stalled"))
                else:
                    traffic.dead()
        elif stream is not None and not traffic.paced and traffic.used + IDLE_SECONDS <= now:
            stream.close()
        self._look_after()

    def _expire(self, before: float) -> None:
        """Bounces what has waited since then or longer."""
        expired: list[_Waiting] = []
        while self._queue and self._queue[0].since <= before:
            expired.append(self._queue.popleft())
        if expired:
            if self._parked is not None:  # what a resumed stream would still count is not there any more
                self._parked.close()
                self._parked = None
            self._return(expired, self._reason.condition)

    def _return(self, expired: list[_Waiting], condition: str) -> None:
        for waiting in expired:
            self._bytes -= len(waiting.data)
        shared = {id(waiting.ticket) for waiting in self._queue}  # with stanzas that are still on their way
        for waiting in expired:
            self._federation.refuse(waiting.stanza, condition)
            if id(waiting.ticket) not in shared:
                waiting.ticket.settle()

    # -- ending -------------------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """No more timers, dials or streams. Tickets of what was not confirmed stay open: nobody may acknowledge it."""
        self._stop_dialling()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._parked is not None:
            self._parked.close()
            self._parked = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _part(waiting: Iterable[_Waiting]) -> None:
    """Gives each a ticket of its own: they will not be confirmed in the order in which they came. Shared ones settle
    when all who shared them are."""
    shared: dict[Ticket, list[_Waiting]] = {}
    for one in waiting:
        shared.setdefault(one.ticket, []).append(one)
    for ticket, group in shared.items():
        if len(group) > 1:
            for one in group:
                one.ticket = Ticket()
            joint = all_of([one.ticket for one in group])
            assert joint is not None
            joint.when_settled(ticket.settle)
