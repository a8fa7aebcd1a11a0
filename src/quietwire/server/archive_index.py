"""What an archive holds, without the messages: headers in order, in memory, and the questions they answer (XEP-0313).

The store promises no order, so a header carries its own: `order` counts upwards over the life of the database, whatever
the clock does. Headers lie in pages (`seal/pages.py`): those that are in the store, and behind them the tail, of
messages that are still in the batches they came in. A message that was sent again after a crash is in the store twice
and in the archive once: its second copy is an alias of the first, recognised by its token (`Archive.append`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.seal.pages import ID_BYTES, PROVISIONAL, Catalogue, Header, Page, Place, Row

AGAIN_MS: Final = 600_000
"""How long after a message the same one without an origin-id is taken for its repetition. Some clients count their ids
from 1 in each session: what they send tomorrow under the same id is new."""
REMEMBERED_PAGES: Final = 2
"""A repetition is looked for among the messages of the last pages and of the tail: at least a thousand."""
REMEMBERED_TOKENS: Final = 4_000
"""More than that, beside those of the tail, are forgotten down to those pages."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: the form's fields (XEP-0313 §4.1), then the page (XEP-0059). Stamps are in milliseconds."""

    start: int | None = None
    end: int | None = None
    with_: JID | None = None
    after_id: str | None = None
    before_id: str | None = None
    ids: tuple[str, ...] | None = None
    max: int | None = None
    after: str | None = None
    before: str | None = None
    """'' for the last page."""
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """A page: `positions` in order; `index` of its first among the `count` that match."""

    positions: Sequence[int]
    complete: bool
    index: int
    count: int


