"""What waits for a `steady` link (DESIGN §5): fair by sender, bounded, and nothing is lost without a word.

- What the spool keeps waits here up to `limit` bytes; the rest stays in the spool and is fetched when this is empty.
- Presence waits once for each sender: a later one takes the place of the one before.
- Everything else is counted: from `limit` bytes on `crowded` says so, which those see who can be told to wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from quietwire.shaping.fair import Fair
from quietwire.store.ports import Entry

_START = re.compile(rb"<(message|presence|iq)\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>")
_FROM = re.compile(rb"\sfrom=(?:'([^']*)'|\"([^\"]*)\")")
_TYPE = re.compile(rb"\stype=(?:'([^']*)'|\"([^\"]*)\")")
_SELF = re.compile(rb"code=['\"]110['\"]")
"""One's own presence in a room: what it says there is said once."""


class _Item:
    __slots__ = ("data", "entry", "presence")

    def __init__(self, data: bytes, entry: Entry | None, presence: bytes) -> None:
        self.data = data
        self.entry = entry
        self.presence = presence


class Waiting:
    """Of one session. `limit` bytes: `Policy.queue`."""

    __slots__ = ("_fair", "_kept", "_presence", "_told", "limit", "spilled")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._fair: Fair[_Item] = Fair()
        self._kept = 0
        """Bytes that the spool has as well."""
        self._told = 0
        """Bytes that it has not."""
        self._presence: dict[bytes, _Item] = {}
        self.spilled = False
        """Something was left in the spool that is not here."""

    def __len__(self) -> int:
        return len(self._fair)

    def __bool__(self) -> bool:
        return bool(self._fair)

    @property
    def counted(self) -> int:
        """Bytes that are nowhere else."""
        return self._told

    @property
    def size(self) -> int:
        return self._told + self._kept

    @property
    def crowded(self) -> bool:
        return self._told > self.limit

    def push(self, data: bytes, entry: Entry | None) -> bool:
        """False if it is left in the spool: the caller does not answer for it then."""
        sender, presence = whose(data)
        if entry is not None:
            if self.spilled or self._kept + len(data) > self.limit:
                self.spilled = True  # and all after it, so that each sender's order is kept
                return False
            self._kept += len(data)
        else:
            former = self._presence.get(presence) if presence else None
            if former is not None:
                self._told += len(data) - len(former.data)
                former.data = data
                return True
            self._told += len(data)
        item = _Item(data, entry, presence)
        if presence:
            self._presence[presence] = item
        self._fair.push(sender, len(data), item)
        return True

    def _gone(self, item: _Item) -> tuple[bytes, Entry | None]:
        if item.presence:
            self._presence.pop(item.presence, None)
        if item.entry is not None:
            self._kept -= len(item.data)
        else:
            self._told -= len(item.data)
        return item.data, item.entry

    def pop(self) -> tuple[bytes, Entry | None]:
        """The next stanza. Raises ValueError when nothing waits."""
        return self._gone(self._fair.pop())

    def drain(self) -> Iterator[tuple[bytes, Entry | None]]:
        """All, in the order in which it came; for a session that has lost its connection."""
        return map(self._gone, self._fair.drain())


def whose(data: bytes) -> tuple[str, bytes]:
    """-> the bare address that a stanza is from, '' for the account itself; and, of presence that a later one replaces,
    the full one, else b''."""
    start = _START.match(data)
    if start is None:
        return "", b""
    found = _FROM.search(start[2])
    sender = (found[1] or found[2] or b"") if found is not None else b""
    bare = unescape(sender.decode("utf-8", "replace")).partition("/")[0]
    if start[1] != b"presence":
        return bare, b""
    kind = _TYPE.search(start[2])
    replaces = kind is None or (kind[1] or kind[2]) in (b"", b"unavailable")
    return bare, sender if replaces and not _SELF.search(data) else b""
