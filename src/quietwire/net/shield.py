"""A helper between a client and a server that knows no shaping: it ends TLS on both sides and paces one of them.

In front of a client the way up is shaped, in front of a server the way down; `core/relay.py` is what passes. Nothing
is lost: what was taken from one side leaves on the other, or the stream ends without its closing tag, and stream
management (XEP-0198) sends again what nobody counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, Limits, StreamOpen, StreamParser
from quietwire.core.relay import CLOSING, DOWN, STRANGER_BYTES, Relay, addressed, error, greeting
from quietwire.server.links import Link, Stream
from quietwire.shaping.policy import Profile

READY_SECONDS: Final = 30.0
"""From a client's arrival to two streams that are secure; a dial alone may take 25."""
LOOK_SECONDS: Final = 0.1
"""Between two looks at what still waits, while a side is paused or to be closed."""
DRAIN_SECONDS: Final = 900.0
"""For what a side still owes when the other has gone: more than a full queue needs in cells of the default size."""
DRAIN_MARGIN: Final = 1.25
"""Times what the cells need that what waits fills: stalled sockets are skipped, and a tunnel's cells have heads."""
DRAIN_MOST: Final = 2 * 3600.0
"""However slow the cells are: a phone's full queue takes 64 minutes. Who has come back by then has said it again."""
PRELUDE: Final = Limits(stanza_bytes=16_384)
"""Before TLS: headers, features, ``<starttls/>``."""
QUEUE: Final = 262_144
"""Bytes for a side that is not paced: as much as one stanza, and it is on this machine or its own network."""
_STARTTLS: Final = f"{{{ns.TLS}}}starttls"
_PROCEED: Final = f"{{{ns.TLS}}}proceed"
_FEATURES: Final = f"{{{ns.STREAMS}}}features"
_NEEDED: Final = f"<stream:features><starttls xmlns='{ns.TLS}'><required/></starttls></stream:features>".encode()

Failed = Callable[[str], None]
"""Told one line: why the server could not be reached, and what to do."""


class Way(Protocol):
    """How a helper reaches the server."""

    def dial(self, accept: Callable[[Link], Stream], failed: Failed) -> Callable[[], None]:
        """A connection whose stream `accept` makes. -> what gives up."""
        ...

    def verdict(self, link: Link) -> str:
        """'' if this is the server; else one line that says what to do."""
        ...

    def bindings(self) -> Mapping[str, bytes]:
        """To bind a login to the link that had the last verdict, the best first."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a helper keeps to. `queue`, `far_queue`: bytes that may wait on the client's side and on the server's before
    the other is read from no more."""

    domain: str
    """'' for the server's own affair: it may have several."""
    logs_in: bool
    spaces: bool
    near_queue: int = QUEUE
    far_queue: int = QUEUE


