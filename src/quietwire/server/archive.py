"""The message archive (XEP-0313) of accounts and rooms, sealed. What is here can be asked of it; `archive_shelf.py` has
how it lies in the store, `archive_fold.py` how that changes.

Port "archive": one object for the whole server.

    id = archive.new_id()                                  # goes into the <stanza-id/> of what is delivered
    archive.append(owner, id, context.now, with_, message.to_bytes())
    page = await archive.query(owner, query)               # Query: archive_index.py, read from XML by mam.py
    first, last = await archive.ends(owner)
    await archive.expire(owner, before)                    # seconds; AccountHook erased: archive.forget(owner)

`owner` is a bare JID as bytes: the account's or the room's. Whoever is away gets messages all the same, as batches that
only their key opens; what else is asked of a locked archive raises StanzaError(recipient-unavailable).
"""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Final

from quietwire.core.errors import QuietwireError
from quietwire.core.later import Later, Ticket
from quietwire.seal.pages import BATCH_HEAD, MESSAGE, PROVISIONAL, WEAK, Row
from quietwire.server.archive_fold import Folder
from quietwire.server.archive_index import Index, Query
from quietwire.server.archive_shelf import ACCOUNT, ROOM, TABLE, Letters, Shelf, Shelves, Turn
from quietwire.server.sealed.seals import Safe
from quietwire.store.ports import Driver, Store

