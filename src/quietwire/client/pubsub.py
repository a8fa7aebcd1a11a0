"""Personal eventing (XEP-0163) as far as OMEMO needs: fetch, publish with options, notifications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.client.errors import RequestError
from quietwire.core.xml import build

PUBSUB: Final = "http://jabber.org/protocol/pubsub"
OWNER: Final = f"{PUBSUB}#owner"
EVENT: Final = f"{PUBSUB}#event"
DATA: Final = "jabber:x:data"

Request = Callable[[str, Element, str | None], Awaitable[Element]]
"""(type, payload, to) -> the answering iq; raises RequestError."""


class Pubsub:
    """Nodes of accounts; our own where `publish` is concerned."""

    def __init__(self, own: str, request: Request) -> None:
        self._own = own
        self._request = request

    async def fetch(self, jid: str, node: str, item: str | None) -> Element | None:
        """The payload of an item, None if there is no such node or item. No `item`: the newest. Raises RequestError."""
        attributes = {"node": node} | ({} if item is not None else {"max_items": "1"})
        wanted = [build(f"{{{PUBSUB}}}item", {"id": item})] if item is not None else []
        query = build(f"{{{PUBSUB}}}pubsub", None, build(f"{{{PUBSUB}}}items", attributes, *wanted))
        try:
            answer = await self._request("get", query, None if jid == self._own else jid)
        except RequestError as error:
            if error.condition == "item-not-found":
                return None
            raise
        return _payload(answer.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}items"), PUBSUB, item)

    async def publish(self, node: str, item: str, payload: Element, *, many: bool) -> None:
        """With access model open, persistent; `many`: the node keeps more than one item. Raises RequestError.

        A node that exists with other options is configured first (XEP-0384 §Bundles).
        """
        options = {"access_model": "open", "persist_items": "true"} | ({"max_items": "max"} if many else {})
        entry = build(f"{{{PUBSUB}}}item", {"id": item}, payload)
        publish = build(f"{{{PUBSUB}}}publish", {"node": node}, entry)
        form = build(f"{{{PUBSUB}}}publish-options", None, _form(f"{PUBSUB}#publish-options", options))
        try:
            await self._request("set", build(f"{{{PUBSUB}}}pubsub", None, publish, form), None)
            return
        except RequestError as error:
            if error.condition != "conflict":
                raise
        configure = build(f"{{{OWNER}}}configure", {"node": node}, _form(f"{PUBSUB}#node_config", options))
        await self._request("set", build(f"{{{OWNER}}}pubsub", None, configure), None)
        await self._request("set", build(f"{{{PUBSUB}}}pubsub", None, publish), None)


def notified(message: Element, node: str) -> Element | None:
    """The payload that a notification of `node` carries, None if `message` is none."""
    items = message.find(f"{{{EVENT}}}event/{{{EVENT}}}items")
    if items is None or items.get("node") != node:
        return None
    return _payload(items, EVENT, None)


def _payload(items: Element | None, space: str, item: str | None) -> Element | None:
    found = None
    for entry in items if items is not None else ():
        if entry.tag == f"{{{space}}}item" and len(entry) and item in (None, entry.get("id")):
            found = entry[0]
    return found


def _form(kind: str, options: dict[str, str]) -> Element:
    fields = [
        build(f"{{{DATA}}}field", {"var": f"pubsub#{name}"}, build(f"{{{DATA}}}value", text=value))
        for name, value in options.items()
    ]
    hidden = build(f"{{{DATA}}}field", {"var": "FORM_TYPE", "type": "hidden"}, build(f"{{{DATA}}}value", text=kind))
    return build(f"{{{DATA}}}x", {"type": "submit"}, hidden, *fields)
