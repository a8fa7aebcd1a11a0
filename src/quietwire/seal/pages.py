"""What rows of an archive hold inside their seals: batches, segments, pages, the catalogue. Pure.

A *batch* is what came for one owner in one commit, as it came. Folded, messages lie in *segments*, bodies alone, and
their headers in *pages* of `PAGE_HEADERS`, a column each, so that a thousand are read in one go. The *catalogue* lists
the pages, a page the segments its messages are in: what is missing, foreign or old is found. Rows are never changed: a
segment or page that changes is written under a new key. Byte for byte: docs/protocols/archive.md.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct, error
from typing import Final, NamedTuple

from quietwire.seal.sizes import size_class, small_class
from quietwire.seal.wraps import SealError

VERSION: Final = 2
"""Version 1 was a row a message, in clear."""
ID_BYTES: Final = 16
TAG_BYTES: Final = 16
PAGE_HEADERS: Final = 1_000
FULL: Final = 1 << 16
"""Bytes of a full segment's or page's content: all that are full look alike."""
LEAST: Final = 1 << 10
"""Bytes of the smallest segment or page; between these, powers of two."""
PROVISIONAL: Final = 1
"""Archived while nobody could say whether the owner wants it (XEP-0441)."""
WEAK: Final = 2
"""The token was made without an origin-id (XEP-0359)."""
BATCH_HEAD: Final = Struct(">BIIH")
"""Version, number of the server's start, number among the owner's batches of that life and month, messages."""
MESSAGE: Final = Struct(">BQQIQH16s")
"""Flags, order, stamp (ms), bytes of the message, token, bytes of the address, id; then address and message."""
_PAGE = Struct(">BHHHH")
"""Version, messages, runs, aliases, names."""
_RUN = Struct(">16s16sHH")
"""Of messages that lie one after the other in a segment: the random part of its key, its tag, the first's place, how
many."""
_SEGMENT = Struct(">BI")
_CATALOGUE = Struct(">BQIHIHH")
"""Version, order up to which was judged, life, month and number of the next batch; pages, dummies."""
_ENTRY = Struct(">19s16sHIHQQQQQ")
_DUMMY = Struct(">19s")
_HEADER_BYTES: Final = ID_BYTES + 8 + 8 + 4 + 8 + 2 + 1


class Header(NamedTuple):
    """One archived message; `stamp` in milliseconds since the epoch, `size` in bytes, `token` 0 for none."""

    order: int
    id: bytes
    stamp: int
    with_: str
    size: int
    token: int = 0
    weak: bool = False
    provisional: bool = False


class Row:
    """A row that bodies are in; `key` as in the database. All pages share the object. `tag` b'': of a batch."""

    __slots__ = ("key", "tag")

    def __init__(self, key: bytes, tag: bytes = b"") -> None:
        self.key = key
        self.tag = tag


Place = tuple[Row, int]
"""Where a body is: the row, and which of those in it."""


# -- batches -----------------------------------------------------------------------------------------------------------


def batch(generation: int, number: int, count: int, parts: Iterable[bytes]) -> bytes:
    """The padded content. `parts`: of each message `MESSAGE`, the address and the message."""
    content = BATCH_HEAD.pack(VERSION, generation, number, count) + b"".join(parts)
    return content.ljust(small_class(len(content)), b"\0")


def read_batch(content: bytes, bodies: bool = True) -> tuple[int, int, list[Header], list[bytes]]:
    """(generation, number, headers, messages). Raises SealError."""
    try:
        version, generation, number, count = BATCH_HEAD.unpack_from(content)
        if version != VERSION:
            raise SealError("a batch of another version")
        headers, messages, at = [], [], BATCH_HEAD.size
        for _ in range(count):
            flags, order, stamp, size, token, length, id = MESSAGE.unpack_from(content, at)
            at += MESSAGE.size
            middle, end = at + length, at + length + size
            if end > len(content):
                raise SealError("a batch too short")
            name = content[at:middle].decode()
            headers.append(Header(order, id, stamp, name, size, token, bool(flags & WEAK), bool(flags & PROVISIONAL)))
            if bodies:
                messages.append(content[middle:end])
            at = end
    except (error, UnicodeDecodeError):
        raise SealError("not a batch") from None
    return generation, number, headers, messages


# -- segments ----------------------------------------------------------------------------------------------------------


def segment(bodies: Sequence[bytes], full: bool) -> bytes:
    """The padded content. `full`: nothing will be added to it."""
    lengths = array("I", map(len, bodies))
    content = _SEGMENT.pack(VERSION, len(bodies)) + _big(lengths) + b"".join(bodies)
    return content.ljust(_class(len(content), full), b"\0")


def read_segment(content: bytes) -> list[bytes]:
    """Raises SealError."""
    try:
        version, count = _SEGMENT.unpack_from(content)
        if version != VERSION:
            raise SealError("a segment of another version")
        lengths = _column("I", content, _SEGMENT.size, count)
    except error:
        raise SealError("not a segment") from None
    at = _SEGMENT.size + 4 * count
    if at + sum(lengths) > len(content):
        raise SealError("a segment too short")
    bodies = []
    for length in lengths:
        bodies.append(content[at : at + length])
        at += length
    return bodies


def segment_bytes(bodies: Iterable[bytes]) -> int:
    """Bytes of a segment's content before it is padded."""
    return _SEGMENT.size + sum(4 + len(body) for body in bodies)


