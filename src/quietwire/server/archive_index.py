"""What an archive holds, without the messages: headers in order, in memory, and the questions they answer (XEP-0313).

The store promises no order, so a header carries its own: `order` counts upwards over the life of the database, whatever
the clock does. A message that was sent again after a crash is in the store twice and in the archive once: its second
copy is an alias of the first, recognised by its token (`Archive.append`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID

AGAIN_MS = 600_000
"""How long after a message the same one without an origin-id is taken for its repetition. Some clients count their ids
from 1 in each session: what they send tomorrow under the same id is new."""


class Header(NamedTuple):
    """One archived message; `stamp` in milliseconds since the epoch, `size` in bytes, `token` 0 for none."""

    order: int
    id: bytes
    stamp: int
    with_: str
    size: int
    token: int = 0
    weak: bool = False
    """The token was made without an origin-id (XEP-0359)."""
    provisional: bool = False
    """Archived while nobody could say whether the owner wants it (XEP-0441)."""


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
    """The headers of one archive; positions count from the oldest."""

    __slots__ = ("_aliases", "_names", "_numbers", "_peers", "_tokens", "_where", "ids", "provisional",
                 "sizes", "stamps", "total")  # fmt: skip

    def __init__(self, headers: Iterable[Header] = ()) -> None:
        self.ids: list[bytes] = []
        self.stamps = array("q")
        self.sizes = array("I")
        self.total = 0
        """Bytes of all messages."""
        self.provisional: dict[bytes, int] = {}
        """Id -> order."""
        self._peers = array("I")
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._where: dict[bytes, int] = {}
        self._aliases: dict[bytes, int] = {}
        """Ids of repetitions -> position of the first."""
        self._tokens: dict[int, int] = {}
        self._extend(sorted(headers))  # by order: no two have the same

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, header: Header) -> None:
        """The newest message."""
        self._extend((header,))

    def _extend(self, headers: Iterable[Header]) -> None:
        ids, stamps, sizes, peers = self.ids, self.stamps, self.sizes, self._peers
        tokens, where, numbers, names = self._tokens, self._where, self._numbers, self._names
        for order, id, stamp, with_, size, token, weak, provisional in headers:
            position = len(ids)
            if token:
                first = tokens.get(token)
                if first is not None and (not weak or abs(stamp - stamps[first]) <= AGAIN_MS):
                    self._aliases[id] = first
                    continue
                tokens[token] = position
            where[id] = position
            ids.append(id)
            stamps.append(stamp)
            sizes.append(size)
            self.total += size
            number = numbers.get(with_)
            if number is None:
                number = numbers[with_] = len(names)
                names.append(with_)
            peers.append(number)
            if provisional:
                self.provisional[id] = order

    def with_(self, position: int) -> str:
        """Whom the message is from or to, besides the owner."""
        return self._names[self._peers[position]]

    def position(self, id: str) -> int:
        """Where the message is. Raises StanzaError(item-not-found) (§4.1.3, §4.3.2)."""
        try:
            key = bytes.fromhex(id)
        except ValueError:
            key = b""
        found = self._where.get(key)
        if found is None:
            found = self._aliases.get(key)
        if found is None:
            raise StanzaError("item-not-found")
        return found

    def has(self, id: str) -> bool:
        """Whether `position` would find it."""
        key = bytes.fromhex(id)
        return key in self._where or key in self._aliases

    def resize(self, id: str, size: int) -> None:
        """That message takes so many bytes now."""
        position = self.position(id)
        self.total += size - self.sizes[position]
        self.sizes[position] = size

    def drop(self, ids: Iterable[bytes]) -> None:
        """These are no longer in the archive."""
        gone = set(ids)
        if gone.isdisjoint(self._where) and gone.isdisjoint(self._aliases):
            return
        kept = [position for position, id in enumerate(self.ids) if id not in gone]
        moved = {old: new for new, old in enumerate(kept)}
        self.ids = [self.ids[position] for position in kept]
        self.stamps = array("q", [self.stamps[position] for position in kept])
        self.sizes = array("I", [self.sizes[position] for position in kept])
        self._peers = array("I", [self._peers[position] for position in kept])
        self.total = sum(self.sizes)
        self._where = {id: position for position, id in enumerate(self.ids)}
        self._aliases = {
            id: moved[position] for id, position in self._aliases.items() if position in moved and id not in gone
        }
        self._tokens = {token: moved[position] for token, position in self._tokens.items() if position in moved}
        for id in gone:
            self.provisional.pop(id, None)

    def select(self, query: Query, at_most: int, bytes_at_most: int) -> Selection:
        """The page that is asked for. Raises StanzaError(item-not-found) for an id that is not in the archive."""
        low = 0 if query.after_id is None else self.position(query.after_id) + 1
        high = len(self.ids) if query.before_id is None else self.position(query.before_id)
        matches: Sequence[int] = range(low, max(low, high))
        if query.ids is not None:
            matches = [position for position in sorted({self.position(id) for id in query.ids}) if position in matches]
        if query.start is not None or query.end is not None:
            start = -(1 << 62) if query.start is None else query.start
            end = 1 << 62 if query.end is None else query.end
            stamps = self.stamps
            matches = [position for position in matches if start <= stamps[position] <= end]
        if query.with_ is not None:
            wanted = self._matching(query.with_)
            peers = self._peers
            matches = [position for position in matches if peers[position] in wanted]
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
            size += self.sizes[matches[last - 1 - taken if backwards else first + taken]]
            if size > bytes_at_most and taken:
                break
            taken += 1
        complete = taken == last - first
        page = matches[last - taken : last] if backwards else matches[first : first + taken]
        return Selection(page, complete, last - taken if backwards else first, count)

    def _matching(self, jid: JID) -> set[int]:
        """Numbers of the names that a `with` means (§4.1.1): of a bare address all its resources."""
        text = jid.text
        if not jid.is_bare:
            return {self._numbers[text]} if text in self._numbers else set()
        return {number for number, name in enumerate(self._names) if name == text or name.startswith(text + "/")}

    def unwanted(self, wanted: Callable[[str], bool], since: int) -> list[bytes]:
        """Ids of the provisional messages after the order `since` that the owner does not want."""
        return [
            id for id, order in self.provisional.items() if order > since and not wanted(self.with_(self._where[id]))
        ]
