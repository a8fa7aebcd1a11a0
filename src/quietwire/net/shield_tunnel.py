"""Two helpers, one at each end of a path: what a client and its server say, TLS and all, goes between them in cells
(docs/protocols/shield.md). Neither reads it, so channel binding holds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from quietwire.net.doors import Visitor
from quietwire.net.pacer import SteadyLine
from quietwire.net.shell import Shell
from quietwire.net.shield import LOOK_SECONDS, QUEUE, READY_SECONDS, drain
from quietwire.net.shield_trust import Trust
from quietwire.net.stream import Connection
from quietwire.net.tls import user_dial_context
from quietwire.server.links import Link, Stream
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.tunnel import Cells, Opener, PaddedTunnel, SteadyTunnel, TunnelError

CONNECT_SECONDS: Final = 15.0

Reach = Callable[[Callable[[Link], Stream], Callable[[str], None]], Callable[[], None]]
"""(accept, failed) -> what gives up: a connection whose stream `accept` makes, or one line."""


class TunnelLine(SteadyLine):
    """A `steady` link whose cells are a tunnel's."""

    __slots__ = ()

    shaper = SteadyTunnel
    outbox: SteadyTunnel

    def stop(self) -> bytes:
        self._pacer.leave(self)
        self.outbox.stop()
        return b""


class TunnelConnection(Connection):
    """The outer connection: what is put goes out in cells."""

    __slots__ = ("cells",)

    def __init__(
        self,
        shell: Shell,
        accept: Callable[[Link], Stream],
        policy: Policy,
        *,
        server_side: bool = True,
        visitor: Visitor | None = None,
    ) -> None:
        super().__init__(shell, accept, policy=policy, server_side=server_side, visitor=visitor)
        self.cells: Cells

    def _shape(self, tls: str | None) -> None:
        if self.policy.profile is Profile.STEADY:
            line = TunnelLine(self._shell.pacer, self.policy, self)
            self._line, self.paced = line, True
            outbox: SteadyTunnel | PaddedTunnel = line.outbox
        else:
            outbox = PaddedTunnel(self.policy.cell)
        self._outbox, self._out, self.cells = outbox, outbox.parts, outbox.cells

    def last(self) -> None:
        """Nothing more will be put."""
        self.cells.end()
        self.put(b"")


class Tunnel:
    """One end: `plain` makes streams for connections in the clear, `outer` for those of the other end. Only one of
    them accepts; the other side is reached by `reach`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, reach: Reach, queue: int, say: Callable[[str], None]) -> None:
        self.loop = loop
        self.reach = reach
        self.queue = queue
        self.say = say
        self._pairs: set[Pair] = set()

    def plain(self, link: Link) -> Plain:
        """For a client's connection on this machine."""
        pair = self._pair()
        pair.plain = Plain(pair, link)
        pair.dial(pair.reached_outer)
        return pair.plain

    def outer(self, link: Link) -> Outer:
        """For a helper's connection from the other end."""
        pair = self._pair()
        pair.outer = Outer(pair, link)
        pair.dial(pair.reached_plain)
        return pair.outer

    def _pair(self) -> Pair:
        pair = Pair(self)
        self._pairs.add(pair)
        return pair

    def forget(self, pair: Pair) -> None:
        self._pairs.discard(pair)

    def open(self) -> int:
        return len(self._pairs)

    def shut_down(self) -> None:
        for pair in tuple(self._pairs):
            pair.end()


