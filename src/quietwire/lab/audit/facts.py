"""What was read, by category. A reader of any format adds facts; nobody else interprets them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

Category = Literal[
    "accounts", "passwords", "contacts", "requests", "groups", "profiles", "avatars", "bookmarks", "blocks", "markers",
    "preferences", "nodes", "devices", "messages", "rooms", "members", "uploads", "push", "invitations", "times",
    "addresses", "strings", "deleted", "logs", "temporary", "dumps",
]  # fmt: skip
CATEGORIES: tuple[Category, ...] = get_args(Category)
MEANS: dict[Category, str] = {
    "accounts": "accounts, as #hash where the name is not known",
    "passwords": "what a password can be guessed against",
    "contacts": "who is on whose contact list",
    "requests": "who asked whom for presence, without an answer yet",
    "groups": "groups of contact lists",
    "profiles": "vCards and their fields",
    "avatars": "pictures",
    "bookmarks": "rooms that somebody goes to",
    "blocks": "who has blocked whom",
    "markers": "how far somebody has read",
    "preferences": "settings, of the server as well",
    "nodes": "what else clients publish or store for themselves",
    "devices": "clients and their keys",
    "messages": "by whom, to whom, when",
    "rooms": "rooms and their settings",
    "members": "who belongs to which room, or is banned from it",
    "uploads": "files, their names and owners",
    "push": "push services of devices",
    "invitations": "open invitations",
    "times": "when something happened, finer than a month",
    "addresses": "IP addresses",
    "strings": "addresses and XML in raw bytes that no table showed",
    "deleted": "what was deleted and is still there",
    "logs": "lines of logs that name somebody",
    "temporary": "files left over",
    "dumps": "core dumps: memory of a server",
}  # fmt: skip

_PAIRS: frozenset[Category] = frozenset(("accounts", "contacts", "requests", "rooms", "members", "blocks"))
_BARE = re.compile(r"^[^@/\s]+@[^@/\s]+$")


@dataclass(frozen=True, slots=True)
class Fact:
    """`who` did or has `what`; either may be "". `more` is what there is besides. `place` is file, table, row."""

    category: Category
    who: str
    what: str
    more: str = ""
    place: str = ""


@dataclass
class Facts:
    """All that was read, each thing once."""

    all: dict[tuple[Category, str, str, str], Fact] = field(default_factory=dict)
    opened: list[tuple[str, bytes]] = field(default_factory=list)
    """(place, content) of what lay under a key that the thief has."""

    def add(self, category: Category, who: str, what: str, more: str = "", place: str = "") -> None:
        self.all.setdefault((category, who, what, more), Fact(category, who, what, more, place))

    def of(self, category: Category) -> list[Fact]:
        return [fact for fact in self.all.values() if fact.category == category]

    def counts(self) -> dict[Category, int]:
        """Of what names two the pairs, however often and in whatever state they were found."""
        distinct = {
            (fact.category, fact.who, fact.what, "" if fact.category in _PAIRS else fact.more)
            for fact in self.all.values()
        }
        found = Counter(category for category, *_ in distinct)
        return {category: found[category] for category in CATEGORIES}

    def texts(self) -> str:
        """Everything as one text, to search in."""
        return "\n".join("\0".join((fact.who, fact.what, fact.more)) for fact in self.all.values())


Pair = frozenset[str]


def pairs(facts: Iterable[Fact]) -> set[Pair]:
    """Who has to do with whom, of facts that name two."""
    found = set()
    for fact in facts:
        one, other = bare(fact.who), bare(fact.what)
        if one != other and _BARE.match(one) and _BARE.match(other):
            found.add(frozenset((one, other)))
    return found


def bare(jid: str) -> str:
    return jid.partition("/")[0].lower()
