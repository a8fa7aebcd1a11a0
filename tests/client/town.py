"""The client on a server in memory, for tests: accounts, what passes the server, what clients are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from omemo_world import ALICE, BOB, Nodes

from quietwire.client import downlink, events, pubsub
from quietwire.client.core import Client, Settings
from quietwire.client.errors import RequestError
from quietwire.client.outbox import Entry, Outbox
from quietwire.core import ns
from quietwire.core.xml import Element, build, parse
from quietwire.shaping.policy import Policy


class Server:
    """Delivers to all sessions of an account; keeps what passes, as a curious one would."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.sessions: dict[str, list[FakeAdapter]] = {}
        self.passed: list[Element] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Of links' shapes, and what is answered."""
        self.shapes: dict[str, Element | str] = {}
        self.late = False
        """What passes was kept for a while, and says so."""

    def route(self, sender: str, stanza: Element) -> None:
        self.passed.append(stanza)
        if self.late and stanza.tag == f"{{{ns.CLIENT}}}message":
            stanza.append(build("{urn:xmpp:delay}delay", {"stamp": "2026-01-01T00:00:00Z"}))
        stanza.set("from", f"{sender}/r")
        for session in self.sessions.get(stanza.get("to", ""), []):
            session.deliver(stanza)
        for session in self.sessions[sender]:
            if stanza.tag == f"{{{ns.CLIENT}}}message" and stanza.get("id") not in session.written:
                forwarded = build("{urn:xmpp:forward:0}forwarded", None, stanza)
                carbon = build("{urn:xmpp:carbons:2}sent", None, forwarded)
                session.deliver(build(f"{{{ns.CLIENT}}}message", {"from": sender}, carbon))


class FakeAdapter:
    """In the place of slixmpp: the same interface, a server that is called instead of written to."""

    server: Server

    def __init__(self, listener: Any, *, jid: str, outbox: Outbox, **_: object) -> None:
        self.listener = listener
        self.jid = jid
        self.outbox = outbox
        self.pep = self.server.nodes.of(jid)
        self.written: set[str] = set()
        self.acknowledging = True
        self.steady = False
        self.followed = 0
        self.frames: list[str] = []
        self.full = asyncio.Event()
        self.full.set()
        """Not set while the link's queue is full."""
        self.open = 0

    async def connect(self, seconds: float) -> None:
        self.server.sessions.setdefault(self.jid, []).append(self)
        self.outbox.enable()
        waiting = self.outbox.start()
        self.listener.session_began(len(waiting))
        self.write(waiting)

    async def close(self) -> None:
        self.server.sessions[self.jid].remove(self)

    def drop_link(self) -> None:
        self.outbox.cut()
        self.listener.link_lost()

    def resume(self) -> None:
        _, again = self.outbox.resume(self.outbox._h)
        self.listener.session_resumed(len(again))
        self.write(again)

    def give_up_session(self) -> None:
        self.outbox.lose()
        self.drop_link()

    def patience(self, seconds: float) -> float:
        return seconds

    async def room(self, taken: int = 0) -> None:
        await self.full.wait()

    def unpack(self) -> None:
        self.frames.append("read")

    def pack(self) -> None:
        self.frames.append("written")

    def follow(self) -> None:
        self.followed += 1

    async def window(self) -> None:
        return

    async def calm(self) -> None:
        return

    def put(self, entry: Entry) -> None:
        self.write(self.outbox.put(entry))

    def write(self, entries: list[Entry]) -> None:
        for entry in entries:
            stanza = parse(entry.data, ns.CLIENT)
            self.written.add(stanza.get("id", ""))
            if stanza.get("to"):
                self.server.route(self.jid, stanza)
        if self.acknowledging and entries:
            confirmed = self.outbox.ack(self.outbox._h + self.outbox.unacked)
            self.listener.confirmed([entry.id for entry in confirmed if entry.id])

    def deliver(self, stanza: Element) -> None:
        self.open += 1

        def done() -> None:
            self.open -= 1

        self.listener.stanza_came(stanza, done)

    async def request(self, type: str, payload: Element, to: str | None = None) -> Element:
        iq = build(f"{{{ns.CLIENT}}}iq", {"type": "result"})
        if payload.tag == f"{{{downlink.NS}}}link":
            self.server.asked.append((type, dict(payload.attrib)))
            if isinstance(answer := self.server.shapes[type], str):
                raise RequestError(answer)
            iq.append(answer)
            return iq
        if payload.tag != f"{{{pubsub.PUBSUB}}}pubsub":
            return iq
        action = payload[0]
        node = action.get("node", "")
        if action.tag.endswith("publish"):
            await self.pep.publish(node, action[0].get("id", ""), action[0][0], many=not node.endswith("devices"))
            return iq
        wanted = action[0].get("id") if len(action) else None
        found = await self.pep.fetch(to or self.jid, node, wanted)
        if found is None:
            raise RequestError("item-not-found")
        item = build(f"{{{pubsub.PUBSUB}}}item", {"id": wanted or "current"}, found)
        iq.append(build(f"{{{pubsub.PUBSUB}}}pubsub", None, build(f"{{{pubsub.PUBSUB}}}items", None, item)))
        return iq