class Pair:
    """A connection in the clear and its outer one."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.plain: Plain | None = None
        self.outer: Outer | None = None
        self._give_up: Callable[[], None] | None = None
        self._ended = False
        self._deadline = tunnel.loop.call_later(READY_SECONDS, self._too_late)

    def dial(self, accept: Callable[[Link], Stream]) -> None:
        # Not in this turn: the connection that came must know its stream first.
        self._give_up = lambda: None
        self.tunnel.loop.call_soon(self._dial, accept)

    def _dial(self, accept: Callable[[Link], Stream]) -> None:
        if not self._ended:
            self._give_up = self.tunnel.reach(accept, self._failed)

    def reached_outer(self, link: Link) -> Outer:
        self.outer = Outer(self, link)
        self._ready()
        return self.outer

    def reached_plain(self, link: Link) -> Plain:
        self.plain = Plain(self, link)
        self._ready()
        return self.plain

    def _ready(self) -> None:
        assert self.plain is not None
        assert self.outer is not None
        for side in (self.plain, self.outer):
            held, side.held = side.held, b""
            if held:
                side.received(held)

    def hold(self, side: Plain | Outer, data: bytes) -> None:
        """What came while the other side was dialled; a client waits for answers, a helper sends cover."""
        side.held += data
        if len(side.held) > QUEUE:
            self.end()

    def greeted(self) -> None:
        """The other end speaks the protocol."""
        self._deadline.cancel()

    def _failed(self, line: str) -> None:
        self.tunnel.say(line)
        self.end()

    def _too_late(self) -> None:
        self.tunnel.say("the tunnel's other end does not answer: is a tunnel there, and not the server itself?")
        self.end()

    def press(self, source: Link, sink: Link, room: int) -> None:
        if sink.backlog() > room:
            source.pause()
            self.tunnel.loop.call_later(LOOK_SECONDS, self._look, source, sink, room)

    def _look(self, source: Link, sink: Link, room: int) -> None:
        if not all(side is not None and side.there for side in (self.plain, self.outer)):
            return  # `end` has let go of the one that is left
        if sink.backlog() > room // 2:
            self.tunnel.loop.call_later(LOOK_SECONDS, self._look, source, sink, room)
        else:
            source.resume()

    def left(self) -> None:
        """A side has gone."""
        self.end()
        if not any(side is not None and side.there for side in (self.plain, self.outer)):
            self.tunnel.forget(self)

    def end(self) -> None:
        """One side has gone: what the other is owed leaves first."""
        if self._ended:
            return
        self._ended = True
        self._deadline.cancel()
        if self._give_up is not None:
            self._give_up()
        loop = self.tunnel.loop
        if self.outer is not None and self.outer.there:
            link = self.outer.link
            if isinstance(link, TunnelConnection):
                link.last()
            drain(loop, link)
        if self.plain is not None and self.plain.there:
            drain(loop, self.plain.link)


class Plain:
    """In the clear: whatever a client and its server say."""

    def __init__(self, pair: Pair, link: Link) -> None:
        self.link = link
        self.there = True
        self.held = b""
        self._pair = pair

    def received(self, data: bytes) -> None:
        outer = self._pair.outer
        if outer is None:
            self._pair.hold(self, data)
        elif outer.there:
            outer.link.put(data)
            self._pair.press(self.link, outer.link, self._pair.tunnel.queue)

    def secured(self) -> None: ...

    def written(self) -> None: ...

    def overflow(self) -> None: ...

    def lost(self) -> None:
        self.there = False
        self._pair.left()


class Outer:
    """Cells, inside of TLS."""

    def __init__(self, pair: Pair, link: Link) -> None:
        self.link = link
        self.there = True
        self.held = b""
        self.known = False
        """For the doors, and for good: a tunnel has no login, so each counts for its network as long as it is there."""
        self._pair = pair
        self._opener = Opener()
        link.put(b"")  # the greeting

    def received(self, data: bytes) -> None:
        pair = self._pair
        if pair.plain is None:
            pair.hold(self, data)
            return
        try:
            payload = self._opener.feed(data)
        except TunnelError as failed:
            pair.tunnel.say(f"the tunnel is closed: {failed}")
            pair.end()
            self.link.abort()
            return
        if self._opener.greeted:
            pair.greeted()
        if payload and pair.plain.there:
            pair.plain.link.put(payload)
            pair.press(self.link, pair.plain.link, QUEUE)
        if self._opener.ended:
            pair.end()

    def secured(self) -> None: ...

    def written(self) -> None: ...

    def overflow(self) -> None: ...

    def lost(self) -> None:
        self.there = False
        self._pair.left()


class ToTunnel:
    """Reaches the helper at the other end: TLS 1.3 from the first byte."""

    def __init__(self, shell: Shell, host: str, port: int, trust: Trust, policy: Policy) -> None:
        self._shell = shell
        self._host = host
        self._port = port
        self._trust = trust
        self._policy = policy
        self._context = user_dial_context(trust)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, accept: Callable[[Link], Stream], failed: Callable[[str], None]) -> Callable[[], None]:
        task = self._shell.loop.create_task(self._dial(accept, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def cancel() -> None:
            task.cancel()

        return cancel

    async def _dial(self, accept: Callable[[Link], Stream], failed: Callable[[str], None]) -> None:
        def judged(link: Link) -> Stream:
            line = self._trust.verdict(link)
            if not line:
                return accept(link)
            failed(line)
            link.abort()
            return _Nobody()

        make = partial(TunnelConnection, self._shell, judged, self._policy, server_side=False)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._shell.loop.create_connection(
                    make, self._host, self._port, ssl=self._context, server_hostname=self._host
                )
        except ssl.SSLError:
            failed(f"{self._host}: no TLS 1.3 there: check the port")
        except (OSError, ValueError):  # TimeoutError is the first, UnicodeError, of a name that is none, the second
            failed(
                f"{self._host}: the tunnel's other end cannot be reached: check its name and port, or try again later"
            )


class _Nobody:
    """The stream of a connection with the wrong one."""

    def received(self, data: bytes) -> None: ...

    def secured(self) -> None: ...

    def written(self) -> None: ...

    def lost(self) -> None: ...
