"""Invitations: tokens that let somebody make an account here (XEP-0445) or become a contact unasked (XEP-0379).

Who has the token has the right, once. What is kept is a row of table ``invitation`` under its SHA-256. The row's owner
is the inviter, so that it goes with the account; beside that it has what is needed while nobody shows the token: until
which day, whether it makes an account or a contact, and a keyed hash of the name that is promised. Who invites and what
name is promised lies in a box that the token opens. All rows are in memory, some hundred bytes each. It is the port
"invitations".
"""

from __future__ import annotations

import hashlib
import json
import struct
from base64 import b32encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from quietwire.core.errors import QuietwireError, StanzaError
from quietwire.core.jid import JID, JIDError
from quietwire.seal.invitations import open_box, seal
from quietwire.seal.wraps import SealError
from quietwire.store.ports import Store

TABLE: Final = "invitation"
VERSION: Final = 2
"""First byte of a row's value."""
_LEGACY: Final = 1
"""Of rows from before the sealed store: all of it readable, with the inviter in it (`adopted`)."""

TOKEN_BYTES: Final = 15
"""120 bits, 24 characters that can be read out; XEP-0379 §5.1 asks for 80 bits. So strong a token needs no salt and no
slow hash."""

MAX_TOKEN: Final = 64
"""Characters of a token that is looked up; ours are shorter."""

MAX_PENDING: Final = 20
"""Open invitations of one account that is no administrator's: a family or a class at once, and no mailing."""

_DAY: Final = 86_400


