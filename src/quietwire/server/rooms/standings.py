"""What a room keeps of each bare JID. Anybody can be looked up by address; addresses are opened only of who is asked
for, or all of them where somebody may have the list.

    room.standings.rank(bare)             # for everybody who comes: a hash, and a look
    room.standings.opened()               # for those who may have the list
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.seal.members import NOBODY, Members
from quietwire.seal.wraps import SealError
from quietwire.server.rooms.occupants import skeleton
from quietwire.server.rooms.ranks import Affiliation

_HEAD = struct.Struct(">b16s")
"""Affiliation, and what stands for the nickname; then the box with the names."""
_RANKS: Final = {int(each): each for each in Affiliation}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the room keeps of one bare JID. `nick` is reserved for it; `reason` is why it was banned."""

    affiliation: Affiliation
    nick: str = ""
    reason: str = ""


class Standings:
    """Of one room. Who has no affiliation is not in here."""

    __slots__ = ("_members", "_nicks", "_rows", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._members: Members | None = None
        self._rows: dict[bytes, tuple[Affiliation, bytes]] = {}
        """By the hash of the address, as they are kept."""
        self._nicks: dict[bytes, bytes] = {}
        """Hash of a reserved nickname's skeleton -> hash of the address."""

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, bare: JID) -> bool:
        return self._keys.member(bare.text) in self._rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Standings) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]

    @property
    def _keys(self) -> Members:
        if self._members is None:  # of ten thousand rooms few are in use
            self._members = Members(self._secret)
        return self._members

    # -- asking -----------------------------------------------------------------------------------------------------

    def rank(self, bare: JID) -> Affiliation:
        found = self._rows.get(self._keys.member(bare.text))
        return found[0] if found is not None else Affiliation.NONE

    def get(self, bare: JID) -> Standing | None:
        """All that is kept of that one."""
        member = self._keys.member(bare.text)
        opened = self._opened(member) if member in self._rows else None
        return opened[1] if opened is not None else None

    def reserved(self, nick: str) -> tuple[JID, Standing] | None:
        """For whom that nickname is reserved."""
        member = self._nicks.get(self._keys.nick(skeleton(nick))) if self._nicks else None
        return self._opened(member) if member is not None else None

    def taken(self, nick: str, bare: JID) -> bool:
        """Whether that nickname is reserved for somebody else."""
        member = self._nicks.get(self._keys.nick(skeleton(nick))) if self._nicks else None
        return member is not None and member != self._keys.member(bare.text)

    def count(self, least: Affiliation) -> int:
        """How many rank as high as that or higher."""
        return sum(rank >= least for rank, _ in self._rows.values())

    def others(self, affiliation: Affiliation, bare: JID) -> bool:
        """Whether anybody but that one has it."""
        member = self._keys.member(bare.text)
        return any(rank is affiliation and key != member for key, (rank, _) in self._rows.items())

    # -- listing ----------------------------------------------------------------------------------------------------

    def opened(self, affiliation: Affiliation | None = None) -> dict[JID, Standing]:
        """Everybody, or everybody with that affiliation, by bare JID: for who may have the list."""
        found = (self._opened(key) for key, (rank, _) in self._rows.items() if affiliation in (None, rank))
        return dict(sorted((each for each in found if each is not None), key=lambda each: each[0].text))

    def with_nicks(self) -> dict[JID, Standing]:
        """Those for whom a nickname is reserved."""
        found = (self._opened(member) for member in self._nicks.values())
        return dict(sorted((each for each in found if each is not None), key=lambda each: each[0].text))

    def _opened(self, member: bytes) -> tuple[JID, Standing] | None:
        """None for a box that is damaged, and where the rules for addresses have changed since: nobody can come under
        that name any more."""
        rank, row = self._rows[member]
        try:
            address, nick, reason = self._keys.open(member, row[: _HEAD.size], row[_HEAD.size :])
            return parse_jid(address), Standing(rank, nick, reason)
        except (SealError, JIDError):
            return None

    # -- writing ----------------------------------------------------------------------------------------------------

    def set(self, bare: JID, standing: Standing | None) -> None:
        """What is kept of that one from now on; None: nothing."""
        member = self._keys.member(bare.text)
        self._drop(member)
        if standing is not None:
            nick = self._keys.nick(skeleton(standing.nick)) if standing.nick else NOBODY
            head = _HEAD.pack(standing.affiliation, nick)
            box = self._keys.close(member, head, bare.text, standing.nick, standing.reason)
            self._place(member, standing.affiliation, nick, head + box)

    def _drop(self, member: bytes) -> None:
        old = self._rows.pop(member, None)
        if old is not None:
            _, nick = _HEAD.unpack_from(old[1])
            if self._nicks.get(nick) == member:
                del self._nicks[nick]

    def _place(self, member: bytes, rank: Affiliation, nick: bytes, row: bytes) -> None:
        self._rows[member] = rank, row
        if nick != NOBODY:
            self._nicks[nick] = member

    # -- as rows ----------------------------------------------------------------------------------------------------

    def row(self, bare: JID) -> tuple[bytes, bytes | None]:
        """(hash, row) of that one; None for the row where there is none."""
        member = self._keys.member(bare.text)
        found = self._rows.get(member)
        return member, found[1] if found is not None else None

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """(hash, row) of everybody."""
        for member, (_, row) in self._rows.items():
            yield member, row

    def read(self, member: bytes, row: bytes) -> None:
        """A row as `row` gave it. Raises SealError where it cannot be one; its box is opened when it is asked for."""
        try:
            rank, nick = _HEAD.unpack_from(row)
            self._place(member, _RANKS[rank], nick, row)
        except (struct.error, KeyError):
            raise SealError("not a member's row") from None
