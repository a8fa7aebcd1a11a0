"""Invitations: tokens that let somebody make an account here (XEP-0445) or become a contact unasked (XEP-0379).

Who has the token has the right, once. Only its SHA-256 is kept: a row of table ``invitation``, whose owner is the
inviter, so that it goes with the account. All of them are in memory, some hundred bytes each. Port "invitations".
"""

from __future__ import annotations

import hashlib
import json
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from quietwire.core.errors import QuietwireError, StanzaError
from quietwire.core.jid import JID, JIDError
from quietwire.store.ports import Store

TABLE: Final = "invitation"
VERSION: Final = 1
"""First byte of a row's value."""

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

    def encode(self) -> bytes:
        values = {"expires": self.expires, "register": self.register, "contact": self.contact, "name": self.name}
        return bytes((VERSION,)) + json.dumps(values, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, owner: bytes, value: bytes) -> Invitation:
        """Raises ValueError for a row of another version."""
        if value[:1] != bytes((VERSION,)):
            raise ValueError("an invitation of another version")
        return cls(JID.parse(owner.decode()), **json.loads(value[1:]))


class Invitations:
    """`clock`: seconds since the epoch. A day of `days` is over at midnight UTC."""

    def __init__(
        self, domain: JID, store: Store, clock: Callable[[], float], randomness: Callable[[int], bytes], web: str = ""
    ) -> None:
        self._domain = domain
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self.web = web
        """URL of the web port, '' where there is none."""
        self._open: dict[bytes, Invitation] = {}
        self._taken: set[bytes] = set()

    async def open(self) -> None:
        """Reads what there is. Call it once, before the first stream."""
        for owner in await self._store.owners(TABLE):
            for key, value in await self._store.scan(TABLE, owner):
                self._open[key] = Invitation.decode(owner, value)
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
        if not unlimited and sum(one.inviter == inviter for one in self._open.values()) >= MAX_PENDING:
            raise InvitationError(f"at most {MAX_PENDING} open invitations")
        token = b32encode(self._randomness(TOKEN_BYTES)).decode().lower()
        expires = (int(self._clock()) // _DAY + days + 1) * _DAY
        invitation = Invitation(inviter, expires, register, contact, name)
        key = _key(token)
        self._open[key] = invitation
        self._store.put(TABLE, inviter.text.encode(), key, invitation.encode())
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
        return None if found is None or key in self._taken or found.expires <= self._clock() else found

    def take(self, token: str, *, late: bool = False) -> Invitation | None:
        """Nobody else can use it until `release`; `done` uses it up. `late`: it may have expired since it was looked at
        (XEP-0445 §4)."""
        key = _key(token)
        found = self._open.get(key)
        if found is None or key in self._taken or (found.expires <= self._clock() and not late):
            return None
        self._taken.add(key)
        return found

    def release(self, token: str) -> None:
        self._taken.discard(_key(token))

    def done(self, token: str) -> None:
        key = _key(token)
        self._taken.discard(key)
        self._drop(key)

    def _drop(self, key: bytes) -> None:
        found = self._open.pop(key, None)
        if found is not None:
            self._store.delete(TABLE, found.inviter.text.encode(), key)

    def reserved(self, local: str) -> bool:
        """An open invitation promises that name (XEP-0445 §5)."""
        now = self._clock()
        return any(one.name == local and one.expires > now for one in self._open.values())

    def expire(self) -> None:
        """Deletes what is over."""
        now = self._clock()
        for key in [key for key, one in self._open.items() if one.expires <= now and key not in self._taken]:
            self._drop(key)

    def erased(self, inviter: JID) -> None:
        """The account is gone, its rows with it."""
        self._open = {key: one for key, one in self._open.items() if one.inviter != inviter}

    def listed(self, inviter: JID | None = None) -> list[tuple[str, Invitation]]:
        """(handle, invitation) of those that are open, of one account or all; the handle is no token."""
        self.expire()
        found = ((key[:4].hex(), one) for key, one in self._open.items() if inviter is None or one.inviter == inviter)
        return sorted(found, key=lambda entry: (entry[1].expires, entry[0]))

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
    return hashlib.sha256(token[:MAX_TOKEN].lower().encode()).digest()


def refused(error: InvitationError) -> StanzaError:
    """What a client is told."""
    return StanzaError("not-acceptable", str(error))
