"""Where an archive lies in the store: its rows opened, read into an index, and written back in one commit.

Rows of the driver's table `archive`; a key is a class byte, the month and 16 random bytes. Small letters are an
account's, capitals a room's, so that either can be swept without knowing whose a row is. An account's catalogue is one
of its own rows (`server/sealed/own.py`), so that the account's manifest covers it; a room's lies beside its pages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from struct import Struct
from types import TracebackType
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.later import Later, Ticket
from quietwire.seal import pages
from quietwire.seal import rows as sealing
from quietwire.seal.pages import FULL, Catalogue, Header, Page, Row, read_batch, read_segment, rounded
from quietwire.seal.sizes import small_class
from quietwire.seal.wraps import SealError
from quietwire.server.archive_index import REMEMBERED_PAGES, Index
from quietwire.server.sealed.seals import Safe
from quietwire.store.ports import Driver, Store

TABLE: Final = "archive"
CATALOGUE: Final = b"archive-catalogue"
"""Key in an account's table `preference`."""
PORTION: Final = 64
"""Rows that are read in one go: some 4 MB at most."""
AT_ONCE: Final = 1_000
"""Messages whose headers are read before the loop gets its turn: some 5 ms."""
MONTH_BYTES: Final = 3
"""Class byte and month, as a key begins."""
_PER_ROW: Final = 4
"""As many headers take as long as opening a row."""
_ID: Final = 16
_ARRIVAL: Final = 64
"""Bytes of a sealed row besides its content, about."""
_RANDOMS: Final = Struct("16s" * 64)


class Letters:
    """Class bytes. `arrival`: a batch."""

    __slots__ = ("all", "arrival", "catalogue", "page", "segment")

    def __init__(self, letters: bytes) -> None:
        self.arrival, self.page, self.segment, self.catalogue = (letters[n : n + 1] for n in range(4))
        self.all = (self.arrival, self.page, self.segment)


ACCOUNT, ROOM = Letters(b"apsc"), Letters(b"APSC")


class Batch:
    """What one owner gets in one commit. `left`: bytes it may still take."""

    __slots__ = ("capacity", "count", "generation", "key", "left", "month", "parts", "row", "ticket")

    def __init__(self, key: bytes, month: int, capacity: int, generation: int, ticket: Ticket) -> None:
        self.key = key
        self.month = month
        self.generation = generation
        self.capacity = self.left = capacity
        self.ticket = ticket
        self.parts: list[bytes] = []
        self.count = 0
        self.row = b""
        """Sealed, once it takes nothing more."""


class Shelf:
    """One owner's archive, as far as it is in memory: some 300 bytes for whoever got a message since the start."""

    __slots__ = (
        "adopted", "batch", "clean", "doomed", "full", "gone", "grown", "hashed", "index", "judged", "letters", "month",
        "number", "numbered", "owner", "size", "working",
    )  # fmt: skip

    def __init__(self, owner: bytes, hashed: bytes, letters: Letters) -> None:
        self.owner = owner
        self.hashed = hashed
        self.letters = letters
        self.batch: Batch | None = None
        """Takes messages until it is made."""
        self.month = 0
        """Of the newest batch: months in keys do not go back, whatever the clock does."""
        self.numbered = self.number = 0
        """Month, and batches of it since the start."""
        self.grown = self.size = 0
        """Messages and bytes since the archive was last looked at."""
        self.full = False
        """Nothing more until its owner comes."""
        self.adopted = False
        """Nothing is left from before the sealed store."""
        self.clean = False
        """Nothing is waiting to be folded."""
        self.judged = False
        """Nothing provisional is waiting for wishes."""
        self.gone = False
        self.index: Index | None = None
        self.doomed: set[bytes] = set()
        """Ids that are not to be folded."""
        self.working: Later[None] | None = None

    def key(self, letter: bytes, month: int, random: bytes) -> bytes:
        return letter + month.to_bytes(2, "big") + random


class Turn:
    """`async with Turn(shelf)`: one at a time reads a shelf's rows or changes them."""

    __slots__ = ("_shelf",)

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def __aenter__(self) -> Shelf:
        while self._shelf.working is not None:
            await self._shelf.working
        self._shelf.working = Later()
        return self._shelf

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        working, self._shelf.working = self._shelf.working, None
        if kind is not None:
            self._shelf.index = None  # it may be half changed
        if working is not None:
            working.resolve(None)


