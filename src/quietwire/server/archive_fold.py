"""Changes of what an archive keeps: batches become segments and pages, messages are taken out or replaced.

Each change is one commit with a new catalogue: a crash leaves what was there before or what is there after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.seal.pages import FULL, Header, Page, Row, segment, segment_bytes
from quietwire.server import archive_old as old
from quietwire.server.archive_index import AGAIN_MS, Index
from quietwire.server.archive_shelf import Shelf, Shelves, month_in, recount

FOLDED_MESSAGES: Final = 500
FOLDED_BYTES: Final = 512 * 1024
"""Of one commit: some 5 ms of the loop's thread."""
CUT_PAGES: Final = 4
"""Pages of one commit from which messages are taken."""


class Writer:
    """Puts messages behind those of a page, into segments."""

    def __init__(self, shelf: Shelf, index: Index, at: int) -> None:
        """`at`: of the catalogue's pages, the number of those before the messages that come."""
        self._shelf = shelf
        self._index = index
        self._at = at
        self.page: Page | None = None
        self.pages: list[Page] = []
        """Those that were changed or made."""
        self.segments: list[tuple[Row, bytes]] = []
        self._row: Row | None = None
        self._bodies: list[bytes] = []
        self._size = 0
        self._changed = False
        self._begun: Page | None = None
        """The page that the segment begins in: it may go on in the next one, and no further."""

    def go_on(self, row: Row | None, bodies: list[bytes]) -> None:
        """Behind the last page before `at`, and behind what is in its last segment, if there is room."""
        pages = self._index.catalogue.pages
        self.page = pages[self._at - 1]
        if row is not None and (size := segment_bytes(bodies)) < FULL:
            self._row, self._bodies, self._size = row, list(bodies), size
            self._begun = self.page if any(each is row and not first for each, first, _ in self.page.runs) else None

    def add(self, header: Header, body: bytes, month: int) -> None:
        page = self.page
        if page is None or page.month != month or page.full:
            if page is None or page.month != month or self._begun is not page:
                self._close(full=page is not None and page.month == month)
            page = self.page = Page(month)
            self._index.catalogue.pages.insert(self._at, page)
            self._at += 1
        if page not in self.pages:
            self.pages.append(page)
        if self._row is None or (self._bodies and self._size + 4 + len(body) > FULL):
            self._close(full=True)
            self._row = Row(self._shelf.key(self._shelf.letters.segment, month, b""))
            self._bodies, self._size = [], segment_bytes(())
            page.segments += 1
            self._begun = page
        page.add(header, self._row, len(self._bodies))
        self._bodies.append(body)
        self._size += 4 + len(body)
        self._changed = True

    def alias(self, aliases: dict[bytes, bytes]) -> None:
        """Ids of repetitions go with the last page."""
        if aliases and self.page is not None:
            self.page.aliases.update(aliases)
            if self.page not in self.pages:
                self.pages.append(self.page)

    def finish(self) -> None:
        """Then `segments` and `pages` are to be written."""
        self._close(full=False)
        moved = {row for row, _ in self.segments if row.tag}
        for page in self._index.catalogue.pages:
            if page.loaded and page not in self.pages and any(row in moved for row, _, _ in page.runs[-1:]):
                self.pages.append(page)  # a segment that goes on in the next page

    def _close(self, full: bool) -> None:
        if self._row is not None and self._changed:
            self.segments.append((self._row, segment(self._bodies, full)))
        self._row, self._changed = None, False