class InvitationError(QuietwireError):
    """Cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """`inviter`: a bare JID, or the domain itself for one that an administrator made on the command line."""

    inviter: JID
    expires: int
    """Seconds since the epoch, the end of a day: the rest would tell when it was made."""
    register: bool
    """Lets make an account."""
    contact: bool
    """Makes the guest and the inviter contacts."""
    name: str = ""
    """The localpart of the account that it is for; '' leaves the choice to the guest."""


_BESIDE: Final = struct.Struct(">BIB")
"""Version, day on which it ends, flags; then the hash of the name, with its length before it, and the box."""
_REGISTER, _CONTACT = 1, 2


@dataclass(slots=True)
class Open:
    """An invitation as it is kept: what can be said of it without its token."""

    owner: bytes
    """Stands for the inviter."""
    expires: int
    register: bool
    contact: bool
    name: bytes
    """Hash of the name that is promised, b"" where none is."""
    beside: bytes
    box: bytes
    legacy: Invitation | None = None

    @classmethod
    def make(cls, owner: bytes, token: str, invitation: Invitation, name: bytes) -> Open:
        flags = (_REGISTER if invitation.register else 0) | (_CONTACT if invitation.contact else 0)
        beside = _BESIDE.pack(VERSION, invitation.expires // _DAY, flags) + bytes((len(name),)) + name
        content = json.dumps([invitation.inviter.text, invitation.name]).encode()
        box = seal(token.encode(), content, beside)
        return cls(owner, invitation.expires, invitation.register, invitation.contact, name, beside, box)

    @classmethod
    def read(cls, owner: bytes, value: bytes, hashed: Callable[[bytes], bytes]) -> Open:
        """Raises ValueError for a row that is damaged or of another version."""
        if value[:1] == bytes((_LEGACY,)):
            stored = json.loads(value[1:])
            found = Invitation(JID.parse(stored.pop("inviter")), **stored)
            name = hashed(found.name.encode()) if found.name else b""
            return cls(owner, found.expires, found.register, found.contact, name, b"", b"", found)
        try:
            version, day, flags = _BESIDE.unpack_from(value)
            length = value[_BESIDE.size]
        except (struct.error, IndexError):
            raise ValueError("a damaged invitation") from None
        if version != VERSION:
            raise ValueError("an invitation of another version")
        start = _BESIDE.size + 1
        end = start + length
        register, contact = bool(flags & _REGISTER), bool(flags & _CONTACT)
        return cls(owner, day * _DAY, register, contact, value[start:end], value[:end], value[end:])

    def opened(self, token: str) -> Invitation | None:
        """What it says to who has the token; None for a damaged one."""
        if self.legacy is not None:
            return self.legacy
        try:
            inviter, name = json.loads(open_box(token.encode(), self.box, self.beside))
        except SealError:
            return None
        return Invitation(JID.parse(inviter), self.expires, self.register, self.contact, name)


def adopted(inviter: bytes, value: bytes) -> bytes:
    """The row of a database from before the sealed store, as it can be kept without its token."""
    stored = json.loads(value[1:])
    return bytes((_LEGACY,)) + json.dumps({**stored, "inviter": inviter.decode()}).encode()


class Invitations:
    """`clock`: seconds since the epoch. A day of `days` is over at midnight UTC. `handle`: what the store has in an
    owner's place; `hashed`: a keyed hash of a name."""

    def __init__(
        self,
        domain: JID,
        store: Store,
        clock: Callable[[], float],
        randomness: Callable[[int], bytes],
        web: str = "",
        handle: Callable[[bytes], bytes] = lambda owner: owner,
        hashed: Callable[[bytes], bytes] = lambda name: hashlib.sha256(name).digest()[:16],
    ) -> None:
        self._domain = domain
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self.web = web
        """URL of the web port, '' where there is none."""
        self._handle = handle
        self._hashed = hashed
        self._open: dict[bytes, Open] = {}
        self._taken: set[bytes] = set()

    async def open(self) -> None:
        """Reads what there is. Call it once, before the first stream."""
        for owner in await self._store.owners(TABLE):
            for key, value in await self._store.scan(TABLE, owner):
                with suppress(ValueError):  # of a damaged one nobody can make use
                    self._open[key] = Open.read(owner, value, self._hashed)
        self.expire()

    def make(
        self, inviter: JID, *, days: int, register: bool, contact: bool, name: str = "", unlimited: bool = False
    ) -> tuple[str, Invitation]:
        """-> (the token, which nobody can ask for again; the invitation). Raises InvitationError."""
        self.expire()
        if name:
            name = self._local(name)
            if self.reserved(name):
                raise InvitationError(f"{name} is promised to somebody already")
        owner = self._handle(inviter.text.encode())
        if not unlimited and sum(one.owner == owner for one in self._open.values()) >= MAX_PENDING:
            raise InvitationError(f"at most {MAX_PENDING} open invitations")
        token = b32encode(self._randomness(TOKEN_BYTES)).decode().lower()
        expires = (int(self._clock()) // _DAY + days + 1) * _DAY
        invitation = Invitation(inviter, expires, register, contact, name)
        key = _key(token)
        kept = Open.make(owner, token, invitation, self._hashed(name.encode()) if name else b"")
        self._open[key] = kept
        self._store.put(TABLE, inviter.text.encode(), key, kept.beside + kept.box)
        return token, invitation

    def _local(self, name: str) -> str:
        try:
            return JID.of(name, self._domain.domain).local
        except JIDError:
            raise InvitationError("not a name that an account can have") from None

    def find(self, token: str) -> Invitation | None:
        """The open invitation of that token."""
        key = _key(token)
        found = self._open.get(key)
        if found is None or key in self._taken or found.expires <= self._clock():
            return None
        return found.opened(_normal(token))

    def take(self, token: str, *, late: bool = False) -> Invitation | None:
        """Nobody else can use it until `release`; `done` uses it up. `late`: it may have expired since it was looked at
        (XEP-0445 §4)."""
        key = _key(token)
        found = self._open.get(key)
        if found is None or key in self._taken or (found.expires <= self._clock() and not late):
            return None
        opened = found.opened(_normal(token))
        if opened is not None:
            self._taken.add(key)
        return opened

    def release(self, token: str) -> None:
        self._taken.discard(_key(token))

    def done(self, token: str) -> None:
        key = _key(token)
        self._taken.discard(key)
        self._drop(key)

    def _drop(self, key: bytes) -> None:
        found = self._open.pop(key, None)
        if found is not None:
            self._store.delete(TABLE, found.owner, key)

    def reserved(self, local: str) -> bool:
        """An open invitation promises that name (XEP-0445 §5)."""
        now = self._clock()
        promised = {one.name for one in self._open.values() if one.expires > now}
        return self._hashed(local.encode()) in promised

    def expire(self) -> None:
        """Deletes what is over."""
        now = self._clock()
        for key in [key for key, one in self._open.items() if one.expires <= now and key not in self._taken]:
            self._drop(key)

    def erased(self, inviter: JID) -> None:
        """The account is gone, its rows with it."""
        owner = self._handle(inviter.text.encode())
        self._open = {key: one for key, one in self._open.items() if one.owner != owner}

    def listed(self, inviter: JID | None = None) -> list[tuple[str, Open]]:
        """(handle, invitation) of those that are open, of one account or all; the handle is no token."""
        self.expire()
        owner = self._handle(inviter.text.encode()) if inviter is not None else b""
        found = ((key[:4].hex(), one) for key, one in self._open.items() if inviter is None or one.owner == owner)
        return sorted(found, key=lambda entry: (entry[1].expires, entry[0]))

    def operators(self, one: Open) -> bool:
        """Made on the command line, in nobody's name."""
        return one.owner == self._handle(self._domain.text.encode())

    def revoke(self, handle: str) -> int:
        """Withdraws those of that handle. -> how many."""
        keys = [key for key in self._open if key[:4].hex() == handle]
        for key in keys:
            self._drop(key)
        return len(keys)

    # -- what it looks like -----------------------------------------------------------------------------------------

    def uri(self, token: str, invitation: Invitation) -> str:
        """The ``xmpp:`` URI (XEP-0401 §5, XEP-0445 §2)."""
        if invitation.contact and not invitation.name and invitation.inviter.local:
            ibr = ";ibr=y" if invitation.register else ""
            return f"xmpp:{_quoted(invitation.inviter)}?roster;preauth={token}{ibr}"
        local = f"{quote(invitation.name, safe='')}@" if invitation.name else ""
        return f"xmpp:{local}{self._domain.domain}?register;preauth={token}"

    def landing(self, token: str) -> str:
        """The page in the browser; '' without a web port."""
        return f"{self.web}/invite/{token}" if self.web else ""


def _quoted(jid: JID) -> str:
    return f"{quote(jid.local, safe='')}@{jid.domain}"


def _key(token: str) -> bytes:
    """Looking up a hash tells by its time nothing of the token."""
    return hashlib.sha256(_normal(token).encode()).digest()


def _normal(token: str) -> str:
    """As it was made: people may type capitals."""
    return token[:MAX_TOKEN].lower()


def refused(error: InvitationError) -> StanzaError:
    """What a client is told."""
    return StanzaError("not-acceptable", str(error))