class Shield:
    """`accept` makes the stream of a client's connection. `say(line)` tells the user, without an address or a name of
    theirs; `randomness(n)` gives n bytes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        way: Way,
        terms: Terms,
        randomness: Callable[[int], bytes],
        say: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.way = way
        self.terms = terms
        self.randomness = randomness
        self.say = say
        self._near: set[Near] = set()

    def accept(self, link: Link) -> Near:
        near = Near(self, link)
        self._near.add(near)
        return near

    def forget(self, near: Near) -> None:
        self._near.discard(near)

    def open(self) -> int:
        """Clients with a connection on either side."""
        return len(self._near)

    def shut_down(self) -> None:
        """Ends all streams: clients are told that they may come back."""
        for near in tuple(self._near):
            near.refuse(StreamError("system-shutdown"))


class Near:
    """The client's side. Owns the other one."""

    def __init__(self, shield: Shield, link: Link) -> None:
        self.link = link
        self._shield = shield
        self._parser: StreamParser | None = StreamParser(PRELUDE)
        self._securing = False
        self._opened = False
        """Our header has been sent, and not taken back by TLS."""
        self._held: list[bytes] = []
        """What came while the server was dialled."""
        self._waiting = 0
        self._give_up: Callable[[], None] | None = None
        self._far: Far | None = None
        self._relay: Relay | None = None
        self._ended = False
        self._lost = False
        self._deadline = shield.loop.call_later(READY_SECONDS, link.abort)

    @property
    def outbox_bytes(self) -> int:
        """May wait for the client: a full queue, the longest child that a server may send, and what came with it."""
        return self._shield.terms.near_queue + DOWN.stanza_bytes + QUEUE

    @property
    def known(self) -> bool:
        """The client has logged in: for the doors."""
        return self._relay is not None and self._relay.known

    # -- links.Stream -------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._relay is not None:
            self._up(data)
        elif self.link.secure:
            self._hold(data)
        elif not self._securing:
            self._prelude(data)

    def secured(self) -> None:
        self._opened = False
        self._parser = None

    def written(self) -> None:
        """Pauses end by looking: see `_press`."""

    def overflow(self) -> None:
        """It takes nothing any more."""

    def lost(self) -> None:
        self._deadline.cancel()
        self._ended = self._lost = True
        if self._give_up is not None:
            self._give_up()
        if self._relay is not None:
            self._relay.close()
        if self._far is not None and not self._far.gone:
            drain(self._shield.loop, self._far.link)
        else:
            self._shield.forget(self)

    # -- before both are there ----------------------------------------------------------------------------------------

    def _prelude(self, data: bytes) -> None:
        """STARTTLS, and nothing else, before TLS (RFC 6120 §5)."""
        assert self._parser is not None
        for event in self._parser.feed(data):
            if isinstance(event, StreamOpen):
                self._greet(event.attributes.get("to", ""))
                if not addressed(event, self._shield.terms.domain):
                    self.refuse(StreamError("host-unknown"))
                    return
                self.link.put(_NEEDED)
            elif isinstance(event, Broken):
                self.refuse(event.error)
                return
            elif getattr(event, "kind", "") == _STARTTLS:
                self._securing = True
                self.link.put(f"<proceed xmlns='{ns.TLS}'/>".encode())
                self.link.start_tls()
                return
            else:
                self.refuse(StreamError("policy-violation", "TLS first"))
                return

    def _greet(self, asked: str = "") -> None:
        self._opened = True
        shield = self._shield
        self.link.put(greeting(from_=shield.terms.domain or asked, id=shield.randomness(12).hex()))

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._waiting += len(data)
        if self._waiting > STRANGER_BYTES:
            self.refuse(StreamError("policy-violation", "too much before login"))
        elif self._give_up is None:
            self.link.pause()
            self._give_up = self._shield.way.dial(self._reached, self._unreached)

    def _reached(self, link: Link) -> Stream:
        self._far = Far(self._shield, self, link)
        return self._far

    def _unreached(self, line: str) -> None:
        self.unfit(line)

    def unfit(self, line: str) -> None:
        """The server cannot be reached, or is not who it should be."""
        self._shield.say(line)
        self.refuse(StreamError("remote-connection-failed", line))

    def join(self) -> None:
        """The server's side is secure, and it is the server."""
        assert self._far is not None
        self._deadline.cancel()
        shield, far = self._shield, self._far.link
        self._relay = Relay(
            shield.terms.domain,
            self.link.put,
            far.put,
            shield.randomness,
            bindings=shield.way.bindings(),
            logs_in=shield.terms.logs_in,
            spaces=shield.terms.spaces,
        )
        self._opened = True
        held, self._held = self._held, []
        self._up(b"".join(held))
        if not self._ended:
            self.link.resume()

    # -- both are there -----------------------------------------------------------------------------------------------

    def _up(self, data: bytes) -> None:
        assert self._relay is not None
        assert self._far is not None
        try:
            self._relay.up(data)
        except StreamError as failed:
            self.refuse(failed)
            return
        self._press(self.link, self._far.link, self._shield.terms.far_queue)

    def down(self, data: bytes) -> None:
        """From the server."""
        relay, far = self._relay, self._far
        if relay is None or far is None or self._ended:
            return
        known = relay.known
        try:
            relay.down(data)
        except StreamError as failed:
            self.refuse(failed)
            return
        if relay.known and not known:
            self.link.welcome()
            far.link.welcome()
        self._press(far.link, self.link, self._shield.terms.near_queue)

    def _press(self, source: Link, sink: Link, room: int) -> None:
        """Reads no more from one side while the other's queue is full."""
        if sink.backlog() > room:
            source.pause()
            self._shield.loop.call_later(LOOK_SECONDS, self._look, source, sink, room)

    def _look(self, source: Link, sink: Link, room: int) -> None:
        if sink.backlog() > room // 2:
            self._shield.loop.call_later(LOOK_SECONDS, self._look, source, sink, room)
        else:
            source.resume()

    # -- ends ---------------------------------------------------------------------------------------------------------

    def refuse(self, failed: StreamError) -> None:
        """Tells the client, and ends both streams."""
        if self._ended:
            return
        self._ended = True
        if not self._opened:
            self._greet()
        self.link.put(error(failed))
        drain(self._shield.loop, self.link)
        far = self._far
        if far is not None and not far.gone:
            if self._relay is not None and not self._relay.near_closed:
                far.link.put(CLOSING)
            drain(self._shield.loop, far.link)

    def far_lost(self) -> None:
        """The server has gone; what it said reaches the client first."""
        if self._lost:
            self._shield.forget(self)
            return
        if self._relay is None:
            if not self._ended:
                self.unfit(f"{self._shield.terms.domain or 'the server'} has closed the connection: try again later")
            return
        self._ended = True
        drain(self._shield.loop, self.link)


