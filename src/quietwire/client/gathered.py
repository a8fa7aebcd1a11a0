"""Receipts and displayed markers of several messages in one envelope, between clients of ours. Pure.

XEP-0184 wants a receipt alone in its message, and clients on QXmpp take a message with one for nothing else: a text
beside it would be lost there. So this is an element of our own, which others skip, and it is only written to those who
have shown that they read it (docs/protocols/client-link.md).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.core.xml import build

GOT: Final = "{urn:quietwire:got:0}got"

MAX_READ: Final = 64
"""Messages named in one element; we write eight at most. The rest of a longer list is dropped."""

_ID: Final = re.compile("[0-9a-f]{32}")
ASKS: Final = "?"
"""A word: its sender wants receipts and displayed markers. The elements that say so are 79 bytes, which would put one
text in fifty into a larger envelope."""
_WORD: Final = re.compile("[rdb][A-Za-z0-9_-]{22}")
"""Received, displayed or both; the id's bytes."""


@dataclass(frozen=True)
class Notice:
    """What is told of the message `ref`: that it was received, displayed, or both."""

    ref: str
    received: bool = False
    displayed: bool = False

    def joined(self, other: Notice) -> Notice:
        return Notice(self.ref, self.received or other.received, self.displayed or other.displayed)


def nameable(ref: str) -> bool:
    """Whether `ref` is an id as ours are: 16 bytes in hexadecimal."""
    return _ID.fullmatch(ref) is not None


def marked(content: Iterable[Element]) -> bool:
    return any(child.tag == GOT for child in content)


def write(notices: Sequence[Notice], *, asks: bool = False) -> Element:
    """Says that we read this, and what each of `notices`, of `nameable` ids, says. `asks`: for the same of the message
    that it is in."""
    return build(GOT, text=" ".join([*([ASKS] if asks else ()), *map(_word, notices)]))


def asks(content: Iterable[Element]) -> bool:
    return any(child.tag == GOT and (child.text or "").split(" ", 1)[0] == ASKS for child in content)


def read(content: Iterable[Element]) -> list[Notice]:
    """What our element says, in its order. What is malformed in it is skipped."""
    notices: dict[str, Notice] = {}
    for got in content:
        for word in (got.text or "").split(" ", MAX_READ)[:MAX_READ] if got.tag == GOT else ():
            if _WORD.fullmatch(word):
                ref = base64.urlsafe_b64decode(f"{word[1:]}==").hex()
                notice = Notice(ref, word[0] in "rb", word[0] in "db")
                notices[ref] = notice.joined(notices.get(ref, notice))
    return list(notices.values())


def _word(notice: Notice) -> str:
    what = "b" if notice.received and notice.displayed else "r" if notice.received else "d"
    return what + base64.urlsafe_b64encode(bytes.fromhex(notice.ref)).decode("ascii").rstrip("=")