class Index:
    """The headers of one archive; positions count from the oldest. Pages that are not loaded answer for their number
    of messages alone."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or Catalogue()
        self.catalogue.pages.sort(key=lambda page: page.first)
        self.rows: dict[bytes, Row] = {}
        """By key: segments of loaded pages, and batches."""
        self.batches: list[Row] = []
        """Those that the tail is made of, in their order."""
        self.tail: list[Page] = []
        self.fresh: list[bytes] = []
        """Keys of batches that are not in the tail yet."""
        self.held: dict[Row, list[bytes]] = {}
        """Messages of some batches of the tail, for who folds them at once."""
        self.isolated: set[bytes] = set()
        """Keys of rows that do not open."""
        self.numbers: list[tuple[int, int, int]] = []
        """(generation, month, number) of the batches of the tail."""
        self._recent: dict[int, tuple[bytes, int]] = {}
        """Token -> id and stamp."""
        self._aliases: dict[bytes, bytes] = {}
        self._bases: list[int] | None = None

    @property
    def pages(self) -> list[Page]:
        """All of them, in order."""
        return self.catalogue.pages + self.tail

    def __len__(self) -> int:
        return sum(page.count for page in self.pages)

    @property
    def total(self) -> int:
        """Bytes of all messages."""
        return sum(page.total for page in self.pages)

    @property
    def weight(self) -> int:
        """Headers in memory."""
        return sum(page.count for page in self.pages if page.loaded)

    @property
    def unjudged(self) -> bool:
        """Some messages were archived provisionally since the wishes were last applied."""
        return any(page.judge > self.catalogue.settled for page in self.pages)

    # -- filling ----------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Pages were loaded, or messages are gone."""
        self._bases = None
        self._recent = {}
        for page in (*self.catalogue.pages[-REMEMBERED_PAGES:], *self.tail):
            for at, token in enumerate(page.tokens):
                if token:
                    self._recent[token] = bytes(page.ids[ID_BYTES * at : ID_BYTES * (at + 1)]), page.stamps[at]
        self._aliases = {id: first for page in self.pages for id, first in page.aliases.items()}

    def take(self, batch: Row, month: int, generation: int, number: int, headers: Iterable[Header]) -> None:
        """The newest batch."""
        self.rows[batch.key] = batch
        self.batches.append(batch)
        self.numbers.append((generation, month, number))
        for place, header in enumerate(headers):
            self.add(header, month, batch, place)

    def add(self, header: Header, month: int, row: Row, place: int) -> None:
        """The newest message."""
        tail = self.tail
        if not tail or tail[-1].full or tail[-1].month != month:
            tail.append(Page(month))
            tail[-1].loaded = True
            self._bases = None
        page, token = tail[-1], header.token
        if token:
            found = self._recent.get(token)
            if found is not None and (not header.weak or abs(header.stamp - found[1]) <= AGAIN_MS):
                self._aliases[header.id] = page.aliases[header.id] = found[0]
                return
            self._recent[token] = header.id, header.stamp
        page.add(header, row, place)
        if self._bases is not None:
            self._bases[-1] += 1

    def forget(self, batches: int, lost: bool) -> None:
        """So many of the oldest batches are folded. `lost`: not all that was in them."""
        gone = set(self.batches[:batches])
        for row in gone:
            self.rows.pop(row.key, None)
            self.held.pop(row, None)
        del self.batches[:batches], self.numbers[:batches]
        while self.tail:
            page = self.tail[0]
            keep = next((n for n, (row, _, _) in enumerate(page.runs) if row not in gone), None)
            if keep == 0:
                break
            del self.tail[0]
            if keep is not None:
                left, skipped = Page(page.month), sum(count for _, _, count in page.runs[:keep])
                for at, (row, place) in list(enumerate(page.places()))[skipped:]:
                    left.add(page.header(at), row, place)
                left.aliases = page.aliases
                self.tail.insert(0, left)
                break
        self._bases = None
        tail = sum(page.count for page in self.tail)
        if lost or (len(self._recent) > REMEMBERED_TOKENS + 2 * tail and tail < REMEMBERED_TOKENS):
            self.changed()

    # -- looking ----------------------------------------------------------------------------------------------------

    def _based(self) -> list[int]:
        """Where each page ends."""
        if self._bases is None:
            ends, end = [], 0
            for page in self.pages:
                end += page.count
                ends.append(end)
            self._bases = ends
        return self._bases

    def at(self, position: int) -> tuple[Page, int]:
        """The page that a message is in, and its position there."""
        ends = self._based()
        number = bisect_right(ends, position)
        return self.pages[number], position - (ends[number - 1] if number else 0)

    def header(self, position: int) -> Header:
        page, at = self.at(position)
        return page.header(at)

    def id(self, position: int) -> bytes:
        page, at = self.at(position)
        return bytes(page.ids[ID_BYTES * at : ID_BYTES * (at + 1)])

    def place(self, position: int) -> Place:
        page, at = self.at(position)
        return page.place(at)

    def found(self, key: bytes) -> int | None:
        """Where the message with that id is."""
        if len(key) != ID_BYTES:
            return None
        key = self._aliases.get(key, key)
        start = 0
        for page in self.pages:
            at = page.find(key)
            if at >= 0:
                return start + at
            start += page.count
        return None

    def position(self, id: str) -> int:
        """Where the message is. Raises StanzaError(item-not-found) (§4.1.3, §4.3.2)."""
        try:
            found = self.found(bytes.fromhex(id))
        except ValueError:
            found = None
        if found is None:
            raise StanzaError("item-not-found")
        return found

    def select(self, query: Query, at_most: int, bytes_at_most: int) -> Selection:
        """The page that is asked for. Raises StanzaError(item-not-found) for an id that is not in the archive."""
        low = 0 if query.after_id is None else self.position(query.after_id) + 1
        high = len(self) if query.before_id is None else self.position(query.before_id)
        high = max(low, high)
        matches: Sequence[int] = range(low, high)
        if query.start is not None or query.end is not None or query.with_ is not None:
            matches = self._matching(query, low, high)
        if query.ids is not None:
            named = sorted({self.position(id) for id in query.ids})
            allowed = set(named).intersection(matches)
            matches = [position for position in named if position in allowed]
        count = len(matches)
        first, last = 0, count
        if query.index is not None:
            first = min(query.index, count)
        if query.after is not None:
            first = bisect_right(matches, self.position(query.after))
        if query.before:
            last = bisect_left(matches, self.position(query.before))
        last = max(first, last)
        backwards = query.before is not None
        limit = at_most if query.max is None else min(query.max, at_most)
        taken = size = 0
        while taken < min(limit, last - first):
            page, at = self.at(matches[last - 1 - taken if backwards else first + taken])
            size += page.sizes[at]
            if size > bytes_at_most and taken:
                break
            taken += 1
        complete = taken == last - first
        wanted = matches[last - taken : last] if backwards else matches[first : first + taken]
        return Selection(wanted, complete, last - taken if backwards else first, count)

    def _matching(self, query: Query, low: int, high: int) -> list[int]:
        """Positions of what is in the period and with whom is asked for."""
        begin = -1 if query.start is None else query.start
        end = 1 << 63 if query.end is None else query.end
        matches: list[int] = []
        start = 0
        for page in self.pages:
            base, start = start, start + page.count
            first, last = max(low - base, 0), min(high - base, page.count)
            if first >= last or page.newest < begin or page.oldest > end:
                continue
            some: Iterable[int] = range(first, last)
            if query.with_ is not None:
                wanted, peers = _meant(query.with_, page.names), page.peers
                if not wanted:
                    continue
                some = [at for at in some if peers[at] in wanted]
            if page.oldest < begin or page.newest > end:
                stamps = page.stamps
                some = [at for at in some if begin <= stamps[at] <= end]
            matches += [base + at for at in some]
        return matches

    def unwanted(self, wanted: Callable[[str], bool]) -> set[bytes]:
        """Ids of the messages that were archived provisionally since, and that the owner does not want."""
        since, known = self.catalogue.settled, dict[str, bool]()
        found = set()
        for page in self.pages:
            if page.judge <= since:
                continue
            for at, flags in enumerate(page.flags):
                if flags & PROVISIONAL and page.orders[at] > since:
                    name = page.names[page.peers[at]]
                    if name not in known:
                        known[name] = wanted(name)
                    if not known[name]:
                        found.add(bytes(page.ids[ID_BYTES * at : ID_BYTES * (at + 1)]))
        return found


def _meant(jid: JID, names: list[str]) -> set[int]:
    """Numbers of the names that a `with` means (§4.1.1): of a bare address all its resources."""
    text = jid.text
    if not jid.is_bare:
        return {number for number, name in enumerate(names) if name == text}
    return {number for number, name in enumerate(names) if name == text or name.startswith(text + "/")}
