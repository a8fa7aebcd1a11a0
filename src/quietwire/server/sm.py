"""Stream management (XEP-0198 1.6.3): what a session owes its peer, and what its peer owes it.

A stanza counts as handled only when all it caused is durable or confirmed by its recipient: `Incoming` holds the count
back until then. `Outgoing` is the session's outlet: it outlives the connection, so that a resumed stream goes on
where the lost one stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from quietwire.core import ns
from quietwire.core.later import Ticket
from quietwire.server.links import Link
from quietwire.server.queueing import Waiting
from quietwire.server.timers import Timers
from quietwire.store.ports import Entry

MODULO = 1 << 32
REQUEST = f"<r xmlns='{ns.SM}'/>".encode()
QUEUE_STANZAS = 10_000
QUEUE_BYTES = 4 << 20
"""Sent and not acknowledged. A client that reads but never acknowledges, or is away for the whole resumption time,
may hold that much of our memory; what exceeds it ends the session, and its messages wait in the spool."""
ANSWER_SECONDS = 0.05
"""A request is answered within this time, with what is durable by then (DESIGN §4)."""


class Incoming:
    """Counts the peer's stanzas. `answer(h)` is how an acknowledgement is sent."""

    __slots__ = ("_listening", "_owed", "_target", "_timers", "_told", "_wanted", "answer", "handled")

    def __init__(self, timers: Timers, answer: Callable[[int], None]) -> None:
        self._timers = timers
        self.answer = answer
        self.handled = 0
        self._told = 0
        self._target = 0
        self._owed: deque[tuple[int, Ticket]] = deque()
        self._wanted = False
        self._listening: Ticket | None = None

    def count(self, ticket: Ticket | None, leaving: Ticket | None = None) -> None:
        """One more stanza is done with; what it caused is safe when both tickets are settled."""
        self.handled += 1
        owed = self._owed
        if ticket is not None and not ticket.settled and (not owed or owed[-1][1] is not ticket):
            while owed and owed[0][1].settled:  # a peer that never asks must not make this grow
                owed.popleft()
            owed.append((self.handled, ticket))
        if leaving is not None and not leaving.settled:
            owed.append((self.handled, leaving))

    def start(self) -> None:
        """Counting begins where stream management is switched on (XEP-0198 §4): what came before is not owed."""
        self.handled = self._told = self._target = 0
        self._owed.clear()
        self._wanted = False

    def safe(self) -> int:
        """How many stanzas may be acknowledged now."""
        owed = self._owed
        while owed and owed[0][1].settled:
            owed.popleft()
        return owed[0][0] - 1 if owed else self.handled

    def when_safe(self, then: Callable[[], None]) -> None:
        """Calls `then` as soon as everything counted so far is safe."""
        if self.safe() == self.handled:
            then()
        else:
            self._owed[0][1].when_settled(lambda: self.when_safe(then))  # after safe() the first one is open

    def forget(self) -> int:
        """What is not safe will be sent again, and counted then; -> how many stanzas are left."""
        self.handled = self._told = self._target = self.safe()
        self._owed.clear()
        self._wanted = False
        return self.handled

    def requested(self) -> None:
        """The peer sent ``<r/>``."""
        if self.safe() == self.handled:
            self.say()
            return
        self._target = self.handled
        self._listen()
        if not self._wanted:
            self._wanted = True
            self._timers.after(ANSWER_SECONDS, self._late)

    def say(self) -> None:
        """Acknowledges what may be acknowledged now, asked or not."""
        self._wanted = False
        self._told = self.safe()
        self.answer(self._told % MODULO)

    def _listen(self) -> None:
        ticket = self._owed[0][1]
        if self._listening is not ticket:
            self._listening = ticket
            ticket.when_settled(self._settled)

    def _settled(self) -> None:
        self._listening = None
        safe = self.safe()
        if safe > self._told and safe >= self._target:
            self.say()
        elif safe < self._target:
            self._listen()

    def _late(self) -> None:
        if self._wanted:
            # The rest follows by itself once it is safe: an answer that waits for a distant server would look dead.
            self.say()


