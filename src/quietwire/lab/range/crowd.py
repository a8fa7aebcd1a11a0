"""Many devices in one process: they settle in, then each does at its time what the plan says. One worker of several.

Truth is written here, in the moment in which a device gives bytes to its link or has understood what came.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.etree.ElementTree import Element

from quietwire.lab.people.model import Happening
from quietwire.lab.range import stanzas as say
from quietwire.lab.range.cast import TO_ROOMS, Cast, Device
from quietwire.lab.range.heard import heard
from quietwire.lab.range.stock import Sent, Stock, StockError, Wrap
from quietwire.lab.range.truth import Event, TruthFile
from quietwire.lab.range.web import WebError, transfer

CROWD = 8
"""Devices of one worker that settle in at the same time."""
OLD_MESSAGES = 8
"""That everybody has written before the play begins, so that archives have pages."""
PHOTO = (2_000, 12_000)
"""Bytes of a picture in a profile, at least and at most."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker is told. Ports are of loopback: `taps` and `web_taps` per device, `direct` and `web` per domain,
    past the taps, for settling in."""

    cast: Cast
    users: frozenset[int]
    """Those of this worker."""
    events: Sequence[Happening]
    taps: dict[Device, int]
    web_taps: dict[Device, int]
    direct: dict[str, int]
    web: dict[str, int]
    password: str
    context: ssl.SSLContext
    content: str
    largest: int
    seed: int
    quiet: bool = False
    """Nobody says that they are typing, as no client of ours does on a steady link (DESIGN §5)."""
    patience: float = 0.0
    """Of devices, see `Stock`."""
    probing: bool = False
    """Users with even numbers shape nothing and ask the server not to; all answer messages with a receipt at once."""


@dataclass
class Actor:
    """One device while the plan is played."""

    device: Device
    stock: Stock
    port: int = 0
    dialled: tuple[str, float] | None = None
    """What makes the next connection, and since when: login or resume."""
    about: dict[int, str] = field(default_factory=dict)
    """Peer -> the stanza last had from it: what receipts, markers and reactions are about."""
    said: dict[int, str] = field(default_factory=dict)
    """Peer -> the message last sent to it: what a correction is about."""
    entered: set[int] = field(default_factory=set)
    """Rooms that it has asked to enter."""
    rooms: set[int] = field(default_factory=set)
    """In which it is, so that who comes in now is news."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Crowd:
    """The devices of one worker. `trouble(text)` is told what a device could not do."""

    def __init__(
        self,
        settings: Settings,
        truth: TruthFile,
        trouble: Callable[[str], None],
        wrap: Wrap | None,
        make: Callable[..., Stock] = Stock,
    ) -> None:
        self._its = settings
        self._truth = truth
        self._trouble = trouble
        self._wrap = wrap
        self._make = make
        mine = sorted(settings.users)
        self._random = random.Random(f"{settings.seed} {mine[:1]}")  # noqa: S311  sizes and noise, no secrets
        self._actors: dict[Device, Actor] = {}
        self._settlers: dict[int, Stock] = {}
        self._urls: dict[Happening, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()
        """Happenings that were, by kind."""
        self.left_out: Counter[str] = Counter()
        """Those that could not be, by kind: the device was not online, or was refused."""

    # -- before the play, past the taps ----------------------------------------------------------------------------

    async def _all(self, work: Iterable[Awaitable[object]]) -> None:
        gate = asyncio.Semaphore(CROWD)

        async def one(each: Awaitable[object]) -> None:
            async with gate:
                await each

        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(one(each))

    async def arrive(self) -> None:
        """One device of each user logs in. Raises StockError, in a group."""
        cast = self._its.cast

        async def one(user: int) -> None:
            stock = self._make(
                f"{cast.account(user)}/settling",
                self._its.password,
                ("127.0.0.1", self._its.direct[cast.domain(user)]),
                self._its.context,
                on_sent=lambda sent: None,
                on_came=lambda stanza, settled: None,
                on_link=lambda port: None,
                on_lost=lambda: None,
                patience=self._its.patience,
            )
            self._settlers[user] = stock
            await stock.login()

        await self._all(one(user) for user in sorted(self._its.users))

    async def befriend(self) -> None:
        """Asks those friends who have a larger number; both ways are granted and asked back by themselves."""
        for user, stock in self._settlers.items():
            for friend in self._its.cast.contacts(user):
                if friend > user:
                    stock.presence(self._sent("subscribe", friend), self._its.cast.account(friend), "subscribe")

    async def friends_there(self) -> int:
        """How many friendships of these users are still to come."""
        missing = 0
        for user, stock in self._settlers.items():
            wanted = {self._its.cast.account(friend) for friend in self._its.cast.contacts(user)}
            if not wanted:
                continue
            answer = await stock.answered("get", "<query xmlns='jabber:iq:roster'/>")
            items = answer.iter("{jabber:iq:roster}item")
            missing += len(wanted - {item.get("jid", "") for item in items if item.get("subscription") == "both"})
        return missing

    async def furnish(self) -> None:
        """Keys, profiles, rooms, old messages, and the files that are fetched later."""
        await self._all(self._furnish(user, stock) for user, stock in self._settlers.items())
        for number, members in self._its.cast.rooms.items():
            if members and members[0] in self._settlers:
                await self._found(number, members[0])

    async def _furnish(self, user: int, stock: Stock) -> None:
        cast, noise = self._its.cast, self._random.randbytes
        devices = [omemo(user, device) for device in cast.devices_of(user)]
        await self._insist(
            stock, say.published(f"{say.AXOLOTL}.devicelist", "current", say.device_list(devices), open=True)
        )
        for device in devices:
            await self._insist(stock, say.published(say.bundle_node(device), "current", say.bundle(noise), open=True))
        await self._insist(stock, say.vcard(f"User {user}", noise(self._random.randint(*PHOTO))))
        friends = cast.contacts(user)
        for _ in range(OLD_MESSAGES if friends else 0):
            friend = self._random.choice(friends)
            sent = self._sent("message", friend)
            stock.message(sent, cast.account(friend), say.message(self._content(user, 0, friend, 80), sent.id))
        for event in self._its.events:
            if event.user == user and event.kind == "download":
                port = self._its.web[cast.domain(user)]
                self._urls[event], _ = await self._put(stock, user, self._size(event), port, lambda port: None)

    async def _insist(self, stock: Stock, payload: str) -> None:
        """Again where the server was busy: ejabberd refuses those who make nodes at the same time."""
        for again in range(1, 9):
            try:
                await stock.answered("set", payload)
            except StockError:
                if again == 8:
                    raise
                await asyncio.sleep(0.1 * again)
            else:
                return

    async def _found(self, number: int, owner: int) -> None:
        stock, room = self._settlers[owner], self._its.cast.room(number)
        stock.presence(self._sent("room-join", number), f"{room}/u{owner}", inside=say.enter(0))
        await self._insist_to(stock, say.room_settings(), room)

    async def _insist_to(self, stock: Stock, payload: str, to: str) -> None:
        await stock.answered("set", payload, to)

    async def depart(self) -> None:
        await self._all(stock.logout(self._sent("logout", -1)) for stock in self._settlers.values())
        for stock in self._settlers.values():
            await stock.close()
        self._settlers.clear()

    # -- the play ------------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Makes the devices; those that the plan takes to be online log in, through their taps."""
        for device in self._its.cast.devices:
            if device[0] in self._its.users:
                self._actors[device] = self._actor(device)
        early = [actor for device, actor in self._actors.items() if device in self._its.cast.early]
        await self._all(self._login(actor) for actor in early)

    def _actor(self, device: Device) -> Actor:
        its = self._its

        def sent(what: Sent) -> None:
            self._up(actor, what)

        def came(stanza: Element, settled: bool) -> None:
            self._down(actor, stanza, settled)

        def linked(port: int) -> None:
            actor.port = port
            if actor.dialled is not None:
                kind, at = actor.dialled
                actor.dialled = None
                self._write(actor, at, kind, -1, 0)

        def lost() -> None:
            self._trouble(f"{_name(actor)}: the link was lost")

        stock = self._make(
            f"{its.cast.account(device[0])}/device{device[1]}",
            its.password,
            ("127.0.0.1", its.taps[device]),
            its.context,
            on_sent=sent,
            on_came=came,
            on_link=linked,
            on_lost=lost,
            wrap=None if self._bare(device[0]) else self._wrap,
            patience=its.patience,
        )
        actor = Actor(device, stock)
        return actor

    def begin(self, at: float, compress: float) -> asyncio.Task[None]:
        """The plan from `at` on, epoch seconds. The task ends when all of it was done or left out."""
        offset = at - time.time() + asyncio.get_running_loop().time()

        async def device(actor: Actor, events: list[Happening]) -> None:
            for event in events:
                await asyncio.sleep(max(0.0, offset + event.at / compress - asyncio.get_running_loop().time()))
                await self._do(actor, event)

        async def everybody() -> None:
            mine: defaultdict[Device, list[Happening]] = defaultdict(list)
            for event in self._its.events:
                if event.user in self._its.users:
                    mine[event.user, event.device].append(event)
            async with asyncio.TaskGroup() as group:
                for key, events in mine.items():
                    group.create_task(device(self._actors[key], events))
            await asyncio.gather(*self._tasks)

        return asyncio.get_running_loop().create_task(everybody())

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for stock in [*self._settlers.values(), *(actor.stock for actor in self._actors.values())]:
            await stock.close()

    async def _do(self, actor: Actor, event: Happening) -> None:
        """One happening; what waits for an answer goes on by itself, so that it holds nothing up."""
        kind = event.kind
        try:
            if kind == "login":
                await self._login(actor)
            elif not actor.stock.online or (self._its.quiet and kind in ("typing", "room-typing")):
                self.left_out[kind] += 1
                return
            elif kind == "resume":
                actor.dialled = None
                await actor.stock.resume(lambda: self._dial(actor, "resume"))
            elif kind == "logout":
                await actor.stock.logout(self._sent("logout", -1))
                actor.rooms.clear()
                actor.entered.clear()
            elif kind in _ASKING:
                self._spawn(_ASKING[kind](self, actor, event), actor, kind)
            else:
                _SAYING[kind](self, actor, event)
        except (StockError, KeyError) as error:
            self._failed(actor, kind, error)
            return
        if kind not in _ASKING:
            self.done[kind] += 1

    def _failed(self, actor: Actor, kind: str, error: Exception) -> None:
        self.left_out[kind] += 1
        self._trouble(f"{_name(actor)}: {kind}: {error}")

    def _spawn(self, work: Awaitable[object], actor: Actor, kind: str) -> None:
        async def guarded() -> None:
            try:
                await work
                self.done[kind] += 1
            except (StockError, WebError) as error:
                self._failed(actor, kind, error)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _dial(self, actor: Actor, kind: str) -> None:
        actor.dialled = kind, time.time()

    async def _login(self, actor: Actor) -> None:
        if actor.stock.online:
            return
        self._dial(actor, "login")
        await actor.stock.login()
        if self._bare(actor.device[0]):
            with contextlib.suppress(StockError):  # other servers do not know of it
                await actor.stock.answered("set", say.link("off"))

    def _bare(self, user: int) -> bool:
        return self._its.probing and user % 2 == 0

    # What one says

    def _sent(self, kind: str, peer: int, size: int = 0) -> Sent:
        return Sent(kind, peer, str(uuid.UUID(int=self._random.getrandbits(128), version=4)), size)

    def _size(self, event: Happening) -> int:
        return max(1, min(event.size, self._its.largest))

    def _content(self, user: int, device: int, peer: int, size: int) -> str:
        noise, cast = self._random.randbytes, self._its.cast
        if self._its.content == "plain":
            return say.plain(noise, size)
        to = [omemo(peer, each) for each in cast.devices_of(peer)]
        own = [omemo(user, each) for each in cast.devices_of(user) if each != device]
        return say.sealed(noise, size, omemo(user, device), to + own)

    def _write_message(self, actor: Actor, event: Happening) -> None:
        user, device = actor.device
        sent = self._sent(event.kind, event.peer, max(1, event.size))
        content = self._content(user, device, event.peer, sent.size)
        if event.kind == "message":
            inside = say.message(content, sent.id)
            actor.said[event.peer] = sent.id
        else:
            inside = say.correction(content, sent.id, actor.said.get(event.peer, sent.id))
        actor.stock.message(sent, self._its.cast.account(event.peer), inside)

    def _hint(self, actor: Actor, event: Happening) -> None:
        sent = self._sent(event.kind, event.peer)
        about = actor.about.get(event.peer, sent.id)
        inside = {
            "typing": say.typing(),
            "receipt": say.receipt(about),
            "marker": say.marker(about),
            "reaction": say.reaction(about),
        }[event.kind]
        actor.stock.message(sent, self._its.cast.account(event.peer), inside)

    def _in_room(self, actor: Actor, event: Happening) -> None:
        sent = self._sent(event.kind, event.peer, max(1, event.size) if event.kind == "room-message" else 0)
        room = self._its.cast.room(event.peer)
        if event.kind == "room-join":
            actor.rooms.discard(event.peer)
            actor.entered.add(event.peer)
            nick = f"u{actor.device[0]}" + (f".{actor.device[1]}" if actor.device[1] else "")
            actor.stock.presence(sent, f"{room}/{nick}", inside=say.enter())
        elif event.peer not in actor.entered:
            raise StockError("it is not in that room")
        elif event.kind == "room-message":
            inside = say.room_message(say.plain(self._random.randbytes, sent.size), sent.id)
            actor.stock.message(sent, room, inside, "groupchat")
        else:
            actor.stock.message(sent, room, say.typing(), "groupchat")

    def _presence(self, actor: Actor, event: Happening) -> None:
        show = self._random.choice(("", "<show>away</show>", "<show>dnd</show><status>at work</status>"))
        actor.stock.presence(self._sent("presence", -1), inside=show)

    def _subscribe(self, actor: Actor, event: Happening) -> None:
        actor.stock.presence(self._sent("subscribe", event.peer), self._its.cast.account(event.peer), "subscribe")

    def _state(self, actor: Actor, event: Happening) -> None:
        actor.stock.client_state(event.kind, self._sent(event.kind, -1))

    # What one asks

    async def _ping(self, actor: Actor, event: Happening) -> None:
        domain = self._its.cast.domain(actor.device[0])
        await actor.stock.answered("get", "<ping xmlns='urn:xmpp:ping'/>", domain, self._sent("ping", -1))

    async def _archive(self, actor: Actor, event: Happening) -> None:
        await actor.stock.answered("set", say.archive_page(), "", self._sent("archive-page", -1))

    async def _roster(self, actor: Actor, event: Happening) -> None:
        await actor.stock.answered("get", "<query xmlns='jabber:iq:roster'/>", "", self._sent("roster", -1))

    async def _profile(self, actor: Actor, event: Happening) -> None:
        to = self._its.cast.account(event.peer)
        await actor.stock.answered("get", say.vcard_request(), to, self._sent("profile", event.peer))

    async def _bundle(self, actor: Actor, event: Happening) -> None:
        node = say.bundle_node(omemo(event.peer, 0))
        to = self._its.cast.account(event.peer)
        await actor.stock.answered("get", say.items(node), to, self._sent("bundle", event.peer))

    async def _publish(self, actor: Actor, event: Happening) -> None:
        size = max(1, min(event.size, 10_000))
        payload = say.published(say.TUNE_NODE, "current", say.tune(self._random.randbytes, size))
        await actor.stock.answered("set", payload, "", self._sent("publish", -1, size))

    async def _upload(self, actor: Actor, event: Happening) -> None:
        size = self._size(event)
        sent = self._sent("upload", event.peer, size)
        on_link = self._on_web(actor, sent)
        await self._put(actor.stock, actor.device[0], size, self._its.web_taps[actor.device], on_link, sent)

    async def _put(
        self,
        stock: Stock,
        user: int,
        size: int,
        port: int,
        on_link: Callable[[int], None],
        sent: Sent | None = None,
    ) -> tuple[str, int]:
        """-> URL to fetch it from, bytes."""
        name = f"{self._random.getrandbits(64):016x}.jpg"
        domain = self._its.cast.domain(user)
        answer = await stock.answered("get", say.slot(name, size), f"upload.{domain}", sent)
        put = next(answer.iter("{urn:xmpp:http:upload:0}put"))
        get = next(answer.iter("{urn:xmpp:http:upload:0}get"))
        headers = {header.get("name", ""): header.text or "" for header in put}
        body = self._random.randbytes(size)
        url = put.get("url", "")
        return get.get("url", ""), await transfer(
            port, url, self._its.context, on_link=on_link, body=body, headers=headers
        )

    async def _download(self, actor: Actor, event: Happening) -> None:
        url = self._urls[event]
        sent = self._sent("download", event.peer, self._size(event))
        on_link = self._on_web(actor, sent)
        await transfer(self._its.web_taps[actor.device], url, self._its.context, on_link=on_link)

    def _on_web(self, actor: Actor, sent: Sent) -> Callable[[int], None]:
        def linked(port: int) -> None:
            self._write(actor, time.time(), sent.kind, sent.peer, sent.size, id=sent.id, port=port)

        return linked

    # -- truth ---------------------------------------------------------------------------------------------------------

    def _up(self, actor: Actor, sent: Sent) -> None:
        self._write(actor, time.time(), sent.kind, sent.peer, sent.size, id=sent.id)

    def _down(self, actor: Actor, stanza: Element, settled: bool) -> None:
        now = time.time()
        if stanza.get("type") == "error":
            condition = [each.tag.rpartition("}")[2] for each in stanza.iterfind("{jabber:client}error/*")]
            self._trouble(f"{_name(actor)}: bounced: {stanza.tag.rpartition('}')[2]}: {' '.join(condition[:1])}")
        what = heard(stanza)
        if what is None:
            return
        local, _, rest = what.peer.partition("@")
        peer = int(local[1:]) if local[1:].isdecimal() else -1
        if local.startswith("r") and rest.startswith("conference."):
            nick = rest.partition("/")[2]
            own = nick == f"u{actor.device[0]}" + (f".{actor.device[1]}" if actor.device[1] else "")
            if what.kind == "room-join" and peer not in actor.rooms:
                if own:
                    actor.rooms.add(peer)  # who is there comes before: from here on it is news
                return
            if own and what.kind != "room-message":
                return
        elif (peer == actor.device[0] and not what.carbon) or (what.kind in ("presence", "publish") and not settled):
            return  # from oneself, or a part of the login
        if what.kind in ("message", "correction", "room-message") and not what.carbon:
            actor.about[peer] = what.id
        self._write(actor, now, what.kind, peer, what.size, way="down", id=what.id, carbon=what.carbon)
        if self._its.probing and what.kind == "message" and not what.carbon:
            self._hint(actor, Happening(0.0, *actor.device, "receipt", peer, 0))

    def _write(
        self,
        actor: Actor,
        at: float,
        kind: str,
        peer: int,
        size: int,
        *,
        way: Literal["up", "down"] = "up",
        id: str = "",
        carbon: bool = False,
        port: int = 0,
    ) -> None:
        user, device = actor.device
        self._truth.write(Event(at, user, device, kind, peer, size, str(port or actor.port), way, id, carbon))


def _name(actor: Actor) -> str:
    return f"u{actor.device[0]}.{actor.device[1]}"


def omemo(user: int, device: int) -> int:
    """A device's OMEMO number: nine digits, as they mostly are."""
    return 100_000_000 + user * 1_000 + device


_SAYING: dict[str, Callable[[Crowd, Actor, Happening], None]] = {
    **dict.fromkeys(("message", "correction"), Crowd._write_message),
    **dict.fromkeys(("typing", "receipt", "marker", "reaction"), Crowd._hint),
    **dict.fromkeys(TO_ROOMS, Crowd._in_room),
    **dict.fromkeys(("active", "inactive"), Crowd._state),
    "presence": Crowd._presence,
    "subscribe": Crowd._subscribe,
}
_ASKING: dict[str, Callable[[Crowd, Actor, Happening], Awaitable[None]]] = {
    "ping": Crowd._ping,
    "archive-page": Crowd._archive,
    "roster": Crowd._roster,
    "profile": Crowd._profile,
    "bundle": Crowd._bundle,
    "publish": Crowd._publish,
    "upload": Crowd._upload,
    "download": Crowd._download,
}
CAN = frozenset({"login", "resume", "logout", *_SAYING, *_ASKING})
"""All that a device can do."""