class Shelves:
    """Opens and writes rows. `report(owner, faults)`: rows that were not what was written, by what tells each from
    others (table, key, row)."""

    def __init__(
        self,
        store: Store,
        driver: Driver,
        safe: Safe,
        randomness: Callable[[int], bytes],
        report: Callable[[bytes, list[tuple[bytes, bytes]]], None],
    ) -> None:
        self._store = store
        self.driver = driver
        self.safe = safe
        self.randomness = randomness
        self._report = report
        self._randoms: list[bytes] = []
        """Drawn many at a time."""
        self.swept = {ACCOUNT.arrival: 0, ROOM.arrival: 0}
        """Months up to which rows were deleted without being opened, by the class of arrivals."""

    # -- batches ----------------------------------------------------------------------------------------------------

    def open_batch(self, shelf: Shelf, month: int, need: int, generation: int, capacity: int) -> Batch:
        """Raises StanzaError (resource-constraint)."""
        if shelf.letters is ROOM and not shelf.month:
            self.safe.seal(TABLE, shelf.owner, b"", b"")  # its secret is in the store before what lies under it
        shelf.month = max(shelf.month, month)
        capacity = max(capacity, need)
        key = shelf.key(shelf.letters.arrival, shelf.month, self._random())
        if shelf.batch is not None:
            self._close(shelf, shelf.batch)  # now, and not with all the others when the commit is handed over
        ticket = self.driver.put_late(
            TABLE, shelf.hashed, key, lambda: self._close(shelf, opened), small_class(capacity) + _ARRIVAL
        )
        opened = shelf.batch = Batch(key, shelf.month, capacity, generation, ticket)
        shelf.clean = False
        if shelf.index is not None:
            shelf.index.fresh.append(key)
        return opened

    def _close(self, shelf: Shelf, batch: Batch) -> bytes:
        """The batch takes nothing more. -> its row."""
        if shelf.batch is batch:
            shelf.batch = None
        if not batch.row:
            if batch.month != shelf.numbered:
                shelf.numbered, shelf.number = batch.month, 0
            number, shelf.number = shelf.number, shelf.number + 1
            content = pages.batch(batch.generation, number, batch.count, batch.parts)
            batch.row = self.safe.seal(TABLE, shelf.owner, batch.key, content)
            batch.parts = []
        return batch.row

    def _random(self) -> bytes:
        if not self._randoms:
            self._randoms = list(_RANDOMS.unpack(self.randomness(_RANDOMS.size)))
        random: bytes = self._randoms.pop()
        return random

    # -- reading ----------------------------------------------------------------------------------------------------

    async def load(self, shelf: Shelf, complete: bool, hold: int = 0) -> Index:
        """The index, with all pages or only with the last ones, and with all that has come. `hold`: bytes
        of messages that are kept for who folds them. In a `Turn`. Raises StorageError, Sealed."""
        if not self.safe.is_open(shelf.owner):
            raise StanzaError("recipient-unavailable", type="wait")
        index = shelf.index
        if index is None:
            index = await self._begin(shelf)
        wanted = index.catalogue.pages if complete else index.catalogue.pages[-REMEMBERED_PAGES:]
        await self.load_pages(shelf, index, [page for page in wanted if not page.loaded])
        while index.fresh:
            await self._refresh(shelf, index, hold)
        return index

    async def _begin(self, shelf: Shelf) -> Index:
        """Catalogue and keys, compared."""
        letters, swept = shelf.letters, self.swept[shelf.letters.arrival]
        shelf.index = listening = Index()
        catalogue = await self._catalogue(shelf)
        keys = {key for key, _ in await self.driver.scan(TABLE, shelf.hashed, head=0)}
        index = Index(catalogue)
        index.fresh = [*(key for key in keys if key[:1] == letters.arrival)]
        index.fresh += [key for key in listening.fresh if key not in keys]
        shelf.index = index
        there = {key for key in keys if key[:1] == letters.page}
        dummies = set(index.catalogue.dummies)
        index.catalogue.dummies = [key for key in index.catalogue.dummies if key in keys]
        known = {page.key for page in index.catalogue.pages}
        missing = [page for page in index.catalogue.pages if page.key not in there]
        faults = [(page.key, b"") for page in missing if page.month > swept]
        recovered = not known and bool(there - dummies)
        if recovered:  # the catalogue is lost: each page is still sealed for this place
            index.catalogue.pages = [
                Page(int.from_bytes(key[1:MONTH_BYTES], "big"), key) for key in sorted(there - dummies)
            ]
            faults.append((b"", b""))
        else:
            faults += [(key, b"?") for key in there - known - dummies]
        for page in missing:
            index.catalogue.pages.remove(page)
        if faults:
            self._report(shelf.owner, faults)
        if recovered:
            await self.load_pages(shelf, index, list(index.catalogue.pages))
            index.catalogue.pages.sort(key=lambda page: page.first)
            recount(index.catalogue.pages)
            index.changed()
        return index

    async def _catalogue(self, shelf: Shelf) -> Catalogue:
        try:
            if shelf.letters is ACCOUNT:
                data = await self._store.get("preference", shelf.owner, CATALOGUE)
            else:
                key = shelf.key(ROOM.catalogue, 0, bytes(_ID))
                row = await self.driver.get(TABLE, shelf.hashed, key)
                data = self.safe.open(TABLE, shelf.owner, key, row) if row is not None else None
            return Catalogue.from_bytes(data) if data is not None else Catalogue()
        except SealError:
            self._report(shelf.owner, [(CATALOGUE, b"")])
            return Catalogue()

    async def load_pages(self, shelf: Shelf, index: Index, pages: list[Page]) -> None:
        faults: list[tuple[bytes, bytes]] = []
        for start in range(0, len(pages), PORTION // 4):
            some = pages[start : start + PORTION // 4]
            found = await self.driver.get_many(TABLE, shelf.hashed, [page.key for page in some])
            for page in some:
                row = found.get(page.key, b"")
                try:
                    if page.tag and sealing.tag(row) != page.tag:
                        raise SealError("not the page that was written")
                    content = self.safe.open(TABLE, shelf.owner, page.key, row)
                    page.load(content, shelf.key(shelf.letters.segment, page.month, b""), index.rows)
                except SealError:
                    faults.append((page.key, row))
                    index.catalogue.pages.remove(page)
                    continue
                if not page.tag:  # it was found without a catalogue
                    page.tag = sealing.tag(row)
                    page.measure()
        if pages:
            index.changed()
        if faults:
            self._report(shelf.owner, faults)

    async def _refresh(self, shelf: Shelf, index: Index, hold: int) -> None:
        """What has come since, into the tail."""
        keys, index.fresh = index.fresh, []
        taken: list[tuple[int, int, Row, list[Header]]] = []
        faults: list[tuple[bytes, bytes]] = []
        decoded = 0
        try:
            for start in range(0, len(keys), PORTION):
                found = await self.driver.get_many(TABLE, shelf.hashed, keys[start : start + PORTION])
                for key, value in found.items():
                    if key in index.rows or key in index.isolated:
                        continue
                    try:
                        content = self.safe.open(TABLE, shelf.owner, key, value)
                        generation, number, headers, bodies = read_batch(content, hold > 0)
                        if (generation, month_in(key), number) < index.catalogue.next:
                            raise SealError("it was folded already")
                    except SealError:
                        faults.append((key, value))
                        index.isolated.add(key)
                        continue
                    row = Row(key)
                    taken.append((generation, number, row, headers))
                    if hold > 0:
                        hold -= len(content)
                        index.held[row] = bodies
                    decoded += _PER_ROW + len(headers)
                    if decoded > AT_ONCE:
                        decoded = 0
                        await self._breathe(shelf)
        except BaseException:
            index.fresh += keys
            raise
        taken.sort(key=lambda each: (each[0], month_in(each[2].key), each[1]))
        for generation, number, row, headers in taken:
            index.take(row, month_in(row.key), generation, number, headers)
            decoded += 1 + len(headers)
            if decoded > AT_ONCE:
                decoded = 0
                await self._breathe(shelf)
        if faults:
            self._report(shelf.owner, faults)

    async def _breathe(self, shelf: Shelf) -> None:
        """The loop gets its turn: a question that costs next to nothing."""
        await self.driver.get(TABLE, shelf.hashed, b"")

    async def bodies(self, shelf: Shelf, wanted: Collection[Row], fresh: bool = False) -> dict[Row, list[bytes]]:
        """What those rows hold; rows that are not there or not what was written are left out and, but for `fresh` ones,
        reported. In portions. Raises StorageError, Sealed."""
        found: dict[Row, list[bytes]] = {}
        faults: list[tuple[bytes, bytes]] = []
        some = [(row, row.key, row.tag) for row in wanted]  # as they are now: meanwhile a row may move
        for start in range(0, len(some), PORTION):
            portion = some[start : start + PORTION]
            stored = await self.driver.get_many(TABLE, shelf.hashed, [key for _, key, _ in portion])
            for row, key, tag in portion:
                value = stored.get(key, b"")
                try:
                    if tag and sealing.tag(value) != tag:
                        raise SealError("not the row that was written")
                    content = self.safe.open(TABLE, shelf.owner, key, value)
                    found[row] = read_segment(content) if tag else read_batch(content)[3]
                except SealError:
                    faults.append((key, value))
        if faults and not fresh:
            self._report(shelf.owner, faults)
        return found

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(
        self,
        shelf: Shelf,
        index: Index,
        segments: Iterable[tuple[Row, bytes]],
        pages: Iterable[Page],
        gone: Iterable[bytes],
        also: Callable[[], object] = lambda: None,
    ) -> None:
        """One commit: those segments (with their contents) and pages anew, under new keys; rows that are `gone`;
        dummies as needed; the catalogue. What can fail is done before anything is written. Raises Sealed, StanzaError
        (resource-constraint)."""
        if shelf.gone:
            raise StanzaError("item-not-found")
        letters, doomed = shelf.letters, list(gone)
        fresh: list[tuple[bytes, bytes]] = []
        catalogue = index.catalogue
        for row, content in segments:
            if row.tag:
                doomed.append(row.key)
                index.rows.pop(row.key, None)
            row.key = row.key[:MONTH_BYTES] + self.randomness(_ID)
            sealed = self.safe.seal_own(TABLE, shelf.owner, row.key, content)
            row.tag = sealing.tag(sealed)
            index.rows[row.key] = row
            fresh.append((row.key, sealed))
        for page in pages:
            if page.key:
                doomed.append(page.key)
            page.key = shelf.key(letters.page, page.month, self.randomness(_ID))
            content = page.to_bytes(full=page is not catalogue.pages[-1])
            sealed = self.safe.seal_own(TABLE, shelf.owner, page.key, content)
            page.tag = sealing.tag(sealed)
            fresh.append((page.key, sealed))
        for letter in (letters.page, letters.segment):
            self._round(shelf, catalogue, letter, fresh, doomed)
        record = catalogue.to_bytes()
        if letters is ROOM:
            key = shelf.key(ROOM.catalogue, 0, bytes(_ID))
            padded = record.ljust(small_class(len(record)), b"\0")
            fresh.append((key, self.safe.seal_own(TABLE, shelf.owner, key, padded)))
        for key, sealed in fresh:
            self.driver.put(TABLE, shelf.hashed, key, sealed)
        if letters is ACCOUNT:
            self._store.put("preference", shelf.owner, CATALOGUE, record)
        for key in doomed:  # last: where memory does not suffice for all of this, nothing is lost
            self.driver.delete(TABLE, shelf.hashed, key)
        also()

    def _round(
        self, shelf: Shelf, catalogue: Catalogue, letter: bytes, fresh: list[tuple[bytes, bytes]], doomed: list[bytes]
    ) -> None:
        """As many dummies as make the rows of each month a round number."""
        real: dict[bytes, int] = {}
        for page in catalogue.pages:
            prefix = letter + page.month.to_bytes(2, "big")
            real[prefix] = real.get(prefix, 0) + (1 if letter == shelf.letters.page else page.segments)
        dummies: dict[bytes, list[bytes]] = {prefix: [] for prefix in real}
        for key in catalogue.dummies:
            if key[:1] == letter:
                dummies.setdefault(key[:MONTH_BYTES], []).append(key)
        for prefix, there in dummies.items():
            count = real.get(prefix, 0)
            wanted = rounded(count) - count
            for key in there[wanted:]:
                catalogue.dummies.remove(key)
                doomed.append(key)
            for _ in range(wanted - len(there)):
                key = prefix + self.randomness(_ID)
                catalogue.dummies.append(key)
                fresh.append((key, self.safe.seal_own(TABLE, shelf.owner, key, bytes(FULL))))


def month_in(key: bytes) -> int:
    """Of a row's key."""
    return int.from_bytes(key[1:MONTH_BYTES], "big")


def recount(pages: Iterable[Page]) -> None:
    """The segments that begin in each of all pages."""
    seen: set[Row] = set()
    for page in pages:
        page.segments = 0
        for row, _, _ in page.runs:
            if row not in seen:
                seen.add(row)
                page.segments += 1
