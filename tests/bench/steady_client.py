"""Light clients of our own kind on `steady` links, many in one process: see steady_links.py, which starts it.

Standard input: one line of JSON (`Orders`), and later a line with the moment of the clock at which it all begins.
Standard output: `ready`, and at the end one line of JSON a link: what it was, and what it did.

What a client writes goes through the client's own `Link`; the life behind it is what people do, and worse. Some links
have a life and some have none: these log in, answer when they are asked to acknowledge, and go.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import uvloop
from session import LoadError, Session, unverified_tls
from wire import SM, Keys

from quietwire.client.link import Link, uplink
from quietwire.shaping.policy import Policy, Profile

ANSWER = 12.0
"""Seconds for the other side to close: five and two ticks that a steady stream may take, and more."""
RESERVE = 0.8
"""Of a queue, that a flood fills."""
_MANY = b"abcdefghijklmnopqrstuvwxyz" * 80


@dataclass(frozen=True)
class One:
    """A link. Seconds after the beginning: when it dials; and its length, from then until it says goodbye. `style`: a
    key of `STYLES`, "" for none; `peers`: to whom it writes."""

    user: str
    begin: float
    seconds: float
    style: str
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Orders:
    """What a process is told. `policy`: arguments of `Policy`. `outside`: its links are not shaped: a stranger's who
    fills the queues of others."""

    port: int
    seed: int
    policy: dict[str, Any]
    links: tuple[One, ...]
    outside: bool = False
    stock: bool = True
    """The event loop is asyncio's own, as clients have it, not the server's."""
    work: float = 0.0
    """Seconds that a client computes for each message that it sends or gets, as encryption makes it: in the time that
    its link names for that (`Link.calm`)."""
    apart: bool = False
    """Each link has a process of its own."""
    slow: float = 1.0
    """A life is so many times as slow."""

    @staticmethod
    def read(text: str) -> Orders:
        told = json.loads(text)
        links = tuple(One(**{**one, "peers": tuple(one["peers"])}) for one in told.pop("links"))
        return Orders(**told, links=links)

    def written(self) -> str:
        return json.dumps(asdict(self))


Deed = tuple[float, str]
"""Seconds after the login, and what."""

STYLES: dict[str, dict[str, float]] = {
    "talker": {"text": 3.0, "typing": 2.0, "ping": 20.0},
    "reader": {"archive": 6.0, "roster": 10.0, "text": 15.0},
    "burster": {"burst": 12.0, "text": 8.0, "state": 9.0},
    "flooder": {"flood": 25.0, "text": 10.0, "archive": 20.0},
}
"""Mean seconds between things of each kind."""
STRANGER = {"flood": 0.5}
WRITES = {"text", "burst", "flood"}


def deeds(style: dict[str, float], seconds: float, dice: random.Random) -> list[Deed]:
    """What one does in a life of so many seconds: Poisson. What takes long to write ends early, so that it is
    written when the life is over."""
    found: list[Deed] = []
    for kind, mean in style.items():
        last = seconds * {"flood": 0.5, "burst": 0.7, "archive": 0.7}.get(kind, 1.0)
        at = dice.expovariate(1 / mean)
        while at < last:
            found.append((at, kind))
            at += dice.expovariate(1 / mean)
    return sorted(found)


class Client(Session):
    """`link`: what shapes; None for strangers."""

    link: Link | None = None

    def __init__(self, one: One, orders: Orders, keys: Keys) -> None:
        super().__init__(one.user, "localhost", keys)
        self.one = one
        self._policy = None if orders.outside else uplink(Policy(Profile.STEADY, **orders.policy))
        self._queue = orders.policy.get("queue", Policy.queue)
        self._dice = random.Random(f"{orders.seed} {one.user}")
        self._number = 0
        self._work = orders.work
        self._working: set[asyncio.Task[None]] = set()
        self.port = 0
        self.told: dict[str, int] = {}
        self.came = 0
        """Bytes that were no spaces."""

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.port = transport.get_extra_info("sockname")[1]
        if self._policy is not None:
            assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
            transport = self.link = Link(transport, self._policy, asyncio.get_running_loop())  # type: ignore[arg-type]
            self.link.follow()  # the server is told to pace all links from their beginning
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.link is not None:
            self.link.heard()
        said = data.strip(b" ")
        if said:
            self.came += len(said)
            super().data_received(data)
            if self._work and self.stanzas:
                for _ in range(said.count(b"</message>")):
                    self._working.add(task := asyncio.get_running_loop().create_task(self.work()))
                    task.add_done_callback(self._working.discard)

    async def work(self) -> None:
        """Computes, when the link has time for that."""
        if self._work and self.link is not None:
            await self.link.calm()
            until = time.thread_time() + self._work
            while time.thread_time() < until:
                pass

    def connection_lost(self, error: Exception | None) -> None:
        if self.link is not None:
            self.link.over()
        super().connection_lost(error)

    # a life

    def do(self, kind: str) -> None:
        """Raises KeyError for what nobody does."""
        parts = list({"text": self._text, "typing": self._typing, "burst": self._burst, "flood": self._flood}.get(
            kind, lambda: self._asking(kind)
        )())  # fmt: skip
        self.told[kind] = self.told.get(kind, 0) + 1
        self.stanzas += sum(not part.startswith((b"<active", b"<inactive")) for part in parts)
        self.transport.write(b"".join(parts) + b"<r xmlns='%b'/>" % SM)
        self.asked.append((self.stanzas, time.perf_counter_ns()))

    def _message(self, size: int, to: str = "") -> bytes:
        self._number += 1
        to = to or self._dice.choice(self.one.peers)
        start = self._dice.randrange(26)
        return b"<message to='%b@localhost' type='chat' id='m%d'><body>%b</body></message>" % (
            to.encode(), self._number, _MANY[start : start + size],
        )  # fmt: skip

    def _text(self) -> Iterator[bytes]:
        yield self._message(int(min(1500, self._dice.lognormvariate(4.5, 1.0))) + 1)

    def _typing(self) -> Iterator[bytes]:
        yield (
            b"<message to='%b@localhost' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>"
            b"</message>" % self._dice.choice(self.one.peers).encode()
        )

    def _burst(self) -> Iterator[bytes]:
        for _ in range(self._dice.randint(4, 10)):
            yield self._message(self._dice.randint(20, 300))

    def _flood(self) -> Iterator[bytes]:
        """To one other, and so much that its queue is nearly full; ours too, if it goes through one."""
        to = self._dice.choice(self.one.peers)
        room = RESERVE * self._queue - (self.link.waiting() if self.link is not None else 0)
        while room > 0:
            part = self._message(1000, to)
            room -= len(part)
            yield part

    def _asking(self, kind: str) -> Iterator[bytes]:
        self._number += 1
        number = self._number
        if kind == "archive":
            yield (
                b"<iq type='set' id='i%d'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
                b"<max>6</max><before/></set></query></iq>" % number
            )
        elif kind == "roster":
            yield (
                b"<iq type='set' id='j%d'><query xmlns='jabber:iq:roster'><item jid='f%d@localhost' name='A friend'/>"
                b"</query></iq>" % (number, number)
            )
            yield b"<iq type='get' id='i%d'><query xmlns='jabber:iq:roster'/></iq>" % number
        elif kind == "ping":
            yield b"<iq type='get' id='i%d' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>" % number
        elif kind == "state":
            yield b"<%b xmlns='urn:xmpp:csi:0'/>" % self._dice.choice((b"active", b"inactive"))
        else:
            raise KeyError(kind)

    async def bye(self) -> None:
        """Ends the stream as clients do, and waits for the server to close."""
        if self.closed:
            return
        self.closing = True
        self.transport.write(b"</stream:stream>")
        try:
            await asyncio.wait_for(self.gone(), ANSWER)
        except TimeoutError:
            self.told["cut"] = 1
            self.transport.abort()


async def live(client: Client, orders: Orders, start: float, tls: Any, quiet: float) -> dict[str, object]:
    """One whole session. `start`: of all, by the clock; `quiet`: seconds before its end in which nothing is begun.
    -> what it was."""
    one, clock = client.one, time.monotonic
    style = STRANGER if orders.outside else STYLES.get(one.style, {})
    style = {kind: mean * orders.slow for kind, mean in style.items()}
    plan = deeds(style, one.seconds - quiet, random.Random(f"{orders.seed} life {one.user}")) if one.style else []
    begin = start + one.begin
    trouble = ""
    await asyncio.sleep(max(0.0, begin - clock()))
    left = 0
    try:
        await client.login(orders.port, tls)
        ready = clock() - begin
        for at, kind in plan:
            if begin + at > clock():
                await asyncio.sleep(begin + at - clock())
            if kind in WRITES:
                await client.work()
            if client.closed:
                break
            client.do(kind)
        await asyncio.sleep(max(0.0, begin + one.seconds - clock()))
        left = client.link.waiting() if client.link is not None else 0
        if client.closed:
            trouble = f"lost: {client._buffer[-200:]!r}"
        await client.bye()
    except (LoadError, OSError) as error:
        trouble, ready = str(error)[:300], 0.0
        if not client.closed and hasattr(client, "transport"):
            client.transport.abort()
    return {
        "user": one.user, "port": client.port, "style": one.style, "outside": orders.outside, "begin": one.begin,
        "login": round(ready, 3), "did": client.told, "sent": client.stanzas, "acknowledged": client.acknowledged,
        "came": client.came, "handled": client._scanner.handled if client._scanner else 0, "left": left,
        "trouble": trouble,
    }  # fmt: skip


async def everybody(orders: Orders, start: float, quiet: float = 10.0) -> list[dict[str, object]]:
    keys, tls = Keys(b"pw"), unverified_tls()
    clients = [Client(one, orders, keys) for one in orders.links]
    return await asyncio.gather(*(live(client, orders, start, tls, quiet) for client in clients))


def play(orders: Orders, start: float) -> None:
    """One process's links, from their beginning to their end."""
    for row in (asyncio.run if orders.stock else uvloop.run)(everybody(orders, start)):
        os.write(1, json.dumps(row).encode() + b"\n")  # at once: several processes have this pipe


def main() -> None:
    orders = Orders.read(sys.stdin.readline())
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    gc.freeze()
    gc.disable()  # a collection would make all links of this process late together
    if not orders.apart:
        play(orders, start)
        return
    children = []
    for one in orders.links:
        if not (child := os.fork()):
            play(replace(orders, links=(one,)), start)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
