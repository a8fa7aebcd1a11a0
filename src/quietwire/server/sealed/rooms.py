"""The secrets of rooms. What a room keeps is under its secret, and that lies, with the room's name, in a row of its own
under the server's key: the server must know its rooms when it starts.

A room that is not persistent has its secret in memory only. Should it write something nevertheless, such as an archive,
its row has the name and no secret: at the next start what it wrote is noise, and is erased.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quietwire.core.later import Ticket
from quietwire.seal import rows
from quietwire.seal.wraps import SealError
from quietwire.server.sealed.seals import HANDLE, Seals
from quietwire.store.ports import Store

ROOM: Final = "room"
SECRET: Final = b"secret"
"""Key of that row. To delete it is to lose everything under the secret, once the server ends."""


class RoomSecrets:
    """`erase(owner)` deletes everything of a room; `damaged(table, key, row)` is told of a row that does not open."""

    def __init__(
        self,
        store: Store,
        seals: Seals,
        erase: Callable[[bytes], object],
        damaged: Callable[[str, bytes, bytes], None],
    ) -> None:
        self._store = store
        self._seals = seals
        self._erase = erase
        self._damaged = damaged
        self.kept: set[bytes] = set()
        """Bare JIDs of the rooms whose secret is in the store."""
        seals.room_made = self._made

    async def open(self) -> None:
        """Reads all of them. Once, before the first stream."""
        for hashed in await self._store.owners(ROOM):
            handle = HANDLE + hashed
            key = self.key(handle)
            row = await self._store.get(ROOM, hashed, key) or b""
            try:
                _, owner, secret = rows.unpack(self._seals.open_server(ROOM, handle, key, row))
            except SealError:
                self._damaged(ROOM, key, row)  # the room is lost; others are not
                continue
            if secret:
                self._seals.room(owner, secret)
                self.kept.add(owner)
            else:
                self._erase(owner)

    def key(self, owner: bytes) -> bytes:
        """Of the row with the secret, as the store has it."""
        return self._seals.keys.key(ROOM, self._seals.owner(ROOM, owner), SECRET)

    def keep(self, owner: bytes) -> None:
        """The room keeps something: so does the store its secret."""
        if owner not in self.kept:
            self._put(owner, self._seals.room(owner))
            self.kept.add(owner)

    def lose(self, owner: bytes) -> Ticket:
        """The room is no longer persistent."""
        self.kept.discard(owner)
        return self._put(owner, b"")

    def forget(self, owner: bytes) -> None:
        """It was erased."""
        self.kept.discard(owner)

    def _made(self, owner: bytes) -> None:
        if owner not in self.kept:
            self._put(owner, b"")

    def _put(self, owner: bytes, secret: bytes) -> Ticket:
        key = self.key(owner)
        row = self._seals.seal_server(ROOM, owner, key, rows.pack(0, owner, secret))
        return self._store.put(ROOM, self._seals.owner(ROOM, owner), key, row)
