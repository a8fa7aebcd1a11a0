"""A database from before the sealed store: what it holds in clear is sealed.

The server's part at its start: accounts, rooms, and what all may read while an owner is away. What is an owner's own at
the first login, since only then there is a key for it. Until then it lies under its name in the driver's tables
`old_…`, and the account is treated as one whose owner is away. Each row is written and deleted in one commit: whatever
happens in between, it is in one of the two places. All this only while the mark is there that was made with the key
block: later, what lies in clear was put there by somebody who has no key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from quietwire.core.later import settled
from quietwire.server import invitations, vcard
from quietwire.server.accounts import ARRIVALS
from quietwire.server.nodes import OPEN_NODE, Node, item_key
from quietwire.server.sealed.keeper import MARK, OWNER, TABLE, marked
from quietwire.server.sealed.keyring import Unlocked
from quietwire.server.sealed.own import KINDS
from quietwire.server.sealed.rooms import ROOM
from quietwire.server.sealed.spool import SealedSpool
from quietwire.server.sealed.store import SealedStore, has_begun
from quietwire.store.ports import OLD as OLD_TABLES

OLD: Final = "old_"
_SERVER: Final = ("account", "push", "upload")
"""Tables that are the server's as they are."""
_OWN: Final = (*KINDS, "archive", "spool")
"""Those that are an owner's."""
_PORTION: Final = 500
"""Rows before the next ones wait for the disk,"""
_PORTION_BYTES: Final = 1 << 20
"""and what they weigh together."""

Put = Callable[[bytes, bytes], object]
"""Takes a key and value to where they belong."""


class Migration:
    """`archive(owner)` takes over what `old_archive` has of that owner. `note(event, **facts)`: the log."""

    def __init__(
        self,
        store: SealedStore,
        spool: SealedSpool,
        archive: Callable[[bytes], Awaitable[None]],
        note: Callable[..., None],
    ) -> None:
        self._store = store
        self._driver = store.storage.store
        self._spool = spool
        self._archive = archive
        self._note = note
        self._rows = self._bytes = 0
        """Moved since the disk was waited for."""
        self.left = store.in_clear
        store.adopt_rows, store.adopt_rest = self.adopt_rows, self.adopt_rest

    # -- the server's part --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Once, before anything is read. Raises StorageError."""
        store, seals = self._store, self._store.seals
        if not await marked(self._driver, seals.keys):
            await self._refuse()
            return
        there = set(await self._driver.owners("account"))
        for table in (*_SERVER, ROOM):
            for owner in await self._owners(table):
                if table == "account" and seals.owner(table, owner) in there:
                    continue  # it is sealed already: nobody gives it another password
                await self._move(table, owner, partial(store.put, table, owner))
        for owner in await self._owners(invitations.TABLE):
            await self._move(invitations.TABLE, owner, partial(self._invitation, owner))
        accounts = set(await self._driver.owners("account"))
        for table in _OWN:
            for owner in await self._owners(table):
                if seals.is_server(owner):
                    await self._move(table, owner, partial(store.put, table, owner))
                elif seals.owner("account", owner) in accounts:
                    if not has_begun(await store.get("account", owner, ARRIVALS) or b""):
                        self.left.add(owner)
                elif owner in store.rooms.kept:
                    await self._archive(owner)
                else:
                    self._driver.erase(owner)  # of a room that ended with the server
        for owner in self.left:
            await self._open(owner)
        await self._wait()
        if self.left:
            self._note("accounts-not-sealed", count=str(len(self.left)))
        else:
            self._end()

    async def _refuse(self) -> None:
        """Everything was sealed long ago, or always: what lies in clear now somebody else has put there."""
        found = [table for table in OLD_TABLES if await self._driver.owners(table)]
        if found:
            self._note("rows-in-clear-ignored", tables=str(len(found)))

    def _end(self) -> None:
        """Nothing is left in clear."""
        self._driver.delete(TABLE, OWNER, MARK)

    def _invitation(self, owner: bytes, key: bytes, value: bytes) -> None:
        self._store.put(invitations.TABLE, owner, key, invitations.adopted(owner, value))

    async def _open(self, owner: bytes) -> None:
        """What everybody may read: of open nodes a copy without people, their items, and the vCard whose node is open.
        The nodes themselves are for the owner (`server/nodes.py`)."""
        for key, value in await self._driver.scan("old_node", owner):
            with suppress(ValueError):  # a damaged one the owner's book does without
                node = Node.decode(key, value)
                if node.open:
                    self._store.put(OPEN_NODE, owner, *node.shown.encode())
                    items = [item_key(node.name, item) for item in node.items]
                    await self._move("item", owner, partial(self._store.put, "open_item", owner), items)
                    if node.name == vcard.NODE:
                        card = partial(self._store.put, vcard.OPEN_TABLE, owner)
                        await self._move(vcard.TABLE, owner, card, (vcard.KEY,))  # the avatar's row is the owner's
        await self._wait()

    # -- an owner's part ----------------------------------------------------------------------------------------------

    async def adopt_rows(self, unlocked: Unlocked) -> None:
        """At the first login: what is at hand of an account from then on. Raises StorageError, StanzaError
        (resource-constraint)."""
        if unlocked.owner in self.left:
            for table in KINDS:
                await self._move(table, unlocked.owner, partial(self._store.own.put, unlocked, table))
            await self._wait()

    async def adopt_rest(self, unlocked: Unlocked) -> None:
        """Then what others may still add to. Raises the same."""
        owner = unlocked.owner
        if owner in self.left:
            await self._move("spool", owner, lambda _, value: self._spool.keep(owner, value))
            await self._archive(owner)
            await self._wait()
            self.left.discard(owner)
            if not self.left:
                self._note("accounts-sealed")
                self._end()

    # -- how ----------------------------------------------------------------------------------------------------------

    async def _owners(self, table: str) -> list[bytes]:
        return await self._driver.owners(OLD + table)

    async def _move(self, table: str, owner: bytes, put: Put, keys: Sequence[bytes] | None = None) -> None:
        """Those rows of the owner's in that table, or all, in portions: read, then put and deleted in one turn."""
        place = OLD + table
        if keys is None:
            keys = [key for key, _ in await self._driver.scan(place, owner, head=0)]
        for start in range(0, len(keys), _PORTION):
            for key, value in (await self._driver.get_many(place, owner, keys[start : start + _PORTION])).items():
                put(key, value)
                self._driver.delete(place, owner, key)
                self._rows += 1
                self._bytes += len(value)
                if self._rows >= _PORTION or self._bytes >= _PORTION_BYTES:
                    await self._wait()

    async def _wait(self) -> None:
        if self._rows:
            self._rows = self._bytes = 0
            await settled(self._store.storage.sync())
