"""What goes over a stream between servers once a pair of domains is authenticated: stanzas, counts, pace.

One `Traffic` belongs to one stream, whoever opened it, and outlives its connection where the stream can be resumed
(XEP-0198 §5). It checks addresses (RFC 6120 §8.1), keeps the order of each pair of addresses while a handler is
suspended, reads no faster than the peer's domain may speak, and knows what the peer has not confirmed yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from quietwire.core import ns
from quietwire.core.errors import QuietwireError, StreamError
from quietwire.core.jid import JID, JIDError
from quietwire.core.later import Ticket
from quietwire.core.stanza import Child, Iq, Stanza
from quietwire.core.xml import Element, serialise
from quietwire.server.links import Link
from quietwire.server.s2s import SM, Common
from quietwire.server.s2s_policy import Peer
from quietwire.server.sm import MODULO, REQUEST, Incoming
from quietwire.server.timers import Timer

PAIRS = 200
"""Pairs of domains on one stream: a server with a few hundred domains has several streams."""
INBOX_PAUSE = 256
"""Suspended handlers and stanzas that wait for them: from here on nothing more is read until half of them are gone."""
QUIET_SECONDS = 240.0
"""Without a byte from the peer, on a stream that we send on: then it is asked for a sign of life. Routers forget
connections after five minutes."""
ANSWER_SECONDS = 60.0
"""For that sign: TCP repeats a lost packet several times within."""
_PING = "<iq type='get' id='alive' from='{}' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>"
_R, _A = f"{SM}r", f"{SM}a"
_OLD = f"{{{ns.SERVER}}}"
_OLD_BYTES = ns.SERVER.encode()

Pair = tuple[str, str]
"""(their domain, ours)."""


class Sender(Protocol):
    """Who puts stanzas (`federation.Remote`)."""

    def confirmed(self, count: int) -> None:
        """The peer has `count` more of those that were put: acknowledged, or without 0198 in the kernel's hands."""
        ...

    def pump(self) -> bool:
        """A link that is paced has room: puts one stanza. -> whether there are more."""
        ...