class Folder:
    """Works on the shelves. All methods in a `Turn`. They raise StorageError, Sealed, StanzaError."""

    def __init__(self, shelves: Shelves, report: Callable[[bytes, list[tuple[bytes, bytes]]], None]) -> None:
        self._shelves = shelves
        self._report = report

    async def fold(self, shelf: Shelf, before: int = 0) -> bool:
        """A portion of the tail, but for the shelf's doomed and what is older than the stamp `before`. -> whether more
        is left."""
        shelves = self._shelves
        if not shelf.adopted:
            await self.adopt(shelf)
        index = await shelves.load(shelf, complete=False, hold=FOLDED_BYTES)
        if not index.batches:
            return False
        chosen, messages = _chosen(index)
        first = next(iter(messages), None)
        at, row, held = await self._end(shelf, index, first[0].order if first is not None else None)
        unread = [row for row in chosen if row not in index.held]
        read = {**await shelves.bodies(shelf, unread), **{row: index.held[row] for row in chosen if row in index.held}}
        batches, lost = len(chosen), False
        writer = Writer(shelf, index, at)
        if at:
            writer.go_on(row, held)
        for header, batch, place in messages:
            body = read[batch][place] if batch in read else None
            if body is not None and header.id not in shelf.doomed and header.stamp >= before:
                writer.add(header, body, month_in(batch.key))
            else:
                lost = True
        writer.alias({id: known for page in index.tail for id, known in page.aliases.items()})
        for page in index.tail:
            page.aliases = {}
        writer.finish()
        self._count(shelf, index, batches)
        keys = [row.key for row in chosen if row in read]
        shelves.write(shelf, index, writer.segments, writer.pages, keys)
        index.forget(batches, lost)
        return bool(index.batches)

    async def _end(self, shelf: Shelf, index: Index, order: int | None) -> tuple[int, Row | None, list[bytes]]:
        """How many pages are before a message of that order, the segment at their end, and what is in it."""
        pages = index.catalogue.pages
        while True:
            at = len(pages)
            while at and order is not None and pages[at - 1].first > order:
                at -= 1
            near = pages[max(0, at - 2) : at]
            unread = [page for page in near if not page.loaded]
            if not unread:
                break
            await self._shelves.load_pages(shelf, index, unread)  # those that do not open are no longer there
        if not near or not near[-1].runs:
            return at, None, []
        row = near[-1].runs[-1][0]
        read = await self._shelves.bodies(shelf, (row,))
        return (at, row, read[row]) if row in read else (at, None, [])

    def _count(self, shelf: Shelf, index: Index, batches: int) -> None:
        """Gaps between the numbers of batches: what is not there was taken away."""
        catalogue = index.catalogue
        lost = 0
        for generation, month, number in index.numbers[:batches]:
            same = (generation, month) == (catalogue.generation, catalogue.month)
            lost += number - (catalogue.number if same else 0)
            catalogue.generation, catalogue.month, catalogue.number = generation, month, number + 1
        lost -= len(index.isolated)
        if lost > 0:
            self._report(shelf.owner, [(b"gap", b"%d" % n) for n in range(lost)])

    async def cut(self, shelf: Shelf, doomed: set[bytes]) -> None:
        """Takes those messages out of the pages."""
        index = await self._shelves.load(shelf, complete=True)
        while True:
            pages = [page for page in index.catalogue.pages if any(page.find(id) >= 0 for id in doomed)]
            if not pages:
                return
            await self._cut(shelf, index, pages[:CUT_PAGES], doomed)

    async def drop_before(self, shelf: Shelf, count: int, stamp: int) -> None:
        """Takes out the oldest `count`, and what is older than `stamp`."""
        index = await self._shelves.load(shelf, complete=True)
        while True:
            some, number = list[Page](), 0
            doomed = set[bytes]()
            for page in index.catalogue.pages:
                if number >= count and page.oldest >= stamp:
                    number += page.count
                    continue
                old = {
                    header.id
                    for at, header in enumerate(page.headers())
                    if number + at < count or header.stamp < stamp
                }  # fmt: skip
                number += page.count
                if old:
                    doomed |= old
                    some.append(page)
                if len(some) == CUT_PAGES:
                    break
            if not some:
                return
            count -= await self._cut(shelf, index, some, doomed)

    async def _cut(self, shelf: Shelf, index: Index, pages: list[Page], doomed: set[bytes]) -> int:
        """Of those pages, which lose something. -> how many messages went."""
        catalogue = index.catalogue
        fresh = {page: page.without(doomed) for page in pages}
        lost = {place for page in pages for place in set(page.places()).difference(fresh[page].places())}
        touched = {row for row, _ in lost}
        left: dict[Row, list[int]] = {row: [] for row in touched}
        for page in catalogue.pages:
            for row, place in fresh.get(page, page).places() if page in fresh or _has(page, touched) else ():
                if row in left:
                    left[row].append(place)
        read = await self._shelves.bodies(shelf, [row for row, places in left.items() if places])
        gone = [row.key for row, places in left.items() if not places]
        where: dict[tuple[Row, int], tuple[Row, int]] = {}
        segments = []
        for row, places in left.items():
            if places and row in read:
                bodies = [read[row][place] for place in sorted(places)]
                where.update({(row, place): (row, n) for n, place in enumerate(sorted(places))})
                segments.append((row, segment(bodies, segment_bytes(read[row]) > FULL // 2)))
        changed = []
        for number, page in enumerate(list(catalogue.pages)):
            each = fresh.get(page)
            if each is None and not (where and _has(page, touched)):
                continue
            if each is None:
                each = page
            else:
                gone.append(page.key)
                catalogue.pages[number] = each
            each.moved(where)
            if each.count:
                changed.append(each)
        count = sum(page.count - each.count for page, each in fresh.items())
        catalogue.pages[:] = [page for page in catalogue.pages if page.count]
        for row in touched:
            if not left[row]:
                index.rows.pop(row.key, None)
        recount(catalogue.pages)
        self._shelves.write(shelf, index, segments, changed, gone)
        index.changed()
        return count

    async def adopt(self, shelf: Shelf) -> None:
        """Messages from before the sealed store, all of them, in portions, each deleted where it was in the commit that
        puts it here. What a crash leaves is for the next call; nothing else is folded before."""
        driver, owner, table = self._shelves.driver, shelf.owner, old.TABLE
        keys = [key for key, _ in await driver.scan(table, owner, head=0)]
        if not keys:
            shelf.adopted = True
            return
        settled = int.from_bytes(await driver.get(table, owner, old.SETTLED) or b"", "big")
        known: list[tuple[int, bytes]] = []
        for start in range(0, len(keys), FOLDED_MESSAGES):
            for key, value in (await driver.get_many(table, owner, keys[start : start + FOLDED_MESSAGES])).items():
                message = old.read(key, value)
                if message is not None:
                    known.append((message[0].order, key))
        known.sort()
        tokens: dict[int, tuple[bytes, int]] = {}
        while known:
            some, size = await driver.get_many(table, owner, [key for _, key in known[:FOLDED_MESSAGES]]), 0
            index = await self._shelves.load(shelf, complete=False)
            at, row, held = await self._end(shelf, index, known[0][0])
            writer = Writer(shelf, index, at)
            if at:
                writer.go_on(row, held)
            taken: list[bytes] = []
            aliases: dict[bytes, bytes] = {}
            for _, key in known[:FOLDED_MESSAGES]:
                message = old.read(key, some.get(key, b""))
                taken.append(key)
                if message is not None:
                    header, body = message
                    first = tokens.get(header.token) if header.token else None
                    if first is not None and (not header.weak or abs(header.stamp - first[1]) <= AGAIN_MS):
                        aliases[header.id] = first[0]
                        continue
                    if header.token:
                        tokens[header.token] = header.id, header.stamp
                    writer.add(header, body, old.month(key))
                    size += len(body)
                    if size > FOLDED_BYTES:
                        break
            writer.alias(aliases)
            writer.finish()
            index.catalogue.settled = max(index.catalogue.settled, settled)
            del known[: len(taken)]

            def delete(taken: list[bytes] = taken) -> None:
                for key in taken:
                    driver.delete(table, owner, key)

            self._shelves.write(shelf, index, writer.segments, writer.pages, (), delete)
            index.changed()
        for key, _ in await driver.scan(table, owner, head=0):  # what could not be read, and what is no message
            driver.delete(table, owner, key)
        shelf.adopted = True

    async def replace(self, shelf: Shelf, id: str, make: Callable[[bytes], bytes]) -> None:
        """Raises StanzaError(item-not-found)."""
        index = await self._shelves.load(shelf, complete=True)
        page, at = index.at(index.position(id))
        row, place = page.place(at)
        read = await self._shelves.bodies(shelf, (row,))
        if row not in read or not page.key:
            raise StanzaError("item-not-found")
        bodies = read[row]
        full = segment_bytes(bodies) > FULL // 2
        bodies[place] = make(bodies[place])
        page.sizes[at], page.tokens[at] = len(bodies[place]), 0
        page.measure()
        pages = [each for each in index.catalogue.pages if each is page or _has(each, {row})]
        self._shelves.write(shelf, index, [(row, segment(bodies, full))], pages, ())
        index.changed()


def _chosen(index: Index) -> tuple[list[Row], list[tuple[Header, Row, int]]]:
    """The oldest batches that make a portion, and the messages in them that are no repetitions."""
    stream = ((page.header(at), *place) for page in index.tail for at, place in enumerate(page.places()))
    ahead = next(stream, None)
    chosen: list[Row] = []
    messages: list[tuple[Header, Row, int]] = []
    size = 0
    for batch in index.batches:
        if len(chosen) >= FOLDED_MESSAGES or len(messages) >= FOLDED_MESSAGES or size > FOLDED_BYTES:
            break
        chosen.append(batch)
        while ahead is not None and ahead[1] is batch:
            messages.append(ahead)
            size += ahead[0].size
            ahead = next(stream, None)
    return chosen, messages


def _has(page: Page, rows: Iterable[Row]) -> bool:
    wanted = set(rows)
    return any(row in wanted for row, _, _ in page.runs)
