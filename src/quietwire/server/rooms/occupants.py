"""Who is in a room: occupants by nickname, each with one or more sessions of one account (XEP-0045 §7.2.8)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from quietwire.core.jid import JID
from quietwire.core.stanza import Presence
from quietwire.server.rooms.ranks import Affiliation, Role

MAX_NICK: Final = 128
"""Bytes of a nickname: long ones are used to speak without voice (§13.6)."""
MAX_SESSIONS: Final = 16
"""Sessions of one occupant: as many as an account has devices."""


def skeleton(nick: str) -> str:
    """What two nicknames share that people take for one another: case, width and white space do not count."""
    return " ".join(unicodedata.normalize("NFKC", nick).casefold().split())


@dataclass(slots=True)
class Visit:
    """One session in the room: what it last said of itself, without what is the room's to say."""

    attributes: dict[str, str]
    inner: bytes
    names: tuple[str, ...]
    since: float
    """When it was last heard of, in seconds since the epoch; in memory only."""


class Occupant:
    """`jid` is the occupant JID, `bare` the real bare JID, `tag` the occupant-id as it goes into each stanza."""

    __slots__ = (
        "affiliation", "bare", "budget", "jid", "nick", "primary", "role", "sessions", "shown", "spoke", "tag",
        "topped",
    )  # fmt: skip

    def __init__(self, jid: JID, bare: JID, affiliation: Affiliation, role: Role, tag: bytes) -> None:
        self.jid = jid
        self.nick = jid.resource
        self.bare = bare
        self.affiliation = affiliation
        """What the room keeps of `bare`, at hand."""
        self.role = role
        self.tag = tag
        self.sessions: dict[JID, Visit] = {}
        """By real full JID."""
        self.primary: JID = bare
        """The session whose presence stands for the occupant."""
        self.shown: dict[bool, Presence] = {}
        """Its presence as others get it, by whether they see real JIDs; until it changes."""
        self.budget = 0.0
        """Messages it may send at once; `topped` is when that was counted."""
        self.topped = 0.0
        self.spoke = 0.0
        """When it last said something, for slow mode."""

    def visit(self) -> Visit:
        return self.sessions[self.primary]


class Occupants:
    """All of one room."""

    def __init__(self) -> None:
        self.by_nick: dict[str, Occupant] = {}
        self.by_jid: dict[JID, Occupant] = {}
        """By real full JID."""
        self._skeletons: dict[str, Occupant] = {}
        self._everybody: tuple[JID, ...] | None = ()

    def __len__(self) -> int:
        return len(self.by_nick)

    def __iter__(self) -> Iterator[Occupant]:
        return iter(list(self.by_nick.values()))

    def everybody(self) -> tuple[JID, ...]:
        """The real full JIDs of all sessions; counted anew only when somebody has come or gone."""
        if self._everybody is None:
            self._everybody = tuple(self.by_jid)
        return self._everybody

    def alike(self, nick: str) -> Occupant | None:
        """Who has that nickname or one that is taken for it."""
        return self._skeletons.get(skeleton(nick))

    def of(self, bare: JID) -> list[Occupant]:
        """The occupants that an account is."""
        return [occupant for occupant in self.by_nick.values() if occupant.bare == bare]

    def enter(self, occupant: Occupant, session: JID, visit: Visit) -> None:
        self.by_nick[occupant.nick] = self._skeletons[skeleton(occupant.nick)] = occupant
        self.by_jid[session] = occupant
        occupant.sessions[session] = visit
        occupant.primary = session
        occupant.shown.clear()
        self._everybody = None

    def leave(self, session: JID) -> Occupant | None:
        """Takes a session out, and its occupant with the last one. -> whose it was."""
        occupant = self.by_jid.pop(session, None)
        if occupant is None:
            return None
        self._everybody = None
        del occupant.sessions[session]
        occupant.shown.clear()
        if occupant.sessions:
            if occupant.primary == session:
                occupant.primary = next(reversed(occupant.sessions))
        else:
            del self.by_nick[occupant.nick]
            del self._skeletons[skeleton(occupant.nick)]
        return occupant

    def rename(self, occupant: Occupant, jid: JID) -> None:
        """`jid` is the new occupant JID."""
        del self.by_nick[occupant.nick]
        del self._skeletons[skeleton(occupant.nick)]
        occupant.jid, occupant.nick = jid, jid.resource
        occupant.shown.clear()
        self.by_nick[occupant.nick] = self._skeletons[skeleton(occupant.nick)] = occupant