def _class(size: int, full: bool) -> int:
    if size > FULL:
        return size_class(size)
    return FULL if full else max(LEAST, 1 << (size - 1).bit_length())


def rounded(count: int) -> int:
    """How many rows stand for so many: powers of two up to 8, then at most an eighth more."""
    return 1 << (count - 1).bit_length() if 0 < count <= 8 else size_class(count, 0)


# -- pages -------------------------------------------------------------------------------------------------------------


class Page:
    """Headers of up to `PAGE_HEADERS` messages of one month, in their order. What stands in the catalogue is there at
    once; `ids` and the other columns when it was read. Positions count from 0."""

    __slots__ = (
        "aliases", "count", "first", "flags", "ids", "judge", "key", "last", "loaded", "month", "names", "newest",
        "numbers", "oldest", "orders", "peers", "runs", "segments", "sizes", "stamps", "tag", "tokens", "total",
    )  # fmt: skip

    def __init__(self, month: int, key: bytes = b"", tag: bytes = b"") -> None:
        self.month = month
        self.key = key
        """As in the database; b'' while it has no row."""
        self.tag = tag
        self.count = 0
        self.total = 0
        """Bytes of all messages."""
        self.segments = 0
        """Rows that begin in it."""
        self.first = self.last = 0
        """Orders."""
        self.oldest = self.newest = 0
        """Stamps."""
        self.judge = 0
        """Order of the last message that was archived provisionally."""
        self.loaded = False
        self._clear()

    def _clear(self) -> None:
        self.ids = bytearray()
        self.orders, self.stamps, self.sizes = array("Q"), array("Q"), array("I")
        self.tokens, self.peers, self.flags = array("Q"), array("H"), bytearray()
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}
        """Of `names`, while messages are added."""
        self.runs: list[tuple[Row, int, int]] = []
        """(row, place of the first in it, how many)."""
        self.aliases: dict[bytes, bytes] = {}
        """Id of a repetition -> id of the message it repeats."""

    def measure(self) -> None:
        """What stands in the catalogue, from the columns; but for `segments`."""
        self.total = sum(self.sizes)
        self.first, self.last = (self.orders[0], self.orders[-1]) if self.count else (0, 0)
        self.oldest, self.newest = (min(self.stamps), max(self.stamps)) if self.count else (0, 0)
        self.judge = max((self.orders[at] for at, flags in enumerate(self.flags) if flags & PROVISIONAL), default=0)

    def unload(self) -> None:
        self._clear()
        self.loaded = False

    def __len__(self) -> int:
        return self.count

    def add(self, header: Header, row: Row, place: int) -> None:
        """The newest message."""
        order, id, stamp, with_, size, token, weak, provisional = header
        if len(self.numbers) != len(self.names):
            self.numbers = {name: number for number, name in enumerate(self.names)}
        number = self.numbers.get(with_)
        if number is None:
            number = self.numbers[with_] = len(self.names)
            self.names.append(with_)
        self.loaded = True
        self.ids += id
        self.orders.append(order)
        self.stamps.append(stamp)
        self.sizes.append(size)
        self.tokens.append(token)
        self.peers.append(number)
        self.flags.append((PROVISIONAL if provisional else 0) | (WEAK if weak else 0))
        if not self.count:
            self.first, self.oldest, self.newest = order, stamp, stamp
        self.last = order
        self.oldest, self.newest = min(self.oldest, stamp), max(self.newest, stamp)
        if provisional:
            self.judge = order
        self.count += 1
        self.total += size
        if self.runs:
            last, first, count = self.runs[-1]
            if last is row and first + count == place:
                self.runs[-1] = last, first, count + 1
                return
        self.runs.append((row, place, 1))

    @property
    def full(self) -> bool:
        return self.count >= PAGE_HEADERS or self.size > FULL - 4 * 1024  # room for one more, whatever its address

    @property
    def size(self) -> int:
        """About how many bytes it takes, names as one byte a character."""
        names = sum(map(len, self.names)) + 2 * len(self.names)
        return (
            _PAGE.size + _HEADER_BYTES * self.count + _RUN.size * len(self.runs) + 32 * len(self.aliases) + names
        )  # fmt: skip

    def find(self, id: bytes) -> int:
        """Position of that message, -1 where it is not here."""
        at = self.ids.find(id)
        while at > 0 and at % ID_BYTES:  # the same bytes by chance across two ids
            at = self.ids.find(id, at + 1)
        return at // ID_BYTES if at >= 0 else -1

    def header(self, at: int) -> Header:
        flags = self.flags[at]
        return Header(
            self.orders[at], bytes(self.ids[ID_BYTES * at : ID_BYTES * (at + 1)]), self.stamps[at],
            self.names[self.peers[at]], self.sizes[at], self.tokens[at], bool(flags & WEAK), bool(flags & PROVISIONAL),
        )  # fmt: skip

    def headers(self) -> Iterator[Header]:
        return map(self.header, range(self.count))

    def place(self, at: int) -> Place:
        for row, first, count in self.runs:
            if at < count:
                return row, first + at
            at -= count
        raise IndexError(at)

    def places(self) -> list[Place]:
        return [(row, first + n) for row, first, count in self.runs for n in range(count)]

    def without(self, doomed: set[bytes]) -> Page:
        """A page with the others; without a row."""
        page = Page(self.month)
        for header, (row, place) in zip(self.headers(), self.places(), strict=True):
            if header.id not in doomed:
                page.add(header, row, place)
        page.aliases = {id: first for id, first in self.aliases.items() if first not in doomed and id not in doomed}
        page.loaded = True
        return page

    def moved(self, where: dict[tuple[Row, int], Place]) -> None:
        """Some bodies are elsewhere now."""
        runs: list[tuple[Row, int, int]] = []
        for old in self.places():
            row, place = where.get(old, old)
            if runs and runs[-1][0] is row and runs[-1][1] + runs[-1][2] == place:
                runs[-1] = row, runs[-1][1], runs[-1][2] + 1
            else:
                runs.append((row, place, 1))
        self.runs = runs

    def to_bytes(self, full: bool) -> bytes:
        """The padded content. `full`: nothing will be added to it."""
        names = b"".join(len(raw).to_bytes(2, "big") + raw for raw in map(str.encode, self.names))
        content = b"".join(
            (
                _PAGE.pack(VERSION, self.count, len(self.runs), len(self.aliases), len(self.names)),
                *(_RUN.pack(row.key[-ID_BYTES:], row.tag, first, count) for row, first, count in self.runs),
                self.ids,
                *map(_big, (self.orders, self.stamps, self.sizes, self.tokens, self.peers)),
                self.flags,
                *(alias + first for alias, first in self.aliases.items()),
                names,
            )
        )
        return content.ljust(_class(len(content), full), b"\0")

    def load(self, content: bytes, prefix: bytes, rows: dict[bytes, Row]) -> None:
        """Fills the columns. `prefix`: of the keys of its segments; `rows`: those that are known, by key. Raises
        SealError."""
        self._clear()
        try:
            version, count, runs, aliases, names = _PAGE.unpack_from(content)
            if version != VERSION:
                raise SealError("a page of another version")
            at = _PAGE.size
            for _ in range(runs):
                id, tag, first, length = _RUN.unpack_from(content, at)
                key = prefix + id
                row = rows.get(key)
                if row is None:
                    row = rows[key] = Row(key, tag)
                self.runs.append((row, first, length))
                at += _RUN.size
            self.ids = bytearray(content[at : at + ID_BYTES * count])
            at += ID_BYTES * count
            columns = []
            for code, width in (("Q", 8), ("Q", 8), ("I", 4), ("Q", 8), ("H", 2)):
                columns.append(_column(code, content, at, count))
                at += width * count
            self.orders, self.stamps, self.sizes, self.tokens, self.peers = columns
            self.flags = bytearray(content[at : at + count])
            at += count
            for _ in range(aliases):
                self.aliases[content[at : at + ID_BYTES]] = content[at + ID_BYTES : at + 2 * ID_BYTES]
                at += 2 * ID_BYTES
            for _ in range(names):
                length = int.from_bytes(content[at : at + 2], "big")
                self.names.append(content[at + 2 : at + 2 + length].decode())
                at += 2 + length
            if at > len(content) or sum(length for _, _, length in self.runs) != count:
                raise SealError("a page too short")
            if count and max(self.peers) >= names:
                raise SealError("a page that lacks a name")
        except (error, UnicodeDecodeError):
            raise SealError("not a page") from None
        self.count = count
        self.loaded = True