class Town:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = Server()
        self.clients: list[Client] = []

    async def move_in(self, jid: str, name: str, link: Policy = Policy()) -> Client:  # noqa: B008 - frozen
        client = Client(Settings(jid=jid, password="p", store=self.folder / name, link=link))
        self.clients.append(client)
        await client.connect()
        return client


Run = Callable[[Callable[[Town], Awaitable[None]]], None]


async def kill(t: Town, client: Client) -> None:
    """Nothing is said, nothing is waited for."""
    client._parts.closed = True
    client._sender.stop()
    for task in client._parts.tasks:
        task.cancel()
    assert client._parts.omemo is not None
    await client._parts.omemo.close()
    assert client._parts.database is not None
    client._parts.database.close()
    t.clients.remove(client)
    t.server.sessions[client.jid].clear()


async def next_of(client: Client, kind: Any) -> Any:
    async for event in client.events():
        if isinstance(event, kind):
            return event
    raise AssertionError("closed")


def adapter_of(client: Client) -> FakeAdapter:
    assert isinstance(client._parts.adapter, FakeAdapter)
    return client._parts.adapter


def forged(client: Client, text: str) -> None:
    adapter_of(client).deliver(parse(text.encode(), ns.CLIENT))


def seen_of(town: Town, sender: str) -> list[Element]:
    """Messages that passed the server."""
    return [s for s in town.server.passed if s.tag == f"{{{ns.CLIENT}}}message" and s.get("from") == f"{sender}/r"]


async def acquainted(t: Town, count: int = 2) -> tuple[Client, Client, list[str]]:
    """alice, bob on a `steady` link, and what alice said to him: by that he knows that she reads what is gathered."""
    alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
    ids = [await alice.send_text(BOB, f"text {number}") for number in range(count)]
    for _ in ids:
        await next_of(bob, events.Message)
    adapter_of(bob).steady = True
    # The first answer of a ratchet may have an empty message with it: it is not counted.
    await bob.send_text(ALICE, "hello")
    await next_of(alice, events.Message)
    t.server.passed.clear()
    return alice, bob, ids


async def told(client: Client, last: type[events.Event]) -> list[tuple[str, str]]:
    """(kind, whom or what it is about, or the text) of the messages up to the first of kind `last`."""
    found = []
    async for event in client.events():
        if isinstance(event, events.Encrypted):
            found.append((type(event).__name__, getattr(event, "ref", "") or getattr(event, "text", "")))
        if isinstance(event, last):
            break
    return found


def payload_sizes(t: Town, sender: str) -> list[int]:
    path = "{urn:xmpp:omemo:2}encrypted/{urn:xmpp:omemo:2}payload"
    return [len(stanza.findtext(path, "")) for stanza in seen_of(t, sender)]
