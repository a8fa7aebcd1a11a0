"""The message archive (XEP-0313) of accounts and rooms: one row a message, the index in memory once somebody asks.

Port "archive": one object for the whole server.

    id = archive.new_id()                                  # goes into the <stanza-id/> of what is delivered
    archive.append(owner, id, context.now, with_, message.to_bytes())
    page = await archive.query(owner, query)               # Query: archive_index.py, read from XML by mam.py
    first, last = await archive.ends(owner)
    await archive.expire(owner, before)                    # seconds; AccountHook erased: archive.forget(owner)

`owner` is a bare JID as bytes: the account's or the room's. A row of the table `archive` has a random key, which is the
archive's id of the message behind the month it came in; everything else is inside its value, where a seal can cover it.
"""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.later import Later, Ticket
from quietwire.server.archive_index import Header, Index, Query
from quietwire.store.ports import Store

TABLE: Final = "archive"
VERSION: Final = 1
FETCHED: Final = "fetched"
"""Key in a session's memory: the ids it got from its archive before it became available (XEP-0313 §6.1.1)."""
PAGE_MESSAGES: Final = 250
"""Messages of one page at most, and what a query without a limit gets: clients ask for 20 to 100."""
PAGE_BYTES: Final = 1 << 20
"""Bytes of one page at most: a session may owe the acknowledgement of four times as many (`sm.QUEUE_BYTES`)."""
HEADERS_IN_MEMORY: Final = 200_000
"""Of all indexes together; a header takes about 300 bytes. What has not been used for longest goes."""
_HEADER = Struct(">BBQQIQH")
"""Version, flags, order, stamp (ms), bytes of the message, token, bytes of the address; then address and message."""
_HEAD: Final = 128
"""Bytes of a value that the index reads: the header and an address of ordinary length."""
_PROVISIONAL, _WEAK = 1, 2
_MESSAGE: Final = b"m"
"""First byte of a message's key; then the month (2 bytes, counted from the year 0) and 16 random bytes, the id."""
_SETTLED: Final = b"s"
"""Key of the row with the order up to which provisional messages have been judged."""
_GENERATION: Final = b"archive-generation"
"""Key in the table `preference` of the server itself: how often it was started. Gives `order` its upper bits."""
_GENERATION_BITS: Final = 40
"""Messages of one life of the process: a trillion."""
_IDS = Struct("16s" * 512)
_PORTION: Final = 1_000
"""Rows deleted before the next ones wait for the disk: a sweep must not fill the memory with deletions."""


@dataclass(frozen=True, slots=True)
class Item:
    """`id` is the archive's, `stamp` in milliseconds since the epoch, `message` as it was archived."""

    id: str
    stamp: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """`items` in their order; `complete`: no limit cut them. `index` of the first among all `count` that match.

    The index is None where the client pages backwards: told that of the last page, slixmpp thinks the walk is over."""

    items: list[Item]
    complete: bool
    index: int | None
    count: int


