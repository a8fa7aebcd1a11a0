"""A room as a value: what it is, who belongs to it, who is in it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from quietwire.core.jid import JID
from quietwire.core.xml import escape
from quietwire.server.rooms import names
from quietwire.server.rooms.config import RoomConfig
from quietwire.server.rooms.history import History
from quietwire.server.rooms.occupants import Occupant, Occupants
from quietwire.server.rooms.ranks import Affiliation, Role, default_role
from quietwire.server.rooms.standings import Standing, Standings

MAX_REASON: Final = 1_024
"""Bytes of the reason for a kick, ban or invitation: some sentences."""
MAX_SUBJECT: Final = 8_192
"""Bytes of a subject with all its languages: it is sent to everybody who enters."""
MAX_INVITED: Final = 256
"""Invitations remembered, so that they can be declined."""
MAX_ROLES: Final = 1_024
"""Accounts whose role in the room was changed by hand, remembered while the room is in use (§5.1)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """`inner` is ``<subject/>`` in all its languages and the setter's occupant id; `setter` the occupant JID."""

    inner: bytes
    setter: JID
    at: float


class Room:
    """`secret` (32 bytes) makes its occupant ids, so that those of two rooms have nothing in common (XEP-0421 §4), and
    the keys of `standings`."""

    __slots__ = (
        "archived", "cold", "config", "empty", "history", "invited", "jid", "locked", "occupants", "roles", "rows",
        "secret", "since", "standings", "stored", "subject", "vcard", "waiting",
    )  # fmt: skip

    def __init__(self, jid: JID, config: RoomConfig, secret: bytes, *, since: float = 0.0) -> None:
        self.jid = jid
        self.config = config
        self.secret = secret
        self.since = since
        """When it was made, in memory only: rooms that nobody configures expire."""
        self.locked = False
        """Made, but not configured yet: nobody but its owner may enter (§10.1)."""
        self.stored = False
        """It has rows in the store."""
        self.archived = False
        """It may have messages in the archive."""
        self.cold = False
        """It was read from the store, and what was said before has not been read yet."""
        self.waiting: list[Callable[[], None]] | None = None
        """What came while that is being read, in its order."""
        self.standings = Standings(secret)
        """What it keeps of whom; who has no affiliation is not in here."""
        self.rows = self.empty = 0
        """Rows that the store has for these, and how many of them are there for the number's sake."""
        self.occupants = Occupants()
        self.subject: Subject | None = None
        self.history = History(config.history)
        self.vcard = b""
        """``<vCard/>`` or b''."""
        self.invited: dict[JID, JID] = {}
        """Invitee (bare) -> inviter (bare): whom a decline may go to (§7.8.2)."""
        self.roles: dict[JID, Role] = {}
        """Bare JID -> the role given by hand."""

    def stand(self, bare: JID, standing: Standing | None) -> None:
        """Writes or, with None, removes what the room keeps of an account."""
        self.standings.set(bare, standing)

    def affiliation(self, bare: JID) -> Affiliation:
        return self.standings.rank(bare)

    def role_for(self, bare: JID) -> Role:
        """The role on entering."""
        affiliation = self.affiliation(bare)
        role = default_role(affiliation, moderated=self.config.moderated)
        return self.roles.get(bare, role) if affiliation < Affiliation.ADMIN else role

    def remember_role(self, bare: JID, role: Role) -> None:
        self.roles.pop(bare, None)
        self.roles[bare] = role
        if len(self.roles) > MAX_ROLES:
            del self.roles[next(iter(self.roles))]

    def owners(self) -> list[JID]:
        return self.with_affiliation(Affiliation.OWNER)

    def with_affiliation(self, affiliation: Affiliation) -> list[JID]:
        """Opens the addresses: for who may have the list."""
        return list(self.standings.opened(affiliation))

    def sees_jids(self, occupant: Occupant) -> bool:
        return not self.config.anonymous or occupant.role is Role.MODERATOR

    def knows(self, bare: JID) -> bool:
        """Whether the room may say to that account that it exists: everybody may see a room that is listed or open,
        others only those who belong to it."""
        if self.locked:
            return self.affiliation(bare) is Affiliation.OWNER
        affiliation = self.affiliation(bare)
        if affiliation is Affiliation.OUTCAST:
            return False
        return self.config.public or not self.config.members_only or affiliation >= Affiliation.MEMBER

    def occupant_id(self, bare: JID) -> str:
        """XEP-0421: the same for an account whenever it comes, different in every room."""
        return hmac.new(self.secret, bare.text.encode(), hashlib.sha256).hexdigest()

    def tag(self, bare: JID) -> bytes:
        """``<occupant-id/>``."""
        return f"<occupant-id xmlns='{names.OCCUPANT_ID}' id='{self.occupant_id(bare)}'/>".encode()

    def name(self) -> str:
        return self.config.name or self.jid.local

    def address(self) -> str:
        """Escaped, for an attribute."""
        return escape(self.jid.text)