class Outgoing:
    """The outlet of a session: numbers, keeps and confirms what goes to the peer.

    `link` is None while the session waits for resumption. `done(entry)` is called for every entry that the peer has,
    `overrun()` when the queue is full, `drained()` when what a slow link has left in the spool may be fetched there.
    """

    __slots__ = (
        "_asked", "_bytes", "_done", "_drained", "_full", "_overrun", "_queue", "_unwritten", "_waiting",
        "acknowledged", "enabled", "link",
    )  # fmt: skip

    def __init__(
        self,
        link: Link | None,
        done: Callable[[Entry], None],
        overrun: Callable[[], None],
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        self.link = link
        self._drained = drained
        self._waiting: Waiting | None = None
        """For a link that is paced: what it had no room for yet."""
        self.enabled = False
        self.acknowledged = 0
        self._done = done
        self._overrun = overrun
        self._queue: deque[tuple[bytes, Entry | None]] = deque()
        self._bytes = 0
        self._full = False
        self._asked = False
        self._unwritten: list[Entry] = []

    def put(self, data: bytes, entry: Entry | None) -> None:
        """One stanza for the peer; `entry` is confirmed when the peer has it. Calls `overrun` where it is too much."""
        if entry is not None:
            entry.holders += 1
        link = self.link
        if self._full:
            # The session is ending: what comes until it has ended may cost no more than the name of what is kept.
            if entry is not None:
                self._queue.append((b"", entry))
        elif link is not None and link.paced and (self._waiting or link.space() <= 0):
            self._wait(link, data, entry)
        elif self.enabled or link is None:
            # Without 0198 and without a connection: that one is closing, and what comes now goes elsewhere once it is.
            self._queue.append((data, entry))
            self._bytes += len(data)
            if link is not None:
                link.put(data)
                if not self._asked:
                    self._asked = True
                    link.put(REQUEST)
            if self._bytes > QUEUE_BYTES or len(self._queue) > QUEUE_STANZAS:
                self._too_much()
        else:
            link.put(data)
            if entry is not None:
                self._unwritten.append(entry)

    def _too_much(self) -> None:
        self._full = True
        self._overrun()

    # -- a link that is paced ---------------------------------------------------------------------------------------

    def _wait(self, link: Link, data: bytes, entry: Entry | None) -> None:
        waiting = self._waiting
        if waiting is None:
            waiting = self._waiting = Waiting(link.policy.queue)
        if not waiting.push(data, entry):
            assert entry is not None
            entry.holders -= 1  # the spool has it
        elif waiting.counted + self._bytes > QUEUE_BYTES or len(waiting) + len(self._queue) > QUEUE_STANZAS:
            self._too_much()

    def room(self) -> None:
        """The link takes some more."""
        link, waiting = self.link, self._waiting
        if waiting is None or link is None or self._full:
            return
        while waiting and link.space() > 0:
            data, entry = waiting.pop()
            if self.enabled:
                self._queue.append((data, entry))
                self._bytes += len(data)
                link.put(data)
                if not self._asked:
                    self._asked = True
                    link.put(REQUEST)
            else:
                link.put(data)
                if entry is not None:
                    self._unwritten.append(entry)
        if not waiting:
            self._waiting = None
            if waiting.spilled:
                self._drained()

    @property
    def paced(self) -> bool:
        """Little leaves at a time."""
        return self.link is not None and self.link.paced

    @property
    def behind(self) -> bool:
        """Messages are left in the spool until there is room for them."""
        return self._waiting is not None and self._waiting.spilled

    @property
    def crowded(self) -> bool:
        """So much waits that nobody keeps elsewhere that who can be told to wait is told."""
        return self._waiting is not None and self._waiting.crowded

    @property
    def waits(self) -> int:
        """Bytes that wait for a paced link."""
        return self._waiting.size if self._waiting is not None else 0

    @property
    def eased(self) -> bool:
        """Half of what makes it crowded is gone."""
        return self._waiting is None or self._waiting.counted <= self._waiting.limit // 2

    # -- what the peer confirms -------------------------------------------------------------------------------------

    def written(self) -> None:
        """Without 0198, delivered means handed to the kernel (DESIGN §4)."""
        if self._unwritten:
            entries, self._unwritten = self._unwritten, []
            for entry in entries:
                self._done(entry)

    def confirm(self, h: int) -> bool:
        """The peer has `h` stanzas in all. False if it claims more than it was sent (XEP-0198 §4)."""
        count = (h - self.acknowledged) % MODULO
        if count > len(self._queue):
            return False
        self.acknowledged = (self.acknowledged + count) % MODULO
        for _ in range(count):
            data, entry = self._queue.popleft()
            self._bytes -= len(data)
            if entry is not None:
                self._done(entry)
        return True

    def acknowledged_by_peer(self, h: int) -> bool:
        """An ``<a/>`` came; asks again if there is something left to confirm."""
        self._asked = False
        if not self.confirm(h):
            return False
        if self._queue and self.link is not None:
            self._asked = True
            self.link.put(REQUEST)
        return True

    def begin(self, link: Link) -> None:
        """The client can be written to: sends what came since its session was made (XEP-0386)."""
        if self.enabled:
            self.resume(link)
            return
        self.link = link
        queue, self._queue, self._bytes = self._queue, deque(), 0
        if link.paced:
            self._again(link, queue)
            return
        for data, entry in queue:
            link.put(data)
            if entry is not None:
                self._unwritten.append(entry)
        self._caught_up()

    def resume(self, link: Link) -> None:
        """Sends again what was not confirmed, on the new connection."""
        self.link = link
        if link.paced:
            queue, self._queue, self._bytes = self._queue, deque(), 0
            self._asked = False
            self._again(link, queue)
            return
        for data, _ in self._queue:
            link.put(data)
        self._asked = bool(self._queue)
        if self._asked:
            link.put(REQUEST)
        self._caught_up()

    def _again(self, link: Link, queue: deque[tuple[bytes, Entry | None]]) -> None:
        """All of that, as there is room. A session that was away may have more than waits for one that is there."""
        former, self._waiting = self._waiting, Waiting(link.policy.queue)
        for data, entry in queue:
            if not self._waiting.push(data, entry):
                assert entry is not None
                entry.holders -= 1
        self._waiting.spilled |= former is not None and former.spilled
        self.room()

    def _caught_up(self) -> None:
        """A link that takes everything: what a slower one has left in the spool may come."""
        former, self._waiting = self._waiting, None
        if former is not None and former.spilled:
            self._drained()

    @property
    def sent(self) -> int:
        """How many stanzas the peer was sent in all, as it counts them."""
        return (self.acknowledged + len(self._queue)) % MODULO

    def detach(self) -> None:
        """Nothing reaches the peer any more, until `resume`."""
        self.link = None
        self._asked = False
        if self._waiting:
            for data, entry in self._waiting.drain():
                self._queue.append((data, entry))
                self._bytes += len(data)

    def owes(self) -> bool:
        """Something that the spool keeps was sent and not confirmed."""
        kept = (entry for _, entry in self._queue)
        return any(entry is not None and not entry.confirmed for entry in (*kept, *self._unwritten))

    def leftovers(self) -> list[tuple[bytes, Entry | None]]:
        """What the peer never confirmed; the session is over."""
        rest = list(self._queue)
        rest.extend((b"", entry) for entry in self._unwritten)
        self._queue.clear()
        self._unwritten = []
        self._bytes = 0
        for _, entry in rest:
            if entry is not None:
                entry.holders -= 1
        return rest
