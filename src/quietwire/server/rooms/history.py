"""What was said last, for who enters (XEP-0045 §7.2.13). In memory."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from quietwire.core import ns
from quietwire.core.jid import JID
from quietwire.core.stanza import Message
from quietwire.core.xml import Element, escape

MAX_BYTES: Final = 256 << 10
"""Of one room's history: a hundred messages of some kilobytes each."""


@dataclass(frozen=True, slots=True)
class Line:
    """`message` as it was reflected, without addressee; `sender` the real bare JID where those who come later may know
    it (it was said in a non-anonymous room); `id` the room's stanza-id."""

    at: float
    message: Message
    sender: JID | None
    id: str
    size: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What who enters asks for (§7.2.14); None where it does not say."""

    chars: int | None = None
    stanzas: int | None = None
    seconds: int | None = None
    since: float | None = None

    @classmethod
    def parse(cls, element: Element | None) -> Wanted:
        """``<history/>``. What is not a number counts as not said."""
        if element is None:
            return cls()
        return cls(
            _number(element.get("maxchars")),
            _number(element.get("maxstanzas")),
            _number(element.get("seconds")),
            _time(element.get("since")),
        )


class History:
    """The last `length` messages of a room."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._lines: deque[Line] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def resize(self, length: int) -> None:
        self.length = length
        self._trim()

    def add(self, at: float, message: Message, sender: JID | None, id: str) -> None:
        size = len(message.inner) + 256  # the start tag with its addresses, about
        self._lines.append(Line(at, message, sender, id, size))
        self._bytes += size
        self._trim()

    def find(self, id: str) -> Line | None:
        return next((line for line in self._lines if line.id == id), None)

    def remove(self, id: str) -> None:
        line = self.find(id)
        if line is not None:
            self._lines.remove(line)
            self._bytes -= line.size

    def select(self, wanted: Wanted, now: float) -> list[Line]:
        """The newest lines that meet every wish, oldest first."""
        if wanted.chars == 0:
            return []
        earliest = max(
            now - wanted.seconds if wanted.seconds is not None else 0.0,
            wanted.since if wanted.since is not None else 0.0,
        )
        most = self.length if wanted.stanzas is None else min(wanted.stanzas, self.length)
        chosen: list[Line] = []
        chars = 0
        for line in reversed(self._lines):
            chars += line.size
            if line.at < earliest or len(chosen) >= most or (wanted.chars is not None and chars > wanted.chars):
                break
            chosen.append(line)
        chosen.reverse()
        return chosen

    def _trim(self) -> None:
        while self._lines and (len(self._lines) > self.length or self._bytes > MAX_BYTES):
            self._bytes -= self._lines.popleft().size


def delay(room: JID, at: float) -> bytes:
    """``<delay/>`` of the room (XEP-0203)."""
    return f"<delay xmlns='{ns.DELAY}' from='{escape(room.text)}' stamp='{stamp(at)}'/>".encode()


def stamp(at: float) -> str:
    """XEP-0082, to the second."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 9):
        return None
    return int(text)


def _time(text: str | None) -> float | None:
    if text is None or len(text) > 40:
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
