"""OMEMO without a network: accounts whose PEP nodes are dictionaries, devices that hand each other elements."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree.ElementTree import Element

from test_db import Ring

from quietwire.client.db import Database
from quietwire.client.errors import RequestError
from quietwire.client.keys import FromKeyring
from quietwire.client.omemo2 import Decrypted, KnownDevice, Omemo
from quietwire.client.trust import Policy

ALICE, BOB = "alice@a.example", "bob@b.example"


class Nodes:
    """Everybody's nodes: (jid, node) -> item id -> payload."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Element]] = {}
        self.broken = False
        self.gate = asyncio.Event()
        self.gate.set()

    def of(self, jid: str) -> Pep:
        return Pep(self, jid)


class Pep:
    def __init__(self, nodes: Nodes, jid: str) -> None:
        self._nodes = nodes
        self._jid = jid

    async def fetch(self, jid: str, node: str, item: str | None) -> Element | None:
        await self._nodes.gate.wait()
        if self._nodes.broken:
            raise RequestError("remote-server-timeout")
        items = self._nodes.items.get((jid, node), {})
        return items.get(item) if item is not None else next(iter(items.values()), None)

    async def publish(self, node: str, item: str, payload: Element, *, many: bool) -> None:
        items = self._nodes.items.setdefault((self._jid, node), {})
        if not many:
            items.clear()
        items[item] = payload


class Device:
    def __init__(self, omemo: Omemo, database: Database, jid: str, announced: list[tuple[KnownDevice, bool]]) -> None:
        self.omemo = omemo
        self.database = database
        self.jid = jid
        self.announced = announced
        self.empties: list[tuple[str, Element]] = []

    async def write(self, to: str, text: bytes) -> Element:
        await self.refresh(to)
        async with self.omemo.turn() as turn:
            return await turn.encrypt(to, text)

    async def refresh(self, jid: str) -> None:
        devices = await self.omemo.fetch(jid)
        async with self.omemo.turn() as turn:
            await turn.update(jid, devices)

    async def read(self, encrypted: Element, sender: Device) -> Decrypted:
        async with self.omemo.turn() as turn:
            found = await turn.decrypt(encrypted, sender.jid)
            self.empties += turn.empties
        return found


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = Nodes()
        self.now = 1_000_000.0
        self._rings: dict[str, Ring] = {}
        self._open: list[Device] = []

    async def device(self, jid: str, name: str, policy: Policy = Policy.BTBV) -> Device:
        announced: list[tuple[KnownDevice, bool]] = []
        source = FromKeyring(self._rings.setdefault(name, Ring()), name)
        database = Database.open(self.folder / name, source)
        omemo = await Omemo.create(
            database,
            jid,
            self.nodes.of(jid),
            policy=policy,
            clock=lambda: self.now,
            announce=lambda device, changed: announced.append((device, changed)),
        )
        async with omemo.turn() as turn:
            await turn.caught_up()
        found = Device(omemo, database, jid, announced)
        self._open.append(found)
        return found

    async def close(self, device: Device) -> None:
        await device.omemo.close()
        device.database.close()
        self._open.remove(device)

    async def close_all(self) -> None:
        for device in list(self._open):
            await self.close(device)


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    made = World(folder)
    try:
        yield made
    finally:
        await made.close_all()