class Traffic:
    """`fail(error)` ends the stream with an error, `dead()` ends it without a word."""

    __slots__ = (
        "_alive", "_asked", "_busy", "_common", "_full", "_held", "_link", "_runs", "_unacknowledged", "_waiting",
        "acknowledged", "counts", "dead", "fail", "heard", "managed", "max_bytes", "pairs", "peer", "resume_id",
        "sends", "used", "wanting",
    )  # fmt: skip

    def __init__(
        self, common: Common, link: Link, fail: Callable[[StreamError], None], dead: Callable[[], None]
    ) -> None:
        self._common = common
        self._link: Link | None = link
        self.fail = fail
        self.dead = dead
        self.pairs: set[Pair] = set()
        """Authenticated: stanzas may come for them."""
        self.sends = False
        """Stanzas of ours go out on it."""
        self.max_bytes = 0
        """The longest stanza that the peer takes; 0 where it did not say."""
        self.peer: Peer | None = None
        self.heard = self.used = common.timers.clock()
        """When anything came; when a stanza came or went."""
        self.managed = False
        """Stream management is on."""
        self.resume_id = ""
        """Under which the stream can be resumed; chosen by whoever was called."""
        self.acknowledged = 0
        self.counts = Incoming(common.timers, self._acknowledge)
        self._runs: deque[list[Sender | int]] = deque()
        """[sender, how many] in the order they were put and are not confirmed."""
        self.wanting: dict[Sender, None] = {}
        """Who has something for a link that is paced, in turns."""
        self._unacknowledged = 0
        self._asked = False
        self._busy: dict[tuple[JID, JID], deque[tuple[Stanza, Ticket]]] = {}
        """Pairs of addresses with a suspended handler, and what came for them since."""
        self._waiting = 0
        self._full = False
        """One of the reasons not to read: too much waits."""
        self._held = 0
        """Reasons not to read."""
        self._alive: Timer | None = None

    @property
    def live(self) -> bool:
        """There is a connection under it."""
        return self._link is not None

    # -- in -----------------------------------------------------------------------------------------------------------

    def hear(self, child: Child) -> bool:
        """One child of an authenticated stream. False if it is neither a stanza nor of stream management. Raises
        StreamError."""
        if isinstance(child, Stanza):
            self._stanza(child)
        elif child.kind == _R:
            if not self.managed:
                raise StreamError("unsupported-stanza-type")
            self.counts.requested()
        elif child.kind == _A:
            self.confirm(number(child))
            self._asked = False
            self._ask()
        else:
            return False
        return True

    def weigh(self, size: int, stanzas: int) -> None:
        """So much was read: pauses the reader for as long as the domain is over its rate."""
        self.heard = self._common.timers.clock()
        meter = self.peer.meter if self.peer is not None else None
        if meter is None:
            return
        wait = meter.spend(size, stanzas)
        if wait > 0:
            self._hold()
            self._common.timers.after(wait, self._release)

    def _hold(self) -> None:
        self._held += 1
        if self._link is not None:
            self._link.pause()

    def _release(self) -> None:
        self._held -= 1
        if not self._held and self._link is not None:
            self._link.resume()

    def _stanza(self, stanza: Stanza) -> None:
        attributes = stanza.attributes
        sender, addressee = attributes.get("from"), attributes.get("to")
        if not sender or not addressee:
            raise StreamError("improper-addressing")  # RFC 6120 §8.1.1.2, §8.1.2.2
        try:
            from_ = stanza.from_ = JID.parse(sender)
        except JIDError:
            raise StreamError("invalid-from") from None
        try:
            to = stanza.to = JID.parse(addressee)
        except JIDError:
            if not any(theirs == from_.domain for theirs, _ in self.pairs):
                raise StreamError("invalid-from") from None  # the answer would go to somebody who asked nothing
            self._malformed(stanza)
            return
        if (from_.domain, to.domain) not in self.pairs:
            if any(theirs == from_.domain for theirs, _ in self.pairs):
                raise StreamError("improper-addressing" if not self._common.ours(to.domain) else "invalid-from")
            raise StreamError("invalid-from")
        self.used = self._common.timers.clock()
        if _OLD_BYTES in stanza.inner or ns.SERVER in attributes.values():
            stanza = for_clients(stanza)
        if self._busy:
            waiting = self._busy.get((from_.bare, to.bare))
            if waiting is not None:
                self._wait(waiting, stanza)
                return
        self._take(stanza, None)

    def _wait(self, waiting: deque[tuple[Stanza, Ticket]], stanza: Stanza) -> None:
        if self._waiting >= self._common.settings.inbox_stanzas:
            raise StreamError("policy-violation", "too much at once")
        ticket = Ticket()
        self.counts.count(ticket)
        waiting.append((stanza, ticket))
        self._waiting += 1
        self._crowd()

    def _crowd(self) -> None:
        """One more handler is suspended or stanza waits, or one less."""
        number = self._waiting + len(self._busy)
        if not self._full and number >= INBOX_PAUSE:
            self._full = True
            self._hold()
        elif self._full and number <= INBOX_PAUSE // 2:
            self._full = False
            self._release()

    def _take(self, stanza: Stanza, ticket: Ticket | None) -> bool:
        """Hands one stanza in; `ticket` is counted already and settles with it. False if its handler is suspended."""
        inward = self._common.inward
        if isinstance(stanza, Iq) and stanza.type in ("get", "set"):
            suspended = False

            def finished() -> None:
                if suspended:
                    self._go_on(key, ticket)

            if not inward.from_remote(stanza, finished):
                assert stanza.from_ is not None
                assert stanza.to is not None
                key = stanza.from_.bare, stanza.to.bare
                suspended = True
                self._busy.setdefault(key, deque())
                self._crowd()
                if ticket is None:
                    ticket = Ticket()
                    self.counts.count(ticket)
                return False
        else:
            inward.from_remote(stanza)
        if ticket is not None:
            _settle_with(ticket, inward.caused()[0])
        elif self.managed:
            # Not what left for other servers: two that each wait for the other's acknowledgement wait for ever.
            self.counts.count(inward.caused()[0])
        return True

    def _go_on(self, key: tuple[JID, JID], ticket: Ticket | None) -> None:
        """A suspended handler has ended: the next stanzas of that pair of addresses."""
        assert ticket is not None
        _settle_with(ticket, self._common.inward.caused()[0])
        waiting = self._busy[key]
        try:
            while waiting:
                stanza, ticket = waiting.popleft()
                self._waiting -= 1
                self._crowd()
                if not self._take(stanza, ticket):
                    return
        except Exception as error:
            if not isinstance(error, QuietwireError):
                self._common.fault(error)
            self.fail(StreamError("internal-server-error"))
        del self._busy[key]
        self._crowd()

    def _malformed(self, stanza: Stanza) -> None:
        """`to` is no address: the sender is told, by the server itself, on our own stream to it."""
        if stanza.type not in ("error", "result"):
            stanza.to = self._common.settings.domain
            self._common.inward.from_remote(stanza.error("jid-malformed"))
        if self.managed:
            self.counts.count(None)

    # -- out ----------------------------------------------------------------------------------------------------------

    def put(self, sender: Sender, data: bytes) -> None:
        """One stanza; only while `live`."""
        link = self._link
        assert link is not None
        runs = self._runs
        if runs and runs[-1][0] is sender:
            runs[-1][1] += 1  # type: ignore[operator]
        else:
            runs.append([sender, 1])
        self._unacknowledged += 1
        link.put(data)
        if self.managed and not self._asked:
            self._asked = True
            link.put(REQUEST)

    @property
    def paced(self) -> bool:
        """Little leaves at a time: who has something says so in `wanting`, and is asked for it."""
        return self._link is not None and self._link.paced

    def room(self) -> None:
        """A paced link has room in its next cell."""
        link, wanting = self._link, self.wanting
        while wanting and link is not None and link.space() > 0:
            sender = next(iter(wanting))
            del wanting[sender]
            if sender.pump():
                wanting[sender] = None
            link = self._link

    def backlog(self) -> int:
        """Bytes that were put and not written."""
        return self._link.backlog() if self._link is not None else 0

    @property
    def patience(self) -> float:
        """Seconds that a stanza and its acknowledgement may wait for cells, where both ends are paced alike."""
        return 2 * self._link.policy.tick if self._link is not None and self._link.paced else 0.0

    def welcome(self) -> None:
        """The peer is authenticated."""
        if self._link is not None:
            self._link.welcome()

    def written(self) -> None:
        """Everything put is in the kernel's hands: without 0198 that must do."""
        if not self.managed and self._unacknowledged:
            self._confirm(self._unacknowledged)

    def manage(self) -> None:
        """Stream management is switched on: what was put before does not count."""
        self._confirm(self._unacknowledged)
        self.managed = True
        self.counts.start()

    def confirm(self, h: int | None) -> None:
        """The peer has `h` stanzas in all. Raises StreamError if it claims more than it was sent (XEP-0198 §4)."""
        if not self.managed or h is None:
            raise StreamError("policy-violation", "no acknowledgement was asked for")
        count = (h - self.acknowledged) % MODULO
        if count > self._unacknowledged:
            sent = (self.acknowledged + self._unacknowledged) % MODULO
            element = f"<handled-count-too-high xmlns='{ns.SM}' h='{h}' send-count='{sent}'/>"
            raise StreamError("undefined-condition", specific=element)
        self.acknowledged = (self.acknowledged + count) % MODULO
        self._confirm(count)

    def _confirm(self, count: int) -> None:
        self._unacknowledged -= count
        runs = self._runs
        while count:
            sender, length = runs[0]
            assert isinstance(length, int)
            done = min(length, count)
            count -= done
            if done == length:
                runs.popleft()
            else:
                runs[0][1] = length - done
            sender.confirmed(done)  # type: ignore[union-attr]

    def _ask(self) -> None:
        if self._unacknowledged and self._link is not None and not self._asked:
            self._asked = True
            self._link.put(REQUEST)

    def _acknowledge(self, h: int) -> None:
        if self._link is not None:
            self._link.put(f"<a xmlns='{ns.SM}' h='{h}'/>".encode())

    def say(self) -> None:
        """Acknowledges what may be acknowledged: the stream is about to be closed."""
        if self.managed:
            self.counts.say()

    # -- connections --------------------------------------------------------------------------------------------------

    def detach(self) -> None:
        """The connection is gone, or nothing more may be written to it."""
        self._link = None
        self._asked = False
        self.wanting.clear()
        if self._alive is not None:
            self._alive.cancel()
            self._alive = None

    def attach(self, link: Link, fail: Callable[[StreamError], None], dead: Callable[[], None]) -> None:
        """The stream was resumed on another connection; what is put from now on counts on from `acknowledged`: whoever
        had something under way puts it again."""
        self.fail, self.dead = fail, dead
        self._link = link
        self._runs.clear()
        self._unacknowledged = 0
        self.heard = self._common.timers.clock()
        if self._held:
            link.pause()
        self.watch()

    def close(self) -> None:
        """The end: nobody is confirmed any more."""
        self.detach()
        self._runs.clear()
        self._unacknowledged = 0
        self.resume_id = ""
        if self.peer is not None:
            self.peer.streams -= 1
            self.peer = None

    # -- signs of life ------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """From now on a peer that says nothing is asked for a sign of life, where it can give one on this stream."""
        if self.sends and self._alive is None and (self.managed or self._bidirectional):
            self._alive = self._common.timers.after(QUIET_SECONDS, self._look)

    @property
    def _bidirectional(self) -> bool:
        return bool(self.pairs) and self.sends

    def _look(self) -> None:
        self._alive = None
        link = self._link
        if link is None:
            return
        timers = self._common.timers
        quiet = timers.clock() - self.heard
        if quiet < QUIET_SECONDS:
            self._alive = timers.after(QUIET_SECONDS - quiet, self._look)
            return
        if self.managed:
            link.put(REQUEST)
        else:
            theirs, ours = next(iter(self.pairs))
            link.put(_PING.format(ours, theirs).encode())
        asked = timers.clock()
        self._alive = timers.after(ANSWER_SECONDS + self.patience, lambda: self._judge(asked))

    def _judge(self, asked: float) -> None:
        self._alive = None
        if self.heard >= asked:
            self.watch()
        else:
            self.dead()


def number(child: Child) -> int | None:
    """The `h` of an element of stream management."""
    h = child.attributes.get("h", "")
    return int(h) if h.isascii() and h.isdecimal() and len(h) <= 10 else None


def _settle_with(ticket: Ticket, durable: Ticket | None) -> None:
    """Settles `ticket` when the other one is."""
    if durable is None:
        ticket.settle()
    else:
        durable.when_settled(ticket.settle)


def for_clients(stanza: Stanza) -> Stanza:
    """The same stanza without a word of ``jabber:server``: what a server wrote with that namespace spelled out is
    ``jabber:client`` where it is delivered (RFC 6120 §4.8.3)."""
    tree = stanza.tree
    for element in tree.iter():
        if element.tag.startswith(_OLD):
            element.tag = f"{{{ns.CLIENT}}}{element.tag[len(_OLD) :]}"
    kept = {key: value for key, value in stanza.attributes.items() if not key.startswith("xmlns:")}
    return type(stanza)(kept, _inner(tree), tuple(child.tag for child in tree), to=stanza.to, from_=stanza.from_)


def _inner(tree: Element) -> bytes:
    return b"".join(serialise(child, ns.CLIENT) for child in tree)