FETCHED: Final = "fetched"
"""Key in a session's memory: the ids it got from its archive before it became available (XEP-0313 §6.1.1)."""
PAGE_MESSAGES: Final = 250
"""Messages of one page at most, and what a query without a limit gets: clients ask for 20 to 100."""
PAGE_BYTES: Final = 1 << 20
"""Bytes of one page at most: a session may owe the acknowledgement of four times as many (`sm.QUEUE_BYTES`)."""
HEADERS_IN_MEMORY: Final = 200_000
"""Of all indexes together; a header takes about 60 bytes. What has not been used for longest goes."""
FOLD_MESSAGES: Final = 1_000
"""Messages that wait in batches before they are folded, while that can be done: a page of headers."""
FOLD_BYTES: Final = 4 << 20
AWAY: Final = 1.5
"""How far beyond its limits an archive may grow while it is locked: which of its messages are the oldest can only be
told when it is open again. Then new ones are no longer archived: who floods it must not push out what is in it."""
FIRST_BATCH: Final = 1_024
"""Bytes that a batch is taken to need, for what the store keeps in memory. The next of the same commit get twice as
many, up to `LARGEST_BATCH`."""
LARGEST_BATCH: Final = 1 << 14
TRIES: Final = 4
"""Messages may be folded while they are read: then they are somewhere else."""
_GENERATION: Final = b"archive-generation"
"""Key in the table `preference` of the server itself: how often it was started. Gives `order` its upper bits."""
_SWEPT: Final = b"archive-swept"
"""The same: months up to which archives were swept unopened, of accounts and of rooms, 2 bytes each."""
_GENERATION_BITS: Final = 40
"""Messages of one life of the process: a trillion."""
_IDS = Struct("16s" * 512)
_PORTION: Final = 1_000
"""Rows deleted before the next ones wait for the disk: a sweep must not fill the memory with deletions."""
_DURABLE: Final = Ticket()
_DURABLE.settle()


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
    """`store`: where an account's own rows are; `driver`: where sealed rows lie. `spawn` runs a coroutine that answers
    nobody. `report(owner, found)`: rows that were not what was written, each as (table, key, row). `open` must have
    ended before the first message."""

    def __init__(
        self,
        domain: str,
        store: Store,
        driver: Driver,
        safe: Safe,
        randomness: Callable[[int], bytes],
        spawn: Callable[[Awaitable[None]], None],
        report: Callable[[bytes, Iterable[tuple[str, bytes, bytes]]], None] = lambda owner, found: None,
    ) -> None:
        self._server = domain.encode()
        self._suffix = b"@" + self._server
        self._store = store
        self._driver = driver
        self._safe = safe
        self._randomness = randomness
        self._spawn = spawn
        self._tell = report
        self._layout = Shelves(store, driver, safe, randomness, self._report)
        self._folder = Folder(self._layout, self._report)
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
        self._shelves: dict[bytes, Shelf] = {}
        self._indexes: OrderedDict[bytes, Index] = OrderedDict()
        """Of those who have asked, the latest last."""
        self._due: dict[bytes, None] = {}
        """Owners whose archives are to be folded, or weighed."""
        self._working = False
        self._before = {ACCOUNT.arrival: 0, ROOM.arrival: 0}
        """Stamps: what is older is too old."""
        self._month = (0, 0, 0)

    async def open(self, now: float = 0.0) -> None:
        """Messages of this life come after those of every earlier one, though the clock may have been set back. `now`,
        in seconds: where the count of lives is lost, what is new must still not be taken for what was folded long ago.
        """
        last = await self._store.get("preference", self._server, _GENERATION)
        if last is None and await self._driver.owners(TABLE):
            last = int(now // 3_600).to_bytes(3, "big")  # more hours than starts
        generation = int.from_bytes(last or b"", "big") + 1
        self._store.put("preference", self._server, _GENERATION, generation.to_bytes(3, "big"))
        swept = (await self._store.get("preference", self._server, _SWEPT) or b"").ljust(4, b"\0")
        for letters, at in ((ACCOUNT, 0), (ROOM, 2)):
            self._layout.swept[letters.arrival] = int.from_bytes(swept[at : at + 2], "big")
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
        shelf = self._shelves.get(owner)
        if shelf is None:
            shelf = self._shelf(owner)
        if shelf.full:
            return _DURABLE
        self._order += 1
        stamp = int(now * 1000)
        low, high, month = self._month
        if not low <= stamp < high:
            low, high, month = self._month = month_of(stamp)
        name = with_.encode()
        size = len(message)
        need = MESSAGE.size + len(name) + size
        batch = shelf.batch
        if batch is None or batch.left < need or batch.month < month:
            capacity = FIRST_BATCH if batch is None else min(2 * batch.capacity, LARGEST_BATCH)
            batch = self._layout.open_batch(shelf, month, need + BATCH_HEAD.size, self.generation, capacity)
            batch.left -= BATCH_HEAD.size
        flags = (PROVISIONAL if provisional else 0) | (WEAK if weak else 0)
        batch.left -= need
        batch.count += 1
        batch.parts += (
            MESSAGE.pack(flags, self._order, stamp, size, token, len(name), bytes.fromhex(id)), name, message
        )  # fmt: skip
        if provisional:
            shelf.judged = False
        shelf.grown += 1
        shelf.size += size
        if shelf.grown >= FOLD_MESSAGES or shelf.size >= FOLD_BYTES or shelf.grown * 8 > self.stanzas or (
            shelf.size * 8 > self.bytes
        ):  # fmt: skip
            self._grown(shelf)
        return batch.ticket

    def _shelf(self, owner: bytes) -> Shelf:
        shelf = self._shelves.get(owner)
        if shelf is None:
            letters = ACCOUNT if owner.endswith(self._suffix) else ROOM
            shelf = self._shelves[owner] = Shelf(owner, self._safe.owner(TABLE, owner), letters)
        return shelf

    def _grown(self, shelf: Shelf) -> None:
        shelf.grown = shelf.size = 0
        self._due[shelf.owner] = None
        if not self._working:
            self._working = True
            self._spawn(self._work())

    async def _work(self) -> None:
        """One archive after the other: were many folded at once, the loop would be held for long."""
        try:
            while self._due:
                owner = next(iter(self._due))
                del self._due[owner]
                shelf = self._shelves.get(owner)
                try:
                    if shelf is None:
                        continue
                    if self._safe.is_open(owner):
                        await self.fold(owner)
                    else:
                        await self._weigh(shelf)
                except QuietwireError:
                    pass  # locked meanwhile, or the disk refuses: what has come stays as it is, and can be read
        finally:
            self._working = False

    async def _weigh(self, shelf: Shelf) -> None:
        """Whether a locked archive may take more, without opening it."""
        count, size = await self._driver.measure(TABLE, shelf.hashed)
        shelf.full = size > AWAY * self.bytes or count > AWAY * self.stanzas

    # -- folding ----------------------------------------------------------------------------------------------------

    async def fold(self, owner: bytes) -> None:
        """What has come goes into pages, in portions; what is too old or too much goes. Raises StorageError, Sealed,
        StanzaError."""
        shelf = self._shelf(owner)
        if shelf.clean and not shelf.full:
            return
        while True:
            async with Turn(shelf):
                if not await self._folder.fold(shelf, self._before[shelf.letters.arrival]):
                    await self._bound(shelf)
                    break
        index = shelf.index
        shelf.clean = index is not None and not index.batches and not index.fresh and shelf.batch is None
        shelf.full = False
        if owner not in self._indexes:
            shelf.index = None

    async def _bound(self, shelf: Shelf) -> None:
        """Deletes the oldest messages of an archive that has grown too large; a tenth more, so that it lasts. In a
        `Turn`."""
        index = shelf.index
        if index is None:
            return
        before = self._before[shelf.letters.arrival]
        if any(page.oldest < before for page in index.catalogue.pages):
            await self._folder.drop_before(shelf, 0, before)
        count, size = len(index), index.total
        if count <= self.stanzas and size <= self.bytes:
            return
        index = await self._layout.load(shelf, complete=True)
        doomed = 0
        for page in index.catalogue.pages:
            for each in page.sizes:
                if count <= self.stanzas * 0.9 and size <= self.bytes * 0.9:
                    break
                count, size, doomed = count - 1, size - each, doomed + 1
        await self._folder.drop_before(shelf, doomed, 0)

    async def lock(self, owner: bytes) -> None:
        """The owner's keys are about to be wiped."""
        try:
            await self.fold(owner)
        except QuietwireError:
            pass  # what has come stays as it is, sealed to its owner
        self.release(owner)

    async def adopt(self, owner: bytes) -> None:
        """What the table `old_archive` has of the owner, from before the sealed store. The account is unlocked, or the
        room's secret in the store. May be called again, also after a crash. Raises StorageError, Sealed."""
        shelf = self._shelf(owner)
        async with Turn(shelf):
            await self._folder.adopt(shelf)
            if owner not in self._indexes:
                shelf.index = None

    # -- reading ----------------------------------------------------------------------------------------------------

    async def query(self, owner: bytes, query: Query) -> Page:
        """One page. Raises StanzaError(item-not-found) for an unknown id, StorageError."""
        read: dict[bytes, bytes] = {}
        for tries in range(TRIES):
            index = await self.index(owner)
            selection = index.select(query, PAGE_MESSAGES, PAGE_BYTES)
            wanted: list[tuple[bytes, int, Row, int]] = []
            places: dict[int, list[tuple[Row, int]]] = {}
            for position in selection.positions:
                page, at = index.at(position)
                if id(page) not in places:
                    places[id(page)] = page.places()
                wanted.append((index.id(position), page.stamps[at], *places[id(page)][at]))
            rows = {row for key, _, row, _ in wanted if key not in read}
            last = tries == TRIES - 1
            found = await self._layout.bodies(self._shelf(owner), rows, fresh=not last)
            read |= {key: found[row][place] for key, _, row, place in wanted if row in found}
            if last or all(key in read for key, *_ in wanted):
                break
        items = [Item(key.hex(), stamp, read[key]) for key, stamp, *_ in wanted if key in read]
        return Page(items, selection.complete, None if query.before is not None else selection.index, selection.count)

    async def ends(self, owner: bytes) -> tuple[tuple[str, int], tuple[str, int]] | None:
        """(id, stamp) of the oldest and of the newest message; None for an empty archive."""
        index = await self.index(owner)
        if not len(index):
            return None
        first, last = index.header(0), index.header(len(index) - 1)
        return (first.id.hex(), first.stamp), (last.id.hex(), last.stamp)

    async def index(self, owner: bytes) -> Index:
        """The archive's headers; from the first question on in memory, until `release`."""
        index, shelf = self._indexes.get(owner), self._shelf(owner)
        if index is not None and index is shelf.index and not index.fresh:
            self._indexes.move_to_end(owner)
            return index
        async with Turn(shelf):
            index = await self._layout.load(shelf, complete=True)
            before = self._before[shelf.letters.arrival]
            if any(page.count and page.oldest < before for page in index.pages):
                while await self._folder.fold(shelf, before):
                    pass
                await self._folder.drop_before(shelf, 0, before)
            if not shelf.gone:
                self._indexes[owner] = index
                self._indexes.move_to_end(owner)
                self._shrink()
            if len(index.batches) >= FOLD_MESSAGES // 4:
                self._grown(shelf)
        return index

    def release(self, owner: bytes) -> None:
        """Nobody is likely to ask soon: the account's last session has ended."""
        self._indexes.pop(owner, None)
        shelf = self._shelves.get(owner)
        if shelf is not None and shelf.working is None:
            shelf.index = None

    def _shrink(self) -> None:
        total = sum(index.weight for index in self._indexes.values())
        while total > HEADERS_IN_MEMORY and len(self._indexes) > 1:
            owner, gone = next(iter(self._indexes.items()))
            total -= gone.weight
            self.release(owner)

    async def rewrite(self, owner: bytes, id: str, make: Callable[[bytes], bytes]) -> None:
        """Puts what `make` makes of a message in its place, for one that was taken back (XEP-0424 §5). Raises
        StanzaError(item-not-found)."""
        (await self.index(owner)).position(id)
        await self.fold(owner)
        shelf = self._shelf(owner)
        async with Turn(shelf):
            await self._folder.replace(shelf, id, make)

    # -- deleting ---------------------------------------------------------------------------------------------------

    def forget(self, owner: bytes) -> None:
        """The owner was erased from the store."""
        self._indexes.pop(owner, None)
        shelf = self._shelves.pop(owner, None)
        if shelf is not None:
            shelf.gone, shelf.index, shelf.batch = True, None, None

    async def expire(self, owner: bytes, before: float) -> None:
        """Deletes what is older than `before`, seconds since the epoch; of a locked archive the months that are over by
        then."""
        shelf = self._shelf(owner)
        limit = int(before * 1000)
        await self._sweep(shelf.hashed, shelf.letters, limit, shelf)
        if not self._safe.is_open(owner):
            return
        async with Turn(shelf):
            while await self._folder.fold(shelf, limit):
                pass
            await self._folder.drop_before(shelf, 0, limit)
            if owner not in self._indexes:
                shelf.index = None

    async def sweep(self, before: float, rooms: bool = False) -> None:
        """Expires every account's archive, or every room's. Those that are locked lose whole months, when the last day
        of one is too old; of the others it depends on whether they are in memory: the rest when they are folded."""
        letters = ROOM if rooms else ACCOUNT
        limit = int(before * 1000)
        self._before[letters.arrival] = limit
        asked = [owner for owner in self._indexes if self._shelf(owner).letters is letters]
        known = {shelf.hashed: shelf for shelf in self._shelves.values() if shelf.letters is letters}
        for hashed in await self._driver.owners(TABLE):
            await self._sweep(hashed, letters, limit, known.get(hashed))
        for owner in asked:
            if owner in self._shelves and self._safe.is_open(owner):
                await self.expire(owner, before)

    async def _sweep(self, hashed: bytes, letters: Letters, limit: int, shelf: Shelf | None) -> None:
        """Deletes the months before that of the stamp `limit`, unopened."""
        month = month_of(limit)[2]
        doomed = []
        for letter in letters.all:
            doomed += [
                k for k, _ in await self._driver.scan(TABLE, hashed, letter, letter + month.to_bytes(2, "big"), 0)
            ]
        if not doomed:
            return
        swept = self._layout.swept
        if swept[letters.arrival] < month - 1:
            swept[letters.arrival] = month - 1
            value = b"".join(swept[each.arrival].to_bytes(2, "big") for each in (ACCOUNT, ROOM))
            self._store.put("preference", self._server, _SWEPT, value)
        if shelf is None:
            await self._delete(hashed, doomed)
            return
        async with Turn(shelf):
            self._indexes.pop(shelf.owner, None)
            shelf.index = None
            await self._delete(hashed, doomed)

    async def _delete(self, hashed: bytes, keys: list[bytes]) -> None:
        for start in range(0, len(keys), _PORTION):
            some = keys[start : start + _PORTION]
            for key in some:
                ticket = self._driver.delete(TABLE, hashed, key)
            if len(some) == _PORTION:
                await _settled(ticket)

    async def settle(self, owner: bytes, wanted: Callable[[str], bool]) -> None:
        """The owner's wishes are known: deletes what came while they were not and is not `wanted` (given `with_`)."""
        shelf = self._shelf(owner)
        if shelf.judged:
            return
        async with Turn(shelf):
            index = await self._layout.load(shelf, complete=False)
            catalogue = index.catalogue
            if index.unjudged:
                since = [page for page in catalogue.pages if page.judge > catalogue.settled and not page.loaded]
                await self._layout.load_pages(shelf, index, since)
                shelf.doomed = index.unwanted(wanted)
                catalogue.settled = max(page.judge for page in index.pages)
                try:
                    if shelf.doomed:
                        while await self._folder.fold(shelf):
                            pass
                        await self._folder.cut(shelf, shelf.doomed)
                    self._layout.write(shelf, index, (), (), ())
                finally:
                    shelf.doomed = set()
            shelf.judged = True
            if owner not in self._indexes:
                shelf.index = None

    def _report(self, owner: bytes, faults: list[tuple[bytes, bytes]]) -> None:
        self._tell(owner, [(TABLE, key, row) for key, row in faults])


def month_of(stamp: int) -> tuple[int, int, int]:
    """(first millisecond, first one after it, number) of the month that the stamp is in: year x 12 + month - 1."""
    day = datetime.datetime.fromtimestamp(stamp / 1000, datetime.UTC)
    first = datetime.datetime(day.year, day.month, 1, tzinfo=datetime.UTC)
    after = datetime.datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=datetime.UTC)
    return int(first.timestamp()) * 1000, int(after.timestamp()) * 1000, day.year * 12 + day.month - 1


def _settled(ticket: Ticket) -> Later[None]:
    later: Later[None] = Later()
    ticket.when_settled(lambda: later.resolve(None))
    return later