class Archive:
    """`spawn` runs a coroutine that answers nobody. `open` must have ended before the first message."""

    def __init__(
        self,
        domain: str,
        store: Store,
        randomness: Callable[[int], bytes],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        self._server = domain.encode()
        self._store = store
        self._randomness = randomness
        self._spawn = spawn
        self.default = "always"
        """What is archived for accounts that have said nothing: always, never or roster (XEP-0441 §2.1.1)."""
        self.stanzas = 50_000
        """Messages of one archive at most; then the oldest go."""
        self.bytes = 64 << 20
        """Bytes of one archive at most."""
        self._ids: list[bytes] = []
        self._order = 0
        self.generation = 0
        """How often the server was started on this database: what orders by time can be ordered by this first."""
        self._indexes: OrderedDict[bytes, Index] = OrderedDict()
        self._loading: dict[bytes, tuple[Later[Index], list[Header]]] = {}
        self._grown: dict[bytes, list[int]] = {}
        """Owner -> [messages, bytes] since its archive was last counted."""
        self._month = (0, 0, b"")

    async def open(self) -> None:
        """Messages of this life come after those of every earlier one, though the clock may have been set back."""
        last = await self._store.get("preference", self._server, _GENERATION)
        generation = int.from_bytes(last or b"", "big") + 1
        self._store.put("preference", self._server, _GENERATION, generation.to_bytes(3, "big"))
        self._order = generation << _GENERATION_BITS
        self.generation = generation

    # -- writing ----------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """An id for a message: 128 random bits as hexadecimal."""
        if not self._ids:
            self._ids = list(_IDS.unpack(self._randomness(_IDS.size)))
        return self._ids.pop().hex()

    def append(
        self,
        owner: bytes,
        id: str,
        now: float,
        with_: str,
        message: bytes,
        *,
        token: int = 0,
        weak: bool = False,
        provisional: bool = False,
    ) -> Ticket:
        """Archives a message; cheap, called for each one. The ticket settles when it is durable.

        `id` from `new_id`; `now` in seconds; `with_` the other side's address (a room: the sender's occupant JID);
        `token` is the same for the same message sent again, and 0 where that cannot be told. Raises StanzaError
        (resource-constraint) when more waits for the disk than memory may hold.
        """
        self._order += 1
        raw = bytes.fromhex(id)
        stamp = int(now * 1000)
        name = with_.encode()
        size = len(message)
        flags = (_PROVISIONAL if provisional else 0) | (_WEAK if weak else 0)
        value = _HEADER.pack(VERSION, flags, self._order, stamp, size, token, len(name)) + name + message
        ticket = self._store.put(TABLE, owner, self._key(stamp, raw), value)
        index = self._indexes.get(owner)
        if index is not None:
            index.add(Header(self._order, raw, stamp, with_, size, token, weak, provisional))
        elif owner in self._loading:
            self._loading[owner][1].append(Header(self._order, raw, stamp, with_, size, token, weak, provisional))
        grown = self._grown.get(owner)
        if grown is None:
            grown = self._grown[owner] = [0, 0]
        grown[0] += 1
        grown[1] += size
        if grown[0] * 8 > self.stanzas or grown[1] * 8 > self.bytes:
            self._grown[owner] = [0, 0]
            self._spawn(self._trim(owner))
        return ticket

    def _key(self, stamp: int, id: bytes) -> bytes:
        low, high, prefix = self._month
        if not low <= stamp < high:
            low, high, month = _month_of(stamp)
            prefix = _MESSAGE + month.to_bytes(2, "big")
            self._month = low, high, prefix
        return prefix + id

    # -- reading ----------------------------------------------------------------------------------------------------

    async def query(self, owner: bytes, query: Query) -> Page:
        """One page. Raises StanzaError(item-not-found) for an unknown id, StorageError."""
        headers = await self.index(owner)
        selection = headers.select(query, PAGE_MESSAGES, PAGE_BYTES)
        wanted = [(headers.ids[position], headers.stamps[position]) for position in selection.positions]
        rows = await self._store.get_many(TABLE, owner, [self._key(stamp, id) for id, stamp in wanted])
        items = []
        for id, stamp in wanted:
            value = rows.get(self._key(stamp, id))
            if value is not None:  # it may have been deleted meanwhile
                items.append(Item(id.hex(), stamp, _message(value)))
        index = None if query.before is not None else selection.index
        return Page(items, selection.complete, index, selection.count)

    async def ends(self, owner: bytes) -> tuple[tuple[str, int], tuple[str, int]] | None:
        """(id, stamp) of the oldest and of the newest message; None for an empty archive."""
        index = await self.index(owner)
        if not index.ids:
            return None
        return (index.ids[0].hex(), index.stamps[0]), (index.ids[-1].hex(), index.stamps[-1])

    async def index(self, owner: bytes) -> Index:
        """The archive's headers; from the first question on in memory, until `release`."""
        index = self._indexes.get(owner)
        if index is not None:
            self._indexes.move_to_end(owner)
            return index
        pending = self._loading.get(owner)
        if pending is not None:
            return await pending[0]
        later, fresh = pending = Later[Index](), list[Header]()
        self._loading[owner] = pending
        try:
            headers = await self._headers(owner)
        except BaseException as error:
            if self._loading.get(owner) is pending:
                del self._loading[owner]
            later.fail(error)
            raise
        known = {header.id for header in headers}
        index = Index([*headers, *(header for header in fresh if header.id not in known)])
        if self._loading.get(owner) is pending:  # else it was erased meanwhile
            del self._loading[owner]
            self._indexes[owner] = index
            self._shrink()
        later.resolve(index)
        return index

    async def _headers(self, owner: bytes) -> list[Header]:
        rows = await self._store.scan(TABLE, owner, _MESSAGE, _after(_MESSAGE), _HEAD)
        headers, long = [], []
        for key, value in rows:
            if len(value) < _HEADER.size or value[0] != VERSION:
                continue  # damaged: the others can be read
            header = _header(key, value)
            if header is None:
                long.append(key)
            else:
                headers.append(header)
        if long:
            for key, value in (await self._store.get_many(TABLE, owner, long)).items():
                header = _header(key, value)
                if header is not None:
                    headers.append(header)
        return headers

    def release(self, owner: bytes) -> None:
        """Nobody is likely to ask soon: the account's last session has ended."""
        self._indexes.pop(owner, None)

    def _shrink(self) -> None:
        total = sum(map(len, self._indexes.values()))
        while total > HEADERS_IN_MEMORY and len(self._indexes) > 1:
            _, gone = self._indexes.popitem(last=False)
            total -= len(gone)

    async def rewrite(self, owner: bytes, id: str, make: Callable[[bytes], bytes]) -> None:
        """Puts what `make` makes of a message in its place, for one that was taken back (XEP-0424 §5). Raises
        StanzaError(item-not-found)."""
        index = await self.index(owner)
        position = index.position(id)
        key = self._key(index.stamps[position], index.ids[position])
        value = await self._store.get(TABLE, owner, key)
        if value is None or not index.has(id):
            raise StanzaError("item-not-found")
        message = make(_message(value))
        version, flags, order, stamp, _, _, length = _HEADER.unpack_from(value)
        head = _HEADER.pack(version, flags, order, stamp, len(message), 0, length)
        index.resize(id, len(message))
        self._store.put(TABLE, owner, key, head + value[_HEADER.size : _HEADER.size + length] + message)

    # -- deleting ---------------------------------------------------------------------------------------------------

    def forget(self, owner: bytes) -> None:
        """The owner was erased from the store."""
        self._indexes.pop(owner, None)
        self._loading.pop(owner, None)
        self._grown.pop(owner, None)

    async def expire(self, owner: bytes, before: float) -> None:
        """Deletes what is older than `before`, seconds since the epoch."""
        limit = int(before * 1000)
        month = _month_of(limit)[2]
        stop = _MESSAGE + (month + 1).to_bytes(2, "big")
        rows = await self._store.scan(TABLE, owner, _MESSAGE, stop, _HEADER.size)
        old = [key for key, value in rows if len(value) < _HEADER.size or _HEADER.unpack(value)[3] < limit]
        await self._delete(owner, old)

    async def sweep(self, before: float, mine: Callable[[bytes], bool]) -> None:
        """Expires every archive whose owner is `mine`."""
        for owner in await self._store.owners(TABLE):
            if mine(owner):
                await self.expire(owner, before)

    async def settle(self, owner: bytes, wanted: Callable[[str], bool]) -> None:
        """The owner's wishes are known: deletes what came while they were not and is not `wanted` (given `with_`)."""
        index = await self.index(owner)
        if not index.provisional:
            return
        row = await self._store.get(TABLE, owner, _SETTLED)
        since = int.from_bytes(row or b"", "big")
        newest = max(index.provisional.values(), default=0)
        if newest <= since:
            index.provisional.clear()
            return
        unwanted = index.unwanted(wanted, since)
        keys = [self._key(index.stamps[index.position(id.hex())], id) for id in unwanted]
        index.drop(unwanted)
        index.provisional.clear()
        self._store.put(TABLE, owner, _SETTLED, newest.to_bytes(8, "big"))
        await self._delete(owner, keys)

    async def _trim(self, owner: bytes) -> None:
        """Deletes the oldest messages of an archive that has grown too large; a tenth more, so that it lasts."""
        index = await self.index(owner)
        count, size = len(index), index.total
        if count <= self.stanzas and size <= self.bytes:
            return
        doomed = []
        for position, id in enumerate(index.ids):
            if count <= self.stanzas * 0.9 and size <= self.bytes * 0.9:
                break
            count -= 1
            size -= index.sizes[position]
            doomed.append(self._key(index.stamps[position], id))
        await self._delete(owner, doomed)

    async def _delete(self, owner: bytes, keys: list[bytes]) -> None:
        for start in range(0, len(keys), _PORTION):
            some = keys[start : start + _PORTION]
            index = self._indexes.get(owner)
            if index is not None:
                index.drop(key[len(_MESSAGE) + 2 :] for key in some)
            ticket = None
            for key in some:
                ticket = self._store.delete(TABLE, owner, key)
            if ticket is not None and len(some) == _PORTION:
                await _settled(ticket)


def _message(value: bytes) -> bytes:
    return value[_HEADER.size + _HEADER.unpack_from(value)[6] :]


def _header(key: bytes, value: bytes) -> Header | None:
    """None if the address is longer than what was read."""
    _, flags, order, stamp, size, token, length = _HEADER.unpack_from(value)
    end = _HEADER.size + length
    if end > len(value):
        return None
    return Header(
        order, key[len(_MESSAGE) + 2 :], stamp, value[_HEADER.size : end].decode(), size, token,
        bool(flags & _WEAK), bool(flags & _PROVISIONAL),
    )  # fmt: skip


def _month_of(stamp: int) -> tuple[int, int, int]:
    """(first millisecond, first one after it, number) of the month that the stamp is in."""
    day = datetime.datetime.fromtimestamp(stamp / 1000, datetime.UTC)
    first = datetime.datetime(day.year, day.month, 1, tzinfo=datetime.UTC)
    after = datetime.datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=datetime.UTC)
    return int(first.timestamp()) * 1000, int(after.timestamp()) * 1000, day.year * 12 + day.month - 1


def _after(prefix: bytes) -> bytes:
    """The first key after all that begin with `prefix`, whose last byte is not 255."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def _settled(ticket: Ticket) -> Later[None]:
    later: Later[None] = Later()
    ticket.when_settled(lambda: later.resolve(None))
    return later