class Far:
    """The server's side."""

    def __init__(self, shield: Shield, near: Near, link: Link) -> None:
        self.link = link
        self._shield = shield
        self._near = near
        self._parser: StreamParser | None = None
        self._ready = False
        self.gone = False
        self._securing = False
        if link.secure:
            shield.loop.call_soon(self.secured)  # the connection must know its stream first
        else:
            self._parser = StreamParser(PRELUDE)
            link.put(greeting(to=shield.terms.domain))

    def received(self, data: bytes) -> None:
        if self._ready:
            self._near.down(data)
        elif self._parser is not None and not self._securing:
            self._prelude(data)

    def _prelude(self, data: bytes) -> None:
        assert self._parser is not None
        domain = self._shield.terms.domain
        for event in self._parser.feed(data):
            kind = getattr(event, "kind", "")
            if isinstance(event, StreamOpen):
                continue
            if kind == _FEATURES and _STARTTLS in getattr(event, "names", ()):
                self.link.put(f"<starttls xmlns='{ns.TLS}'/>".encode())
            elif kind == _PROCEED:
                self._securing = True
                self.link.start_tls()
                return
            else:
                self._near.unfit(
                    f"{domain} offers no TLS there: refused. Is the port that of direct TLS (--direct-tls)?"
                )
                return

    def secured(self) -> None:
        if self._ready or self.gone:
            return
        line = self._shield.way.verdict(self.link)
        if line:
            self._near.unfit(line)
            return
        self._ready = True
        self._near.join()

    def written(self) -> None: ...

    def overflow(self) -> None: ...

    def lost(self) -> None:
        self.gone = True
        self._near.far_lost()


def patience(link: Link) -> float:
    """Seconds in which what waits on a link can leave."""
    policy = link.policy
    cells = link.backlog() / policy.cell * policy.tick if policy.profile is Profile.STEADY else 0.0
    return min(max(DRAIN_SECONDS, cells * DRAIN_MARGIN), DRAIN_MOST)


def drain(loop: asyncio.AbstractEventLoop, link: Link, until: float = 0.0) -> None:
    """Closes a link when nothing waits on it any more, or what does cannot be waited for."""
    until = until or loop.time() + patience(link)
    if link.backlog() and loop.time() < until:
        loop.call_later(LOOK_SECONDS, drain, loop, link, until)
    else:
        link.close()
