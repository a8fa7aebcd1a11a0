"""The scripted week, lived: on the first day everybody settles in, then people come and go, write, meet in rooms. Each
field that a client can set gets a canary."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import urllib.request
import uuid
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import week_stanzas as say
from week_client import Agent, Client, unverified_tls
from week_plan import Plan, Room
from week_servers import HOST, ROOMS, Home
from week_stanzas import AXOLOTL, MINE, OPEN

ELSEWHERE = "elsewhere.example"
CROWD = 12
"""People who do something at the same time."""
SINGLY = 0.1
"""Seconds between messages, more than any of the servers collects before it writes."""


@dataclass
class Life:
    """The people of a plan on one server."""

    plan: Plan
    home: Home
    online: dict[str, Client]
    tls: ssl.SSLContext

    def canary(self, field: str, owner: str = "") -> str:
        return self.plan.canaries.new(field, owner)

    # -- coming and going ---------------------------------------------------------------------------------------------

    async def come(self, names: list[str]) -> None:
        await self._all([self._come(name) for name in names if name not in self.online])

    async def _come(self, name: str) -> None:
        agent = Agent(
            str(uuid.UUID(int=zlib.crc32(name.encode()) | 4 << 76 | 8 << 60)),
            self.canary("client software", name),
            self.canary("client device", name),
            self.canary("capabilities node", name),
            ("http://jabber.org/protocol/disco#info", f"{self.canary('client feature', name)}+notify"),
        )
        client = Client(name, HOST, self.plan.people[name], self.canary("resource", name), agent)
        client.heard = lambda stanza: self._heard(client, stanza)
        await client.login(self.home.running.port, self.tls)
        self.online[name] = client
        await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
        features = "".join(sorted(f"{feature}<" for feature in agent.features))
        text = f"client/pc//{agent.software}<{features}"
        version = base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
        client.send(say.presence(self.canary("status", name), f"https://{agent.caps}.example", version))
        await client.settle()

    async def go(self, names: list[str]) -> None:
        await self._all([self._go(name) for name in names if name in self.online])

    async def _go(self, name: str) -> None:
        await self.online.pop(name).leave(self.canary("parting status", name))

    def _heard(self, client: Client, stanza: ET.Element) -> None:
        sender = (stanza.get("from") or "").partition("/")[0]
        if stanza.get("type") == "subscribe" and sender.partition("@")[0] in self.plan.contacts(client.user):
            client.send(f"<presence to='{sender}' type='subscribed'/>")

    async def _all(self, work: list[Awaitable[object]]) -> None:
        gate = asyncio.Semaphore(CROWD)

        async def one(each: Awaitable[object]) -> None:
            async with gate:
                await each

        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(one(each))

    # -- the first day ------------------------------------------------------------------------------------------------

    async def settle_in(self) -> None:
        """Contacts, requests without an answer, and what everybody keeps for themselves."""
        await self._all([self._contacts(name) for name in self.plan.people])
        await self._quiet()
        for asker, asked in self.plan.strangers:
            self.online[asker].send(say.request(f"{asked}@{HOST}", self.canary("request text", asker)))
        await self._all([self._furnish(name) for name in self.plan.people])
        await self._quiet()

    async def _quiet(self) -> None:
        await self._all([client.settle() for client in self.online.values()])

    async def _contacts(self, name: str) -> None:
        client, canary = self.online[name], self.canary
        groups = [canary("contact group", name) for _ in range(2)]
        for number, friend in enumerate(self.plan.contacts(name)):
            await client.ask("set", say.roster(f"{friend}@{HOST}", canary("contact name", name), groups[number % 2]))
            client.send(say.request(f"{friend}@{HOST}"))
        foreign = f"{canary('contact', name)}@{ELSEWHERE}"
        await client.ask("set", say.roster(foreign, canary("contact name", name), *groups))
        gone = f"{canary('removed contact', name)}@{ELSEWHERE}"
        await client.ask("set", say.roster(gone, canary("removed contact", name), groups[1]))
        await client.ask("set", say.unlisted(gone))

    async def _furnish(self, name: str) -> None:
        client = self.online[name]

        def new(field: str) -> str:
            return self.canary(field, name)

        def address(field: str) -> str:
            return f"{new(field)}@{ELSEWHERE}"

        if self.plan.legacy(name):  # servers keep one profile and one picture, be they set in the old way or the new
            await client.insist(say.vcard(*(new("replaced vcard") for _ in range(4))))
            photo = base64.b64encode(say.picture(new("vcard photo"))).decode()
            words = (new("vcard name"), new("vcard mail"), new("vcard phone"), new("vcard note"))
            await client.insist(say.vcard(*words, photo))
        else:
            await self._picture(name)
        await client.ask("set", say.note(address("private storage"), new("private storage")))
        await client.ask("set", say.stored(new("old bookmark"), new("old bookmark")))
        await client.ask("set", say.blocked(address("blocked")))
        await client.ask("set", say.archive_wishes(address("archive preference"), address("archive preference")))
        await self._publish(name)
        service = f"{new('push service')}.example"
        await client.ask("set", say.push(service, new("push node"), new("push secret")), refusable=True)
        await self._upload(name)

    async def _picture(self, name: str) -> None:
        client = self.online[name]
        await client.insist(say.published("urn:xmpp:vcard4", "current", say.vcard4(self.canary("vcard4 name", name))))
        picture = say.picture(self.canary("avatar", name))
        sha = hashlib.sha1(picture).hexdigest()
        data = say.avatar(base64.b64encode(picture).decode())
        await client.insist(say.published("urn:xmpp:avatar:data", sha, data))
        url = f"https://{self.canary('avatar id', name)}.example/a"
        metadata = say.avatar_metadata(len(picture), sha, url)
        await client.insist(say.published("urn:xmpp:avatar:metadata", sha, metadata))

    async def _publish(self, name: str) -> None:
        client = self.online[name]

        def new(field: str) -> str:
            return self.canary(field, name)

        async def publish(node: str, item: str, payload: str, access: str = "") -> None:
            await client.insist(say.published(node, item, payload, access))

        def element(field: str) -> str:
            return f"<a xmlns='urn:example:a'>{new(field)}</a>"

        node, gone = f"urn:example:{new('private node')}", new("retracted item")
        await publish(node, gone, element("retracted item"), MINE)
        await client.ask("set", say.retracted(node, gone))
        await publish(node, new("private item id"), element("private item"), MINE)
        await publish("http://jabber.org/protocol/mood", "current", say.mood(new("mood")))
        words = (new("bookmark name"), new("bookmark nick"), new("bookmark password"))
        await publish("urn:xmpp:bookmarks:1", f"{new('bookmark room')}@{ROOMS}", say.bookmark(*words), MINE)
        friend = (self.plan.contacts(name) or [name])[0]
        marker = say.marker(new("read marker"), client.bare)
        await publish("urn:xmpp:mds:displayed:0", f"{friend}@{HOST}", marker, MINE)
        await publish(f"urn:example:{new('open node')}", "current", element("open item"), OPEN)
        device = zlib.crc32(name.encode()) & 0x7FFFFFFF
        await publish(f"{AXOLOTL}.devicelist", "current", say.devices(device, new("device label")), OPEN)
        await publish(f"{AXOLOTL}.bundles:{device}", "current", say.bundle(new("bundle")), OPEN)

    async def _upload(self, name: str) -> None:
        content = f"{self.canary('upload content', name)} ".encode() * 20
        file = f"{self.canary('upload name', name)}.txt"
        slot = await self.online[name].ask("get", say.slot(file, len(content)), f"upload.{HOST}")
        put = next(slot.iter("{urn:xmpp:http:upload:0}put"))
        headers = {header.get("name", ""): header.text or "" for header in put}
        await asyncio.to_thread(self._put, put.get("url", ""), headers | {"Content-Type": "text/plain"}, content)

    def _put(self, url: str, headers: dict[str, str], content: bytes) -> None:
        request = urllib.request.Request(url, content, headers, method="PUT")
        tls = self.tls if url.startswith("https") else None
        with urllib.request.urlopen(request, timeout=30, context=tls) as answer:
            answer.read()

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def found_rooms(self) -> None:
        await self._all([self._found(room) for room in self.plan.rooms])

    async def _found(self, room: Room) -> None:
        client, jid = self.online[room.owner], f"{room.name}@{ROOMS}"

        def new(field: str) -> str:
            return self.canary(field, room.name)

        await self._enter(room, room.owner)
        fields = {"roomname": new("room title"), "roomdesc": new("room description"), "persistentroom": "1"}
        fields["membersonly"] = str(int(room.members_only))
        if room.locked:
            room.password = new("room password")
            fields |= {"passwordprotectedroom": "1", "roomsecret": room.password}
        await client.ask("set", say.configured(fields), jid)
        for member in [f"{name}@{HOST}" for name in room.members] + [f"{new('room member')}@{ELSEWHERE}"]:
            await client.ask("set", say.affiliated(member, "member"), jid)
        banned = say.affiliated(f"{new('room ban')}@{ELSEWHERE}", "outcast", new("ban reason"))
        await client.ask("set", banned, jid)
        client.send(say.subject(jid, new("room subject")))
        for member in room.members[:2]:
            self.plan.sent.append((room.owner, member))
            id, reason, body = (self.canary(field, room.owner) for field in ("message id", "invitation reason", "body"))
            client.send(say.invitation(f"{member}@{HOST}", id, jid, reason, body))
        await client.settle()

    async def _enter(self, room: Room, name: str) -> None:
        client, nick = self.online[name], self.canary("room nick", room.name)
        client.send(say.enter(f"{room.name}@{ROOMS}/{nick}", room.password))
        await client.settle()

    async def meet(self, words: int) -> None:
        """Whoever of a room is there comes in and says something."""
        for room in self.plan.rooms:
            inside = [name for name in [room.owner, *room.members] if name in self.online]
            await self._all([self._enter(room, name) for name in inside])
            for name in inside:
                for _ in range(words):
                    id, body = self.canary("room message id", room.name), self.canary("room body", room.name)
                    self.online[name].send(say.said(f"{room.name}@{ROOMS}", id, body))
            await self._all([self.online[name].settle() for name in inside])

    # -- messages -----------------------------------------------------------------------------------------------------

    async def write(self, most: int) -> None:
        """Everybody who is there writes to one to three friends, be they there or not."""
        chance = self.plan.chance
        for name in sorted(self.online):
            friends = self.plan.contacts(name)
            for friend in chance.sample(friends, min(len(friends), chance.randint(1, 3))):
                for _ in range(chance.randint(1, most)):
                    self._write(name, friend)
        await self._quiet()

    async def evening(self, messages: int) -> None:
        """One message after the other, as on a quiet server: each is a transaction of its own, and rows of one
        transaction are rows of two who talk."""
        chance = self.plan.chance
        for _ in range(messages):
            name = chance.choice(sorted(self.online))
            self._write(name, chance.choice(self.plan.contacts(name)))
            await asyncio.sleep(SINGLY)

    def _write(self, name: str, friend: str) -> None:
        def new(field: str) -> str:
            return self.canary(field, name)

        body = new("body" if friend in self.online else "offline body")
        self.plan.sent.append((name, friend))
        text = f"{body} {'and so on ' * self.plan.chance.randint(0, 30)}"
        parts = {"subject": new("subject"), "thread": new("thread"), "origin": new("origin id")}
        parts |= {"nick": new("nickname"), "payload": new("payload")}
        self.online[name].send(say.chat(f"{friend}@{HOST}", new("message id"), text, **parts))

    async def read(self) -> None:
        """A page of history, as clients fetch it when they start."""
        await self._all([client.ask("set", say.LAST_PAGE) for client in self.online.values()])


async def live(
    plan: Plan, home: Home, *, most: int = 3, evening: int = 100, before: Callable[[], Awaitable[None]] | None = None
) -> Life:
    """The whole week; in the end everybody is online who was on the last day. `before`: awaited before the last
    evening."""
    life = Life(plan, home, {}, unverified_tls())
    for number, there in enumerate(plan.there):
        await life.go([name for name in life.online if name not in there])
        await life.come(there)
        if number == 0:
            await life.settle_in()
            await life.found_rooms()
        else:
            await life.read()
        await life.write(most)
        await life.meet(1 if number % 3 else 2)
    if before is not None:
        await before()
    await life.evening(evening)
    return life