# -- the catalogue -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Catalogue:
    """What an archive consists of, batches apart. `settled`: the order up to which provisional messages were judged;
    `generation`, `month`, `number`: of the next batch to be folded; `dummies`: keys of rows that only round up."""

    settled: int = 0
    generation: int = 0
    month: int = 0
    number: int = 0
    pages: list[Page] = field(default_factory=list)
    dummies: list[bytes] = field(default_factory=list)

    @property
    def next(self) -> tuple[int, int, int]:
        """Which batch is the next to be folded: earlier ones have been."""
        return self.generation, self.month, self.number

    def to_bytes(self) -> bytes:
        return b"".join(
            (
                _CATALOGUE.pack(
                    VERSION, self.settled, self.generation, self.month, self.number, len(self.pages), len(self.dummies)
                ),
                *(
                    _ENTRY.pack(
                        page.key, page.tag, page.count, page.total, page.segments, page.first, page.last, page.oldest,
                        page.newest, page.judge,
                    )
                    for page in self.pages
                ),
                *self.dummies,
            )
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Catalogue:
        """Raises SealError."""
        try:
            version, settled, generation, month, number, pages, dummies = _CATALOGUE.unpack_from(data)
            if version != VERSION:
                raise SealError("a catalogue of another version")
            self = cls(settled, generation, month, number)
            at = _CATALOGUE.size
            for _ in range(pages):
                key, tag, *rest = _ENTRY.unpack_from(data, at)
                page = Page(int.from_bytes(key[1:3], "big"), key, tag)
                (page.count, page.total, page.segments, page.first, page.last, page.oldest, page.newest,
                 page.judge) = rest  # fmt: skip
                self.pages.append(page)
                at += _ENTRY.size
            for _ in range(dummies):
                self.dummies += _DUMMY.unpack_from(data, at)
                at += _DUMMY.size
        except error:
            raise SealError("not a catalogue") from None
        return self


# -- columns -----------------------------------------------------------------------------------------------------------


def _big(column: array[int]) -> bytes:
    """Big-endian; `column` stays as it is."""
    if sys.byteorder == "little":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def _column(code: str, content: bytes, at: int, count: int) -> array[int]:
    column: array[int] = array(code)
    width = column.itemsize * count
    if at + width > len(content):
        raise SealError("a column too short")
    column.frombytes(content[at : at + width])
    if sys.byteorder == "little":
        column.byteswap()
    return column
