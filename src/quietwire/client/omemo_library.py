"""The sides on which the `omemo` library wants to be served: storage, and the hooks of its session manager."""

from __future__ import annotations

import json
from typing import Protocol, cast
from xml.etree.ElementTree import Element

from omemo.bundle import Bundle
from omemo.message import Message
from omemo.session_manager import SessionManager
from omemo.storage import Just, Maybe, Nothing, Storage
from omemo.types import DeviceInformation, DeviceList, JSONType, TrustLevel
from twomemo.twomemo import BundleImpl

from quietwire.client.db import Batch, Database
from quietwire.client.omemo_xml import write_message
from quietwire.client.quiet import silence

silence("omemo")


class Hooks(Protocol):
    """What the library asks of us. Network failures are raised as its own exceptions."""

    async def fetch_bundle(self, jid: str, device: int) -> Bundle: ...
    async def publish_new_bundle(self, bundle: BundleImpl) -> None: ...
    async def fetch_devices(self, jid: str) -> DeviceList: ...
    async def publish_devices(self, devices: DeviceList) -> None: ...
    async def level(self, info: DeviceInformation) -> TrustLevel: ...
    def send_empty(self, jid: str, encrypted: Element) -> None: ...


class BatchStorage(Storage):
    """The library's storage on a `Batch`; outside a turn each write is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        super().__init__(disable_cache=True)  # its cache would survive what a turn takes back
        self._database = database
        self.batch: Batch | None = None

    async def _load(self, key: str) -> Maybe[JSONType]:
        data = (self.batch or self._database.batch()).get(f"omemo{key}")
        return Nothing() if data is None else Just(json.loads(data))

    async def _store(self, key: str, value: JSONType) -> None:
        batch = self.batch or self._database.batch()
        batch.put(f"omemo{key}", json.dumps(value).encode())
        if self.batch is None:
            batch.commit()

    async def _delete(self, key: str) -> None:
        batch = self.batch or self._database.batch()
        batch.delete(f"omemo{key}")
        if self.batch is None:
            batch.commit()


def manager_class(hooks: Hooks) -> type[SessionManager]:
    """The library calls its hooks before `create` has returned the instance: they reach us through a closure."""

    class Manager(SessionManager):
        @staticmethod
        async def _upload_bundle(bundle: Bundle) -> None:
            await hooks.publish_new_bundle(cast(BundleImpl, bundle))

        @staticmethod
        async def _download_bundle(namespace: str, bare_jid: str, device_id: int) -> Bundle:  # noqa: ARG004 - the library's signature
            return await hooks.fetch_bundle(bare_jid, device_id)

        @staticmethod
        async def _delete_bundle(namespace: str, device_id: int) -> None:
            raise NotImplementedError("called by purge_backend only, which we do not offer")

        @staticmethod
        async def _upload_device_list(namespace: str, device_list: DeviceList) -> None:  # noqa: ARG004 - the library's signature
            await hooks.publish_devices(device_list)

        @staticmethod
        async def _download_device_list(namespace: str, bare_jid: str) -> DeviceList:  # noqa: ARG004 - the library's signature
            return await hooks.fetch_devices(bare_jid)

        async def _evaluate_custom_trust_level(self, device: DeviceInformation) -> TrustLevel:
            return await hooks.level(device)

        async def _make_trust_decision(self, undecided: frozenset[DeviceInformation], identifier: str | None) -> None:
            """Nothing is left undecided when encrypting: see `_level`."""

        @staticmethod
        async def _send_message(message: Message, bare_jid: str) -> None:
            hooks.send_empty(bare_jid, write_message(message))

    return Manager
