"""The roster (RFC 6121 §2), cached. The server's is the true one; ours is there before it answers."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

from quietwire.client import state
from quietwire.client.db import Batch
from quietwire.client.model import Contact
from quietwire.core import ns


class Roster:
    def __init__(self) -> None:
        self._items: dict[str, dict[str, Any]] = {}

    def load(self, batch: Batch) -> None:
        self._items = state.load_roster(batch)

    def save(self, batch: Batch) -> None:
        state.save_roster(batch, self._items)

    def replace(self, query: Element | None) -> None:
        """The server's whole roster."""
        self._items = {}
        if query is not None:
            self.update(query)

    def update(self, query: Element) -> None:
        """A roster push, or several at once."""
        for item in query.findall(f"{{{ns.ROSTER}}}item"):
            jid, subscription = item.get("jid", ""), item.get("subscription", "none")
            if subscription == "remove":
                self._items.pop(jid, None)
            else:
                self._items[jid] = {"subscription": subscription, "pending": item.get("ask") == "subscribe"}

    def notifies(self, jid: str) -> bool:
        """Whether we are told of changes at `jid`: its presence reaches us, and its events with it (XEP-0163 §4)."""
        return self._items.get(jid, {}).get("subscription") in ("to", "both")

    def contacts(self) -> list[Contact]:
        return [Contact(jid=jid, **fields) for jid, fields in sorted(self._items.items())]
